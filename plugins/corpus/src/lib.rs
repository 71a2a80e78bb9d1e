//! What language models learn from: sources, their splits, and batches drawn from a mix of them.
//!
//! Legend: N sequences in a batch, T context length in tokens. A window is T + 1 tokens long: the
//! inputs are its first T, the targets its last T. Each source and the mix draw from a generator of
//! their own, derived from the run's seed and saved with the state, so a resumed run goes on with
//! exactly the batches that an uninterrupted one would have seen.

mod cache;
pub mod chat;
mod config;
mod conversations;
mod example;
mod mixture;
mod presets;
mod pretrain;
mod progress;
mod sft;
pub mod source;
mod split;
mod texts;
pub mod world;

pub use config::{
    ChatForm, ChatRecords, ChatSource, HeldBack, HubChats, HubDocuments, HubTexts, Paths,
    PretrainDataConfig, SftDataConfig, TextDocuments, TextFiles, TextRecords, TextSource,
    ValSplitBy,
};
pub use pretrain::PretrainData;
pub use sft::SftData;
pub use source::BadRecord;
pub use split::{Split, stable_hash};
pub use texts::{TrainingTexts, training_texts};

pub use crate::chat::IGNORE;

/// N sequences to learn from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Inputs, `(N, T)` row by row.
    pub ids: Vec<u32>,
    /// Targets, `(N, T)`: the token after each input, or [`IGNORE`].
    pub targets: Vec<u32>,
    /// N.
    pub n: usize,
    /// T.
    pub t: usize,
    /// How many targets are not [`IGNORE`]. Never 0 in a batch with sequences.
    pub valid_tokens: usize,
}

impl Batch {
    fn with_capacity(n: usize, t: usize) -> Self {
        Self {
            ids: Vec::with_capacity(n * t),
            targets: Vec::with_capacity(n * t),
            n,
            t,
            valid_tokens: 0,
        }
    }

    /// Appends a sequence: `ids` and `labels` are both T + 1 long and not yet shifted.
    fn push_window(&mut self, ids: &[u32], labels: &[u32]) {
        assert!(ids.len() == self.t + 1 && labels.len() == ids.len(), "a window is T + 1 tokens");
        self.ids.extend_from_slice(&ids[..self.t]);
        self.targets.extend_from_slice(&labels[1..]);
        self.valid_tokens += labels[1..].iter().filter(|label| **label != IGNORE).count();
    }
}

/// What became of a source's documents or conversations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceReport {
    /// The source's name.
    pub name: String,
    /// Documents or conversations to train on.
    pub n_train: usize,
    /// Documents or conversations held back.
    pub n_val: usize,
    /// Tokens to train on.
    pub train_tokens: usize,
    /// Tokens held back.
    pub val_tokens: usize,
    /// Conversations that were shortened to fit into a window.
    pub n_truncated: usize,
    /// Conversations left out because nothing of them is learnt.
    pub n_unlabelled: usize,
    /// Messages and threads that the rules of a data set leave out.
    pub n_left_out: usize,
    /// Conversations that spell out a special token; they are kept, as plain text.
    pub n_spell_special: usize,
    /// Records that could not be used.
    pub n_bad: usize,
    /// Records left out because their text is blank.
    pub n_blank: usize,
    /// Sequences of bytes that are no UTF-8, each replaced by U+FFFD.
    pub n_replaced: usize,
    /// The first records that could not be used, in the order of the files.
    pub bad_records: Vec<BadRecord>,
}

impl SourceReport {
    /// Counts a record that can't be used, and remembers it if it is among the first.
    pub(crate) fn note_bad(&mut self, bad: BadRecord) {
        self.n_bad += 1;
        if self.bad_records.len() < source::BAD_RECORDS_MAX {
            self.bad_records.push(bad);
        }
    }
}
