//! Samples whose tokens are pixels: patches of image cubes, and noise.

use sdk::{Generator, PhaseContext, Result};
use spectral::data::{PatchConfig, Patches, Survey};
use towers::TokenSet;

use super::config::NoiseData;
use super::passes::Passes;
use super::{Example, Extents, Sample};
use crate::config::{Config, LossRegion};
use crate::masking::Mask;

/// Held-out samples of noise, at most.
const N_NOISE: usize = 64;

/// Samples of some pixels.
pub(crate) struct Pixels {
    n_pixels: usize,
    n_bands: usize,
    /// Where bands lie, if anywhere.
    bands_nm: Option<Vec<f64>>,
    source: Source,
}

enum Source {
    /// Standard normal noise.
    Noise,
    Cubes(Box<Cubes>),
}

struct Cubes {
    patches: Patches,
    survey: Survey,
    passes: Passes,
}

impl Pixels {
    pub(super) fn noise(noise: &NoiseData, config: &Config) -> Self {
        let width = config.encoder.embed_dim;
        log::warn!("`data.kind` is `noise`: there is nothing to learn, and the loss stays at 1");
        Self {
            n_pixels: noise.n_pixels.unwrap_or(width),
            n_bands: noise.n_bands.unwrap_or(width),
            bands_nm: None,
            source: Source::Noise,
        }
    }

    pub(super) fn cubes(config: &PatchConfig) -> Result<Self> {
        let patches = Patches::open(config, "data")?;
        let (n_train, n_val) = (patches.n_train(), patches.n_val());
        log::info!("patches to train on: {n_train}; held back: {n_val}");
        let (survey, passes) = (patches.survey()?, Passes::new(n_train));
        Ok(Self {
            n_pixels: patches.side() * patches.side(),
            n_bands: patches.n_bands(),
            bands_nm: patches.centers_nm(),
            source: Source::Cubes(Box::new(Cubes { patches, survey, passes })),
        })
    }

    pub(super) fn extents(&self) -> Extents {
        Extents {
            n_tokens: self.n_pixels,
            n_features: self.n_bands,
            n_outputs: self.n_bands,
            places: (0..self.n_pixels).map(|i| i as f64).collect(),
        }
    }

    /// Samples to train on; none where there is no end of them.
    pub(super) fn n_train(&self) -> Option<usize> {
        match &self.source {
            Source::Noise => None,
            Source::Cubes(cubes) => Some(cubes.patches.n_train()),
        }
    }

    pub(super) fn digest(&self) -> &str {
        match &self.source {
            Source::Noise => "noise",
            Source::Cubes(cubes) => &cubes.survey.digest,
        }
    }

    pub(super) fn batch(&mut self, step: u64, n: usize, cx: &PhaseContext) -> Result<Vec<Sample>> {
        match &mut self.source {
            Source::Noise => Ok(self.made_up(n, &mut cx.generator(&format!("data {step}")))),
            Source::Cubes(cubes) => {
                let first = step * n as u64;
                let places = first..first + n as u64;
                places.map(|place| cubes.train(place, cx)).collect()
            }
        }
    }

    pub(super) fn held_out(&self, n: usize, cx: &PhaseContext) -> Result<Vec<Sample>> {
        match &self.source {
            Source::Noise => Ok(self.made_up(n.min(N_NOISE), &mut cx.generator("held-out data"))),
            Source::Cubes(cubes) => {
                let n_val = cubes.patches.n_val();
                let n = n.min(n_val);
                let read = |i: usize| Ok(cubes.scaled(cubes.patches.val(i * n_val / n)?));
                (0..n).map(read).collect()
            }
        }
    }

    fn made_up(&self, n: usize, generator: &mut Generator) -> Vec<Sample> {
        let n_values = self.n_pixels * self.n_bands;
        let sample = |_| Sample {
            material: "noise".to_owned(),
            values: spectral::noise_tokens(n_values, generator)
                .into_iter()
                .map(f64::from)
                .collect(),
        };
        (0..n).map(sample).collect()
    }

    pub(super) fn mask(&self, sample: &Sample, config: &Config, generator: &mut Generator) -> Mask {
        let is_there = |band: usize| {
            let own = sample.values.iter().skip(band).step_by(self.n_bands);
            own.copied().any(f64::is_finite)
        };
        let is_there: Vec<bool> = (0..self.n_bands).map(is_there).collect();
        config.masking.draw(self.n_pixels, &is_there, self.bands_nm.as_deref(), generator)
    }

    /// The encoder sees the kept pixels with their masked bands at 0.
    /// A missing value is 0 there, and never scored.
    pub(super) fn example(&self, sample: &Sample, mask: &Mask, config: &Config) -> Example {
        let n = self.n_bands;
        let is_kept = |i: usize| mask.spatial[i / n] && mask.spectral[i % n];
        let is_scored = |i: usize| match config.objective.loss_region {
            LossRegion::Masked => !is_kept(i),
            LossRegion::Visible => is_kept(i),
        };
        let known = |value: &f64| if value.is_finite() { *value as f32 } else { 0.0 };
        let numbers = || sample.values.iter().map(known).enumerate();
        let features: Vec<f32> =
            numbers().map(|(i, value)| if mask.spectral[i % n] { value } else { 0.0 }).collect();
        let weight = |(i, value): (usize, &f64)| f32::from(value.is_finite() && is_scored(i));
        let weights: Vec<f32> = sample.values.iter().enumerate().map(weight).collect();
        Example {
            seen: TokenSet::of(&features, n, |pixel| mask.spatial[pixel]),
            target: numbers().map(|(_, value)| value).collect(),
            n_scored: weights.iter().filter(|weight| **weight > 0.0).count(),
            weights,
            line: Vec::new(),
            leeway: Vec::new(),
            keep: Vec::new(),
            scale: (0.0, 1.0),
        }
    }
}

impl Cubes {
    /// The patch at a place counted over all passes.
    fn train(&mut self, place: u64, cx: &PhaseContext) -> Result<Sample> {
        let values = self.patches.train(self.passes.at(place, cx))?;
        Ok(self.scaled(values))
    }

    /// A patch whose values are less their band's mean, over its deviation.
    fn scaled(&self, mut values: Vec<f64>) -> Sample {
        for pixel in values.chunks_exact_mut(self.survey.bands.len()) {
            for (value, stats) in pixel.iter_mut().zip(&self.survey.bands) {
                *value = (*value - stats.mean) / stats.std.max(f64::MIN_POSITIVE);
            }
        }
        Sample { material: "patch".to_owned(), values }
    }
}
