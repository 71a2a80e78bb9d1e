//! How long to train, and AdamW.

use schemars::JsonSchema;
use sdk::{Best, Error, Goal, Schedule};
use sdk_numerics::AdamWConfig;
use serde::{Deserialize, Serialize};
use towers::Rates;

use super::{out_of_range, zero_counts};

/// Batches, steps and what is due how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainerConfig {
    /// Pairs of a step. Each is told from all others, so more of them teach more.
    #[schemars(range(min = 1), extend("x-unit" = "pairs"))]
    pub batch_size: usize,
    /// Optimizer updates in all.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub max_steps: u64,
    /// Steps between logged points.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub log_every: u64,
    /// Steps between evaluations.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub eval_every: u64,
    /// Steps between checkpoints; null saves whenever it evaluates.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub save_every: Option<u64>,
    /// Largest norm of all gradients together; null leaves them as they are.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub grad_clip_norm: Option<f64>,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            batch_size: 256,
            max_steps: 2000,
            log_every: 20,
            eval_every: 200,
            save_every: None,
            grad_clip_norm: Some(1.0),
        }
    }
}

impl TrainerConfig {
    /// What is due how often.
    pub fn cadence(&self) -> Schedule {
        Schedule {
            total_steps: self.max_steps,
            log_every_steps: self.log_every,
            eval_every_steps: self.eval_every,
            checkpoint_every_steps: self.save_every.unwrap_or(self.eval_every),
            best: Some(Best { metric: "loss".to_owned(), goal: Goal::Min }),
            unit: "samples".to_owned(),
        }
    }

    pub(super) fn check(&self) -> Vec<Error> {
        let counts = [
            ("batch_size", self.batch_size as u64),
            ("max_steps", self.max_steps),
            ("log_every", self.log_every),
            ("eval_every", self.eval_every),
            ("save_every", self.save_every.unwrap_or(1)),
        ];
        let mut faults: Vec<Error> = zero_counts(&counts).collect();
        faults.extend(out_of_range(&[("grad_clip_norm", self.grad_clip_norm.unwrap_or(1.0))], &[]));
        faults
    }
}

/// AdamW and its learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Learning rate at the end of the warmup.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// Learning rate at the end, after a fall along a cosine; null keeps `lr`.
    #[schemars(range(min = 0.0))]
    pub min_lr: Option<f64>,
    /// Steps in which the rate rises from 0; null is a twentieth of all steps.
    #[schemars(extend("x-unit" = "steps"))]
    pub warmup_steps: Option<u64>,
    /// Decoupled weight decay.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Decay rates of the two moments.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    pub betas: [f64; 2],
    /// Whether all parameters decay: norms, biases and the temperature too, which then goes towards
    /// 1. Otherwise matrices alone do.
    pub decay_all: bool,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            min_lr: Some(0.0),
            warmup_steps: None,
            weight_decay: 0.0,
            betas: [0.9, 0.999],
            decay_all: false,
        }
    }
}

impl OptimizerConfig {
    /// Learning rate and decay rates over so many steps.
    pub fn rates(&self, total_steps: u64) -> Rates {
        Rates {
            lr: self.lr,
            min_lr: self.min_lr.unwrap_or(self.lr),
            warmup_steps: self.warmup_steps,
            betas: self.betas,
            total_steps,
        }
    }

    /// The optimizer.
    pub fn adamw(&self) -> AdamWConfig {
        AdamWConfig {
            betas: (self.betas[0], self.betas[1]),
            eps: 1e-8,
            weight_decay: self.weight_decay,
            decay_norm_and_bias: self.decay_all,
            decay_embeddings: self.decay_all,
        }
    }

    pub(super) fn check(&self, max_steps: u64) -> Vec<Error> {
        let least = self.min_lr.unwrap_or(0.0);
        let at_least = [("min_lr", least), ("weight_decay", self.weight_decay)];
        let mut faults = out_of_range(&[("lr", self.lr)], &at_least);
        faults.extend(self.rates(max_steps).check("trainer.max_steps"));
        faults
    }
}
