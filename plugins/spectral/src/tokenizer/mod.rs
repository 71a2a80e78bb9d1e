//! The band tokenizer: one token for each band of a spectrum, made of its value, where on the axis
//! it lies, and how wide it is.
//!
//! Legend: C bands of a spectrum, F features of a band, D width of a token.
//!
//! Only the value differs between spectra of one axis. [`BandTokenizer::bands`] computes all else
//! once; [`Bands::encode`] then costs one multiplication for each value of a token.

mod config;
mod matrix;
mod values;
mod widths;

use sdk::{Error, Result};

pub use config::{AxisNorm, TokenizerConfig, ValueNorm};
pub use values::ValueStats;
pub use widths::Widths;

use crate::statistics::mean_and_deviation;
use crate::{AxisUnit, ProvenanceKind, Sensor};
use config::PROVENANCE_DIM;
use matrix::Matrix;
use values::Scale;

/// Points at which a response is looked at for its features.
const N_RESPONSE_POINTS: usize = 41;

/// Turns spectra into tokens.
///
/// ```
/// use spectral::{AxisUnit, BandTokenizer, TokenizerConfig};
///
/// let tokenizer = BandTokenizer::new(TokenizerConfig::default())?;
/// let bands = tokenizer.bands(&[400.0, 500.0, 700.0], AxisUnit::Nanometers, None, None)?;
/// let tokens = bands.encode(&[0.2, f64::NAN, 0.4])?;
/// assert_eq!((tokens.n_bands(), tokens.width), (3, 15));
/// assert_eq!(tokens.is_valid, [true, false, true]);
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BandTokenizer {
    config: TokenizerConfig,
    stats: Option<ValueStats>,
    projection: Option<Matrix>,
}

/// The bands of an axis, with all of their tokens that does not depend on values.
#[derive(Clone, Debug)]
pub struct Bands {
    config: TokenizerConfig,
    stats: Option<ValueStats>,
    /// What each token is for a value of 0. Shape `(C, D)`.
    base: Vec<f64>,
    /// What a token gains for a value of 1. Shape `(D)`.
    per_value: Vec<f64>,
    used_default_width: bool,
}

/// The tokens of one spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// One token for each band, row by row. Shape `(C, D)`.
    pub values: Vec<f32>,
    /// Width of a token, D.
    pub width: usize,
    /// Whether each band has a value. Shape `(C)`.
    pub is_valid: Vec<bool>,
    /// Whether widths were guessed from the distances of bands.
    pub used_default_width: bool,
}

impl Tokens {
    /// Number of bands, C.
    pub fn n_bands(&self) -> usize {
        self.is_valid.len()
    }

    /// The token of a band.
    pub fn token(&self, band_idx: usize) -> &[f32] {
        &self.values[band_idx * self.width..][..self.width]
    }

    /// The mean of the tokens of valid bands; zeros where none is. Shape `(D)`.
    pub fn pooled(&self) -> Vec<f32> {
        let rows = self.values.chunks_exact(self.width).zip(&self.is_valid);
        let mut sums = vec![0.0; self.width];
        for (row, _) in rows.filter(|(_, is_valid)| **is_valid) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let n_valid = self.is_valid.iter().filter(|is_valid| **is_valid).count();
        sums.into_iter().map(|sum| (sum / n_valid.max(1) as f64) as f32).collect()
    }
}

impl BandTokenizer {
    /// A tokenizer with these settings.
    ///
    /// # Errors
    /// The first fault of [`TokenizerConfig::check`].
    pub fn new(config: TokenizerConfig) -> Result<Self> {
        let config = config.checked()?;
        let (n_features, seed) = (config.n_features(), config.projection_seed);
        let is_projected = config.token_dim > 0 && config.token_dim != n_features;
        let projection =
            is_projected.then(|| Matrix::random(n_features, config.token_dim, seed, "projection"));
        Ok(Self { config, stats: None, projection })
    }

    /// The tokenizer with the mean and the deviation of the training values.
    #[must_use]
    pub fn with_stats(mut self, stats: ValueStats) -> Self {
        self.stats = Some(stats);
        self
    }

    /// Its settings.
    pub fn config(&self) -> &TokenizerConfig {
        &self.config
    }

    /// Width of its tokens.
    pub fn width(&self) -> usize {
        self.config.width()
    }

    /// The bands at `positions`, in any order. Widths are in `unit`; without them they are those of
    /// the sensor, where it has its bands there, or follow from the distances of the positions.
    ///
    /// # Errors
    /// When there are no positions, one is not above 0, widths or sensor have another number of
    /// bands, or the settings ask for responses and there is no sensor.
    pub fn bands(
        &self,
        positions: &[f64],
        unit: AxisUnit,
        widths: Option<Widths<'_>>,
        sensor: Option<&Sensor>,
    ) -> Result<Bands> {
        check_positions(positions, unit)?;
        let columns = self.columns(positions, unit, widths, sensor)?;
        let n_features = self.config.n_features();
        let mut features = vec![0.0; n_features];
        let mut base = Vec::with_capacity(positions.len() * self.width());
        for band_idx in 0..positions.len() {
            for (feature, column) in features[1..].iter_mut().zip(&columns.features) {
                *feature = column[band_idx];
            }
            match &self.projection {
                Some(matrix) => base.extend(matrix.project(&features)),
                None => base.extend_from_slice(&features),
            }
        }
        let per_value = match &self.projection {
            Some(matrix) => matrix.row(0).to_vec(),
            None => (0..n_features).map(|idx| f64::from(u8::from(idx == 0))).collect(),
        };
        let used_default_width = columns.used_default_width;
        let (config, stats) = (self.config.clone(), self.stats);
        Ok(Bands { config, stats, base, per_value, used_default_width })
    }

    /// All features but the value, feature by feature.
    fn columns(
        &self,
        positions: &[f64],
        unit: AxisUnit,
        given: Option<Widths<'_>>,
        sensor: Option<&Sensor>,
    ) -> Result<Columns> {
        let config = &self.config;
        let widths = widths::widths((positions, unit), given, sensor)?;
        let places = places(config, positions, unit);
        let mut features = vec![places.clone()];
        let turn = std::f64::consts::PI * config.frequency_base;
        for wave in [f64::sin, f64::cos] {
            for frequency in 0..config.n_frequencies {
                let factor = turn * 2f64.powi(frequency as i32);
                features.push(places.iter().map(|place| wave(place * factor)).collect());
            }
        }
        if config.include_width {
            let logs: Vec<f64> = widths.nm.iter().map(|width| width.ln_1p()).collect();
            features.push(standardised(&logs, config.epsilon));
        }
        if config.include_srf_embed {
            features.extend(self.responses(known(sensor, positions)?));
        }
        if config.include_srf_provenance {
            features.extend(self.provenance(known(sensor, positions)?));
        }
        Ok(Columns { features, used_default_width: widths.is_default })
    }

    /// What tells of the shape and the width of each response: its values at points around the
    /// centre, summing to 1, times a fixed random matrix.
    fn responses(&self, sensor: &Sensor) -> Vec<Vec<f64>> {
        let dim = self.config.srf_embed_dim;
        let seed = self.config.projection_seed.wrapping_add(1);
        let matrix = Matrix::random(N_RESPONSE_POINTS, dim, seed, "responses");
        let widest = sensor.fwhm_nm().into_iter().fold(0.0, f64::max);
        let points = crate::axis::evenly(-widest, widest, N_RESPONSE_POINTS);
        let embed = |band: &crate::Band| {
            let around = points.iter().map(|offset| band.at(band.center_nm + offset));
            let response: Vec<f64> = around.collect();
            let sum = response.iter().sum::<f64>().max(self.config.epsilon);
            let part: Vec<f64> = response.iter().map(|value| value / sum).collect();
            matrix.project(&part)
        };
        let rows: Vec<Vec<f64>> = sensor.bands().iter().map(embed).collect();
        transposed(&rows, dim)
    }

    /// What tells how well the responses are known: a fixed random row for each kind.
    fn provenance(&self, sensor: &Sensor) -> Vec<Vec<f64>> {
        let seed = self.config.projection_seed.wrapping_add(2);
        let kinds = ProvenanceKind::ALL;
        let matrix = Matrix::random(kinds.len(), PROVENANCE_DIM, seed, "provenance");
        let kind = kinds.iter().position(|kind| *kind == sensor.provenance().kind).unwrap_or(0);
        matrix.row(kind).iter().map(|value| vec![*value; sensor.n_bands()]).collect()
    }
}

/// Features by column.
struct Columns {
    features: Vec<Vec<f64>>,
    used_default_width: bool,
}

impl Bands {
    /// Number of bands, C.
    pub fn n_bands(&self) -> usize {
        self.base.len() / self.per_value.len()
    }

    /// Width of the tokens, D.
    pub fn width(&self) -> usize {
        self.per_value.len()
    }

    /// The tokens of a spectrum. A missing value (NaN) counts as 0 on the common scale, and its band
    /// is not valid.
    ///
    /// # Errors
    /// When there is not one value for each band, or values need statistics that are not there.
    pub fn encode(&self, values: &[f64]) -> Result<Tokens> {
        if values.len() != self.n_bands() {
            let (n, of) = (values.len(), self.n_bands());
            let message = format!("values and axis must have matching lengths: {n} and {of}");
            return Err(Error::new("spectral::length", message));
        }
        let scale = Scale::of(&self.config, self.stats, values)?;
        let width = self.width();
        let mut tokens = Vec::with_capacity(self.base.len());
        for (value, base) in values.iter().zip(self.base.chunks_exact(width)) {
            let scaled = scale.apply(*value);
            let token = base.iter().zip(&self.per_value);
            tokens.extend(token.map(|(base, per_value)| (base + scaled * per_value) as f32));
        }
        let is_valid: Vec<bool> = values.iter().map(|value| value.is_finite()).collect();
        let used_default_width = self.used_default_width;
        Ok(Tokens { values: tokens, width, is_valid, used_default_width })
    }

    /// What is taken from each value of this spectrum and what the rest is divided by, before it
    /// becomes part of a token: what leads back from a predicted value to a measured one.
    ///
    /// # Errors
    /// When values need statistics that are not there.
    pub fn scale(&self, values: &[f64]) -> Result<(f64, f64)> {
        Scale::of(&self.config, self.stats, values).map(Scale::parts)
    }
}

fn check_positions(positions: &[f64], unit: AxisUnit) -> Result<()> {
    let fault = |message: String| Error::new("spectral::axis", message);
    if positions.is_empty() {
        return Err(fault("the axis has no samples".to_owned()));
    }
    match positions.iter().position(|value| !value.is_finite() || *value <= 0.0) {
        None => Ok(()),
        Some(idx) => {
            let (number, value) = (idx + 1, positions[idx]);
            Err(fault(format!("sample {number} of the axis must be above 0 {unit}: {value}")))
        }
    }
}

/// The sensor, which must be there and have a band for each position.
fn known<'a>(sensor: Option<&'a Sensor>, positions: &[f64]) -> Result<&'a Sensor> {
    let Some(sensor) = sensor else {
        let message = "features of responses need spectra whose sensor is known";
        return Err(Error::new("spectral::no_sensor", message)
            .help("leave out `include_srf_embed` and `include_srf_provenance`"));
    };
    if sensor.n_bands() == positions.len() {
        return Ok(sensor);
    }
    let (name, n, of) = (sensor.name(), sensor.n_bands(), positions.len());
    let message =
        format!("the responses of sensor `{name}` must align with the bands: {n} for {of}");
    Err(Error::new("spectral::responses", message))
}

/// Positions in the configured unit, on one scale.
fn places(config: &TokenizerConfig, positions: &[f64], unit: AxisUnit) -> Vec<f64> {
    let convert = |position: &f64| {
        if unit == config.axis_unit {
            *position
        } else {
            config.axis_unit.from_nm(unit.to_nm(*position))
        }
    };
    let converted: Vec<f64> = positions.iter().map(convert).collect();
    match config.lambda_norm {
        AxisNorm::Zscore => standardised(&converted, config.epsilon),
        AxisNorm::Minmax => {
            let low = converted.iter().copied().fold(f64::INFINITY, f64::min);
            let high = converted.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let range = (high - low).max(config.epsilon);
            converted.iter().map(|value| (value - low) / range).collect()
        }
    }
}

/// Less the mean, over the population deviation.
fn standardised(values: &[f64], epsilon: f64) -> Vec<f64> {
    let (mean, deviation) = mean_and_deviation(values.iter().copied()).unwrap_or_default();
    values.iter().map(|value| (value - mean) / deviation.max(epsilon)).collect()
}

/// Rows turned into `n_columns` columns.
fn transposed(rows: &[Vec<f64>], n_columns: usize) -> Vec<Vec<f64>> {
    (0..n_columns).map(|idx| rows.iter().map(|row| row[idx]).collect()).collect()
}

#[cfg(test)]
mod tests;
