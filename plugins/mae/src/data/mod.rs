//! Samples, and what a mask makes of them: what the encoder sees and what is scored.
//!
//! Legend: T tokens of a sample, F features of a token, O values of a token that are predicted.
//!
//! - A spectrum is a sample whose tokens are its bands: F features of the band tokenizer, O = 1.
//! - In patches of image cubes a token is a pixel, whose features and values are its bands.
//!
//! Sample `i` of a step follows from the seed and the step alone, so nothing of the data has to be
//! saved but what tells it apart.

mod config;
mod passes;
mod pixels;
mod spectra;

use sdk::{PhaseContext, Result, Stages};
use towers::TokenSet;

use crate::config::Config;
use crate::masking::Mask;

pub use config::{DataConfig, LibraryData};
pub(crate) use spectra::Spectra;

use pixels::Pixels;

/// One sample: `(T, O)` values, NaN where one is missing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) material: String,
    pub(crate) values: Vec<f64>,
}

impl Sample {
    /// Whether each value is there.
    pub(crate) fn is_there(&self) -> Vec<bool> {
        self.values.iter().map(|value| value.is_finite()).collect()
    }
}

/// What a mask makes of a sample.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    /// What the encoder sees.
    pub(crate) seen: TokenSet,
    /// What the decoder is to say, `(T, O)`: less `line`, where differences are predicted.
    pub(crate) target: Vec<f32>,
    /// Weight of each squared error, 0 where it isn't scored. `(T, O)`
    pub(crate) weights: Vec<f32>,
    /// The kept values and the straight lines between them, on the tokens' scale; empty where
    /// samples are no spectra. `(T)`
    pub(crate) line: Vec<f32>,
    /// Factor on what the decoder says, where it says differences from the line; else empty. `(T)`
    pub(crate) leeway: Vec<f32>,
    /// Which bands are kept; empty where samples are no spectra. `(T)`
    pub(crate) keep: Vec<f32>,
    /// What is taken from a value and what the rest is divided by.
    pub(crate) scale: (f64, f64),
    /// Number of values that are scored.
    pub(crate) n_scored: usize,
}

/// Extents of samples.
#[derive(Clone, Debug)]
pub(crate) struct Extents {
    /// T.
    pub(crate) n_tokens: usize,
    /// F.
    pub(crate) n_features: usize,
    /// O.
    pub(crate) n_outputs: usize,
    /// Where tokens lie: wavelengths in nanometres, or indexes.
    pub(crate) places: Vec<f64>,
}

/// Where samples come from.
pub(crate) enum Data {
    Spectra(Box<Spectra>),
    Pixels(Pixels),
}

impl Data {
    /// Reads what there is to read.
    pub(crate) fn open(config: &Config, cx: &PhaseContext) -> Result<Self> {
        Ok(match &config.data {
            DataConfig::Noise(noise) => Self::Pixels(Pixels::noise(noise, config)),
            DataConfig::Cube(cubes) => Self::Pixels(Pixels::cubes(cubes)?),
            DataConfig::Synthetic(lab) => {
                Self::Spectra(Box::new(Spectra::synthetic(lab, config, cx)?))
            }
            DataConfig::Library(library) => {
                Self::Spectra(Box::new(Spectra::library(library, config)?))
            }
        })
    }

    pub(crate) fn extents(&self) -> Extents {
        match self {
            Self::Spectra(spectra) => spectra.extents(),
            Self::Pixels(pixels) => pixels.extents(),
        }
    }

    /// The spectra, where samples are some.
    pub(crate) fn spectra(&self) -> Option<&Spectra> {
        match self {
            Self::Spectra(spectra) => Some(spectra),
            Self::Pixels(_) => None,
        }
    }

    /// Samples to train on; none where there is no end of them.
    pub(crate) fn n_train(&self) -> Option<usize> {
        match self {
            Self::Spectra(spectra) => spectra.n_train(),
            Self::Pixels(pixels) => pixels.n_train(),
        }
    }

    /// What tells the data apart from other data.
    pub(crate) fn digest(&self) -> &str {
        match self {
            Self::Spectra(spectra) => spectra.digest(),
            Self::Pixels(pixels) => pixels.digest(),
        }
    }

    /// The samples of a step.
    pub(crate) fn batch(&mut self, step: u64, n: usize, cx: &PhaseContext) -> Result<Vec<Sample>> {
        match self {
            Self::Spectra(spectra) => Ok(spectra.batch(step, n, cx)),
            Self::Pixels(pixels) => pixels.batch(step, n, cx),
        }
    }

    /// At most `n` held-out samples, always the same.
    pub(crate) fn held_out(&self, n: usize, cx: &PhaseContext) -> Result<Vec<Sample>> {
        match self {
            Self::Spectra(spectra) => Ok(spectra.held_out(n)),
            Self::Pixels(pixels) => pixels.held_out(n, cx),
        }
    }

    /// Draws the mask of a sample.
    pub(crate) fn mask(
        &self,
        sample: &Sample,
        config: &Config,
        generator: &mut sdk::Generator,
    ) -> Mask {
        match self {
            Self::Spectra(spectra) => {
                config.masking.draw(1, &sample.is_there(), Some(spectra.axis_nm()), generator)
            }
            Self::Pixels(pixels) => pixels.mask(sample, config, generator),
        }
    }

    /// What the mask makes of the sample.
    pub(crate) fn example(&self, sample: &Sample, mask: &Mask, config: &Config) -> Result<Example> {
        match self {
            Self::Spectra(spectra) => spectra.example(sample, mask, config),
            Self::Pixels(pixels) => Ok(pixels.example(sample, mask, config)),
        }
    }

    /// The examples of a step, with masks of its own.
    pub(crate) fn examples(
        &mut self,
        step: u64,
        config: &Config,
        cx: &PhaseContext,
        stages: &Stages,
    ) -> Result<Vec<Example>> {
        let samples = self.batch(step, config.training.batch_size, cx)?;
        let mut masks = cx.generator(&format!("masks {step}"));
        let example = |sample: &Sample| {
            let mask = self.mask(sample, config, &mut masks);
            self.example(sample, &mask, config)
        };
        let examples = samples.iter().map(example).collect();
        stages.done("data");
        examples
    }
}
