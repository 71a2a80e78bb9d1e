//! Settings of the model and of its training, shared by the pretrain and sft plugins.
//!
//! The names in a configuration file are those of the reference (`V`, `T`, `C`, …); the schema's
//! descriptions are the doc comments here. Ranges of single fields are in the schema, relations
//! between fields in `check`.

use schemars::JsonSchema;
use sdk::{Best, Error, Goal, Schedule};
use sdk_numerics::{AdamWConfig, WarmupCosine};
use serde::{Deserialize, Serialize};

use crate::data::Batch;

/// Sizes of the GPT. Two phases can hand weights on when all of these agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Vocabulary size: ids are below it.
    #[serde(rename = "V")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub vocab: usize,
    /// Longest context, in tokens.
    #[serde(rename = "T")]
    #[schemars(range(min = 1, max = 65_536))]
    pub context: usize,
    /// Width of the residual stream; a multiple of `H`.
    #[serde(rename = "C")]
    #[schemars(range(min = 2, max = 65_536))]
    pub width: usize,
    /// Number of layers.
    #[serde(rename = "L")]
    #[schemars(range(min = 1, max = 1024))]
    pub n_layers: usize,
    /// Number of attention heads; each has `C / H` channels, an even number.
    #[serde(rename = "H")]
    #[schemars(range(min = 1, max = 1024))]
    pub n_heads: usize,
    /// Width inside of the feed-forward layers.
    #[schemars(range(min = 1, max = 262_144))]
    pub d_ff: usize,
    /// Probability of dropping an element: of embeddings, attention probabilities, attention
    /// output and feed-forward output.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    pub dropout: f64,
    /// Base of the rotary position angles.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub rope_theta: f64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            vocab: 256,
            context: 512,
            width: 384,
            n_layers: 8,
            n_heads: 6,
            d_ff: 1152,
            dropout: 0.1,
            rope_theta: 10_000.0,
        }
    }
}

impl ModelConfig {
    /// Channels of one head; what [`ModelConfig::check`] accepts has no rest.
    pub fn head_width(&self) -> usize {
        self.width / self.n_heads.max(1)
    }

    /// Number of values in all parameters.
    pub fn parameter_count(&self) -> usize {
        let (c, f) = (self.width, self.d_ff);
        let layer = 2 * c + 4 * c * c + 3 * c * f + 2 * f + c;
        self.vocab * c + self.n_layers * layer + c
    }

    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let mut faults = Vec::new();
        let sizes = [
            ("V", self.vocab),
            ("T", self.context),
            ("C", self.width),
            ("L", self.n_layers),
            ("H", self.n_heads),
            ("d_ff", self.d_ff),
        ];
        for (name, _) in sizes.iter().filter(|(_, size)| *size == 0) {
            let message = format!("`{name}` must be at least 1: 0");
            faults.push(Error::new("config::range", message).at(*name));
        }
        if self.n_heads > 0 {
            if !self.width.is_multiple_of(self.n_heads) {
                let message = format!(
                    "`C` must be a multiple of `H`: {} is not one of {}",
                    self.width, self.n_heads
                );
                faults.push(Error::new("config::heads", message).at("H"));
            } else if !self.head_width().is_multiple_of(2) {
                let message = format!(
                    "`C / H` must be even, rotary positions turn pairs of channels: {}",
                    self.head_width()
                );
                faults.push(Error::new("config::heads", message).at("H"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let message = format!("`dropout` must be in [0, 1): {}", self.dropout);
            faults.push(Error::new("config::range", message).at("dropout"));
        }
        if self.rope_theta <= 0.0 || !self.rope_theta.is_finite() {
            let message = format!("`rope_theta` must be above 0: {}", self.rope_theta);
            faults.push(Error::new("config::range", message).at("rope_theta"));
        }
        faults
    }
}

/// How a phase trains: batches, cadence, learning rate, optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Sequences of a micro-batch.
    #[serde(rename = "micro_B")]
    #[schemars(range(min = 1, max = 65_536))]
    pub micro_batch: usize,
    /// Micro-batches of an optimizer step.
    #[schemars(range(min = 1, max = 65_536))]
    pub accum_steps: usize,
    /// Optimizer steps of the whole phase.
    #[schemars(range(min = 1))]
    pub total_steps: u64,
    /// Evaluate after every so many steps.
    #[schemars(range(min = 1))]
    pub eval_every: u64,
    /// Batches of an evaluation.
    #[schemars(range(min = 1))]
    pub eval_steps: usize,
    /// Sequences of an evaluation batch; as `micro_B` when left out.
    #[serde(rename = "micro_B_eval")]
    #[schemars(range(min = 1, max = 65_536))]
    pub micro_batch_eval: Option<usize>,
    /// Report metrics after every so many steps.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// Write a checkpoint after every so many steps.
    #[schemars(range(min = 1))]
    pub ckpt_every: u64,
    /// Learning rate at the end of warmup.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub base_lr: f64,
    /// Steps over which the learning rate rises from 0; at most `total_steps`.
    pub warmup_steps: u64,
    /// Learning rate at the end of the phase; at most `base_lr`.
    #[schemars(range(min = 0.0))]
    pub min_lr: f64,
    /// Decoupled weight decay.
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
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            micro_batch: 16,
            accum_steps: 1,
            total_steps: 17_000,
            eval_every: 200,
            eval_steps: 50,
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
        }
    }
}

impl TrainingConfig {
    /// Sequences of an evaluation batch.
    pub fn eval_batch(&self) -> usize {
        self.micro_batch_eval.unwrap_or(self.micro_batch)
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
            best: Some(Best { metric: "loss".to_owned(), goal: Goal::Min }),
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
        let mut faults = Vec::new();
        let mut fault = |path: &str, message: String| {
            faults.push(Error::new("config::range", message).at(path));
        };
        let counts = [
            ("micro_B", self.micro_batch as u64),
            ("accum_steps", self.accum_steps as u64),
            ("total_steps", self.total_steps),
            ("eval_every", self.eval_every),
            ("eval_steps", self.eval_steps as u64),
            ("micro_B_eval", self.eval_batch() as u64),
            ("log_every", self.log_every),
            ("ckpt_every", self.ckpt_every),
        ];
        for (name, _) in counts.iter().filter(|(_, count)| *count == 0) {
            fault(name, format!("`{name}` must be at least 1: 0"));
        }
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
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_reference() {
        let text = serde_json::to_value(ModelConfig::default()).unwrap();
        let names: Vec<&String> = text.as_object().unwrap().keys().collect();
        assert_eq!(names, ["V", "T", "C", "L", "H", "d_ff", "dropout", "rope_theta"]);
        let config: ModelConfig = serde_json::from_str(r#"{"C": 64, "H": 2}"#).unwrap();
        assert_eq!((config.width, config.context), (64, 512));
        assert!(serde_json::from_str::<ModelConfig>(r#"{"c": 64}"#).is_err());
        assert!(serde_json::from_str::<TrainingConfig>(r#"{"amp": true}"#).is_err());
        let none: TrainingConfig = serde_json::from_str(r#"{"grad_clip": null}"#).unwrap();
        assert_eq!(none.grad_clip, None);
    }

    #[test]
    fn faults_name_their_keys() {
        let paths = |faults: Vec<Error>| {
            faults.into_iter().map(|f| f.path.unwrap_or_default()).collect::<Vec<_>>()
        };
        assert!(ModelConfig::default().check().is_empty());
        assert!(TrainingConfig::default().check().is_empty());
        let odd = ModelConfig { width: 6, n_heads: 2, ..ModelConfig::default() };
        assert_eq!(paths(odd.check()), ["H"]);
        let bad = ModelConfig { width: 5, n_heads: 2, dropout: 5.0, ..ModelConfig::default() };
        assert_eq!(paths(bad.check()), ["H", "dropout"]);
        let none = ModelConfig { n_heads: 0, ..ModelConfig::default() };
        assert_eq!(paths(none.check()), ["H"]);
        let bad = TrainingConfig {
            warmup_steps: 10,
            total_steps: 5,
            min_lr: 1.0,
            betas: [0.9, 1.0],
            eval_every: 0,
            grad_clip: Some(0.0),
            ..TrainingConfig::default()
        };
        assert_eq!(
            paths(bad.check()),
            ["eval_every", "warmup_steps", "min_lr", "betas.1", "grad_clip"]
        );
    }

    #[test]
    fn counts_of_the_reference() {
        let count = |vocab, width, n_layers, d_ff| {
            ModelConfig { vocab, width, n_layers, d_ff, ..ModelConfig::default() }.parameter_count()
        };
        assert_eq!(count(16_000, 384, 8, 1152), 21_507_456);
        assert_eq!(count(50_257, 384, 8, 1152), 34_662_144);
        assert_eq!(count(256, 256, 4, 512), 2_694_400);
        assert_eq!(count(256, 64, 2, 128), 99_264);
    }

    #[test]
    fn schema_holds_ranges_defaults_and_descriptions() {
        let schema = schemars::schema_for!(ModelConfig).to_value();
        let heads = &schema["properties"]["H"];
        assert_eq!(heads["minimum"], 1);
        assert_eq!(heads["default"], 6);
        assert!(heads["description"].as_str().unwrap().starts_with("Number of attention heads"));
        assert_eq!(schema["properties"]["dropout"]["exclusiveMaximum"], 1);
        assert_eq!(schema["additionalProperties"], false);
    }
}
