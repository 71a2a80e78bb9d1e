//! What happens to a spectrum between the laboratory and the sensor: other light, other matter in
//! the pixel, bands that are not quite where they should be, noise, and air that swallows some.

mod known;

use schemars::JsonSchema;
use sdk::{Error, Generator, Result};
use serde::{Deserialize, Serialize};

pub use known::Known;

use crate::noise::Noise;
use crate::{Axis, Projection, ProjectionConfig, Sensor};

/// Random changes to a spectrum, drawn anew for each. Every default leaves it as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Perturbation {
    /// Largest share of another material in the spectrum; the share is even from 0 to it.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub mix_max: f64,
    /// Standard deviation of the shift of each band's centre.
    #[schemars(range(min = 0.0), extend("x-unit" = "nm"))]
    pub center_shift_std_nm: f64,
    /// Smallest and largest factor on the whole spectrum.
    pub gain: [f64; 2],
    /// Largest slope: from the first band to the last, values change by up to this part, half of it
    /// one way at the one end and half of it the other way at the other.
    #[schemars(range(min = 0.0))]
    pub slope_max: f64,
    /// Largest amount that is added to every value, or taken from it.
    #[schemars(range(min = 0.0))]
    pub offset_max: f64,
    /// Noise on each band.
    pub noise: Noise,
    /// Ranges whose bands are missing, both ends included.
    #[schemars(extend("x-unit" = "nm"))]
    pub removed_nm: Vec<[f64; 2]>,
}

impl Default for Perturbation {
    fn default() -> Self {
        Self {
            mix_max: 0.0,
            center_shift_std_nm: 0.0,
            gain: [1.0, 1.0],
            slope_max: 0.0,
            offset_max: 0.0,
            noise: Noise::default(),
            removed_nm: Vec::new(),
        }
    }
}

impl Perturbation {
    /// As in the laboratory: 1 % noise, nothing else.
    pub fn clean() -> Self {
        Self { noise: Noise::relative(0.01), ..Self::default() }
    }

    /// As in the field: other light (factor 0.5 to 1.5, slope ±0.2 from end to end, offset ±0.05), up to 20 % of
    /// another material, centres off by 2 nm, 5 % noise, and the water bands of the air missing.
    pub fn field() -> Self {
        Self {
            mix_max: 0.2,
            center_shift_std_nm: 2.0,
            gain: [0.5, 1.5],
            slope_max: 0.2,
            offset_max: 0.05,
            noise: Noise::relative(0.05),
            removed_nm: vec![[1340.0, 1460.0], [1790.0, 1960.0]],
        }
    }

    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, message: String| {
            faults.push(Error::new("spectral::range", message).at(key));
        };
        if !(0.0..=1.0).contains(&self.mix_max) {
            fault("mix_max", format!("`mix_max` must be in [0, 1]: {}", self.mix_max));
        }
        let sizes = [
            ("center_shift_std_nm", self.center_shift_std_nm),
            ("slope_max", self.slope_max),
            ("offset_max", self.offset_max),
        ];
        for (key, size) in sizes {
            if !(size >= 0.0 && size.is_finite()) {
                fault(key, format!("`{key}` must be at least 0: {size}"));
            }
        }
        let [least, most] = self.gain;
        if !(least > 0.0 && least <= most && most.is_finite()) {
            fault("gain", format!("`gain` must be above 0 and not fall: {least} to {most}"));
        }
        if let Some([from, to]) = self.removed_nm.iter().find(|[from, to]| from > to) {
            fault("removed_nm", format!("a range in `removed_nm` must not fall: {from} to {to}"));
        }
        faults.extend(self.noise.check().into_iter().map(|fault| fault.below("noise")));
        faults
    }
}

/// A perturbation in a configuration: the name of one, or its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PerturbationConfig {
    /// One of those that have a name.
    Named(NamedPerturbation),
    /// Each part by itself.
    Parts(Perturbation),
}

/// The perturbations that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamedPerturbation {
    /// Nothing is changed.
    None,
    /// As in the laboratory: 1 % noise.
    Clean,
    /// As in the field: other light, mixed materials, shifted bands, 5 % noise, water bands missing.
    Field,
}

impl PerturbationConfig {
    /// The parts.
    pub fn parts(&self) -> Perturbation {
        match self {
            Self::Named(NamedPerturbation::None) => Perturbation::default(),
            Self::Named(NamedPerturbation::Clean) => Perturbation::clean(),
            Self::Named(NamedPerturbation::Field) => Perturbation::field(),
            Self::Parts(parts) => parts.clone(),
        }
    }
}

/// A sensor that looks at laboratory spectra through a [`Perturbation`].
///
/// ```
/// use sdk::Generator;
/// use spectral::{AxisUnit, Grid, Observer, Perturbation, ProjectionConfig, Sensor};
///
/// let lab = Grid::even(350.0, 2500.0, 2151).axis(AxisUnit::Nanometers)?;
/// let emit = Sensor::named("emit")?;
/// let observer = Observer::new(emit, &lab, ProjectionConfig::default(), Perturbation::field())?;
/// let (grey, brick) = (vec![0.4; 2151], vec![0.2; 2151]);
/// let seen = observer.observe(&grey, Some(&brick), &mut Generator::new(1, "field"))?;
/// assert_eq!(seen.len(), 285);
/// assert!(seen[135].is_nan(), "the air's water swallows 1387 nm");
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Observer {
    sensor: Sensor,
    lab: Axis,
    config: ProjectionConfig,
    perturbation: Perturbation,
    projection: Projection,
    /// Where each band lies between the first and the last: −½ to ½.
    places: Vec<f64>,
    is_seen: Vec<bool>,
}

impl Observer {
    /// A sensor that looks at spectra on the axis `lab`.
    ///
    /// # Errors
    /// When the sensor sees nothing of the axis, or the perturbation has a fault.
    pub fn new(
        sensor: Sensor,
        lab: &Axis,
        config: ProjectionConfig,
        perturbation: Perturbation,
    ) -> Result<Self> {
        if let Some(fault) = perturbation.check().into_iter().next() {
            return Err(fault);
        }
        let projection = Projection::new(&sensor, lab, &config)?;
        let is_seen = sensor.clone().without(&perturbation.removed_nm).is_usable().to_vec();
        let places = places(&sensor.centers_nm());
        Ok(Self { sensor, lab: lab.clone(), config, perturbation, projection, places, is_seen })
    }

    /// The sensor.
    pub fn sensor(&self) -> &Sensor {
        &self.sensor
    }

    /// Whether each band has a value, for a spectrum without gaps.
    pub fn is_seen(&self) -> Vec<bool> {
        let valid = self.projection.is_valid();
        self.is_seen.iter().zip(valid).map(|(is_seen, is_valid)| *is_seen && is_valid).collect()
    }

    /// What the sensor sees of a spectrum: one value for each band, NaN where there is none. Drawn in
    /// this order, each only where its setting is not neutral: share of `other`, shifts, factor,
    /// slope, offset, noise.
    ///
    /// # Errors
    /// When materials are mixed and there is no `other`, or levels of noise don't fit the sensor.
    ///
    /// # Panics
    /// When a spectrum has not one value for each sample of the axis.
    pub fn observe(
        &self,
        values: &[f64],
        other: Option<&[f64]>,
        generator: &mut Generator,
    ) -> Result<Vec<f64>> {
        let mixed = self.mixed(values, other, generator)?;
        let mut seen = self.projected(mixed.as_deref().unwrap_or(values), generator)?;
        self.finish(&mut seen, generator)?;
        Ok(seen)
    }

    /// What happens to the values that the bands see: other light, noise, and what is missing.
    fn finish(&self, seen: &mut [f64], generator: &mut Generator) -> Result<()> {
        self.relight(seen, generator);
        self.perturbation.noise.add(seen, generator)?;
        for (value, is_seen) in seen.iter_mut().zip(&self.is_seen) {
            if !is_seen {
                *value = f64::NAN;
            }
        }
        Ok(())
    }

    /// The spectrum with a share of another in it; `None` where materials are not mixed.
    fn mixed(
        &self,
        values: &[f64],
        other: Option<&[f64]>,
        generator: &mut Generator,
    ) -> Result<Option<Vec<f64>>> {
        let share = self.share(other.is_some(), generator)?;
        let (Some(share), Some(other)) = (share, other) else { return Ok(None) };
        let mix = |(value, other): (&f64, &f64)| value + share * (other - value);
        Ok(Some(values.iter().zip(other).map(mix).collect()))
    }

    /// How much of another spectrum there is; `None` where materials are not mixed.
    fn share(&self, has_other: bool, generator: &mut Generator) -> Result<Option<f64>> {
        if self.perturbation.mix_max == 0.0 {
            return Ok(None);
        }
        if has_other {
            return Ok(Some(self.perturbation.mix_max * generator.uniform()));
        }
        let message = "mixing materials needs a second spectrum";
        Err(Error::new("spectral::mix", message).at("mix_max"))
    }

    /// The spectrum as the bands see it, wherever they happen to lie.
    fn projected(&self, values: &[f64], generator: &mut Generator) -> Result<Vec<f64>> {
        let std_nm = self.perturbation.center_shift_std_nm;
        if std_nm == 0.0 {
            return Ok(self.projection.apply(values));
        }
        let shifts: Vec<f64> =
            (0..self.sensor.n_bands()).map(|_| std_nm * generator.normal()).collect();
        let shifted = self.sensor.shifted(&shifts);
        Ok(Projection::new(&shifted, &self.lab, &self.config)?.apply(values))
    }

    /// Factor, slope and offset.
    fn relight(&self, seen: &mut [f64], generator: &mut Generator) {
        let Perturbation { gain: [least, most], slope_max, offset_max, .. } = self.perturbation;
        let gain = if least == most { least } else { least + (most - least) * generator.uniform() };
        let slope = plus_or_minus(slope_max, generator);
        let offset = plus_or_minus(offset_max, generator);
        for (value, place) in seen.iter_mut().zip(&self.places) {
            *value = *value * gain * (1.0 + slope * place) + offset;
        }
    }
}

/// Even from `-size` to `size`; of 0 nothing is drawn.
fn plus_or_minus(size: f64, generator: &mut Generator) -> f64 {
    if size == 0.0 { 0.0 } else { size * (2.0 * generator.uniform() - 1.0) }
}

/// Where each centre lies between the first and the last: −½ to ½; a single one at 0.
fn places(centers_nm: &[f64]) -> Vec<f64> {
    let (first, last) = (centers_nm[0], centers_nm[centers_nm.len() - 1]);
    let place = |nm: &f64| (nm - first) / (last - first) - 0.5;
    if last > first { centers_nm.iter().map(place).collect() } else { vec![0.0] }
}

#[cfg(test)]
mod tests;
