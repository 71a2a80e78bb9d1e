//! Functions known at samples: between them they are straight, and integrals are trapezoids.

/// The interval of rising `xs` that holds `x`: the index of its lower end, and how far `x` is
/// towards the upper one, from 0 to 1. What lies outside is moved to the nearest end.
///
/// # Panics
/// When `xs` is empty.
pub(crate) fn interval(xs: &[f64], x: f64) -> (usize, f64) {
    let last = xs.len() - 1;
    if last == 0 || x <= xs[0] {
        return (0, 0.0);
    }
    if x >= xs[last] {
        return (last - 1, 1.0);
    }
    let lower = xs.partition_point(|known| *known <= x) - 1;
    (lower, (x - xs[lower]) / (xs[lower + 1] - xs[lower]))
}

/// The value at `x` of the function with values `ys` at rising `xs`; outside it is the nearest
/// end's. A missing neighbour (NaN) makes the value missing.
pub(crate) fn linear(xs: &[f64], ys: &[f64], x: f64) -> f64 {
    let (lower, part) = interval(xs, x);
    if part == 0.0 {
        return ys[lower];
    }
    if part == 1.0 {
        return ys[lower + 1];
    }
    ys[lower] + part * (ys[lower + 1] - ys[lower])
}

/// How much each sample counts in the integral by trapezoids over rising `xs`.
pub(crate) fn trapezoid_weights(xs: &[f64]) -> Vec<f64> {
    let mut weights = vec![0.0; xs.len()];
    for idx in 1..xs.len() {
        let half = 0.5 * (xs[idx] - xs[idx - 1]);
        weights[idx - 1] += half;
        weights[idx] += half;
    }
    weights
}

/// The integral of `ys` over rising `xs` by trapezoids.
pub(crate) fn trapezoid(xs: &[f64], ys: &[f64]) -> f64 {
    trapezoid_weights(xs).iter().zip(ys).map(|(weight, y)| weight * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_between_samples_and_constant_ends() {
        let (xs, ys) = ([1.0, 2.0, 4.0], [10.0, 20.0, 0.0]);
        let at = |x| linear(&xs, &ys, x);
        assert_eq!(
            [at(0.0), at(1.0), at(1.5), at(2.0), at(3.0), at(4.0), at(9.0)],
            [10.0, 10.0, 15.0, 20.0, 10.0, 0.0, 0.0]
        );
        assert_eq!(linear(&[3.0], &[7.0], 100.0), 7.0);
    }

    #[test]
    fn a_missing_sample_leaves_its_neighbours_known() {
        let (xs, ys) = ([1.0, 2.0, 3.0], [10.0, f64::NAN, 30.0]);
        assert_eq!(linear(&xs, &ys, 1.0), 10.0);
        assert_eq!(linear(&xs, &ys, 3.0), 30.0);
        assert!(linear(&xs, &ys, 1.5).is_nan());
    }

    #[test]
    fn trapezoids_are_exact_for_lines() {
        let xs = [0.0, 1.0, 3.0];
        assert_eq!(trapezoid_weights(&xs), [0.5, 1.5, 1.0]);
        assert_eq!(trapezoid(&xs, &[1.0, 3.0, 7.0]), 12.0);
    }
}
