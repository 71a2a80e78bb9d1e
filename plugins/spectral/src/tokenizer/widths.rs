//! The widths of bands: given, their sensor's, or guessed from their neighbours.

use sdk::{Error, Result};

use crate::{AxisUnit, Sensor};

/// Widths that are known of a spectrum's bands, in the unit of its axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Widths<'a> {
    /// The same for all bands.
    Same(f64),
    /// One for each band.
    Each(&'a [f64]),
}

/// Widths in nanometres, and whether they are guessed.
pub(super) struct KnownWidths {
    pub(super) nm: Vec<f64>,
    pub(super) is_default: bool,
}

/// The widths of the bands at `positions`: those given; else those of the sensor's bands, where it
/// has a band at each position; else the distance of the neighbours.
pub(super) fn widths(
    (positions, unit): (&[f64], AxisUnit),
    given: Option<Widths<'_>>,
    sensor: Option<&Sensor>,
) -> Result<KnownWidths> {
    let centers_nm: Vec<f64> = positions.iter().map(|position| unit.to_nm(*position)).collect();
    let in_nm = |width: f64, idx: usize| unit.width_to_nm(width, positions[idx]);
    let (nm, is_default) = match given {
        Some(Widths::Same(width)) => {
            ((0..positions.len()).map(|idx| in_nm(width, idx)).collect(), false)
        }
        Some(Widths::Each(widths)) if widths.len() == positions.len() => {
            (widths.iter().enumerate().map(|(idx, width)| in_nm(*width, idx)).collect(), false)
        }
        Some(Widths::Each(widths)) => return Err(misaligned(widths.len(), positions.len())),
        None => match sensor.filter(|sensor| has_bands_at(sensor, &centers_nm)) {
            Some(sensor) => (sensor.fwhm_nm(), false),
            None => (spacings(&centers_nm), true),
        },
    };
    Ok(KnownWidths { nm: filled(nm), is_default })
}

fn misaligned(n_widths: usize, n_bands: usize) -> Error {
    let message = format!("the widths must align with the bands: {n_widths} for {n_bands}");
    Error::new("spectral::widths", message)
}

/// Whether the sensor's bands are these, each within a tenth of its width.
fn has_bands_at(sensor: &Sensor, centers_nm: &[f64]) -> bool {
    let bands = sensor.bands();
    let is_near = |(band, center): (&crate::Band, &f64)| {
        (band.center_nm - center).abs() <= 0.1 * band.fwhm_nm
    };
    bands.len() == centers_nm.len() && bands.iter().zip(centers_nm).all(is_near)
}

/// Distance to the neighbour at the ends, half the distance of both neighbours between; of a single
/// band it is unknown.
fn spacings(centers_nm: &[f64]) -> Vec<f64> {
    let last = centers_nm.len() - 1;
    let spacing = |idx: usize| match (idx, last) {
        (_, 0) => f64::NAN,
        (0, _) => (centers_nm[1] - centers_nm[0]).abs(),
        (idx, last) if idx == last => (centers_nm[last] - centers_nm[last - 1]).abs(),
        (idx, _) => 0.5 * (centers_nm[idx + 1] - centers_nm[idx - 1]).abs(),
    };
    (0..=last).map(spacing).collect()
}

/// Width of a single band of which nothing is known.
const SINGLE_NM: f64 = 7.0;

/// Widths that are not above 0 replaced by the mean of the others, or by [`SINGLE_NM`] when there are
/// none.
fn filled(nm: Vec<f64>) -> Vec<f64> {
    let is_width = |width: &f64| width.is_finite() && *width > 0.0;
    let known: Vec<f64> = nm.iter().copied().filter(is_width).collect();
    let mean =
        if known.is_empty() { SINGLE_NM } else { known.iter().sum::<f64>() / known.len() as f64 };
    nm.into_iter().map(|width| if is_width(&width) { width } else { mean }).collect()
}
