//! Finding each spectrum's partner among all: how often it is the most alike, or among the `k` most
//! alike.

/// The place of each query's own partner among all candidates, 0 for the most alike.
///
/// Query `i`'s partner is candidate `i`. Of candidates that are equally alike the first counts as
/// more alike; a likeness that is NaN is the least.
///
/// ```
/// use spectral::retrieval::{at, ranks};
///
/// let alike = [[0.9, 0.2], [0.8, 0.1]];
/// let ranks = ranks(2, |query, candidate| alike[query][candidate]);
/// assert_eq!(ranks, [0, 1]);
/// assert_eq!((at(1, &ranks), at(2, &ranks)), (0.5, 1.0));
/// ```
pub fn ranks(n: usize, likeness: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let known = |query, candidate| {
        let likeness = likeness(query, candidate);
        if likeness.is_nan() { f64::NEG_INFINITY } else { likeness }
    };
    let rank = |query: usize| {
        let own = known(query, query);
        let is_before = |candidate: &usize| {
            let other = known(query, *candidate);
            other > own || (other == own && *candidate < query)
        };
        (0..n).filter(is_before).count()
    };
    (0..n).map(rank).collect()
}

/// Retrieval@k: the part of queries whose partner is among the `k` most alike; NaN without queries.
pub fn at(k: usize, ranks: &[usize]) -> f64 {
    ranks.iter().filter(|rank| **rank < k).count() as f64 / ranks.len() as f64
}

/// Retrieval@k of guessing among `n` candidates.
pub fn chance(k: usize, n: usize) -> f64 {
    k.min(n) as f64 / n as f64
}

#[cfg(test)]
mod tests {
    use sdk::Generator;

    use super::*;
    use crate::angle::{cosine, mean_spectral_angle};

    /// Ranks by cosine.
    fn cosine_ranks(queries: &[Vec<f64>], candidates: &[Vec<f64>]) -> Vec<usize> {
        ranks(queries.len(), |i, j| cosine(&queries[i], &candidates[j]))
    }

    #[test]
    fn retrieval_of_the_reference() {
        let z1 = [vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 1.0]];
        let z2 = [vec![0.9, 0.1], vec![0.8, 0.9], vec![0.2, 1.0]];
        let ranks = cosine_ranks(&z1, &z2);
        assert_eq!((at(1, &ranks), at(2, &ranks)), (1.0 / 3.0, 1.0));
    }

    #[test]
    fn partners_with_a_little_noise_are_found_and_lie_nearer_than_others() {
        let mut generator = Generator::new(0, "retrieval");
        for (n, width) in [(8, 6), (6, 5)] {
            let mut draw = |size: f64| -> Vec<Vec<f64>> {
                let mut row = || (0..width).map(|_| size * generator.normal()).collect();
                (0..n).map(|_| row()).collect()
            };
            let (z, noise) = (draw(1.0), draw(0.05));
            let noisy: Vec<Vec<f64>> = z
                .iter()
                .zip(&noise)
                .map(|(z, noise)| z.iter().zip(noise).map(|(a, b)| a + b).collect())
                .collect();
            let ranks = cosine_ranks(&z, &noisy);
            assert!(at(1, &ranks) >= 0.7 && at(3, &ranks) >= at(1, &ranks), "{ranks:?}");
            let mean = |by: usize| {
                mean_spectral_angle((0..n).map(|i| (&z[i][..], &noisy[(i + by) % n][..])))
            };
            assert!(mean(0) < 0.1 && mean(1) > 0.5, "{} {}", mean(0), mean(1));
        }
    }

    #[test]
    fn ties_go_to_the_first_and_unknown_likeness_to_the_end() {
        assert_eq!(ranks(3, |_, _| 1.0), [0, 1, 2]);
        let own_is_unknown = |i, j| if i == j { f64::NAN } else { 0.0 };
        assert_eq!(ranks(3, own_is_unknown), [2, 2, 2]);
        assert_eq!((chance(1, 8), chance(20, 8)), (0.125, 1.0));
        assert!(at(1, &[]).is_nan());
    }
}
