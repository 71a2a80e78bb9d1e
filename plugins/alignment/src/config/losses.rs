//! The parts of the loss.

use std::path::Path;

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};
use spectral::{BandDepths, DepthSampling};

use super::{fault, out_of_range, zero_counts};

/// The contrastive loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// Temperature at the start: cosines are divided by it.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub tau_init: f64,
    /// Whether the temperature is learned.
    pub learnable_tau: bool,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { tau_init: 0.07, learnable_tau: true }
    }
}

impl LossConfig {
    pub(super) fn check(&self) -> Vec<Error> {
        out_of_range(&[("tau_init", self.tau_init)], &[])
    }
}

/// The way from each side's embedding to the other side's spectrum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CycleConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Width of the hidden layers; null takes the larger of a head's two ends.
    #[schemars(range(min = 1), extend("x-unit" = "channels"))]
    pub hidden_dim: Option<usize>,
    /// Linear layers of a head.
    #[schemars(range(min = 1))]
    pub num_layers: usize,
    /// Weight of the squared error of the values.
    #[schemars(range(min = 0.0))]
    pub l2_weight: f64,
    /// Weight of the spectral angle, in radians.
    #[schemars(range(min = 0.0))]
    pub sam_weight: f64,
    /// Compare the spectra as they are.
    pub cycle_raw: bool,
    /// Compare the spectra with their continuum divided out.
    pub cycle_continuum: bool,
    /// Compare the slopes between neighbouring bands.
    pub slope_reg: bool,
    /// Weight of the comparison without continuum.
    #[schemars(range(min = 0.0))]
    pub continuum_weight: f64,
    /// Weight of the comparison of slopes.
    #[schemars(range(min = 0.0))]
    pub slope_weight: f64,
    /// Where the continuum's straight line touches the spectrum; null takes the ends of the axis.
    #[schemars(extend("x-unit" = "nm"))]
    pub continuum_window_nm: Option<[f64; 2]>,
}

impl Default for CycleConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            hidden_dim: None,
            num_layers: 2,
            l2_weight: 1.0,
            sam_weight: 1.0,
            cycle_raw: true,
            cycle_continuum: false,
            slope_reg: false,
            continuum_weight: 1.0,
            slope_weight: 1.0,
            continuum_window_nm: None,
        }
    }
}

impl CycleConfig {
    pub(super) fn check(&self) -> Vec<Error> {
        let weights = [
            ("l2_weight", self.l2_weight),
            ("sam_weight", self.sam_weight),
            ("continuum_weight", self.continuum_weight),
            ("slope_weight", self.slope_weight),
        ];
        let mut faults = out_of_range(&[], &weights);
        let counts = [
            ("num_layers", self.num_layers as u64),
            ("hidden_dim", self.hidden_dim.unwrap_or(1) as u64),
        ];
        faults.extend(zero_counts(&counts));
        if self.enabled && !(self.cycle_raw || self.cycle_continuum || self.slope_reg) {
            let message = "a cycle that compares nothing teaches nothing";
            let help = "switch on `cycle_raw`, `cycle_continuum` or `slope_reg`, or `enabled` off";
            faults.push(fault("enabled", message).help(help));
        }
        if let Some([left, right]) = self.continuum_window_nm.filter(|[l, r]| l >= r) {
            let message = format!("`continuum_window_nm` must rise: {left} to {right}");
            faults.push(fault("continuum_window_nm", message));
        }
        faults
    }
}

/// How told depths are compared with measured ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DepthLoss {
    /// By the mean size of the error.
    L1,
    /// By the mean squared error.
    L2,
}

/// Depths of absorption bands, told from what the sensor sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BandDepthConfig {
    /// Whether depths are told.
    pub enabled: bool,
    /// Weight in the loss.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// The file with the absorption bands, as a path from the working directory.
    pub config: Option<String>,
    /// Width of the head's hidden layer; null makes the head linear.
    #[schemars(range(min = 1), extend("x-unit" = "channels"))]
    pub hidden_dim: Option<usize>,
    /// How told depths are compared with those of the laboratory's spectrum.
    pub loss: DepthLoss,
    /// Which value a spectrum has between its samples.
    pub sampling: DepthSampling,
}

impl Default for BandDepthConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            weight: 0.1,
            config: None,
            hidden_dim: None,
            loss: DepthLoss::L1,
            sampling: DepthSampling::Linear,
        }
    }
}

impl BandDepthConfig {
    /// The absorption bands; none where depths are not told.
    ///
    /// # Errors
    /// When no file is named, or it holds no bands; at the key `config`.
    pub fn bands(&self) -> Result<Option<BandDepths>> {
        let help = "name a file with `bands`, as a path from the working directory";
        match &self.config {
            _ if !self.enabled => Ok(None),
            None => Err(fault("config", "`banddepth` is enabled, but no file is named").help(help)),
            Some(path) => BandDepths::read(Path::new(path))
                .map(Some)
                .map_err(|error| error.at("config").help(help)),
        }
    }

    pub(super) fn check(&self) -> Vec<Error> {
        let mut faults = out_of_range(&[], &[("weight", self.weight)]);
        faults.extend(zero_counts(&[("hidden_dim", self.hidden_dim.unwrap_or(1) as u64)]));
        faults.extend(self.bands().err());
        faults
    }
}
