//! The values of a spectrum, brought to one scale.

use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{TokenizerConfig, ValueNorm};
use crate::statistics::{mean_and_deviation, quantiles};

/// Mean and deviation of the training values, for [`ValueNorm::GlobalZscore`]. They belong to what
/// was trained with them and travel with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueStats {
    /// Mean of the known values.
    pub mean: f64,
    /// Their population standard deviation.
    pub std: f64,
}

impl ValueStats {
    /// Those of these spectra; missing values don't count. `None` when there are no values.
    ///
    /// ```
    /// use spectral::ValueStats;
    ///
    /// let spectra = [vec![1.0, f64::NAN], vec![3.0]];
    /// let stats = ValueStats::of(spectra.iter().flatten().copied());
    /// assert_eq!(stats, Some(ValueStats { mean: 2.0, std: 1.0 }));
    /// ```
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        mean_and_deviation(values).map(|(mean, std)| Self { mean, std })
    }
}

/// What is taken from each value, and what the rest is divided by.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    center: f64,
    spread: f64,
}

impl Scale {
    /// The scale of one spectrum. One without any known value has no scale of its own: all of it
    /// becomes 0 anyway.
    pub(super) fn of(
        config: &TokenizerConfig,
        stats: Option<ValueStats>,
        values: &[f64],
    ) -> Result<Self> {
        let (center, spread) = match config.value_norm {
            ValueNorm::None => return Ok(Self { center: 0.0, spread: 1.0 }),
            ValueNorm::PerSpectrumZscore => {
                mean_and_deviation(values.iter().copied()).unwrap_or_default()
            }
            ValueNorm::GlobalZscore => {
                let stats = stats.ok_or_else(no_stats)?;
                (stats.mean, stats.std)
            }
            ValueNorm::Robust => {
                let [low, middle, high] = quantiles(values, [0.25, 0.5, 0.75]).unwrap_or_default();
                (middle, high - low)
            }
        };
        Ok(Self { center, spread: spread.max(config.epsilon) })
    }

    pub(super) fn parts(self) -> (f64, f64) {
        (self.center, self.spread)
    }

    /// The value on this scale; 0 where it is missing.
    pub(super) fn apply(self, value: f64) -> f64 {
        if value.is_finite() { (value - self.center) / self.spread } else { 0.0 }
    }
}

fn no_stats() -> Error {
    let message = "`value_norm: global_zscore` needs the mean and the deviation of the training \
                   values, `ValueStats`";
    Error::new("spectral::value_stats", message)
        .at("tokenizer.value_norm")
        .help("measure them on the training spectra, or take `per_spectrum_zscore`")
}
