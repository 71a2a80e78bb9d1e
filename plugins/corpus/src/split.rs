//! Which documents are for training and which are held back.
//!
//! A split follows from the documents' contents, not from the run's seed: runs with different
//! seeds, and the phases of one run, hold back the same documents.

use std::fmt;

use crate::config::{HeldBack, ValSplitBy};
use crate::source::Piece;

/// Up to this many documents the split is exact; beyond, it is a bound on the hash alone, which
/// needs no memory and comes as close.
const EXACT_DOCUMENTS_MAX: usize = 1 << 22;

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

/// What must be known of all documents before the first can be assigned.
#[derive(Debug)]
pub(super) struct Survey {
    held_back: HeldBack,
    /// Of the first documents.
    hashes: Vec<u64>,
    n_documents: u64,
    /// Bytes of the last document.
    n_bytes: u64,
}

impl Survey {
    pub(super) fn new(held_back: HeldBack) -> Self {
        Self { held_back, hashes: Vec::new(), n_documents: 0, n_bytes: 0 }
    }

    pub(super) fn n_documents(&self) -> u64 {
        self.n_documents
    }

    /// A document begins.
    pub(super) fn begin(&mut self, hash: u64) {
        self.n_documents += 1;
        self.n_bytes = 0;
        let is_by_hash = self.held_back.val_split_by == ValSplitBy::Documents;
        if is_by_hash && self.hashes.len() <= EXACT_DOCUMENTS_MAX {
            self.hashes.push(hash);
        }
    }

    /// The document has this many bytes more.
    pub(super) fn grow(&mut self, n_bytes: u64) {
        self.n_bytes += n_bytes;
    }

    /// The rule that holds back the wanted part.
    pub(super) fn rule(mut self) -> SplitRule {
        let fraction = self.held_back.val_fraction;
        if self.held_back.val_split_by == ValSplitBy::Tail {
            return self.tail(fraction);
        }
        if self.hashes.len() > EXACT_DOCUMENTS_MAX {
            return SplitRule::by_fraction(fraction);
        }
        self.hashes.sort_unstable();
        val_limit(&self.hashes, fraction).map_or(SplitRule::AllTrain, SplitRule::HashUpTo)
    }

    fn tail(&self, fraction: f64) -> SplitRule {
        if self.n_documents == 1 {
            let n_val = (self.n_bytes as f64 * fraction) as u64;
            return SplitRule::FromByte(self.n_bytes - n_val);
        }
        let n_val = (self.n_documents as f64 * fraction) as u64;
        let n_train = self.n_documents - n_val.min(self.n_documents);
        SplitRule::FromDocument(n_train.clamp(1, self.n_documents.saturating_sub(1).max(1)))
    }
}

/// Which documents are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SplitRule {
    AllTrain,
    AllVal,
    /// Those whose hash is at most this.
    HashUpTo(u64),
    /// Those from this index on.
    FromDocument(u64),
    /// Of the only document, the text from this byte on.
    FromByte(u64),
}

impl SplitRule {
    /// About this part of the documents, without knowing them.
    pub(super) fn by_fraction(val_fraction: f64) -> Self {
        Self::HashUpTo((val_fraction * u64::MAX as f64) as u64)
    }

    /// At the first document.
    pub(super) fn begin(self) -> Assigner {
        Assigner { rule: self, n_documents: 0, byte: 0, side: Split::Train }
    }
}

/// Assigns documents, piece by piece, in their order.
#[derive(Debug)]
pub(super) struct Assigner {
    rule: SplitRule,
    n_documents: u64,
    /// Bytes of the document that are assigned.
    byte: u64,
    /// Where the document belongs.
    side: Split,
}

impl Assigner {
    /// The split that a piece belongs to. Only a single document that is cut gives two pieces.
    pub(super) fn assign(&mut self, piece: Piece) -> Vec<(Split, Piece)> {
        if piece.is_first {
            self.side = self.side_of(&piece.text);
            self.n_documents += 1;
            self.byte = 0;
        }
        let begin = self.byte;
        self.byte += piece.text.len() as u64;
        let SplitRule::FromByte(from) = self.rule else { return vec![(self.side, piece)] };
        if from <= begin {
            return vec![(Split::Val, piece)];
        }
        if from > self.byte || (from == self.byte && piece.is_last) {
            return vec![(Split::Train, piece)];
        }
        let cut = piece.text.floor_char_boundary((from - begin) as usize);
        let (train, val) = piece.text.split_at(cut);
        let (is_last, place) = (piece.is_last, piece.place.clone());
        let val = Piece { text: val.to_owned(), is_first: true, is_last, place };
        let train = Piece { text: train.to_owned(), is_last: true, ..piece };
        [(Split::Train, train), (Split::Val, val)]
            .into_iter()
            .filter(|(_, part)| !part.text.is_empty() || part.is_last)
            .collect()
    }

    fn side_of(&self, first_piece: &str) -> Split {
        let is_val = match self.rule {
            SplitRule::AllTrain | SplitRule::FromByte(_) => false,
            SplitRule::AllVal => true,
            SplitRule::HashUpTo(limit) => stable_hash(first_piece.as_bytes()) <= limit,
            SplitRule::FromDocument(from) => self.n_documents >= from,
        };
        if is_val { Split::Val } else { Split::Train }
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
