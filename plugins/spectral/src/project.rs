//! What a sensor sees of a finely sampled spectrum: one value for each band, the mean of the
//! spectrum weighted with the band's response.
//!
//! The weights of a band sum to 1, and a constant spectrum comes out unchanged to the last bit.
//! Where a band reaches beyond the spectrum, or the spectrum has gaps, the mean is that of the part
//! that is known, and the band's *coverage* says how large that part is; a band with too small a
//! coverage is missing (NaN).

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::sampling::{interval, trapezoid_weights};
use crate::{Axis, Band, Sensor};

/// Which wavelengths the integral over a band is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Integration {
    /// The band's own or the spectrum's, whichever are more within the band.
    #[default]
    Finer,
    /// The band's own; the spectrum is taken as straight between its samples.
    Band,
    /// The spectrum's. A band that lies between two of them is missed.
    Spectrum,
}

/// What a band sees beyond the ends of a spectrum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// Nothing: the mean is that of the part inside.
    #[default]
    Nothing,
    /// The spectrum's first or last value.
    LastValue,
}

/// How spectra are projected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectionConfig {
    /// Which wavelengths the integral over a band is made of.
    pub integration: Integration,
    /// What a band sees beyond the ends of a spectrum.
    pub beyond: Beyond,
    /// Smallest part of a band's response that must be known for the band to have a value.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_coverage: f64,
}

impl Default for ProjectionConfig {
    fn default() -> Self {
        Self { integration: Integration::Finer, beyond: Beyond::Nothing, min_coverage: 0.5 }
    }
}

/// The means that a sensor makes of spectra on one axis.
///
/// ```
/// use spectral::{Grid, AxisUnit, Projection, ProjectionConfig, Sensor};
///
/// let lab = Grid::even(380.0, 2500.0, 2121).axis(AxisUnit::Nanometers)?;
/// let emit = Sensor::named("emit")?;
/// let projection = Projection::new(&emit, &lab, &ProjectionConfig::default())?;
/// assert!(projection.apply(&vec![0.3; 2121]).iter().all(|value| *value == 0.3));
/// // The first band, at 381 nm, reaches 17 nm below it: 380 nm is where the spectrum begins.
/// assert!(projection.coverage()[0] < 0.7 && projection.coverage()[10] == 1.0);
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Projection {
    n_samples: usize,
    min_coverage: f64,
    bands: Vec<BandWeights>,
    coverage: Vec<f64>,
}

/// Weights of neighbouring samples of a spectrum; they sum to 1, or there are none.
#[derive(Clone, Debug)]
struct BandWeights {
    first: usize,
    weights: Vec<f64>,
}

impl Projection {
    /// The projection of spectra on `axis` by `sensor`.
    ///
    /// # Errors
    /// When no band of the sensor sees anything of the axis.
    pub fn new(sensor: &Sensor, axis: &Axis, config: &ProjectionConfig) -> Result<Self> {
        let is_rising = axis.is_rising_nm();
        let mut nm = axis.to_nm().to_vec();
        if !is_rising {
            nm.reverse();
        }
        let (mut bands, coverage): (Vec<_>, Vec<_>) =
            sensor.bands().iter().map(|band| band_weights(band, &nm, config)).unzip();
        if coverage.iter().all(|part| *part == 0.0) {
            return Err(sees_nothing(sensor, axis));
        }
        if !is_rising {
            bands.iter_mut().for_each(|band| band.reverse(nm.len()));
        }
        Ok(Self { n_samples: nm.len(), min_coverage: config.min_coverage, bands, coverage })
    }

    /// Number of bands.
    pub fn n_bands(&self) -> usize {
        self.bands.len()
    }

    /// The part of each band's response that lies on the axis, 0 to 1.
    pub fn coverage(&self) -> &[f64] {
        &self.coverage
    }

    /// Whether each band has a value for a spectrum without gaps.
    pub fn is_valid(&self) -> Vec<bool> {
        let known = self.coverage.iter().zip(&self.bands);
        known.map(|(part, band)| self.is_enough(*part) && !band.weights.is_empty()).collect()
    }

    /// What the sensor sees of a spectrum; NaN where too little of a band is known.
    ///
    /// # Panics
    /// When there is not one value for each sample of the axis.
    pub fn apply(&self, values: &[f64]) -> Vec<f64> {
        assert_eq!(values.len(), self.n_samples, "one value for each sample of the axis");
        let bands = self.bands.iter().zip(&self.coverage);
        let seen = |(band, coverage): (&BandWeights, &f64)| {
            let (mean, known) = band.mean(values);
            if self.is_enough(coverage * known) { mean } else { f64::NAN }
        };
        bands.map(seen).collect()
    }

    /// Whether so much of a band is enough. A half that comes out of sums is a half.
    fn is_enough(&self, coverage: f64) -> bool {
        coverage >= self.min_coverage - 1e-9
    }
}

impl BandWeights {
    /// The weighted mean of the known values, and the sum of their weights. The mean is taken of the
    /// differences from one of them, so that of equal values it is that value exactly.
    fn mean(&self, values: &[f64]) -> (f64, f64) {
        let seen = &values[self.first..self.first + self.weights.len()];
        let Some(base) = seen.iter().find(|value| value.is_finite()) else {
            return (f64::NAN, 0.0);
        };
        let (mut sum, mut known) = (0.0, 0.0);
        for (weight, value) in self.weights.iter().zip(seen) {
            if value.is_finite() {
                sum += weight * (value - base);
                known += weight;
            }
        }
        if known > 0.0 { (base + sum / known, known) } else { (f64::NAN, 0.0) }
    }

    /// The same samples counted from the other end of the axis.
    fn reverse(&mut self, n_samples: usize) {
        self.first = n_samples - self.first - self.weights.len();
        self.weights.reverse();
    }
}

/// The weights of a band on rising wavelengths, and its coverage.
fn band_weights(band: &Band, nm: &[f64], config: &ProjectionConfig) -> (BandWeights, f64) {
    let own = band.samples_nm();
    let mut points = points(&own, nm, config.integration);
    if config.beyond == Beyond::Nothing {
        points = inside(points, nm);
    }
    let mut dense = Dense::new(nm, &own);
    for (point, area) in points.iter().zip(trapezoid_weights(&points)) {
        dense.add(nm, *point, area * band.at(*point));
    }
    let weights = dense.normalised();
    let coverage = if weights.weights.is_empty() { 0.0 } else { coverage(band, &own, nm) };
    (weights, coverage)
}

/// The part of a band's response that lies within the spectrum.
fn coverage(band: &Band, own: &[f64], nm: &[f64]) -> f64 {
    let (low, high) = (nm[0], nm[nm.len() - 1]);
    if low <= own[0] && own[own.len() - 1] <= high {
        return 1.0;
    }
    let area = |points: &[f64]| -> f64 {
        trapezoid_weights(points).iter().zip(points).map(|(area, nm)| area * band.at(*nm)).sum()
    };
    let mut all = own.to_vec();
    all.extend([low, high].iter().filter(|end| (own[0]..=own[own.len() - 1]).contains(end)));
    all.sort_by(f64::total_cmp);
    let whole = area(&all);
    area(&inside(all, nm)) / whole
}

/// Those of the rising points that lie within the spectrum.
fn inside(mut points: Vec<f64>, nm: &[f64]) -> Vec<f64> {
    points.retain(|point| (nm[0]..=nm[nm.len() - 1]).contains(point));
    points
}

/// The rising wavelengths that a band's integral is made of.
fn points(own: &[f64], nm: &[f64], integration: Integration) -> Vec<f64> {
    let first = nm.partition_point(|x| *x < own[0]);
    let end = nm.partition_point(|x| *x <= own[own.len() - 1]);
    let is_own = match integration {
        Integration::Band => true,
        Integration::Spectrum => false,
        Integration::Finer => own.len() >= end.saturating_sub(first),
    };
    if is_own {
        return own.to_vec();
    }
    // One sample more on each side, so that the first and the last within have whole steps.
    nm[first.saturating_sub(1)..(end + 1).min(nm.len())].to_vec()
}

/// Weights of the samples around a band.
struct Dense {
    first: usize,
    weights: Vec<f64>,
}

impl Dense {
    /// Zeros for the samples of `nm` that values within `own` are interpolated from.
    fn new(nm: &[f64], own: &[f64]) -> Self {
        let first = interval(nm, own[0]).0.saturating_sub(1);
        let last = (interval(nm, own[own.len() - 1]).0 + 3).min(nm.len());
        Self { first, weights: vec![0.0; last - first] }
    }

    /// Counts the value at `point`, which is interpolated from two samples, with `part`.
    fn add(&mut self, nm: &[f64], point: f64, part: f64) {
        let (lower, towards_upper) = interval(nm, point);
        self.weights[lower - self.first] += part * (1.0 - towards_upper);
        if towards_upper > 0.0 {
            self.weights[lower + 1 - self.first] += part * towards_upper;
        }
    }

    /// The weights made to sum to 1, without zeros at the ends; none where all are 0.
    fn normalised(mut self) -> BandWeights {
        let sum: f64 = self.weights.iter().sum();
        let Some(last) = self.weights.iter().rposition(|weight| *weight > 0.0) else {
            return BandWeights { first: 0, weights: Vec::new() };
        };
        self.weights.truncate(last + 1);
        let leading = self.weights.iter().take_while(|weight| **weight == 0.0).count();
        let weights = self.weights[leading..].iter().map(|weight| weight / sum).collect();
        BandWeights { first: self.first + leading, weights }
    }
}

fn sees_nothing(sensor: &Sensor, axis: &Axis) -> Error {
    let ((low, high), (first, last)) = (sensor.range_nm(), axis.range_nm());
    let message = format!(
        "sensor `{}` sees nothing of the spectra: its bands lie from {low:.0} to {high:.0} nm, the \
         spectra from {first:.0} to {last:.0} nm",
        sensor.name()
    );
    Error::new("spectral::no_overlap", message)
        .help("take a sensor of the spectra's range, or spectra of the sensor's")
}

#[cfg(test)]
mod tests;
