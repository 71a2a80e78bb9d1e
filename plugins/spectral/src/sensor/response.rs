//! How strongly a band answers to each wavelength.

use std::sync::Arc;

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::axis::evenly;
use crate::sampling::{linear, trapezoid};

/// Samples by which a shape given by a formula is integrated.
const N_SAMPLES: usize = 33;

/// How far beyond its end, in widths, a response still counts: the ends come out of arithmetic.
const ROUNDING: f64 = 1e-9;

/// Standard deviations of a Gaussian in its full width at half maximum: `2 √(2 ln 2)`.
pub const FWHM_PER_SIGMA: f64 = 2.354_820_045_030_949_3;

/// A shape given by a formula.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A Gaussian of the band's full width at half maximum, followed to two widths from its centre.
    #[default]
    Gaussian,
    /// Constant over the band's width, 0 outside.
    Box,
    /// `0.54 + 0.46 cos` over the band's width, 0 outside.
    Hamming,
}

/// One band of a sensor: where it is, how wide, and of what shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// Centre, in nanometres.
    pub center_nm: f64,
    /// Full width at half maximum, in nanometres. Of a box and a Hamming window it is the whole
    /// extent.
    pub fwhm_nm: f64,
    profile: Profile,
}

/// The response by its distance from the centre, counted in widths: moving or widening a band
/// leaves it as it is.
#[derive(Clone, Debug, PartialEq)]
enum Profile {
    Formula(Shape),
    Sampled { offsets: Arc<[f64]>, values: Arc<[f64]> },
}

impl Shape {
    /// Where the response begins and ends, in widths from the centre.
    fn ends(self) -> (f64, f64) {
        match self {
            Self::Gaussian => (-2.0, 2.0),
            Self::Box | Self::Hamming => (-0.5, 0.5),
        }
    }
}

impl Profile {
    fn ends(&self) -> (f64, f64) {
        match self {
            Self::Formula(shape) => shape.ends(),
            Self::Sampled { offsets, .. } => (offsets[0], offsets[offsets.len() - 1]),
        }
    }
}

impl Band {
    /// A band whose shape is given by a formula.
    pub fn new(center_nm: f64, fwhm_nm: f64, shape: Shape) -> Self {
        Self { center_nm, fwhm_nm, profile: Profile::Formula(shape) }
    }

    /// A Gaussian band.
    pub fn gaussian(center_nm: f64, fwhm_nm: f64) -> Self {
        Self::new(center_nm, fwhm_nm, Shape::Gaussian)
    }

    /// A band measured at rising wavelengths: its centre is where half of the response is on each
    /// side on average (the centroid), its width what lies between the outermost crossings of half
    /// the maximum. Between samples the response is straight, outside of them 0.
    ///
    /// # Errors
    /// When there are fewer than two samples, one is negative or not a number, or all are 0.
    pub fn sampled(wavelengths_nm: &[f64], response: &[f64]) -> Result<Self> {
        let fault = |message: String| Error::new("spectral::response", message);
        if wavelengths_nm.len() < 2 || wavelengths_nm.len() != response.len() {
            let (n, of) = (response.len(), wavelengths_nm.len());
            return Err(fault(format!(
                "a response needs one value for each of at least 2 wavelengths: {n} for {of}"
            )));
        }
        if let Some(value) = response.iter().find(|value| !value.is_finite() || **value < 0.0) {
            return Err(fault(format!("a response must be at least 0 everywhere: {value}")));
        }
        let area = trapezoid(wavelengths_nm, response);
        if area <= 0.0 {
            return Err(fault("the response is 0 at every wavelength".to_owned()));
        }
        let moments: Vec<f64> =
            wavelengths_nm.iter().zip(response).map(|(nm, value)| nm * value).collect();
        let center_nm = trapezoid(wavelengths_nm, &moments) / area;
        let fwhm_nm = half_maximum_width(wavelengths_nm, response);
        Ok(Self::around(center_nm, fwhm_nm, wavelengths_nm, response))
    }

    /// A sampled band whose centre and width are known from elsewhere.
    pub(crate) fn around(
        center_nm: f64,
        fwhm_nm: f64,
        wavelengths_nm: &[f64],
        response: &[f64],
    ) -> Self {
        let offsets = wavelengths_nm.iter().map(|nm| (nm - center_nm) / fwhm_nm).collect();
        Self { center_nm, fwhm_nm, profile: Profile::Sampled { offsets, values: response.into() } }
    }

    /// The response at a wavelength, relative: only its normalised integral means something.
    pub fn at(&self, wavelength_nm: f64) -> f64 {
        let offset = (wavelength_nm - self.center_nm) / self.fwhm_nm;
        let (first, last) = self.profile.ends();
        if offset < first - ROUNDING || offset > last + ROUNDING {
            return 0.0;
        }
        match &self.profile {
            Profile::Formula(Shape::Gaussian) => {
                (-4.0 * std::f64::consts::LN_2 * offset * offset).exp()
            }
            Profile::Formula(Shape::Box) => 1.0,
            Profile::Formula(Shape::Hamming) => {
                0.54 + 0.46 * (std::f64::consts::TAU * offset).cos()
            }
            Profile::Sampled { offsets, values } => linear(offsets, values, offset),
        }
    }

    /// The rising wavelengths at which the band itself is sampled; the first and the last are the
    /// ends of its response.
    pub fn samples_nm(&self) -> Vec<f64> {
        let place = |offset: &f64| self.center_nm + offset * self.fwhm_nm;
        match &self.profile {
            Profile::Formula(shape) => {
                let (first, last) = shape.ends();
                evenly(first, last, N_SAMPLES).iter().map(place).collect()
            }
            Profile::Sampled { offsets, .. } => offsets.iter().map(place).collect(),
        }
    }

    /// The band with another response: each of its samples times `factor()`, never below 0.
    pub(crate) fn reshaped(&self, mut factor: impl FnMut() -> f64) -> Self {
        let samples = self.samples_nm();
        let response: Vec<f64> =
            samples.iter().map(|nm| (self.at(*nm) * factor()).max(0.0)).collect();
        Self::around(self.center_nm, self.fwhm_nm, &samples, &response)
    }
}

/// Distance of the outermost places where the response crosses half of its maximum, or where it
/// ends above it.
fn half_maximum_width(nm: &[f64], response: &[f64]) -> f64 {
    let half = 0.5 * response.iter().copied().fold(0.0, f64::max);
    let crossing = |below: usize, above: usize| {
        let part = (half - response[below]) / (response[above] - response[below]);
        nm[below] + part * (nm[above] - nm[below])
    };
    let first = response.iter().position(|value| *value >= half).unwrap_or(0);
    let last = response.iter().rposition(|value| *value >= half).unwrap_or(nm.len() - 1);
    let left = if first == 0 { nm[0] } else { crossing(first - 1, first) };
    let right = if last + 1 == nm.len() { nm[last] } else { crossing(last + 1, last) };
    right - left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gaussian_is_half_as_high_at_half_its_width() {
        let band = Band::gaussian(1000.0, 10.0);
        assert_eq!(band.at(1000.0), 1.0);
        assert!((band.at(1005.0) - 0.5).abs() < 1e-12 && (band.at(995.0) - 0.5).abs() < 1e-12);
        let sigma = 10.0 / FWHM_PER_SIGMA;
        assert!((band.at(1000.0 + sigma) - (-0.5f64).exp()).abs() < 1e-12);
        // √(2π) σ, but for the tails beyond two widths.
        let samples = band.samples_nm();
        let values: Vec<f64> = samples.iter().map(|nm| band.at(*nm)).collect();
        let area = trapezoid(&samples, &values);
        assert!((area / (sigma * std::f64::consts::TAU.sqrt()) - 1.0).abs() < 3e-6, "{area}");
    }

    #[test]
    fn boxes_and_hamming_windows_end_at_half_their_width() {
        let flat = Band::new(1000.0, 10.0, Shape::Box);
        let samples = flat.samples_nm();
        assert_eq!((samples[0], samples[32], flat.at(995.0)), (995.0, 1005.0, 1.0));
        let window = Band::new(1000.0, 10.0, Shape::Hamming);
        assert!((window.at(1000.0) - 1.0).abs() < 1e-12 && (window.at(995.0) - 0.08).abs() < 1e-12);
    }

    #[test]
    fn centre_and_width_of_samples_are_measured() {
        let nm: Vec<f64> = (0..=200).map(|i| 980.0 + 0.2 * f64::from(i)).collect();
        let truth = Band::gaussian(1001.0, 8.5);
        let response: Vec<f64> = nm.iter().map(|nm| 3.0 * truth.at(*nm)).collect();
        let band = Band::sampled(&nm, &response).unwrap();
        assert!((band.center_nm - 1001.0).abs() < 1e-3, "{}", band.center_nm);
        assert!((band.fwhm_nm - 8.5).abs() < 1e-2, "{}", band.fwhm_nm);
        assert!((band.at(1003.0) - 3.0 * truth.at(1003.0)).abs() < 1e-3);
    }

    #[test]
    fn what_is_no_response_is_refused() {
        let fault =
            |response: &[f64]| Band::sampled(&[1.0, 2.0, 3.0], response).unwrap_err().message;
        assert_eq!(fault(&[0.0, 0.0, 0.0]), "the response is 0 at every wavelength");
        assert_eq!(fault(&[0.0, -1.0, 0.0]), "a response must be at least 0 everywhere: -1");
        assert!(fault(&[1.0, 1.0]).ends_with("2 for 3"));
    }
}
