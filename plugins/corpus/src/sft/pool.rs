//! The conversations of one source, as tokens.

use crate::config::{HeldBack, ValSplitBy};
use crate::example::{Example, Token};
use crate::split::split_documents;
use crate::{SourceReport, Split};

/// Conversations to train on and to hold back.
///
/// All tokens stand in one list: some hundred thousand conversations are no more than their
/// tokens.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    tokens: Vec<Token>,
    /// Where each conversation ends in `tokens`.
    ends: Vec<usize>,
    train: Vec<u32>,
    val: Vec<u32>,
    /// Says what the conversations are: others have another.
    pub(super) data: String,
    pub(super) report: SourceReport,
}

/// A pool that conversations are put into, not yet taken apart.
#[derive(Debug)]
pub(super) struct OpenPool {
    tokens: Vec<Token>,
    ends: Vec<usize>,
    /// Conversations that may go to either side, with what keeps copies together.
    undecided: Vec<(u64, u32)>,
    val: Vec<u32>,
    pub(super) report: SourceReport,
}

impl OpenPool {
    pub(super) fn new(name: &str) -> Self {
        let report = SourceReport { name: name.to_owned(), ..SourceReport::default() };
        Self {
            tokens: Vec::new(),
            ends: Vec::new(),
            undecided: Vec::new(),
            val: Vec::new(),
            report,
        }
    }

    /// How many conversations there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Puts in a conversation; one that is not to be held back goes where its `key` sends it. One
    /// that nothing is learnt from is only counted.
    pub(super) fn push(&mut self, example: &Example, key: u64, split: Split) {
        self.report.n_truncated += usize::from(example.is_truncated);
        if example.n_learnt() == 0 {
            self.report.n_unlabelled += 1;
            return;
        }
        let idx = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.tokens.extend(&example.tokens);
        self.ends.push(self.tokens.len());
        match split {
            Split::Train => self.undecided.push((key, idx)),
            Split::Val => self.val.push(idx),
        }
    }

    /// Takes the conversations apart.
    pub(super) fn close(self, held_back: Option<HeldBack>) -> Pool {
        let (train, split_off) = match held_back {
            Some(held_back) if !held_back.is_given => take_apart(self.undecided, held_back),
            _ => (self.undecided.into_iter().map(|(_, idx)| idx).collect(), Vec::new()),
        };
        let mut pool = Pool {
            tokens: self.tokens,
            ends: self.ends,
            train,
            val: [self.val, split_off].concat(),
            data: String::new(),
            report: self.report,
        };
        pool.tokens.shrink_to_fit();
        pool.data = pool.hash();
        pool.count();
        pool
    }
}

impl Pool {
    /// Conversation `idx` of a split.
    pub(super) fn example(&self, split: Split, idx: usize) -> &[Token] {
        self.tokens_of(self.indexes(split)[idx])
    }

    /// How many conversations a split has.
    pub(super) fn n_examples(&self, split: Split) -> usize {
        self.indexes(split).len()
    }

    /// Memory that it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.tokens)
            + size_of_val(&*self.ends)
            + size_of_val(&*self.train)
            + size_of_val(&*self.val)
    }

    fn indexes(&self, split: Split) -> &[u32] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
        }
    }

    fn tokens_of(&self, idx: u32) -> &[Token] {
        let idx = idx as usize;
        let start = idx.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.tokens[start..self.ends[idx]]
    }

    /// A hash of all conversations and of which are held back.
    fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for split in [Split::Train, Split::Val] {
            hasher.update(&(self.n_examples(split) as u64).to_le_bytes());
            for idx in self.indexes(split) {
                let tokens = self.tokens_of(*idx);
                let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
                hasher.update(&(tokens.len() as u64).to_le_bytes()).update(&bytes);
            }
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    fn count(&mut self) {
        let n_tokens =
            |split| self.indexes(split).iter().map(|idx| self.tokens_of(*idx).len()).sum();
        let (train_tokens, val_tokens) = (n_tokens(Split::Train), n_tokens(Split::Val));
        let report = &mut self.report;
        (report.train_tokens, report.val_tokens) = (train_tokens, val_tokens);
        (report.n_train, report.n_val) = (self.train.len(), self.val.len());
    }
}

/// Training and validation, both in order; the same key is on one side.
fn take_apart(conversations: Vec<(u64, u32)>, held_back: HeldBack) -> (Vec<u32>, Vec<u32>) {
    match held_back.val_split_by {
        ValSplitBy::Documents => split_documents(conversations, held_back.val_fraction),
        ValSplitBy::Tail => tail(conversations, held_back.val_fraction),
    }
}

/// Holds back the last conversations, and at least one where there are two; a border inside a run
/// of the same key, such as the threads of a tree, moves in front of it.
fn tail(conversations: Vec<(u64, u32)>, val_fraction: f64) -> (Vec<u32>, Vec<u32>) {
    let n = conversations.len();
    let n_val = match (val_fraction > 0.0, n) {
        (false, _) | (_, 0) => 0,
        _ => ((n as f64 * val_fraction) as usize).clamp(usize::from(n > 1), n - 1),
    };
    let is_inside = |at: usize| 0 < at && at < n && conversations[at - 1].0 == conversations[at].0;
    let mut border = n - n_val;
    while is_inside(border) {
        border -= 1;
    }
    // All are of one key: nothing can be held back.
    let border = if border == 0 { n } else { border };
    let mut train: Vec<u32> = conversations.into_iter().map(|(_, idx)| idx).collect();
    let val = train.split_off(border);
    (train, val)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(keys: &[u64], val_fraction: f64) -> (usize, usize) {
        let (train, val) = tail(keys.iter().copied().zip(0..).collect(), val_fraction);
        let all: Vec<u32> = train.iter().chain(&val).copied().collect();
        assert_eq!(all, (0..).take(keys.len()).collect::<Vec<u32>>());
        (train.len(), val.len())
    }

    #[test]
    fn a_tail_is_the_last_part_and_never_all() {
        assert_eq!(tail_of(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.25), (8, 2));
        assert_eq!(tail_of(&[1, 2, 3, 4], 0.25), (3, 1));
        assert_eq!(tail_of(&[1, 2], 0.1), (1, 1));
        assert_eq!(tail_of(&[1, 2], 0.0), (2, 0));
        assert_eq!(tail_of(&[1], 0.5), (1, 0));
        assert_eq!(tail_of(&[], 0.5), (0, 0));
    }

    #[test]
    fn a_tail_does_not_divide_what_belongs_together() {
        assert_eq!(tail_of(&[1, 1, 2, 2, 2, 3], 0.4), (2, 4));
        assert_eq!(tail_of(&[1, 1, 1], 0.4), (3, 0));
    }
}
