//! Samples whose tokens are pixels: noise.

use sdk::Generator;
use towers::TokenSet;

use super::config::NoiseData;
use super::{Example, Extents, Sample};
use crate::config::{Config, LossRegion};
use crate::masking::Mask;

/// Pixels of standard normal noise.
pub(crate) struct Noise {
    n_pixels: usize,
    n_bands: usize,
}

impl Noise {
    pub(super) fn new(noise: &NoiseData, config: &Config) -> Self {
        let width = config.encoder.embed_dim;
        log::warn!("`data.kind` is `noise`: there is nothing to learn, and the loss stays at 1");
        Self { n_pixels: noise.n_pixels.unwrap_or(width), n_bands: noise.n_bands.unwrap_or(width) }
    }

    pub(super) fn extents(&self) -> Extents {
        Extents {
            n_tokens: self.n_pixels,
            n_features: self.n_bands,
            n_outputs: self.n_bands,
            places: (0..self.n_pixels).map(|i| i as f64).collect(),
        }
    }

    pub(super) fn samples(&self, n: usize, generator: &mut Generator) -> Vec<Sample> {
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

    pub(super) fn mask(&self, config: &Config, generator: &mut Generator) -> Mask {
        config.masking.draw(self.n_pixels, &vec![true; self.n_bands], None, generator)
    }

    /// The encoder sees the kept pixels with their masked bands at 0.
    pub(super) fn example(&self, sample: &Sample, mask: &Mask, config: &Config) -> Example {
        let n = self.n_bands;
        let is_kept = |i: usize| mask.spatial[i / n] && mask.spectral[i % n];
        let is_scored = |i: usize| match config.objective.loss_region {
            LossRegion::Masked => !is_kept(i),
            LossRegion::Visible => is_kept(i),
        };
        let numbers = || sample.values.iter().map(|value| *value as f32).enumerate();
        let features: Vec<f32> =
            numbers().map(|(i, value)| if mask.spectral[i % n] { value } else { 0.0 }).collect();
        let weights: Vec<f32> = (0..sample.values.len()).map(|i| f32::from(is_scored(i))).collect();
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
