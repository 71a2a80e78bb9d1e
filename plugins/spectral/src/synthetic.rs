//! Spectra that are made up: laboratory spectra with peaks, and tokens of pure noise.

use schemars::JsonSchema;
use sdk::{Error, Generator};
use serde::{Deserialize, Serialize};

use crate::Grid;

/// Range of values of a made-up laboratory spectrum.
const VALUES: (f64, f64) = (0.0, 2.0);

/// Made-up laboratory spectra: one wave over the whole axis, peaks, and noise. All spectra of a
/// batch share the peaks and differ by the noise alone.
///
/// ```
/// use sdk::Generator;
/// use spectral::SyntheticLab;
///
/// let lab = SyntheticLab::default();
/// let spectra = lab.batch(8, &mut Generator::new(42, "lab"));
/// assert_eq!((spectra.len(), spectra[0].len()), (8, 256));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticLab {
    /// Wavelengths, in nanometres: `{start, stop, num}` or a list.
    pub lab_grid_nm: Grid,
    /// Standard deviation of the noise on each value.
    #[schemars(range(min = 0.0))]
    pub lab_noise_std: f64,
    /// Number of peaks.
    #[schemars(range(max = 1000))]
    pub synthetic_peaks: usize,
}

impl Default for SyntheticLab {
    fn default() -> Self {
        let lab_grid_nm = Grid::even(380.0, 2500.0, 256);
        Self { lab_grid_nm, lab_noise_std: 0.01, synthetic_peaks: 3 }
    }
}

impl SyntheticLab {
    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let mut faults = Vec::new();
        if let Err(fault) = self.lab_grid_nm.axis(crate::AxisUnit::Nanometers) {
            faults.push(fault.at("lab_grid_nm"));
        }
        if !(self.lab_noise_std >= 0.0 && self.lab_noise_std.is_finite()) {
            let message = format!("`lab_noise_std` must be at least 0: {}", self.lab_noise_std);
            faults.push(Error::new("spectral::range", message).at("lab_noise_std"));
        }
        faults
    }

    /// `n_spectra` spectra on the grid. Peaks are drawn first: all centres, then all widths (20 to
    /// 120 nm), then all heights (0.05 to 0.3); the noise after them.
    pub fn batch(&self, n_spectra: usize, generator: &mut Generator) -> Vec<Vec<f64>> {
        let nm = self.lab_grid_nm.positions();
        let clean = self.clean(&nm, generator);
        let noisy = |_| {
            let value = |value: &f64| self.noisy(*value, generator);
            clean.iter().map(value).collect()
        };
        (0..n_spectra).map(noisy).collect()
    }

    fn noisy(&self, value: f64, generator: &mut Generator) -> f64 {
        let noise = if self.lab_noise_std > 0.0 { generator.normal() } else { 0.0 };
        (value + self.lab_noise_std * noise).clamp(VALUES.0, VALUES.1)
    }

    /// The spectrum that a batch shares.
    fn clean(&self, nm: &[f64], generator: &mut Generator) -> Vec<f64> {
        let (low, high) = (nm[0], nm[nm.len() - 1]);
        let mut draw = |from: f64, to: f64| -> Vec<f64> {
            (0..self.synthetic_peaks).map(|_| from + (to - from) * generator.uniform()).collect()
        };
        let (centers, widths, heights) = (draw(low, high), draw(20.0, 120.0), draw(0.05, 0.3));
        let peaks = |x: f64| -> f64 {
            let each = centers.iter().zip(&widths).zip(&heights);
            each.map(|((c, w), height)| height * (-0.5 * ((x - c) / w).powi(2)).exp()).sum()
        };
        let wave = |x: f64| (std::f64::consts::TAU * (x - low) / (high - low)).sin();
        nm.iter().map(|x| 0.5 + 0.5 * wave(*x) + peaks(*x)).collect()
    }
}

/// `n_values` standard normal values: tokens without any structure.
pub fn noise_tokens(n_values: usize, generator: &mut Generator) -> Vec<f32> {
    (0..n_values).map(|_| generator.normal() as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::mean_and_deviation;

    fn spectra(lab: &SyntheticLab, seed: u64) -> Vec<Vec<f64>> {
        lab.batch(4, &mut Generator::new(seed, "lab"))
    }

    #[test]
    fn without_peaks_and_noise_it_is_one_wave() {
        let lab = SyntheticLab {
            lab_grid_nm: Grid::even(400.0, 800.0, 5),
            lab_noise_std: 0.0,
            synthetic_peaks: 0,
        };
        for (found, expected) in spectra(&lab, 1)[3].iter().zip([0.5, 1.0, 0.5, 0.0, 0.5]) {
            assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }
    }

    #[test]
    fn a_batch_shares_its_peaks_and_differs_by_the_noise() {
        let lab = SyntheticLab::default();
        let batch = spectra(&lab, 1);
        let differences = batch[0].iter().zip(&batch[1]).map(|(a, b)| a - b);
        let differences: Vec<f64> = differences.collect();
        let (_, deviation) = mean_and_deviation(differences.iter().copied()).unwrap();
        // √2 times 0.01, within three standard errors; values cut at 0 make it a little smaller.
        assert!((deviation - 0.0141).abs() < 0.002, "{deviation}");
        assert!(batch.iter().flatten().all(|value| (0.0..=2.0).contains(value)));
    }

    #[test]
    fn peaks_are_within_their_bounds() {
        let lab = SyntheticLab { lab_noise_std: 0.0, ..SyntheticLab::default() };
        let none = SyntheticLab { synthetic_peaks: 0, ..lab.clone() };
        let base = &spectra(&none, 1)[0];
        for seed in 0..50 {
            let batch = spectra(&lab, seed);
            let peaks = batch[0].iter().zip(base).map(|(a, b)| a - b);
            let highest = peaks.fold(0.0, f64::max);
            assert!((0.04..=0.9).contains(&highest), "seed {seed}: {highest}");
        }
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let lab = SyntheticLab::default();
        assert_eq!(spectra(&lab, 7), spectra(&lab, 7));
        assert_ne!(spectra(&lab, 7), spectra(&lab, 8));
    }

    #[test]
    fn noise_tokens_are_standard_normal() {
        let tokens = noise_tokens(40_000, &mut Generator::new(1, "tokens"));
        let (mean, deviation) = mean_and_deviation(tokens.iter().map(|v| f64::from(*v))).unwrap();
        assert!(mean.abs() < 0.015 && (deviation - 1.0).abs() < 0.015, "{mean} {deviation}");
    }

    #[test]
    fn faults_name_their_keys() {
        let lab = SyntheticLab {
            lab_grid_nm: Grid::Listed(vec![400.0]),
            lab_noise_std: -1.0,
            ..SyntheticLab::default()
        };
        let paths: Vec<_> = lab.check().into_iter().filter_map(|fault| fault.path).collect();
        assert_eq!(paths, ["lab_grid_nm", "lab_noise_std"]);
    }
}
