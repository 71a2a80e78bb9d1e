//! Noise of sensors: relative to the value, absolute, and of thermal bands as a temperature.

use schemars::JsonSchema;
use sdk::{Error, Generator, Result};
use serde::{Deserialize, Serialize};

use crate::thermal::{brightness_temperature_k, radiance_per_k};

/// A level of noise: one for all bands, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NoiseLevel {
    /// The same for all bands.
    Same(f64),
    /// One for each band.
    Each(Vec<f64>),
}

impl Default for NoiseLevel {
    fn default() -> Self {
        Self::Same(0.0)
    }
}

impl NoiseLevel {
    /// The level of each of `n_bands` bands.
    ///
    /// # Errors
    /// When there are levels for another number of bands, or one is negative or not a number.
    pub fn levels(&self, n_bands: usize) -> Result<Vec<f64>> {
        let levels = match self {
            Self::Same(level) => vec![*level; n_bands],
            Self::Each(levels) => levels.clone(),
        };
        if levels.len() != n_bands {
            let n = levels.len();
            let message =
                format!("there must be one level of noise for each of {n_bands} bands: {n}");
            return Err(Error::new("spectral::noise", message));
        }
        match self.fault() {
            None => Ok(levels),
            Some(fault) => Err(fault),
        }
    }

    /// What is wrong with the levels, whatever the number of bands.
    fn fault(&self) -> Option<Error> {
        let levels = match self {
            Self::Same(level) => std::slice::from_ref(level),
            Self::Each(levels) => levels.as_slice(),
        };
        let wrong = levels.iter().find(|level| !level.is_finite() || **level < 0.0)?;
        let message = format!("a level of noise must be at least 0: {wrong}");
        Some(Error::new("spectral::noise", message))
    }

    /// Levels of a sensor with two spectrometers: `up_to` for bands up to `limit_nm`, `beyond` for
    /// those above it.
    pub fn split(centers_nm: &[f64], limit_nm: f64, up_to: f64, beyond: f64) -> Self {
        let level = |center: &f64| if *center <= limit_nm { up_to } else { beyond };
        Self::Each(centers_nm.iter().map(level).collect())
    }
}

/// Noise on what a sensor sees, independent from band to band.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// Standard deviation as a part of the value's size.
    pub relative: NoiseLevel,
    /// Standard deviation in the value's own unit.
    pub absolute: NoiseLevel,
}

impl Noise {
    /// Noise relative to the values.
    pub fn relative(level: f64) -> Self {
        Self { relative: NoiseLevel::Same(level), ..Self::default() }
    }

    /// Every fault, with its path inside of this section; whether levels fit a sensor's number of
    /// bands shows when noise is added.
    pub fn check(&self) -> Vec<Error> {
        let levels = [("relative", &self.relative), ("absolute", &self.absolute)];
        levels.iter().filter_map(|(key, level)| Some(level.fault()?.at(*key))).collect()
    }

    /// Adds noise to the values. A part whose levels are all 0 draws nothing; missing values stay
    /// missing and draw as others do, so that gaps move no other band's noise.
    ///
    /// # Errors
    /// As of [`NoiseLevel::levels`].
    pub fn add(&self, values: &mut [f64], generator: &mut Generator) -> Result<()> {
        let relative = self.relative.levels(values.len())?;
        let absolute = self.absolute.levels(values.len())?;
        let clean = values.to_vec();
        for (levels, scale) in [(relative, f64::abs as fn(f64) -> f64), (absolute, |_| 1.0)] {
            if levels.iter().all(|level| *level == 0.0) {
                continue;
            }
            for ((value, clean), level) in values.iter_mut().zip(&clean).zip(levels) {
                *value += scale(*clean) * level * generator.normal();
            }
        }
        Ok(())
    }
}

/// Adds thermal noise to radiances: that of a brightness temperature with standard deviation
/// `nedt_k` (in kelvin), carried over by the slope of Planck's law at each band's own temperature.
/// Radiances in W m⁻² sr⁻¹ µm⁻¹; those not above 0 stay as they are, but draw.
pub fn add_thermal_noise(
    radiances: &mut [f64],
    centers_nm: &[f64],
    nedt_k: f64,
    generator: &mut Generator,
) {
    if nedt_k == 0.0 {
        return;
    }
    for (radiance, center_nm) in radiances.iter_mut().zip(centers_nm) {
        let error_k = nedt_k * generator.normal();
        if *radiance > 0.0 {
            let temperature_k = brightness_temperature_k(*center_nm, *radiance);
            *radiance += error_k * radiance_per_k(*center_nm, temperature_k);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::mean_and_deviation;
    use crate::thermal::radiance;

    fn noisy(noise: &Noise, values: &[f64], seed: u64) -> Vec<f64> {
        let mut values = values.to_vec();
        noise.add(&mut values, &mut Generator::new(seed, "noise")).unwrap();
        values
    }

    #[test]
    fn relative_noise_follows_the_value_and_absolute_noise_does_not() {
        let values: Vec<f64> = (0..40_000).map(|i| if i % 2 == 0 { 0.2 } else { 0.8 }).collect();
        let spread = |noise: &Noise, start: usize| {
            let errors = noisy(noise, &values, 1);
            let errors = errors.into_iter().zip(&values).map(|(noisy, clean)| noisy - clean);
            let own: Vec<f64> = errors.skip(start).step_by(2).collect();
            mean_and_deviation(own.iter().copied()).unwrap().1
        };
        let relative = Noise::relative(0.05);
        let absolute = Noise { absolute: NoiseLevel::Same(0.01), ..Noise::default() };
        for (noise, start, expected) in
            [(&relative, 0, 0.01), (&relative, 1, 0.04), (&absolute, 0, 0.01), (&absolute, 1, 0.01)]
        {
            let found = spread(noise, start);
            assert!((found / expected - 1.0).abs() < 0.02, "{found} for {expected}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_noise_and_no_level_draws_nothing() {
        let noise = Noise::relative(0.01);
        assert_eq!(noisy(&noise, &[0.1, 0.5], 3), noisy(&noise, &[0.1, 0.5], 3));
        assert_ne!(noisy(&noise, &[0.1, 0.5], 3), noisy(&noise, &[0.1, 0.5], 4));
        let mut generator = Generator::new(1, "noise");
        Noise::default().add(&mut [0.5, 0.6], &mut generator).unwrap();
        assert_eq!(generator.position().words, 0);
    }

    #[test]
    fn gaps_move_no_other_bands_noise() {
        let noise = Noise::relative(0.1);
        let (whole, gappy) = (noisy(&noise, &[0.5; 3], 1), noisy(&noise, &[0.5, f64::NAN, 0.5], 1));
        assert_eq!((whole[0], whole[2]), (gappy[0], gappy[2]));
        assert!(gappy[1].is_nan());
    }

    #[test]
    fn levels_that_do_not_fit_are_refused() {
        let fault = |level: NoiseLevel| level.levels(3).unwrap_err().message;
        let few = "there must be one level of noise for each of 3 bands: 2";
        assert_eq!(fault(NoiseLevel::Each(vec![0.1, 0.1])), few);
        assert_eq!(fault(NoiseLevel::Same(-0.1)), "a level of noise must be at least 0: -0.1");
    }

    #[test]
    fn two_spectrometers_have_a_level_each() {
        let levels = NoiseLevel::split(&[420.0, 999.0, 1001.0], 999.0, 0.01, 0.03);
        assert_eq!(levels, NoiseLevel::Each(vec![0.01, 0.01, 0.03]));
    }

    #[test]
    fn thermal_noise_is_that_of_the_temperature() {
        let centers = vec![10_000.0; 20_000];
        let mut radiances = vec![radiance(10_000.0, 300.0); 20_000];
        add_thermal_noise(&mut radiances, &centers, 0.2, &mut Generator::new(1, "thermal"));
        let temperatures = radiances.iter().map(|value| brightness_temperature_k(10_000.0, *value));
        let temperatures: Vec<f64> = temperatures.collect();
        let (mean, deviation) = mean_and_deviation(temperatures.iter().copied()).unwrap();
        assert!((mean - 300.0).abs() < 0.005, "{mean}");
        assert!((deviation - 0.2).abs() < 0.004, "{deviation}");
    }
}
