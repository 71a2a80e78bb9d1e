//! The stand-ins that an earlier system had for its sensors, by their formulas.
//!
//! None of them describes an instrument: they are here so that results can be compared with that
//! system's. Their names end in `-placeholder`.

use sdk::Result;

use super::response::FWHM_PER_SIGMA;
use super::{Band, Provenance, ProvenanceKind, Sensor, Shape};
use crate::axis::evenly;
use crate::sampling::linear;

/// Ranges in which the air's water leaves nothing to see, in nanometres.
const WATER_NM: [[f64; 2]; 2] = [[1340.0, 1460.0], [1790.0, 1960.0]];

/// Part of its maximum below which the response of a band of [`emit`] counts as 0. That system had a
/// table of them; this agrees with the values that it computed to 1e-5.
const LEAST_RESPONSE: f64 = 1e-3;

fn sensor(name: &str, bands: Vec<Band>) -> Result<Sensor> {
    let note = "Invented stand-in of an earlier system, for comparison with it; no instrument's \
                responses.";
    Sensor::new(name, Provenance::new(ProvenanceKind::Placeholder, note), bands)
}

/// A Gaussian with values at these samples.
fn gaussian_at(samples_nm: &[f64], center_nm: f64, sigma_nm: f64) -> Band {
    let value = |nm: &f64| (-0.5 * ((nm - center_nm) / sigma_nm).powi(2)).exp();
    let response: Vec<f64> = samples_nm.iter().map(value).collect();
    Band::around(center_nm, sigma_nm * FWHM_PER_SIGMA, samples_nm, &response)
}

/// Samples to `n_sigmas` on both sides of a centre.
fn around(center_nm: f64, sigma_nm: f64, n_sigmas: f64, n_samples: usize) -> Vec<f64> {
    let reach_nm = n_sigmas * sigma_nm;
    evenly(center_nm - reach_nm, center_nm + reach_nm, n_samples)
}

/// 10 bands, wider towards longer wavelengths.
pub(super) fn emit() -> Result<Sensor> {
    let grid = evenly(380.0, 2500.0, 600);
    let band = |(center, sigma): (f64, f64)| {
        let value = |nm: &f64| (-0.5 * ((nm - center) / sigma).powi(2)).exp();
        let cut = |value: f64| if value < LEAST_RESPONSE { 0.0 } else { value };
        let response: Vec<f64> = grid.iter().map(|nm| cut(value(nm))).collect();
        Band::around(center, sigma * FWHM_PER_SIGMA, &grid, &response)
    };
    let bands = evenly(400.0, 2400.0, 10).into_iter().zip(evenly(15.0, 30.0, 10));
    sensor("emit-placeholder", bands.map(band).collect())
}

/// 226 bands: 95 up to 999 nm, 131 beyond, each by 11 samples to two standard deviations.
pub(super) fn enmap() -> Result<Sensor> {
    let short = evenly(420.0, 999.0, 95).into_iter().map(|center| (center, 1.4));
    let long = evenly(1001.0, 2450.0, 131).into_iter().map(|center| (center, 2.5));
    let bands = short.chain(long);
    let band = |(center, sigma)| gaussian_at(&around(center, sigma, 2.0, 11), center, sigma);
    sensor("enmap-placeholder", bands.map(band).collect())
}

/// 425 bands, straight between 7 samples of a Gaussian; none usable in the air's water bands.
pub(super) fn aviris_ng() -> Result<Sensor> {
    let bands = evenly(380.0, 2510.0, 425).into_iter().map(|center| {
        let fwhm = match center {
            ..1000.0 => 6.0,
            ..1800.0 => 7.5,
            _ => 9.0,
        };
        let coarse = evenly(center - 7.5, center + 7.5, 7);
        let values: Vec<f64> =
            coarse.iter().map(|nm| Band::gaussian(center, fwhm).at(*nm)).collect();
        let fine = evenly(center - 7.5, center + 7.5, 31);
        let response: Vec<f64> = fine.iter().map(|nm| linear(&coarse, &values, *nm)).collect();
        Band::around(center, fwhm, &fine, &response)
    });
    Ok(sensor("aviris-ng-placeholder", bands.collect())?.without(&WATER_NM))
}

/// 256 thermal bands as wide as their spacing.
pub(super) fn hytes() -> Result<Sensor> {
    let centers = evenly(7500.0, 12_000.0, 256);
    let fwhm = centers[1] - centers[0];
    let sigma = fwhm / FWHM_PER_SIGMA;
    let band = |center| gaussian_at(&around(center, sigma, 3.0, 121), center, sigma);
    let bands = centers.into_iter().map(band);
    sensor("hytes-placeholder", bands.collect())
}

/// 128 thermal bands, 44 nm wide.
pub(super) fn mako() -> Result<Sensor> {
    let band = |center| Band::new(center, 44.0, Shape::Gaussian);
    sensor("mako-placeholder", evenly(7600.0, 13_200.0, 128).into_iter().map(band).collect())
}
