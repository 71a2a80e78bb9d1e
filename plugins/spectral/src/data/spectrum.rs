//! One spectrum, and how it is brought onto another axis.

use std::sync::Arc;

use sdk::{Error, Result};

use crate::axis::{Axis, AxisUnit};

/// Wavelengths that agree to this part of themselves are the same: a conversion of units moves the
/// last bit, and an end of the axis must not fall outside of itself for that.
const SAME_WAVELENGTH: f64 = 1e-9;

/// A spectrum of a library: values along an axis whose wavelengths rise. A missing value is NaN.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// Its name in the file.
    pub name: String,
    /// What it is a spectrum of: the same for all measurements of one material.
    pub material: String,
    axis: Axis,
    values: Vec<f64>,
}

impl Spectrum {
    /// A spectrum on `axis`, which may also fall: the samples are then turned round.
    ///
    /// # Errors
    /// When there are not as many values as positions.
    pub fn new(
        name: impl Into<String>,
        material: impl Into<String>,
        axis: &Axis,
        mut values: Vec<f64>,
    ) -> Result<Self> {
        let name = name.into();
        if values.len() != axis.len() {
            let (n, n_axis) = (values.len(), axis.len());
            let message = format!("spectrum `{name}` has {n} values on an axis of {n_axis}");
            return Err(Error::new("spectral::length", message));
        }
        let axis = if axis.is_rising_nm() {
            axis.clone()
        } else {
            values.reverse();
            Axis::new(axis.values().iter().rev().copied().collect(), axis.unit())?
        };
        Ok(Self { name, material: material.into(), axis, values })
    }

    /// Where its samples lie; wavelengths rise.
    pub fn axis(&self) -> &Axis {
        &self.axis
    }

    /// Its values, as many as the axis has positions; NaN where one is missing.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// How many of its values are there.
    pub fn n_valid(&self) -> usize {
        self.values.iter().filter(|value| value.is_finite()).count()
    }

    /// The spectrum on `grid`, which may have another unit, and which must rise in wavelength: see
    /// [`Resampler`].
    #[must_use]
    pub fn resampled(&self, grid: &Axis) -> Self {
        Resampler::new(&self.axis, grid).spectrum(self)
    }
}

/// Two spectra are the same when they have the same values missing.
impl PartialEq for Spectrum {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
        self.name == other.name
            && self.material == other.material
            && self.axis == other.axis
            && self.values.iter().zip(&other.values).all(same)
    }
}

/// Brings spectra of one axis onto another: linear in wavelength between neighbours.
///
/// Nothing is made up: outside of the axis, and between two samples of which one is missing, a
/// value is missing.
///
/// ```
/// use spectral::Axis;
/// use spectral::data::Spectrum;
///
/// let axis = Axis::nm(vec![400.0, 500.0, 600.0])?;
/// let leaf = Spectrum::new("leaf", "leaf", &axis, vec![0.25, 0.75, f64::NAN])?;
/// let seen = leaf.resampled(&Axis::nm(vec![350.0, 450.0, 500.0, 550.0])?);
/// assert_eq!(seen.values()[1..3], [0.5, 0.75]);
/// assert!(seen.values()[0].is_nan() && seen.values()[3].is_nan());
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Debug)]
pub struct Resampler {
    from: Axis,
    to: Axis,
    /// For each position of `to`.
    sources: Vec<Source>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Outside,
    /// A sample.
    At(usize),
    /// Between a sample and the next: the part of the next.
    Between(usize, f64),
}

impl Resampler {
    /// From an axis whose wavelengths rise to `to`.
    pub fn new(from: &Axis, to: &Axis) -> Self {
        let samples_nm = from.to_nm();
        let sources = to.to_nm().iter().map(|nm| source(&samples_nm, *nm)).collect();
        Self { from: from.clone(), to: to.clone(), sources }
    }

    /// Whether this brings spectra of the axis `from` onto `to`.
    pub(super) fn is_for(&self, from: &Axis) -> bool {
        self.from == *from
    }

    /// A spectrum of the first axis on the second.
    pub fn spectrum(&self, spectrum: &Spectrum) -> Spectrum {
        Spectrum {
            name: spectrum.name.clone(),
            material: spectrum.material.clone(),
            axis: self.to.clone(),
            values: self.values(&spectrum.values),
        }
    }

    /// Values on the first axis, on the second.
    ///
    /// # Panics
    /// When there are fewer values than the first axis has positions.
    pub fn values(&self, values: &[f64]) -> Vec<f64> {
        let value = |source: &Source| match *source {
            Source::Outside => f64::NAN,
            Source::At(i) => values[i],
            Source::Between(i, part) => values[i] + part * (values[i + 1] - values[i]),
        };
        self.sources.iter().map(value).collect()
    }
}

fn source(samples_nm: &[f64], nm: f64) -> Source {
    let is_here = |i: usize| {
        samples_nm.get(i).is_some_and(|sample| (sample - nm).abs() <= SAME_WAVELENGTH * nm)
    };
    let after = samples_nm.partition_point(|sample| *sample < nm);
    if is_here(after) {
        return Source::At(after);
    }
    match after.checked_sub(1) {
        Some(before) if is_here(before) => Source::At(before),
        Some(before) if after < samples_nm.len() => {
            let (low, high) = (samples_nm[before], samples_nm[after]);
            Source::Between(before, (nm - low) / (high - low))
        }
        _ => Source::Outside,
    }
}

/// Positions of a file in the order of rising wavelengths: the axis, and which sample of the file
/// stands at each place of it.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) axis: Axis,
    places: Arc<[usize]>,
}

impl Ordered {
    /// # Errors
    /// When two samples lie at the same place, or one lies nowhere.
    pub(super) fn new(positions: &[f64], unit: AxisUnit) -> Result<Self> {
        let mut places: Vec<usize> = (0..positions.len()).collect();
        places.sort_by(|a, b| unit.to_nm(positions[*a]).total_cmp(&unit.to_nm(positions[*b])));
        if let Some(pair) = places.windows(2).find(|pair| positions[pair[0]] == positions[pair[1]])
        {
            let (first, second) = (pair[0].min(pair[1]) + 1, pair[0].max(pair[1]) + 1);
            let at = positions[pair[0]];
            let message = format!("bands {first} and {second} both lie at {at} {unit}");
            return Err(Error::new("spectral::axis_twice", message));
        }
        let axis = Axis::new(places.iter().map(|place| positions[*place]).collect(), unit)?;
        Ok(Self { axis, places: places.into() })
    }

    /// Values of the file in the order of the axis.
    pub(super) fn arranged(&self, values: &[f64]) -> Vec<f64> {
        self.places.iter().map(|place| values[*place]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(values: &[f64], unit: AxisUnit) -> Axis {
        Axis::new(values.to_vec(), unit).unwrap()
    }

    #[test]
    fn a_falling_axis_is_turned_round_with_its_values() {
        let wavenumbers = axis(&[4000.0, 5000.0, 10_000.0], AxisUnit::Wavenumbers);
        let spectrum = Spectrum::new("a", "a", &wavenumbers, vec![1.0, 2.0, 3.0]).unwrap();
        assert_eq!(*spectrum.axis().to_nm(), [1000.0, 2000.0, 2500.0]);
        assert_eq!(spectrum.values(), [3.0, 2.0, 1.0]);
        let error = Spectrum::new("a", "a", &wavenumbers, vec![1.0]).unwrap_err();
        assert_eq!(error.message, "spectrum `a` has 1 values on an axis of 3");
    }

    #[test]
    fn a_straight_line_stays_one_on_every_grid_and_in_every_unit() {
        let lab = axis(&[0.4, 0.5, 0.9, 1.3], AxisUnit::Micrometers);
        let values = lab.to_nm().iter().map(|nm| 2.0 + 0.001 * nm).collect();
        let line = Spectrum::new("line", "line", &lab, values).unwrap();
        for unit in [AxisUnit::Nanometers, AxisUnit::Micrometers, AxisUnit::Wavenumbers] {
            let nm = [400.0, 401.7, 570.0, 899.9, 900.0, 1300.0];
            let grid = axis(&nm.map(|nm| unit.from_nm(nm)), unit);
            let seen = line.resampled(&grid);
            assert_eq!(seen.axis(), &grid);
            for (nm, value) in nm.iter().zip(seen.values()) {
                assert!((value - (2.0 + 0.001 * nm)).abs() < 1e-12, "{unit} {nm}: {value}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_missing_around_it_and_no_further() {
        let lab = axis(&[400.0, 500.0, 600.0, 700.0, 800.0], AxisUnit::Nanometers);
        let values = vec![1.0, 2.0, f64::NAN, 4.0, 5.0];
        let spectrum = Spectrum::new("gap", "gap", &lab, values).unwrap();
        let nm = [399.0, 400.0, 500.0, 501.0, 600.0, 699.0, 700.0, 750.0, 800.0, 801.0];
        let seen = spectrum.resampled(&axis(&nm, AxisUnit::Nanometers));
        let valid: Vec<bool> = seen.values().iter().map(|value| value.is_finite()).collect();
        assert_eq!(valid, [false, true, true, false, false, false, true, true, true, false]);
        assert_eq!((seen.n_valid(), seen.values()[7]), (5, 4.5));
        assert_eq!(spectrum.resampled(&lab), spectrum);
    }

    #[test]
    fn bands_of_two_detectors_are_sorted_and_two_at_one_place_refused() {
        let ordered = Ordered::new(&[900.0, 1000.0, 950.0], AxisUnit::Nanometers).unwrap();
        assert_eq!(ordered.axis.values(), [900.0, 950.0, 1000.0]);
        assert_eq!(ordered.arranged(&[1.0, 2.0, 3.0]), [1.0, 3.0, 2.0]);
        let twice = Ordered::new(&[900.0, 1000.0, 900.0], AxisUnit::Nanometers).err().unwrap();
        assert_eq!(twice.message, "bands 1 and 3 both lie at 900 nm");
    }
}
