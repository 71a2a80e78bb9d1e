//! The section of a masked autoencoder, and what its settings must agree on.

use schemars::JsonSchema;
use sdk::{Best, Error, Goal, Schedule};
use sdk_numerics::AdamWConfig;
use serde::{Deserialize, Serialize};
use spectral::TokenizerConfig;
use towers::{EncoderConfig, PositionEncoding, Rates};

use crate::data::DataConfig;
use crate::masking::MaskingConfig;

/// Pretraining of an encoder of spectra as a masked autoencoder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What sees the tokens that are kept, and is handed on.
    pub encoder: EncoderConfig,
    /// What predicts the rest from that, and is thrown away.
    pub decoder: DecoderConfig,
    /// What is masked.
    pub masking: MaskingConfig,
    /// What is scored.
    pub objective: ObjectiveConfig,
    /// How to train.
    #[serde(rename = "train")]
    pub training: TrainingConfig,
    /// What to learn from.
    pub data: DataConfig,
    /// How a band of a spectrum becomes a token.
    pub tokenizer: TokenizerConfig,
}

/// What a masked value is predicted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Predicts {
    /// As itself.
    Value,
    /// As its difference from the straight line between the nearest bands that are kept, so that
    /// the model learns what bands do between their neighbours. For spectra only.
    Difference,
}

/// What predicts values: a stack over all tokens, kept and masked, with norms, activation and
/// dropout as the encoder's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DecoderConfig {
    /// Width of a token; null takes the encoder's.
    #[schemars(range(min = 1, max = 8192), extend("x-unit" = "channels"))]
    pub embed_dim: Option<usize>,
    /// Number of layers; null takes half of the encoder's, at least 1.
    #[schemars(range(min = 1, max = 256))]
    pub depth: Option<usize>,
    /// Attention heads of a layer; null takes the encoder's.
    #[schemars(range(min = 1, max = 256))]
    pub heads: Option<usize>,
    /// How a token is told where it lies. Without it masked tokens are all alike.
    pub position: PositionEncoding,
    /// What a value is predicted as; null takes `difference` for masked bands of spectra and `value`
    /// else.
    pub predicts: Option<Predicts>,
    /// Number of learned Gaussians over the axis, on which the kept values of a spectrum are
    /// projected to tell the decoder of the whole; null leaves it out. For spectra only.
    #[serde(rename = "basis_K")]
    #[schemars(range(min = 1, max = 4096))]
    pub n_basis: Option<usize>,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            embed_dim: None,
            depth: None,
            heads: None,
            position: PositionEncoding::Wavelength,
            predicts: None,
            n_basis: None,
        }
    }
}

/// Which values the loss looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LossRegion {
    /// Those that the encoder did not see.
    Masked,
    /// Those that it saw: plain auto-encoding, for comparison.
    Visible,
}

/// In which unit errors are squared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrorUnit {
    /// In that of the measured values, over the deviation of all training values: a flat spectrum
    /// counts as little as its errors are small.
    Measured,
    /// In that of the tokens: each spectrum counts alike.
    Token,
}

/// What is scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// Which values the loss looks at.
    pub loss_region: LossRegion,
    /// In which unit errors are squared.
    pub error_unit: ErrorUnit,
    /// Weight of the reconstruction's roughness, the mean squared second difference, in the loss.
    #[schemars(range(min = 0.0))]
    pub smoothness_weight: f64,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            loss_region: LossRegion::Masked,
            error_unit: ErrorUnit::Measured,
            smoothness_weight: 0.0,
        }
    }
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Samples of a step.
    #[schemars(range(min = 1), extend("x-unit" = "samples"))]
    pub batch_size: usize,
    /// Optimizer updates.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub max_steps: u64,
    /// Learning rate at the end of warmup.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// Learning rate that the cosine ends at.
    #[schemars(range(min = 0.0))]
    pub min_lr: f64,
    /// Steps of the linear warmup; null takes a twentieth of `max_steps`.
    #[schemars(extend("x-unit" = "steps"))]
    pub warmup_steps: Option<u64>,
    /// Decoupled weight decay.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Decay rates of the two moments of AdamW.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    pub betas: [f64; 2],
    /// Largest norm of a step's gradient; null never clips.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub grad_clip: Option<f64>,
    /// Steps between logged points.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub log_every: u64,
    /// Steps between evaluations.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub eval_every: u64,
    /// Steps between checkpoints.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub save_every: u64,
    /// Held-out samples that an evaluation looks at; after the last step it looks at all.
    #[schemars(range(min = 1), extend("x-unit" = "samples"))]
    pub eval_samples: usize,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            batch_size: 64,
            max_steps: 10_000,
            lr: 3e-4,
            min_lr: 0.0,
            warmup_steps: None,
            weight_decay: 0.01,
            betas: [0.9, 0.999],
            grad_clip: Some(1.0),
            log_every: 100,
            eval_every: 1000,
            save_every: 1000,
            eval_samples: 128,
        }
    }
}

impl TrainingConfig {
    pub(crate) fn rates(&self) -> Rates {
        Rates {
            lr: self.lr,
            min_lr: self.min_lr,
            warmup_steps: self.warmup_steps,
            betas: self.betas,
            total_steps: self.max_steps,
        }
    }

    pub(crate) fn adamw(&self) -> AdamWConfig {
        AdamWConfig {
            betas: (self.betas[0], self.betas[1]),
            weight_decay: self.weight_decay,
            ..AdamWConfig::default()
        }
    }

    pub(crate) fn cadence(&self) -> Schedule {
        Schedule {
            log_every_steps: self.log_every,
            eval_every_steps: self.eval_every,
            checkpoint_every_steps: self.save_every,
            best: Some(Best { metric: "loss".to_owned(), goal: Goal::Min }),
            ..Schedule::new(self.max_steps)
        }
    }
}

impl Config {
    /// What the decoder's stack is made of.
    pub(crate) fn decoder_stack(&self) -> EncoderConfig {
        let (own, encoder) = (&self.decoder, &self.encoder);
        EncoderConfig {
            embed_dim: own.embed_dim.unwrap_or(encoder.embed_dim),
            depth: own.depth.unwrap_or((encoder.depth / 2).max(1)),
            heads: own.heads.unwrap_or(encoder.heads),
            d_ff: if own.embed_dim.is_none() { encoder.d_ff } else { None },
            position: own.position,
            ..encoder.clone()
        }
    }

    /// What a masked value is predicted as.
    pub(crate) fn predicts(&self) -> Predicts {
        let default = if self.data.has_bands() { Predicts::Difference } else { Predicts::Value };
        self.decoder.predicts.unwrap_or(default)
    }

    /// Every fault, with its path.
    pub(crate) fn check(&self) -> Vec<Error> {
        let mut faults = within("encoder", self.encoder.check());
        faults.extend(self.check_decoder());
        faults.extend(within("masking", self.masking.check(self.data.has_bands())));
        faults.extend(within("train", self.training.rates().check("max_steps")));
        faults.extend(within("tokenizer", self.tokenizer.check()));
        faults.extend(self.data.check());
        faults
    }

    fn check_decoder(&self) -> Vec<Error> {
        let mut faults = within("decoder", self.decoder_stack().check());
        let is_difference = self.decoder.predicts == Some(Predicts::Difference);
        if is_difference && self.objective.loss_region == LossRegion::Visible {
            let message = "kept values lie on their line: there is no difference to predict";
            let help = "take `predicts: value`, or `loss_region: masked`";
            faults.push(Error::new("mae::decoder", message).at("decoder.predicts").help(help));
        }
        if self.data.has_bands() {
            return faults;
        }
        let mut only_spectra = |key: &str, what: &str| {
            let message = format!("{what} needs spectra, whose bands lie on an axis");
            faults.push(Error::new("mae::decoder", message).at(format!("decoder.{key}")));
        };
        if is_difference {
            only_spectra("predicts", "`difference`");
        }
        if self.decoder.n_basis.is_some() {
            only_spectra("basis_K", "a basis");
        }
        faults
    }
}

/// Faults of a block, with the block in front of their keys.
fn within(block: &str, faults: Vec<Error>) -> Vec<Error> {
    faults.into_iter().map(|fault| fault.below(block)).collect()
}
