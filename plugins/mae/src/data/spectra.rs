//! Samples that are spectra, whose tokens are bands.

use sdk::{Error, Generator, PhaseContext, Result};
use spectral::data::{Library, Spectrum};
use spectral::{
    Axis, AxisUnit, BandTokenizer, Bands, Projection, ProjectionConfig, Sensor, SyntheticLab,
    ValueStats,
};
use towers::TokenSet;

use super::config::LibraryData;
use super::passes::Passes;
use super::{Example, Extents, Sample};
use crate::config::{Config, ErrorUnit, LossRegion, Predicts};
use crate::interpolation::{interpolated, leeway};
use crate::masking::Mask;

/// Held-out spectra where they are made up, and those that the mean of a band is taken from.
const N_SYNTHETIC: usize = 64;

/// Spectra on one axis.
pub(crate) struct Spectra {
    axis_nm: Vec<f64>,
    sensor: Option<Sensor>,
    bands: Bands,
    stats: ValueStats,
    /// The mean of each band over the training spectra.
    means: Vec<f64>,
    train: Vec<Sample>,
    val: Vec<Sample>,
    /// Draws spectra anew for each step, instead of taking those of `train`.
    lab: Option<SyntheticLab>,
    digest: String,
    passes: Passes,
}

impl Spectra {
    /// Made-up spectra.
    pub(super) fn synthetic(
        lab: &SyntheticLab,
        config: &Config,
        cx: &PhaseContext,
    ) -> Result<Self> {
        let axis_nm = lab.lab_grid_nm.axis(AxisUnit::Nanometers)?.to_nm().to_vec();
        let train = drawn(lab, N_SYNTHETIC, &mut cx.generator("mean data"));
        let val = drawn(lab, N_SYNTHETIC, &mut cx.generator("held-out data"));
        let mut spectra = Self::new(axis_nm, None, (train, val), config)?;
        spectra.lab = Some(lab.clone());
        Ok(spectra)
    }

    /// Spectra of files.
    pub(super) fn library(data: &LibraryData, config: &Config) -> Result<Self> {
        let all = data.spectra.load("data.spectra")?;
        let digest = all.digest();
        let sensor = data.sensor.as_deref().map(Sensor::open).transpose()?;
        let axis = match &sensor {
            Some(sensor) => sensor.axis()?,
            None => data.grid_nm.axis(AxisUnit::Nanometers)?,
        };
        let mut seen = match &sensor {
            Some(sensor) => projected(&all, sensor)?,
            None => all.resampled(&axis),
        };
        let gone = seen.drop_uncovered(data.min_covered).len();
        if gone > 0 {
            log::warn!("spectra left out because too little of their bands is there: {gone}");
        }
        let (train, val) = data.spectra.split(seen, "data.spectra")?;
        log::info!("spectra to train on: {}; held back: {}", told(&train), told(&val));
        let sides = (samples(train), samples(val));
        let mut spectra = Self::new(axis.to_nm().to_vec(), sensor, sides, config)?;
        spectra.digest = digest;
        Ok(spectra)
    }

    fn new(
        axis_nm: Vec<f64>,
        sensor: Option<Sensor>,
        (train, val): (Vec<Sample>, Vec<Sample>),
        config: &Config,
    ) -> Result<Self> {
        let values = || train.iter().flat_map(|sample| sample.values.iter().copied());
        let Some(stats) = ValueStats::of(values()) else {
            return Err(Error::new("mae::empty", "no spectrum to train on has a value").at("data"));
        };
        let tokenizer = BandTokenizer::new(config.tokenizer.clone())?.with_stats(stats);
        let bands = tokenizer.bands(&axis_nm, AxisUnit::Nanometers, None, sensor.as_ref())?;
        let mean = |band: usize| {
            let values = train.iter().map(|sample| sample.values[band]);
            ValueStats::of(values).map_or(stats.mean, |stats| stats.mean)
        };
        let means = (0..axis_nm.len()).map(mean).collect();
        let (digest, passes) = ("synthetic".to_owned(), Passes::new(train.len()));
        Ok(Self { axis_nm, sensor, bands, stats, means, train, val, lab: None, digest, passes })
    }

    pub(super) fn extents(&self) -> Extents {
        Extents {
            n_tokens: self.axis_nm.len(),
            n_features: self.bands.width(),
            n_outputs: 1,
            places: self.axis_nm.clone(),
        }
    }

    /// Where bands lie, in nanometres.
    pub(crate) fn axis_nm(&self) -> &[f64] {
        &self.axis_nm
    }

    /// The sensor whose bands these are.
    pub(crate) fn sensor(&self) -> Option<&Sensor> {
        self.sensor.as_ref()
    }

    /// Mean and deviation of all training values.
    pub(crate) fn stats(&self) -> ValueStats {
        self.stats
    }

    /// The mean of each band over the training spectra.
    pub(crate) fn means(&self) -> &[f64] {
        &self.means
    }

    /// Spectra to train on; none where they are drawn anew.
    pub(crate) fn n_train(&self) -> Option<usize> {
        self.lab.is_none().then_some(self.train.len())
    }

    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// The samples of a step: all in an order of their own, pass for pass.
    pub(super) fn batch(&mut self, step: u64, n: usize, cx: &PhaseContext) -> Vec<Sample> {
        if let Some(lab) = &self.lab {
            return drawn(lab, n, &mut cx.generator(&format!("data {step}")));
        }
        let first = step * n as u64;
        let places = first..first + n as u64;
        places.map(|place| self.train[self.passes.at(place, cx)].clone()).collect()
    }

    /// At most `n` held-out samples, spread evenly over all of them.
    pub(super) fn held_out(&self, n: usize) -> Vec<Sample> {
        let n = n.min(self.val.len());
        (0..n).map(|i| self.val[i * self.val.len() / n].clone()).collect()
    }

    /// The encoder sees the kept bands; what is masked is missing when they become tokens, so
    /// that it does not show in their scale either.
    pub(crate) fn example(&self, sample: &Sample, mask: &Mask, config: &Config) -> Result<Example> {
        let keep = &mask.spectral;
        let hidden = |(value, keep): (&f64, &bool)| if *keep { *value } else { f64::NAN };
        let kept: Vec<f64> = sample.values.iter().zip(keep).map(hidden).collect();
        let tokens = self.bands.encode(&kept)?;
        let scale = self.bands.scale(&kept)?;
        let line = interpolated(&self.axis_nm, &kept, keep);
        let line: Vec<f32> = line.into_iter().map(|value| scaled(value, scale)).collect();
        let weights = self.weights(sample, mask, scale, config);
        Ok(Example {
            seen: TokenSet::of(&tokens.values, tokens.width, |band| keep[band]),
            target: target(sample, scale, &line, config.predicts()),
            n_scored: weights.iter().filter(|weight| **weight > 0.0).count(),
            weights,
            line,
            leeway: self.leeway(keep, config.predicts()),
            keep: keep.iter().map(|keep| f32::from(*keep)).collect(),
            scale,
        })
    }

    /// The factor on each band's difference, where those are predicted.
    fn leeway(&self, keep: &[bool], predicts: Predicts) -> Vec<f32> {
        if predicts == Predicts::Value {
            return Vec::new();
        }
        leeway(&self.axis_nm, keep).into_iter().map(|part| part as f32).collect()
    }

    /// The weight of each band's squared error.
    fn weights(
        &self,
        sample: &Sample,
        mask: &Mask,
        (_, spread): (f64, f64),
        config: &Config,
    ) -> Vec<f32> {
        let of_scored = match config.objective.error_unit {
            ErrorUnit::Measured => (spread / self.stats.std.max(f64::MIN_POSITIVE)).powi(2) as f32,
            ErrorUnit::Token => 1.0,
        };
        let scores_kept = config.objective.loss_region == LossRegion::Visible;
        let bands = sample.values.iter().zip(&mask.spectral);
        let weight = |(value, keep): (&f64, &bool)| {
            if value.is_finite() && *keep == scores_kept { of_scored } else { 0.0 }
        };
        bands.map(weight).collect()
    }
}

/// A value on the scale of the tokens.
fn scaled(value: f64, (center, spread): (f64, f64)) -> f32 {
    ((value - center) / spread) as f32
}

/// What the decoder is to say; 0 where a value is missing.
fn target(sample: &Sample, scale: (f64, f64), line: &[f32], predicts: Predicts) -> Vec<f32> {
    let of = |(value, line): (&f64, &f32)| match predicts {
        _ if !value.is_finite() => 0.0,
        Predicts::Value => scaled(*value, scale),
        Predicts::Difference => scaled(*value, scale) - line,
    };
    sample.values.iter().zip(line).map(of).collect()
}

/// How many spectra of how many materials.
fn told(library: &Library) -> String {
    format!("{} of {} materials", library.len(), library.materials().len())
}

fn samples(library: Library) -> Vec<Sample> {
    let sample = |spectrum: Spectrum| Sample {
        values: spectrum.values().to_vec(),
        material: spectrum.material,
    };
    library.into_iter().map(sample).collect()
}

/// Made-up spectra that share nothing: each with peaks of its own.
fn drawn(lab: &SyntheticLab, n: usize, generator: &mut Generator) -> Vec<Sample> {
    let sample = |i| {
        let values = lab.batch(1, generator).swap_remove(0);
        Sample { material: format!("made up {}", i + 1), values }
    };
    (0..n).map(sample).collect()
}

/// All spectra as the sensor sees them.
fn projected(library: &Library, sensor: &Sensor) -> Result<Library> {
    let axis = Axis::nm(sensor.centers_nm())?;
    let config = ProjectionConfig::default();
    let mut last: Option<(Axis, Projection)> = None;
    let mut spectra = Vec::with_capacity(library.len());
    for spectrum in library.spectra() {
        let known = last.take().filter(|(axis, _)| axis == spectrum.axis());
        let (own, projection) = match known {
            Some(known) => known,
            None => {
                let projection = Projection::new(sensor, spectrum.axis(), &config)?;
                (spectrum.axis().clone(), projection)
            }
        };
        let values = projection.apply(spectrum.values());
        spectra.push(Spectrum::new(&spectrum.name, &spectrum.material, &axis, values)?);
        last = Some((own, projection));
    }
    Ok(spectra.into_iter().collect())
}
