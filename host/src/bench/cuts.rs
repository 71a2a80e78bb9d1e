//! The ways to cut a step: so many samples at once, so many times.

use serde::{Deserialize, Serialize};

/// Ways that are tried at most, those with the largest micro-batches.
const CUTS_MAX: usize = 12;

/// A step of `micro_batch` samples at once, `accumulation` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// Samples of a micro-batch.
    pub micro_batch: u64,
    /// Micro-batches of a step.
    pub accumulation: u64,
}

impl Cut {
    /// Samples of a step.
    pub fn effective_batch(self) -> u64 {
        self.micro_batch.saturating_mul(self.accumulation)
    }

    /// The ways to cut steps of `effective_batch` samples into micro-batches of at most `largest`,
    /// the largest first.
    pub(super) fn all(effective_batch: u64, largest: u64) -> Vec<Self> {
        let small = (1..=effective_batch.isqrt()).filter(|d| effective_batch.is_multiple_of(*d));
        let mut divisors: Vec<u64> = small.flat_map(|d| [d, effective_batch / d]).collect();
        divisors.retain(|d| *d <= largest);
        divisors.sort_unstable_by(|a, b| b.cmp(a));
        divisors.dedup();
        divisors.truncate(CUTS_MAX);
        let cut = |d| Self { micro_batch: d, accumulation: effective_batch / d };
        divisors.into_iter().map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micro_batches(effective_batch: u64, largest: u64) -> Vec<u64> {
        let cuts = Cut::all(effective_batch, largest);
        assert!(cuts.iter().all(|cut| cut.effective_batch() == effective_batch));
        cuts.iter().map(|cut| cut.micro_batch).collect()
    }

    #[test]
    fn a_step_is_cut_into_equal_parts_that_fit() {
        assert_eq!(micro_batches(12, 100), [12, 6, 4, 3, 2, 1]);
        assert_eq!(micro_batches(16, 5), [4, 2, 1]);
        assert_eq!(micro_batches(7, 6), [1]);
        assert_eq!(micro_batches(1, 1), [1]);
        assert_eq!(micro_batches(9, 0), [0; 0]);
    }

    #[test]
    fn of_many_ways_those_with_large_parts_are_tried() {
        let tried = micro_batches(5040, u64::MAX);
        assert_eq!(tried.len(), CUTS_MAX);
        assert_eq!((tried[0], tried[11]), (5040, 360));
    }
}
