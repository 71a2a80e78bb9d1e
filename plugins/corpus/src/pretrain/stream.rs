//! One source's tokens, and the generator that windows of it are drawn with.

use std::path::Path;

use sdk::{Error, Generator, PhaseContext, Result};
use tokenizer::Tokenizer;

use crate::cache::{self, Meta, Tokens};
use crate::config::TextSource;
use crate::source::TextInput;
use crate::world::World;
use crate::{SourceReport, Split};

#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) train: Tokens,
    pub(super) val: Tokens,
    pub(super) starts: Generator,
    pub(super) report: SourceReport,
    val_bytes: u64,
}

impl Stream {
    /// The tokens of a source that is written at `key`.
    pub(super) fn open(
        name: &str,
        source: &TextSource,
        key: &str,
        tokenizer: &Tokenizer,
        cache_dir: &Path,
        cx: &PhaseContext,
    ) -> Result<Self> {
        let starts = Generator::new(cx.seed(), format!("data/source/{name}"));
        if let TextSource::World { documents } = source {
            return Ok(Self::of_world(name, *documents, tokenizer, starts, cx.seed()));
        }
        let input = TextInput::open(source, key, cache_dir, cx)?
            .ok_or_else(|| Error::new("data::kind", "no such source").at(key))?;
        let cache = cache::open(name, &input, tokenizer, cache_dir, cx)?;
        let report = report(name, &cache.meta);
        let val_bytes = cache.meta.val_bytes;
        Ok(Self { train: cache.train, val: cache.val, starts, report, val_bytes })
    }

    fn of_world(
        name: &str,
        n_stories: u64,
        tokenizer: &Tokenizer,
        starts: Generator,
        seed: u64,
    ) -> Self {
        let world = World::new(seed);
        let stories = |split, n| (0..n).map(|idx| world.story(split, idx)).collect::<Vec<_>>();
        let train = stories(Split::Train, n_stories);
        let val = stories(Split::Val, n_stories.div_ceil(10));
        let (train_tokens, val_tokens) = (joined(&train, tokenizer), joined(&val, tokenizer));
        let report = SourceReport {
            name: name.to_owned(),
            n_train: train.len(),
            n_val: val.len(),
            train_tokens: train_tokens.len(),
            val_tokens: val_tokens.len(),
            ..SourceReport::default()
        };
        let val_bytes = val.iter().map(|story| story.len() as u64).sum();
        let [train, val] = [train_tokens, val_tokens].map(|of| Tokens::Memory(of.into()));
        Self { train, val, starts, report, val_bytes }
    }

    /// How many bytes of text a held-back token stands for; 0 where there is none.
    pub(super) fn val_bytes_per_token(&self) -> f64 {
        self.val_bytes as f64 / self.val.len().max(1) as f64
    }

    /// Checks that each split that is drawn from has a window. A validation split may be empty where
    /// nothing is to be held back, but not one that is evaluated on alone.
    pub(super) fn check_length(
        &self,
        source: &TextSource,
        key: &str,
        is_trained_on: bool,
        is_alone: bool,
        window_tokens: usize,
    ) -> Result<()> {
        let holds_back =
            source.held_back().is_none_or(|held| held.is_given || held.val_fraction > 0.0);
        let splits = [
            (Split::Train, self.train.len(), is_trained_on),
            (Split::Val, self.val.len(), is_alone || (holds_back && is_trained_on)),
        ];
        for (split, n_tokens, is_used) in splits {
            if is_used && n_tokens < window_tokens {
                return Err(self.too_short(source, key, split, n_tokens, window_tokens));
            }
        }
        Ok(())
    }

    fn too_short(
        &self,
        source: &TextSource,
        key: &str,
        split: Split,
        n_tokens: usize,
        window_tokens: usize,
    ) -> Error {
        let setting = match source {
            TextSource::World { .. } => "documents",
            TextSource::Text(_) | TextSource::Jsonl(_) | TextSource::Parquet(_) => "path",
            TextSource::Hub(_) => "dataset",
        };
        let is_written = key.starts_with("data.sources.");
        let at = if is_written { format!("{key}.{setting}") } else { key.to_owned() };
        let name = &self.report.name;
        let message = format!(
            "split {split} of source `{name}` has {n_tokens} tokens, but a window needs \
             {window_tokens}"
        );
        let help = if split == Split::Val && n_tokens == 0 {
            "`val_split_by: tail` holds back the end of a single document, `val_fraction: 0` nothing"
        } else {
            "bring more documents, or lower `model.T`"
        };
        Error::new("data::too_short", message).at(at).help(help)
    }
}

fn report(name: &str, meta: &Meta) -> SourceReport {
    SourceReport {
        name: name.to_owned(),
        n_train: meta.train_documents,
        n_val: meta.val_documents,
        train_tokens: meta.train_tokens,
        val_tokens: meta.val_tokens,
        n_bad: meta.n_bad,
        n_blank: meta.n_blank,
        n_replaced: meta.n_replaced,
        bad_records: meta.bad_records.clone(),
        ..SourceReport::default()
    }
}

/// The documents as one stream of tokens, each with an end token after it.
fn joined(documents: &[String], tokenizer: &Tokenizer) -> Vec<u32> {
    let mut tokens = Vec::new();
    for document in documents {
        tokens.extend(tokenizer.encode(document));
        tokens.push(tokenizer.special().eot);
    }
    tokens
}
