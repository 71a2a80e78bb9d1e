//! The sections of a contrastive trainer's files, and what became of their keys.

use std::path::Path;

use schemars::JsonSchema;
use sdk::{
    Artifacts, Change, DType, Error, PhaseContext, Result, Schedule, StateVisitor, Stateful,
    StepReport, Trainer,
};
use serde::{Deserialize, Serialize};

use crate::descent::Descent;
use crate::{check_heads, fault};

/// Spectra of a laboratory and of a sensor, brought together.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Batches and cadence.
    trainer: TrainerBlock,
    /// The spectra that are made up.
    data: Data,
    /// AdamW.
    optimizer: Optimizer,
    /// The contrastive loss.
    loss: Loss,
    /// Sizes of the two towers.
    model: Model,
    /// The way back from one side to the other.
    cycle: Cycle,
    /// Depths of absorption bands.
    banddepth: BandDepth,
    /// What a band becomes.
    tokenizer: Tokenizer,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct TrainerBlock {
    /// Pairs of a step.
    #[schemars(range(min = 1))]
    batch_size: u64,
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    max_steps: u64,
    /// Steps between reported points.
    #[schemars(range(min = 1))]
    log_every: u64,
    /// Steps between evaluations.
    #[schemars(range(min = 1))]
    eval_every: u64,
    /// Largest norm of a gradient; null never clips.
    #[schemars(extend("exclusiveMinimum" = 0))]
    grad_clip_norm: Option<f64>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Data {
    /// The sensor whose bands are used.
    sensor: String,
    /// Wavelengths of the laboratory's spectra.
    lab_grid_nm: Grid,
    /// Width of the laboratory's bands.
    #[schemars(extend("exclusiveMinimum" = 0))]
    lab_fwhm_nm: f64,
    /// Noise of the laboratory.
    #[schemars(range(min = 0.0))]
    lab_noise_std: f64,
    /// Peaks of a spectrum.
    synthetic_peaks: u32,
    /// Noise of the sensor, as a part of the signal.
    #[schemars(range(min = 0.0))]
    sensor_noise_rel: f64,
}

/// Evenly spaced wavelengths, or a list of them.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Grid {
    Even(Even),
    Listed(Vec<f64>),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Even {
    /// The first wavelength.
    start: f64,
    /// The last wavelength.
    stop: f64,
    /// How many there are.
    #[schemars(range(min = 2))]
    num: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Optimizer {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    lr: f64,
    /// Decoupled weight decay.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// Decay rates of the two moments.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    betas: [f64; 2],
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Loss {
    /// Temperature at the start.
    #[schemars(extend("exclusiveMinimum" = 0))]
    tau_init: f64,
    /// Whether the temperature is learned.
    learnable_tau: bool,
    /// Whether negatives are gathered from all processes.
    gather_ddp: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Model {
    /// Width of a token.
    #[schemars(range(min = 1))]
    embed_dim: usize,
    /// Layers of a tower.
    #[schemars(range(min = 1))]
    depth: usize,
    /// Attention heads.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Weight of the cycle in the loss.
    #[schemars(range(min = 0.0))]
    cycle_weight: f64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Cycle {
    /// Whether there is one.
    enabled: bool,
    /// Width of its layers; null takes the larger of both sides.
    #[schemars(range(min = 1))]
    hidden_dim: Option<usize>,
    /// Its layers.
    #[schemars(range(min = 1))]
    num_layers: usize,
    /// Weight of the squared error.
    #[schemars(range(min = 0.0))]
    l2_weight: f64,
    /// Weight of the spectral angle.
    #[schemars(range(min = 0.0))]
    sam_weight: f64,
    /// Columns of context for the sensor's side.
    sensor_context_dim: usize,
    /// Columns of context for the laboratory's side.
    lab_context_dim: usize,
    /// Compare temperatures instead of radiances.
    use_brightness_temperature: bool,
    /// Compare the spectra.
    cycle_raw: bool,
    /// Compare them without their continuum.
    cycle_continuum: bool,
    /// Compare their slopes.
    slope_reg: bool,
    /// Weight of the comparison without continuum.
    #[schemars(range(min = 0.0))]
    continuum_weight: f64,
    /// Weight of the slopes.
    #[schemars(range(min = 0.0))]
    slope_weight: f64,
    /// First and last wavelength of the continuum; null takes the whole axis.
    continuum_window_nm: Option<[f64; 2]>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct BandDepth {
    /// Whether depths are told.
    enabled: bool,
    /// Weight in the loss.
    #[schemars(range(min = 0.0))]
    weight: f64,
    /// The file with the bands, as a path from the working directory.
    config: Option<String>,
    /// Width of the head; null makes it linear.
    #[schemars(range(min = 1))]
    hidden_dim: Option<usize>,
    /// How depths are compared.
    loss: DepthLoss,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum DepthLoss {
    L1,
    L2,
    Mse,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Tokenizer {
    /// Unit of the wavelengths.
    axis_unit: Unit,
    /// How values are scaled.
    value_norm: ValueNorm,
    /// How wavelengths are scaled.
    axis_norm: AxisNorm,
    /// Frequencies of the position.
    n_fourier_frequencies: u32,
    /// Whether the width of a band is told.
    include_width: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Unit {
    #[serde(rename = "nm")]
    Nanometres,
    #[serde(rename = "cm-1")]
    PerCentimetre,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ValueNorm {
    None,
    PerSpectrumZscore,
    GlobalZscore,
    Robust,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum AxisNorm {
    Zscore,
    Minmax,
}

impl Default for TrainerBlock {
    fn default() -> Self {
        Self { batch_size: 8, max_steps: 10, log_every: 5, eval_every: 5, grad_clip_norm: None }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            sensor: "emit".to_owned(),
            lab_grid_nm: Grid::Even(Even { start: 380.0, stop: 2500.0, num: 256 }),
            lab_fwhm_nm: 5.0,
            lab_noise_std: 0.01,
            synthetic_peaks: 3,
            sensor_noise_rel: 0.01,
        }
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self { lr: 1e-3, weight_decay: 0.0, betas: [0.9, 0.999] }
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self { tau_init: 0.07, learnable_tau: true, gather_ddp: true }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self { embed_dim: 64, depth: 2, heads: 4, cycle_weight: 1.0 }
    }
}

impl Default for Cycle {
    fn default() -> Self {
        Self {
            enabled: false,
            hidden_dim: None,
            num_layers: 2,
            l2_weight: 1.0,
            sam_weight: 1.0,
            sensor_context_dim: 0,
            lab_context_dim: 0,
            use_brightness_temperature: false,
            cycle_raw: false,
            cycle_continuum: false,
            slope_reg: false,
            continuum_weight: 1.0,
            slope_weight: 1.0,
            continuum_window_nm: None,
        }
    }
}

impl Default for BandDepth {
    fn default() -> Self {
        let (config, hidden_dim) = (None, None);
        Self { enabled: false, weight: 0.1, config, hidden_dim, loss: DepthLoss::L1 }
    }
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self {
            axis_unit: Unit::Nanometres,
            value_norm: ValueNorm::PerSpectrumZscore,
            axis_norm: AxisNorm::Zscore,
            n_fourier_frequencies: 6,
            include_width: true,
        }
    }
}

impl BandDepth {
    fn check(&self) -> Option<Error> {
        if !self.enabled {
            return None;
        }
        let message = match &self.config {
            None => "`banddepth` is enabled, but `config` names no bands".to_owned(),
            Some(file) if !Path::new(file).is_file() => format!("there is no file `{file}`"),
            Some(_) => return None,
        };
        let help = "name the file from the working directory, or say `enabled: false`";
        Some(fault("banddepth.config", message).help(help))
    }
}

impl Data {
    fn check(&self) -> Option<Error> {
        let is_rising = match &self.lab_grid_nm {
            Grid::Even(grid) => grid.start < grid.stop,
            Grid::Listed(list) => list.len() > 1 && list.is_sorted_by(|one, next| one < next),
        };
        let message = "`lab_grid_nm` must rise, over two wavelengths or more";
        (!is_rising).then(|| fault("data.lab_grid_nm", message))
    }
}

struct Alignment {
    config: Config,
    descent: Descent,
}

impl Stateful for Alignment {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("descent", &mut self.descent)
    }
}

impl Trainer for Alignment {
    type Config = Config;

    const AMP_DTYPES: &'static [DType] = &[DType::Bf16];

    fn changes() -> Vec<Change> {
        let unread = |key| Change::removed(1, key, "nothing ever read it");
        vec![
            Change::moved(1, "tokenizer.lambda_norm", "tokenizer.axis_norm"),
            Change::moved(1, "tokenizer.n_frequencies", "tokenizer.n_fourier_frequencies"),
            unread("tokenizer.frequency_base"),
            unread("tokenizer.default_fwhm_nm"),
            unread("tokenizer.pooled_kind"),
        ]
    }

    fn check(config: &Config, _: &Artifacts) -> Vec<Error> {
        let model = &config.model;
        let heads = check_heads("model", model.embed_dim, "heads", model.heads);
        [heads, config.data.check(), config.banddepth.check()].into_iter().flatten().collect()
    }

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let descent = Descent::new(config.optimizer.lr, config.trainer.batch_size, cx);
        Ok(Self { config, descent })
    }

    fn schedule(&self) -> Schedule {
        let trainer = &self.config.trainer;
        Schedule {
            log_every_steps: trainer.log_every,
            eval_every_steps: trainer.eval_every,
            ..Schedule::new(trainer.max_steps)
        }
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        Ok(self.descent.step())
    }
}

sdk::register_trainer!("toy-alignment", Alignment);
