//! Settings of the band tokenizer.

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::AxisUnit;

/// How the values of a spectrum are brought to one scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueNorm {
    /// As they are.
    None,
    /// Less their own mean, over their own deviation.
    PerSpectrumZscore,
    /// Less the mean of the training values, over their deviation.
    GlobalZscore,
    /// Less their own median, over the distance of their own quartiles.
    Robust,
}

/// How positions on the axis are brought to one scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AxisNorm {
    /// Less their mean, over their deviation.
    Zscore,
    /// 0 at the smallest, 1 at the largest.
    Minmax,
}

/// How a spectrum becomes tokens, one for each band.
///
/// A band's features are, in this order: value, position, sines and cosines of the position, and, as
/// far as they are included, width, response and provenance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerConfig {
    /// Unit that positions are counted in: what is even in wavelength is not so in wavenumber.
    pub axis_unit: AxisUnit,
    /// How values are brought to one scale.
    pub value_norm: ValueNorm,
    /// How positions are brought to one scale.
    pub lambda_norm: AxisNorm,
    /// Number of sines, and of cosines: of the scaled position times pi, 2 pi, 4 pi and so on.
    #[schemars(range(max = 32))]
    pub n_frequencies: usize,
    /// Factor on all of these frequencies.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub frequency_base: f64,
    /// Whether the bands' widths are features. Bands that are all equally wide have 0 there.
    pub include_width: bool,
    /// Whether the shapes of the responses are features; it needs spectra whose sensor is known.
    pub include_srf_embed: bool,
    /// Number of features that tell of a response.
    #[schemars(range(min = 1, max = 256))]
    pub srf_embed_dim: usize,
    /// Whether it is a feature how well the responses are known (three numbers); it needs spectra
    /// whose sensor is known.
    pub include_srf_provenance: bool,
    /// Width of the tokens: features are projected to it by a fixed random matrix. 0 leaves them as
    /// they are.
    #[schemars(range(max = 65_536), extend("x-unit" = "channels"))]
    pub token_dim: usize,
    /// Seed of that matrix, and of those of responses and provenance: part of the tokenizer, and not
    /// the run's.
    pub projection_seed: u64,
    /// Smallest deviation or distance that is divided by.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub epsilon: f64,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            axis_unit: AxisUnit::Nanometers,
            value_norm: ValueNorm::PerSpectrumZscore,
            lambda_norm: AxisNorm::Zscore,
            n_frequencies: 6,
            frequency_base: 1.0,
            include_width: true,
            include_srf_embed: false,
            srf_embed_dim: 8,
            include_srf_provenance: false,
            token_dim: 0,
            projection_seed: 7,
            epsilon: 1e-6,
        }
    }
}

/// Number of features that tell how well a response is known.
pub(super) const PROVENANCE_DIM: usize = 3;

impl TokenizerConfig {
    /// What suits a sensor: reflectance imagers have tokens of 96 with their responses, HyTES of 80
    /// in wavenumbers, all others of 72.
    pub fn preset(sensor: &str) -> Self {
        match sensor {
            "emit" | "enmap" | "aviris-ng" => {
                Self { token_dim: 96, include_srf_embed: true, ..Self::default() }
            }
            "hytes" => Self { token_dim: 80, axis_unit: AxisUnit::Wavenumbers, ..Self::default() },
            _ => Self { token_dim: 72, ..Self::default() },
        }
    }

    /// Number of features of a band, before they are projected.
    pub fn n_features(&self) -> usize {
        let optional = [
            (self.include_width, 1),
            (self.include_srf_embed, self.srf_embed_dim),
            (self.include_srf_provenance, PROVENANCE_DIM),
        ];
        let optional: usize = optional.iter().map(|(is_in, n)| usize::from(*is_in) * n).sum();
        2 + 2 * self.n_frequencies + optional
    }

    /// Width of the tokens.
    pub fn width(&self) -> usize {
        if self.token_dim == 0 { self.n_features() } else { self.token_dim }
    }

    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let positive = [("frequency_base", self.frequency_base), ("epsilon", self.epsilon)];
        let wrong = positive.into_iter().filter(|(_, value)| !(*value > 0.0 && value.is_finite()));
        let mut faults: Vec<Error> = wrong
            .map(|(key, value)| {
                let message = format!("`{key}` must be above 0: {value}");
                Error::new("spectral::range", message).at(key)
            })
            .collect();
        if self.n_frequencies > 32 {
            let message = format!("`n_frequencies` must be at most 32: {}", self.n_frequencies);
            faults.push(Error::new("spectral::range", message).at("n_frequencies"));
        }
        if self.include_srf_embed && self.srf_embed_dim == 0 {
            let message = "`srf_embed_dim` must be at least 1: 0";
            faults.push(Error::new("spectral::range", message).at("srf_embed_dim"));
        }
        faults
    }

    pub(super) fn checked(self) -> Result<Self> {
        match self.check().into_iter().next() {
            None => Ok(self),
            Some(fault) => Err(fault),
        }
    }
}
