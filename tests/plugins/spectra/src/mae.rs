//! The section of a masked autoencoder's files: all in one block, `train`.

use schemars::JsonSchema;
use sdk::{
    Artifacts, Error, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, Trainer,
};
use serde::{Deserialize, Serialize};

use crate::descent::Descent;
use crate::{check_heads, fault};

/// A masked autoencoder of spectra.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Everything about the training.
    train: Train,
}

/// Which of the file's owners it is meant for.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Mae,
    Align,
    Joint,
}

/// How the depth of an absorption is compared.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum DepthLoss {
    L1,
    L2,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Train {
    /// What the file is for.
    mode: Mode,
    /// Spectra of a step.
    #[schemars(range(min = 1))]
    batch_size: u64,
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    lr: f64,
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    max_steps: u64,
    /// Steps between reported points.
    #[schemars(range(min = 1))]
    log_every: u64,
    /// Steps between evaluations.
    #[schemars(range(min = 1))]
    eval_every: u64,
    /// Steps between checkpoints.
    #[schemars(range(min = 1))]
    save_every: u64,
    /// Where the mask is written; null writes none.
    mask_path: Option<String>,
    /// Width of a token.
    #[schemars(range(min = 1))]
    embed_dim: usize,
    /// Attention heads.
    #[schemars(range(min = 1))]
    n_heads: usize,
    /// Layers of the encoder.
    #[schemars(range(min = 1))]
    depth: usize,
    /// Functions of the spectral basis.
    #[serde(rename = "basis_K")]
    #[schemars(range(min = 1))]
    n_basis: usize,
    /// The part of the pixels that is masked.
    #[schemars(range(min = 0.0, max = 1.0))]
    spatial_mask_ratio: f64,
    /// The part of the bands that is masked.
    #[schemars(range(min = 0.0, max = 1.0))]
    spectral_mask_ratio: f64,
    /// Mask no pixels.
    no_spatial_mask: bool,
    /// Leave the positions out.
    no_posenc: bool,
    /// The file with the absorption bands.
    banddepth_cfg: Option<String>,
    /// Weight of the bands' depths in the loss; 0 leaves them out.
    #[schemars(range(min = 0.0))]
    banddepth_weight: f64,
    /// How depths are compared.
    banddepth_loss: DepthLoss,
    /// Width of the head that tells depths; null makes it linear.
    #[schemars(range(min = 1))]
    banddepth_hidden: Option<usize>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            mode: Mode::Mae,
            batch_size: 64,
            lr: 3e-4,
            max_steps: 10_000,
            log_every: 100,
            eval_every: 1000,
            save_every: 1000,
            mask_path: Some("checkpoints/mask.json".to_owned()),
            embed_dim: 256,
            n_heads: 8,
            depth: 6,
            n_basis: 128,
            spatial_mask_ratio: 0.75,
            spectral_mask_ratio: 0.5,
            no_spatial_mask: false,
            no_posenc: false,
            banddepth_cfg: None,
            banddepth_weight: 0.0,
            banddepth_loss: DepthLoss::L1,
            banddepth_hidden: None,
        }
    }
}

impl Train {
    fn check(&self) -> Vec<Error> {
        let mut faults: Vec<Error> =
            check_heads("train", self.embed_dim, "n_heads", self.n_heads).into_iter().collect();
        if self.spatial_mask_ratio >= 1.0 && !self.no_spatial_mask {
            let message = "`spatial_mask_ratio` must be below 1: nothing would be seen";
            faults.push(fault("train.spatial_mask_ratio", message));
        }
        if self.banddepth_weight > 0.0 && self.banddepth_cfg.is_none() {
            let message = "`banddepth_weight` is above 0, but `banddepth_cfg` names no bands";
            faults.push(fault("train.banddepth_cfg", message));
        }
        faults
    }
}

struct Mae {
    config: Config,
    descent: Descent,
}

impl Stateful for Mae {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("descent", &mut self.descent)
    }
}

impl Trainer for Mae {
    type Config = Config;

    fn check(config: &Config, _: &Artifacts) -> Vec<Error> {
        config.train.check()
    }

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let descent = Descent::new(config.train.lr, config.train.batch_size, cx);
        Ok(Self { config, descent })
    }

    fn schedule(&self) -> Schedule {
        let train = &self.config.train;
        Schedule {
            log_every_steps: train.log_every,
            eval_every_steps: train.eval_every,
            checkpoint_every_steps: train.save_every,
            ..Schedule::new(train.max_steps)
        }
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        Ok(self.descent.step())
    }
}

sdk::register_trainer!("toy-mae", Mae);
