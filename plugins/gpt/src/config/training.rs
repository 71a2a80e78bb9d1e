//! How a phase trains.

use corpus::Batch;
use schemars::JsonSchema;
use sdk::{Batching, Best, Error, Goal, Schedule};
use sdk_numerics::{AdamWConfig, WarmupCosine};
use serde::{Deserialize, Serialize};

use super::best::{BestMetric, BestMetricWeights, OWN_LOSS, check_weights};

/// How a phase trains: batches, cadence, learning rate, optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Sequences of a micro-batch.
    #[serde(rename = "micro_B")]
    #[schemars(range(min = 1, max = 65_536), extend("x-unit" = "sequences"))]
    pub micro_batch: usize,
    /// Micro-batches of an optimizer step; their gradients are added.
    #[schemars(range(min = 1, max = 65_536), extend("x-unit" = "micro-batches"))]
    pub accum_steps: usize,
    /// Optimizer steps of the whole phase.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub total_steps: u64,
    /// Evaluate after every so many steps.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub eval_every: u64,
    /// Batches of an evaluation.
    #[schemars(range(min = 1), extend("x-unit" = "batches"))]
    pub eval_steps: usize,
    /// Batches of an evaluation, in place of `eval_steps`.
    #[schemars(range(min = 1), extend("x-unit" = "batches"))]
    pub eval_batches: Option<usize>,
    /// Sequences of an evaluation batch; as `micro_B` when left out.
    #[serde(rename = "micro_B_eval")]
    #[schemars(range(min = 1, max = 65_536), extend("x-unit" = "sequences"))]
    pub micro_batch_eval: Option<usize>,
    /// Report metrics after every so many steps.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub log_every: u64,
    /// Write a checkpoint after every so many steps.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub ckpt_every: u64,
    /// Learning rate at the end of warmup.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub base_lr: f64,
    /// Steps over which the learning rate rises from 0; at most `total_steps`.
    #[schemars(extend("x-unit" = "steps"))]
    pub warmup_steps: u64,
    /// Learning rate at the end of the phase; at most `base_lr`.
    #[schemars(range(min = 0.0))]
    pub min_lr: f64,
    /// Decoupled weight decay: a step shrinks each weight by this times the learning rate.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Decay rates of AdamW's two moments, each below 1.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    pub betas: [f64; 2],
    /// Added to the root of AdamW's second moment.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
    /// Whether norm gains and biases decay too.
    pub decay_norm_and_bias: bool,
    /// Whether the embedding table, which is the output head too, decays.
    pub decay_embeddings: bool,
    /// Largest norm of a step's gradient; `null` never clips.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub grad_clip: Option<f64>,
    /// Whether each block's inside is computed again in the backward pass instead of being kept:
    /// less memory, about a third more time, the same result.
    pub activation_checkpointing: bool,
    /// Whether the checkpoint with the smallest validation loss is kept.
    pub save_best: bool,
    /// Which validation loss chooses the best checkpoint; `null` takes the phase's own.
    pub best_metric: Option<BestMetric>,
    /// How much each loss counts, for `best_metric: weighted` and for nothing else.
    pub best_metric_weights: Option<BestMetricWeights>,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            micro_batch: 16,
            accum_steps: 1,
            total_steps: 17_000,
            eval_every: 200,
            eval_steps: 50,
            eval_batches: None,
            micro_batch_eval: None,
            log_every: 50,
            ckpt_every: 1000,
            base_lr: 3e-4,
            warmup_steps: 340,
            min_lr: 3e-5,
            weight_decay: 0.1,
            betas: [0.9, 0.95],
            eps: 1e-8,
            decay_norm_and_bias: true,
            decay_embeddings: true,
            grad_clip: Some(1.0),
            activation_checkpointing: false,
            save_best: true,
            best_metric: None,
            best_metric_weights: None,
        }
    }
}

impl TrainingConfig {
    /// The keys that say how a step is cut, in a section that has these settings as `training`.
    pub fn batching() -> Batching {
        Batching::new("training.micro_B").accumulation("training.accum_steps")
    }

    /// Sequences of an evaluation batch.
    pub fn eval_batch(&self) -> usize {
        self.micro_batch_eval.unwrap_or(self.micro_batch)
    }

    /// Batches of an evaluation.
    pub fn n_eval_batches(&self) -> usize {
        self.eval_batches.unwrap_or(self.eval_steps)
    }

    /// The learning-rate schedule of these settings.
    pub fn schedule(&self) -> WarmupCosine {
        WarmupCosine {
            base_lr: self.base_lr,
            min_lr: self.min_lr,
            warmup_steps: self.warmup_steps,
            total_steps: self.total_steps,
        }
    }

    /// What the host is told: how many steps, and what is due how often.
    pub fn cadence(&self) -> Schedule {
        Schedule {
            total_steps: self.total_steps,
            log_every_steps: self.log_every,
            eval_every_steps: self.eval_every,
            checkpoint_every_steps: self.ckpt_every,
            best: self.save_best.then(|| Best {
                metric: self.best_metric.map_or(OWN_LOSS, BestMetric::name).to_owned(),
                goal: Goal::Min,
            }),
            unit: "tokens".to_owned(),
        }
    }

    /// The micro-batches of one step, each drawn by `next` with its number of sequences.
    pub fn micro_batches(&self, mut next: impl FnMut(usize) -> Batch) -> Vec<Batch> {
        (0..self.accum_steps).map(|_| next(self.micro_batch)).collect()
    }

    /// The optimizer's part of these settings.
    pub fn adamw(&self) -> AdamWConfig {
        AdamWConfig {
            betas: (self.betas[0], self.betas[1]),
            eps: self.eps,
            weight_decay: self.weight_decay,
            decay_norm_and_bias: self.decay_norm_and_bias,
            decay_embeddings: self.decay_embeddings,
        }
    }

    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let mut faults = self.check_counts();
        let mut fault = |path: &str, message: String| {
            faults.push(Error::new("config::range", message).at(path));
        };
        if self.warmup_steps > self.total_steps {
            let (warmup, total) = (self.warmup_steps, self.total_steps);
            fault(
                "warmup_steps",
                format!("`warmup_steps` must be at most `total_steps`: {warmup} > {total}"),
            );
        }
        if self.min_lr > self.base_lr {
            let (min, base) = (self.min_lr, self.base_lr);
            fault("min_lr", format!("`min_lr` must be at most `base_lr`: {min} > {base}"));
        }
        for (i, beta) in self.betas.iter().enumerate() {
            if !(0.0..1.0).contains(beta) {
                fault(&format!("betas.{i}"), format!("`betas` must be in [0, 1): {beta}"));
            }
        }
        let above_zero = [
            ("base_lr", Some(self.base_lr)),
            ("eps", Some(self.eps)),
            ("grad_clip", self.grad_clip),
        ];
        for (name, value) in above_zero {
            if let Some(value) = value.filter(|v| *v <= 0.0 || !v.is_finite()) {
                fault(name, format!("`{name}` must be above 0: {value}"));
            }
        }
        faults.extend(check_weights(self.best_metric, self.best_metric_weights.as_ref()));
        faults
    }

    fn check_counts(&self) -> Vec<Error> {
        let counts = [
            ("micro_B", self.micro_batch as u64),
            ("accum_steps", self.accum_steps as u64),
            ("total_steps", self.total_steps),
            ("eval_every", self.eval_every),
            ("eval_steps", self.eval_steps as u64),
            ("eval_batches", self.n_eval_batches() as u64),
            ("micro_B_eval", self.eval_batch() as u64),
            ("log_every", self.log_every),
            ("ckpt_every", self.ckpt_every),
        ];
        let zero = counts.iter().filter(|(_, count)| *count == 0);
        let fault = |name: &str| {
            Error::new("config::range", format!("`{name}` must be at least 1: 0")).at(name)
        };
        zero.map(|(name, _)| fault(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::paths;

    #[test]
    fn unknown_keys_are_refused_and_null_is_a_value() {
        assert!(serde_json::from_str::<TrainingConfig>(r#"{"amp": true}"#).is_err());
        let none: TrainingConfig = serde_json::from_str(r#"{"grad_clip": null}"#).unwrap();
        assert_eq!(none.grad_clip, None);
        assert!(!none.activation_checkpointing);
    }

    #[test]
    fn faults_name_their_keys() {
        assert!(TrainingConfig::default().check().is_empty());
        let bad = TrainingConfig {
            warmup_steps: 10,
            total_steps: 5,
            min_lr: 1.0,
            betas: [0.9, 1.0],
            eval_every: 0,
            eval_batches: Some(0),
            grad_clip: Some(0.0),
            ..TrainingConfig::default()
        };
        assert_eq!(
            paths(bad.check()),
            ["eval_every", "eval_batches", "warmup_steps", "min_lr", "betas.1", "grad_clip"]
        );
    }

    #[test]
    fn eval_batches_stand_for_eval_steps() {
        let config = TrainingConfig { eval_batches: Some(7), ..TrainingConfig::default() };
        assert_eq!((config.n_eval_batches(), TrainingConfig::default().n_eval_batches()), (7, 50));
    }

    #[test]
    fn the_best_checkpoint_is_chosen_by_the_name_of_a_loss() {
        let best = |text: &str| {
            let config: TrainingConfig = serde_json::from_str(text).unwrap();
            assert!(config.check().is_empty(), "{text}");
            config.cadence().best.map(|best| best.metric)
        };
        assert_eq!(best("{}").as_deref(), Some("loss"));
        let own = best(r#"{"best_metric": "sft_val_loss"}"#);
        assert_eq!(own.as_deref(), Some("sft_loss"));
        let other = best(r#"{"best_metric": "pretrain_val_loss"}"#);
        assert_eq!(other.as_deref(), Some("pretrain_loss"));
        let weighted = r#"{"best_metric": "weighted",
            "best_metric_weights": {"pretrain_val_loss": 0.25, "sft_val_loss": 0.75}}"#;
        assert_eq!(best(weighted).as_deref(), Some("weighted_loss"));
        assert_eq!(best(r#"{"save_best": false}"#), None);
    }
}
