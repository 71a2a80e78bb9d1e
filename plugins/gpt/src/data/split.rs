//! Which documents are for training and which are held back.
//!
//! A split follows from the documents' contents, not from the run's seed: runs with different
//! seeds, and the phases of one run, hold back the same documents.

use std::fmt;

/// One side of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// What the model learns from.
    Train,
    /// What is held back to measure it.
    Val,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Val => "val",
        })
    }
}

/// A 64-bit hash that never changes: FNV-1a, then the finaliser of `splitmix64` to spread it.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Takes documents apart into training and validation, both in their order.
///
/// About `val_fraction` of them are held back, and at least one on each side where there are two
/// different documents. Equal documents stay on one side. With a fraction of 0 all are for
/// training.
pub(super) fn split_documents<T>(documents: Vec<(u64, T)>, val_fraction: f64) -> (Vec<T>, Vec<T>) {
    let mut hashes: Vec<u64> = documents.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    let limit = val_limit(&hashes, val_fraction);
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (hash, document) in documents {
        if limit.is_some_and(|limit| hash <= limit) { &mut val } else { &mut train }.push(document);
    }
    (train, val)
}

/// The largest hash that is held back, given all of them in order.
fn val_limit(sorted: &[u64], val_fraction: f64) -> Option<u64> {
    let largest = sorted.last()?;
    if val_fraction <= 0.0 || sorted.first() == Some(largest) {
        return None;
    }
    let n_val = ((sorted.len() as f64 * val_fraction) as usize).clamp(1, sorted.len() - 1);
    let limit = sorted[n_val - 1];
    // Copies of the last document would leave nothing to train on: stop before them.
    if limit < *largest {
        Some(limit)
    } else {
        sorted.iter().rev().find(|hash| *hash < largest).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(
        documents: &[&'static str],
        val_fraction: f64,
    ) -> (Vec<&'static str>, Vec<&'static str>) {
        let hashed = documents.iter().map(|text| (stable_hash(text.as_bytes()), *text)).collect();
        split_documents(hashed, val_fraction)
    }

    #[test]
    fn the_hash_stays_what_it_is() {
        assert_eq!(stable_hash(b"Thing|Mira|red|kite|in the barn"), 6_956_824_120_911_598_369);
    }

    #[test]
    fn both_sides_get_a_document_where_there_are_two() {
        let (train, val) = split(&["a", "b"], 0.1);
        assert_eq!((train.len(), val.len()), (1, 1));
        let (train, val) = split(&["a", "b", "c"], 0.99);
        assert_eq!((train.len(), val.len()), (1, 2));
        let (train, val) = split(&["a"], 0.5);
        assert_eq!((train.len(), val.len()), (1, 0));
        let (train, val) = split(&["a", "b"], 0.0);
        assert_eq!((train.len(), val.len()), (2, 0));
    }

    #[test]
    fn copies_stay_together() {
        for val_fraction in [0.1, 0.3, 0.5, 0.7, 0.9] {
            let (train, val) = split(&["a", "b", "a", "c", "b", "a", "c", "b"], val_fraction);
            assert!(!train.is_empty() && !val.is_empty());
            assert!(train.iter().all(|text| !val.contains(text)), "{train:?} {val:?}");
        }
    }
}
