//! Mean, deviation and quantiles of what is known; missing values (NaN, infinities) don't count.

/// Mean and population deviation of the finite values; `None` when there are none.
pub(crate) fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let known = values.filter(|value| value.is_finite());
    let (count, sum) = known.clone().fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
    if count == 0.0 {
        return None;
    }
    let mean = sum / count;
    let squares: f64 = known.map(|value| (value - mean) * (value - mean)).sum();
    Some((mean, (squares / count).sqrt()))
}

/// The quantiles `parts` (0 to 1) of the finite values, straight between the sorted ones; `None`
/// when there are none.
pub(crate) fn quantiles<const N: usize>(values: &[f64], parts: [f64; N]) -> Option<[f64; N]> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some(parts.map(|part| {
        let place = part * last as f64;
        let lower = (place.floor() as usize).min(last);
        let upper = (lower + 1).min(last);
        sorted[lower] + (place - lower as f64) * (sorted[upper] - sorted[lower])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_values_do_not_count() {
        let values = [1.0, f64::NAN, 3.0, f64::INFINITY];
        assert_eq!(mean_and_deviation(values.iter().copied()), Some((2.0, 1.0)));
        assert_eq!(mean_and_deviation([f64::NAN].into_iter()), None);
        assert_eq!(quantiles(&[f64::NAN], [0.5]), None);
    }

    #[test]
    fn quantiles_are_straight_between_the_sorted_values() {
        let quarters = quantiles(&[0.8, 0.2, f64::NAN, 0.5, 0.4], [0.25, 0.5, 0.75]).unwrap();
        for (found, expected) in quarters.iter().zip([0.35, 0.45, 0.575]) {
            assert!((found - expected).abs() < 1e-15, "{quarters:?}");
        }
    }
}
