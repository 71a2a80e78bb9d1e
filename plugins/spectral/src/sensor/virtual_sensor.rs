//! Sensors that no instrument has: bands by number, range and width.

use std::sync::Arc;

use schemars::JsonSchema;
use sdk::{Error, Generator, Result};
use serde::{Deserialize, Serialize};

use super::{Band, Provenance, ProvenanceKind, Sensor, Shape};
use crate::axis::evenly;

/// Where the bands of a virtual sensor lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// At equal steps, away from both ends by one step; moved by `center_jitter_nm`.
    #[default]
    Even,
    /// Anywhere in the range.
    Random,
}

/// A sensor that is made up.
///
/// ```
/// use sdk::Generator;
/// use spectral::VirtualSensor;
///
/// let bands = VirtualSensor { n_bands: 3, start_nm: 400.0, stop_nm: 800.0, ..Default::default() };
/// let sensor = bands.sensor(&mut Generator::new(1, "sensor"))?;
/// assert_eq!(sensor.centers_nm(), [500.0, 600.0, 700.0]);
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VirtualSensor {
    /// Number of bands.
    #[schemars(range(min = 1, max = 10_000))]
    pub n_bands: usize,
    /// Start of the range in which bands lie.
    #[schemars(extend("exclusiveMinimum" = 0, "x-unit" = "nm"))]
    pub start_nm: f64,
    /// End of the range.
    #[schemars(extend("exclusiveMinimum" = 0, "x-unit" = "nm"))]
    pub stop_nm: f64,
    /// Narrowest and widest full width at half maximum, each band's drawn evenly between; without
    /// it, all have the range's width over one and a half times the number of bands.
    pub fwhm_nm: Option<[f64; 2]>,
    /// Shape of the responses.
    pub shape: Shape,
    /// Where the bands lie.
    pub placement: Placement,
    /// Farthest that each centre is moved from its even place.
    #[schemars(range(min = 0.0), extend("x-unit" = "nm"))]
    pub center_jitter_nm: f64,
}

impl Default for VirtualSensor {
    fn default() -> Self {
        Self {
            n_bands: 64,
            start_nm: 400.0,
            stop_nm: 2500.0,
            fwhm_nm: None,
            shape: Shape::Gaussian,
            placement: Placement::Even,
            center_jitter_nm: 0.0,
        }
    }
}

impl VirtualSensor {
    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, message: String| {
            faults.push(Error::new("spectral::range", message).at(key));
        };
        if self.n_bands == 0 {
            fault("n_bands", "`n_bands` must be at least 1: 0".to_owned());
        }
        let (start, stop) = (self.start_nm, self.stop_nm);
        if !(start > 0.0 && start < stop && stop.is_finite()) {
            fault("stop_nm", format!("the range must be above 0 and rise: {start} to {stop} nm"));
        }
        if let Some([least, most]) = self.fwhm_nm
            && !(least > 0.0 && least <= most && most.is_finite())
        {
            fault("fwhm_nm", format!("`fwhm_nm` must be above 0 and not fall: {least} to {most}"));
        }
        if !(self.center_jitter_nm >= 0.0 && self.center_jitter_nm.is_finite()) {
            let message =
                format!("`center_jitter_nm` must be at least 0: {}", self.center_jitter_nm);
            fault("center_jitter_nm", message);
        }
        faults
    }

    /// The sensor; what is random about it is drawn from `generator`.
    ///
    /// # Errors
    /// The first fault of [`VirtualSensor::check`].
    pub fn sensor(&self, generator: &mut Generator) -> Result<Sensor> {
        if let Some(fault) = self.check().into_iter().next() {
            return Err(fault);
        }
        let mut centers = self.centers(generator);
        centers.sort_by(f64::total_cmp);
        centers.dedup();
        let bands = centers.into_iter().map(|center| self.band(center, generator)).collect();
        let note = format!("Made up: {:?} responses, no instrument's.", self.shape);
        Sensor::new("virtual", Provenance::new(ProvenanceKind::Virtual, note.to_lowercase()), bands)
    }

    fn centers(&self, generator: &mut Generator) -> Vec<f64> {
        let (start, stop) = (self.start_nm, self.stop_nm);
        match self.placement {
            Placement::Random => {
                let place = |_| start + (stop - start) * generator.uniform();
                (0..self.n_bands).map(place).collect()
            }
            Placement::Even => {
                let places = evenly(start, stop, self.n_bands + 2);
                let inner = places[1..=self.n_bands].iter();
                inner.map(|center| (center + self.jitter(generator)).clamp(start, stop)).collect()
            }
        }
    }

    fn jitter(&self, generator: &mut Generator) -> f64 {
        if self.center_jitter_nm == 0.0 {
            return 0.0;
        }
        self.center_jitter_nm * (2.0 * generator.uniform() - 1.0)
    }

    fn band(&self, center_nm: f64, generator: &mut Generator) -> Band {
        let fwhm_nm = match self.fwhm_nm {
            None => (self.stop_nm - self.start_nm) / (1.5 * self.n_bands as f64),
            Some([least, most]) if least == most => least,
            Some([least, most]) => least + (most - least) * generator.uniform(),
        };
        Band::new(center_nm, fwhm_nm, self.shape)
    }
}

/// How many spectra share a random sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// A new sensor for every spectrum.
    PerSample,
    /// A new sensor for every batch.
    #[default]
    PerBatch,
    /// One sensor for ever.
    Fixed,
}

/// Random sensors for batches of spectra.
#[derive(Debug)]
pub struct RandomSensors {
    config: VirtualSensor,
    sharing: Sharing,
    generator: Generator,
    fixed: Option<Arc<Sensor>>,
}

impl RandomSensors {
    /// Sensors as `config` says, drawn from `generator`.
    pub fn new(config: VirtualSensor, sharing: Sharing, generator: Generator) -> Self {
        Self { config, sharing, generator, fixed: None }
    }

    /// A sensor for each of `n_spectra` spectra.
    ///
    /// # Errors
    /// As of [`VirtualSensor::sensor`].
    pub fn batch(&mut self, n_spectra: usize) -> Result<Vec<Arc<Sensor>>> {
        match self.sharing {
            Sharing::PerSample => (0..n_spectra).map(|_| self.draw()).collect(),
            Sharing::PerBatch => Ok(vec![self.draw()?; n_spectra]),
            Sharing::Fixed => {
                let sensor = self.fixed.take().map_or_else(|| self.draw(), Ok)?;
                self.fixed = Some(Arc::clone(&sensor));
                Ok(vec![sensor; n_spectra])
            }
        }
    }

    fn draw(&mut self) -> Result<Arc<Sensor>> {
        self.config.sensor(&mut self.generator).map(Arc::new)
    }
}
