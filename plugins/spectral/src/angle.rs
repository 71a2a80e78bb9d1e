//! How alike two spectra are, whatever their brightness.
//!
//! All functions look only at samples that both spectra have; those that either lacks (NaN) don't
//! count.

/// Sums over the samples that both have.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    a: f64,
    b: f64,
    aa: f64,
    bb: f64,
    ab: f64,
}

impl Sums {
    fn of(a: &[f64], b: &[f64], (a0, b0): (f64, f64)) -> Self {
        assert_eq!(a.len(), b.len(), "spectra on the same axis");
        let mut sums = Self::default();
        for (a, b) in a.iter().zip(b).filter(|(a, b)| a.is_finite() && b.is_finite()) {
            let (a, b) = (a - a0, b - b0);
            sums.count += 1.0;
            sums.a += a;
            sums.b += b;
            sums.aa += a * a;
            sums.bb += b * b;
            sums.ab += a * b;
        }
        sums
    }

    /// `ab / √(aa bb)` within −1 to 1; NaN where one of the two is 0 throughout.
    fn cosine(&self) -> f64 {
        let lengths = self.aa.sqrt() * self.bb.sqrt();
        if lengths > 0.0 { (self.ab / lengths).clamp(-1.0, 1.0) } else { f64::NAN }
    }
}

/// Cosine of the angle between two spectra; NaN where they share no sample or one is 0 throughout.
///
/// # Panics
/// When the spectra have different numbers of samples; so do the other functions here.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    Sums::of(a, b, (0.0, 0.0)).cosine()
}

/// The spectral angle, in radians (Kruse and others 1993, "The spectral image processing system").
///
/// ```
/// use spectral::angle::spectral_angle;
///
/// assert!((spectral_angle(&[1.0, 0.0], &[0.0, 2.0]) - std::f64::consts::FRAC_PI_2).abs() < 1e-12);
/// ```
pub fn spectral_angle(a: &[f64], b: &[f64]) -> f64 {
    cosine(a, b).acos()
}

/// The spectral angle, in degrees.
pub fn spectral_angle_degrees(a: &[f64], b: &[f64]) -> f64 {
    spectral_angle(a, b).to_degrees()
}

/// The mean spectral angle of pairs, in radians; NaN where there are none.
pub fn mean_spectral_angle<'a>(pairs: impl IntoIterator<Item = (&'a [f64], &'a [f64])>) -> f64 {
    let (count, sum) = pairs
        .into_iter()
        .fold((0.0, 0.0), |(count, sum), (a, b)| (count + 1.0, sum + spectral_angle(a, b)));
    sum / count
}

/// The correlation of two spectra, −1 to 1: the cosine of what each differs from its own mean.
///
/// ```
/// use spectral::angle::centered_correlation;
///
/// assert_eq!(centered_correlation(&[0.1, 0.2, 0.3], &[0.5, 0.6, 0.7]), 1.0);
/// ```
pub fn centered_correlation(a: &[f64], b: &[f64]) -> f64 {
    let sums = Sums::of(a, b, (0.0, 0.0));
    let means = (sums.a / sums.count, sums.b / sums.count);
    Sums::of(a, b, means).cosine()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference computes in `f32`, whose arc cosine is off by some 1e-6.
    const TOLERANCE: f64 = 5e-6;

    #[test]
    fn mean_angle_of_the_reference() {
        let pairs: [(&[f64], &[f64]); 2] =
            [(&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0]), (&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.1])];
        let found = mean_spectral_angle(pairs);
        assert!((found - 0.789_350_0).abs() < TOLERANCE, "{found}");
    }

    #[test]
    fn matched_pairs_are_nearer_than_pairs_moved_by_one() {
        let (z1, z2) = ([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[0.9, 0.1], [0.8, 0.9], [0.2, 1.0]]);
        let mean = |by: usize| {
            mean_spectral_angle((0..3).map(|i| (&z1[i][..], &z2[(i + 3 - by) % 3][..])))
        };
        let (matched, moved) = (mean(0), mean(1));
        assert!((matched - 0.475_100_7).abs() < TOLERANCE, "{matched}");
        assert!((moved - 0.964_098_6).abs() < TOLERANCE, "{moved}");
        assert!((moved - matched - 0.488_997_8).abs() < TOLERANCE);
    }

    #[test]
    fn the_angle_knows_no_brightness_and_is_a_right_one_between_orthogonal_spectra() {
        let (a, b) = ([0.2, 0.5, 0.3], [0.4, 0.1, 0.9]);
        let brighter: Vec<f64> = a.iter().map(|value| 7.0 * value).collect();
        assert!((spectral_angle(&a, &b) - spectral_angle(&brighter, &b)).abs() < 1e-12);
        assert!(spectral_angle(&a, &brighter) < 1e-7);
        assert!((spectral_angle_degrees(&[1.0, 0.0], &[0.0, 1.0]) - 90.0).abs() < 1e-12);
    }

    #[test]
    fn samples_that_one_lacks_do_not_count() {
        let whole = spectral_angle(&[0.2, 0.3], &[0.4, 0.1]);
        let gappy = spectral_angle(&[0.2, f64::NAN, 0.3, 9.0], &[0.4, 5.0, 0.1, f64::NAN]);
        assert_eq!(whole, gappy);
        assert!(spectral_angle(&[f64::NAN], &[1.0]).is_nan());
        assert!(spectral_angle(&[0.0, 0.0], &[1.0, 0.0]).is_nan());
    }

    #[test]
    fn the_correlation_knows_neither_brightness_nor_offset() {
        let a = [0.2, 0.5, 0.3, 0.9];
        let moved: Vec<f64> = a.iter().map(|value| 1.4 * value - 0.05).collect();
        assert!((centered_correlation(&a, &moved) - 1.0).abs() < 1e-12);
        let turned: Vec<f64> = a.iter().map(|value| 1.0 - value).collect();
        assert!((centered_correlation(&a, &turned) + 1.0).abs() < 1e-12);
        // By hand: [1, 2, 4] and [1, 3, 2] have 1.0 / √(14/3 · 2).
        let found = centered_correlation(&[1.0, 2.0, 4.0], &[1.0, 3.0, 2.0]);
        assert!((found - 1.0 / (28.0f64 / 3.0).sqrt()).abs() < 1e-12, "{found}");
    }
}
