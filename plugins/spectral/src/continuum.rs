//! The continuum of a spectrum, what is left when it is divided out, and slopes.

use crate::sampling::linear;

/// Lowest value of a continuum: what is divided by it stays finite.
const FLOOR: f64 = 1e-6;

/// A continuum, and the spectrum divided by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Continuum {
    /// The continuum at each sample, at least 1e-6.
    pub line: Vec<f64>,
    /// Each value over the continuum; missing (NaN) where the value is.
    pub removed: Vec<f64>,
}

impl Continuum {
    fn of(values: &[f64], line: Vec<f64>) -> Self {
        let line: Vec<f64> = line.into_iter().map(|value| value.max(FLOOR)).collect();
        let removed = values.iter().zip(&line).map(|(value, line)| value / line).collect();
        Self { line, removed }
    }
}

/// The straight line through the spectrum at the two ends of a window, over the whole axis; without
/// a window, at the ends of the axis. `nm` rises.
///
/// ```
/// use spectral::continuum::straight;
///
/// let nm = [400.0, 500.0, 600.0, 700.0, 800.0];
/// let found = straight(&nm, &[0.4, 0.35, 0.3, 0.33, 0.38], None);
/// assert!((found.removed[2] - 0.769_230_8).abs() < 1e-7);
/// ```
///
/// # Panics
/// When there is not one value for each wavelength, or none at all; so do the other functions here.
pub fn straight(nm: &[f64], values: &[f64], window_nm: Option<[f64; 2]>) -> Continuum {
    assert_eq!(nm.len(), values.len(), "one value for each wavelength");
    let [left, right] = window_nm.unwrap_or([nm[0], nm[nm.len() - 1]]);
    let (at_left, at_right) = (linear(nm, values, left), linear(nm, values, right));
    let slope = if right > left { (at_right - at_left) / (right - left) } else { 0.0 };
    Continuum::of(values, nm.iter().map(|x| at_left + slope * (x - left)).collect())
}

/// The upper convex hull of the spectrum: the lowest curve above it that nowhere bends upwards
/// (Clark and Roush 1984, "Reflectance spectroscopy"). `nm` rises; missing values are passed over.
///
/// ```
/// use spectral::continuum::hull;
///
/// let found = hull(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.5, 0.8, 1.0]);
/// assert_eq!(found.removed, [1.0, 0.5, 0.8, 1.0]);
/// ```
pub fn hull(nm: &[f64], values: &[f64]) -> Continuum {
    assert_eq!(nm.len(), values.len(), "one value for each wavelength");
    let mut corners: Vec<(f64, f64)> = Vec::new();
    let known = nm.iter().copied().zip(values.iter().copied());
    for (x, y) in known.filter(|(_, value)| value.is_finite()) {
        while let [.., (x1, y1), (x2, y2)] = corners.as_slice() {
            // The middle one stays only above the line from the one before to the new one.
            if (y2 - y1) * (x - x1) > (y - y1) * (x2 - x1) {
                break;
            }
            corners.pop();
        }
        corners.push((x, y));
    }
    let (xs, ys): (Vec<f64>, Vec<f64>) = corners.into_iter().unzip();
    if xs.is_empty() {
        return Continuum::of(values, vec![f64::NAN; nm.len()]);
    }
    Continuum::of(values, nm.iter().map(|x| linear(&xs, &ys, *x)).collect())
}

/// First differences of the values over those of the wavelengths, which count as 1e-6 nm at least:
/// one slope fewer than there are values.
pub fn slopes(nm: &[f64], values: &[f64]) -> Vec<f64> {
    assert_eq!(nm.len(), values.len(), "one value for each wavelength");
    let steps = nm.windows(2).map(|pair| (pair[1] - pair[0]).max(1e-6));
    values.windows(2).zip(steps).map(|(pair, step)| (pair[1] - pair[0]) / step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NM: [f64; 5] = [400.0, 500.0, 600.0, 700.0, 800.0];
    const VALUES: [f64; 5] = [0.4, 0.35, 0.30, 0.33, 0.38];

    #[track_caller]
    fn near(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        let is_near = |(found, expected): (&f64, &f64)| (found - expected).abs() < tolerance;
        assert!(found.iter().zip(expected).all(is_near), "{found:?} for {expected:?}");
    }

    #[test]
    fn the_straight_continuum_of_the_reference() {
        let whole = straight(&NM, &VALUES, None);
        near(&whole.line, &[0.4, 0.395, 0.39, 0.385, 0.38], 1e-12);
        near(&whole.removed, &[1.0, 0.886_075_8, 0.769_230_8, 0.857_142_9, 1.0], 1e-6);
    }

    #[test]
    fn a_window_has_its_line_drawn_on_beyond_it() {
        let found = straight(&NM, &VALUES, Some([450.0, 750.0]));
        let expected = [1.057_268_7, 0.941_704_0, 0.821_917_8, 0.920_930_2, 1.080_568_7];
        near(&found.removed, &expected, 1e-6);
    }

    #[test]
    fn slopes_of_the_reference() {
        near(&slopes(&NM, &VALUES), &[-0.0005, -0.0005, 0.0003, 0.0005], 1e-12);
    }

    #[test]
    fn the_hull_touches_the_shoulders_and_lies_nowhere_below() {
        let values = [0.2, 0.5, 0.3, 0.55, 0.4];
        let found = hull(&NM, &values);
        // From 500 nm to 700 nm it is a line from 0.5 to 0.55.
        near(&found.line, &[0.2, 0.5, 0.525, 0.55, 0.4], 1e-12);
        assert!(found.removed.iter().all(|part| *part <= 1.0 + 1e-12));
    }

    #[test]
    fn gaps_are_passed_over_and_stay_gaps() {
        let values = [0.2, f64::NAN, 0.3, 0.55, 0.4];
        let found = hull(&NM, &values);
        assert!(found.removed[1].is_nan() && found.removed[3] == 1.0);
        assert!(hull(&NM, &[f64::NAN; 5]).removed.iter().all(|part| part.is_nan()));
    }
}
