//! A library of spectra: of any axes and units, from any number of files.

use std::collections::BTreeMap;

use super::spectrum::{Resampler, Spectrum};
use super::split::SplitRule;
use crate::axis::Axis;

/// Spectra in their order, each on an axis of its own.
///
/// ```
/// use spectral::{Axis, AxisUnit};
/// use spectral::data::{Library, Spectrum};
///
/// let visible = Axis::nm(vec![400.0, 700.0])?;
/// let infrared = Axis::new(vec![0.6, 2.5], AxisUnit::Micrometers)?;
/// let mut library: Library =
///     [Spectrum::new("leaf 1", "leaf", &visible, vec![0.1, 0.4])?].into_iter().collect();
/// library.extend([Spectrum::new("talc 1", "talc", &infrared, vec![0.9, 0.8])?]);
///
/// let seen = library.resampled(&Axis::nm(vec![400.0, 650.0])?);
/// assert_eq!(seen.spectra()[0].n_valid(), 2);
/// assert_eq!(seen.spectra()[1].n_valid(), 1);
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Library {
    spectra: Vec<Spectrum>,
}

impl Library {
    /// Its spectra.
    pub fn spectra(&self) -> &[Spectrum] {
        &self.spectra
    }

    /// How many spectra it has.
    pub fn len(&self) -> usize {
        self.spectra.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.spectra.is_empty()
    }

    /// How many spectra there are of each material.
    pub fn materials(&self) -> BTreeMap<&str, usize> {
        let mut materials = BTreeMap::new();
        for spectrum in &self.spectra {
            *materials.entry(spectrum.material.as_str()).or_default() += 1;
        }
        materials
    }

    /// All spectra on one grid, whose wavelengths rise: linear between neighbours, missing outside
    /// of what was measured.
    #[must_use]
    pub fn resampled(&self, grid: &Axis) -> Self {
        let mut last: Option<Resampler> = None;
        let spectra = self.spectra.iter().map(|spectrum| {
            let known = last.take().filter(|known| known.is_for(spectrum.axis()));
            let resampler = known.unwrap_or_else(|| Resampler::new(spectrum.axis(), grid));
            last.insert(resampler).spectrum(spectrum)
        });
        Self { spectra: spectra.collect() }
    }

    /// Takes out the spectra of which less than this part (of 1) is there, and gives their names.
    pub fn drop_uncovered(&mut self, part_min: f64) -> Vec<String> {
        let is_covered = |spectrum: &Spectrum| {
            let n_valid = spectrum.n_valid();
            n_valid > 0 && n_valid as f64 >= part_min * spectrum.values().len() as f64
        };
        let gone = self.spectra.extract_if(.., |spectrum| !is_covered(spectrum));
        gone.map(|spectrum| spectrum.name).collect()
    }

    /// A hash of all names, materials, axes and values, in hexadecimal digits: what a checkpoint
    /// says its data was.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for spectrum in &self.spectra {
            for text in [&spectrum.name, &spectrum.material] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
            hasher.update(&(spectrum.values().len() as u64).to_le_bytes());
            for (nm, value) in spectrum.axis().to_nm().iter().zip(spectrum.values()) {
                // Of the many NaN there are, one stands for all that is missing.
                let value = if value.is_nan() { f64::NAN } else { *value };
                hasher.update(&nm.to_le_bytes());
                hasher.update(&value.to_le_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The spectra to train on and those held back, each in their order. All of one material are
    /// on one side.
    pub fn split(self, rule: &SplitRule) -> (Self, Self) {
        let (val, train) =
            self.spectra.into_iter().partition(|spectrum| rule.holds_back(&spectrum.material));
        (Self { spectra: train }, Self { spectra: val })
    }
}

impl FromIterator<Spectrum> for Library {
    fn from_iter<I: IntoIterator<Item = Spectrum>>(spectra: I) -> Self {
        Self { spectra: spectra.into_iter().collect() }
    }
}

impl Extend<Spectrum> for Library {
    fn extend<I: IntoIterator<Item = Spectrum>>(&mut self, spectra: I) {
        self.spectra.extend(spectra);
    }
}

impl IntoIterator for Library {
    type Item = Spectrum;
    type IntoIter = std::vec::IntoIter<Spectrum>;

    fn into_iter(self) -> Self::IntoIter {
        self.spectra.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::AxisUnit;

    fn spectrum(name: &str, axis: &Axis, values: &[f64]) -> Spectrum {
        Spectrum::new(name, name, axis, values.to_vec()).unwrap()
    }

    #[test]
    fn libraries_of_other_grids_and_units_come_together_on_one() {
        let nm = Axis::nm(vec![400.0, 500.0, 600.0]).unwrap();
        let um = Axis::new(vec![0.5, 0.7], AxisUnit::Micrometers).unwrap();
        let wavenumbers = Axis::new(vec![20_000.0, 25_000.0], AxisUnit::Wavenumbers).unwrap();
        let library: Library = [
            spectrum("nm", &nm, &[1.0, 2.0, 3.0]),
            spectrum("um", &um, &[5.0, 7.0]),
            spectrum("cm-1", &wavenumbers, &[20.0, 10.0]),
        ]
        .into_iter()
        .collect();
        let seen = library.resampled(&Axis::nm(vec![450.0, 550.0]).unwrap());
        let values: Vec<&[f64]> = seen.spectra().iter().map(Spectrum::values).collect();
        assert_eq!(values[0], [1.5, 2.5]);
        assert!(values[1][0].is_nan() && (values[1][1] - 5.5).abs() < 1e-12);
        assert!((values[2][0] - 15.0).abs() < 1e-12 && values[2][1].is_nan());
    }

    #[test]
    fn spectra_that_are_mostly_missing_are_taken_out_and_named() {
        let axis = Axis::nm(vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let mut library: Library = [
            spectrum("whole", &axis, &[1.0; 4]),
            spectrum("half", &axis, &[1.0, f64::NAN, f64::NAN, 1.0]),
            spectrum("none", &axis, &[f64::NAN; 4]),
        ]
        .into_iter()
        .collect();
        assert_eq!(library.clone().drop_uncovered(0.0), ["none"]);
        assert_eq!(library.drop_uncovered(0.6), ["half", "none"]);
        assert_eq!(library.len(), 1);
        assert_eq!(library.materials(), BTreeMap::from([("whole", 1)]));
    }
}
