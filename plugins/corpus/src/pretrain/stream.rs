//! One source's tokens, and the generator that windows of it are drawn with.

use std::path::Path;

use sdk::{Error, Generator, PhaseContext, Result};
use tokenizer::Tokenizer;

use crate::cache::{self, Meta, Tokens};
use crate::config::TextSource;
use crate::progress::Progress;
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
    /// Says what the tokens are: other data has another.
    pub(super) data: String,
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
            return Self::of_world(name, *documents, tokenizer, starts, cx);
        }
        let input = TextInput::open(source, key, cache_dir, cx)?
            .ok_or_else(|| Error::new("data::kind", "no such source").at(key))?;
        let cache = cache::open(name, &input, tokenizer, cache_dir, cx)?;
        let report = report(name, &cache.meta);
        let val_bytes = cache.meta.val_bytes;
        let data = cache.meta.key;
        Ok(Self { train: cache.train, val: cache.val, starts, report, val_bytes, data })
    }

    fn of_world(
        name: &str,
        n_stories: u64,
        tokenizer: &Tokenizer,
        starts: Generator,
        cx: &PhaseContext,
    ) -> Result<Self> {
        let train = told(name, Split::Train, n_stories, tokenizer, cx)?;
        let val = told(name, Split::Val, n_stories.div_ceil(10), tokenizer, cx)?;
        let report = SourceReport {
            name: name.to_owned(),
            n_train: train.n_stories,
            n_val: val.n_stories,
            train_tokens: train.tokens.len(),
            val_tokens: val.tokens.len(),
            ..SourceReport::default()
        };
        let val_bytes = val.n_bytes;
        let [train, val] = [train, val].map(|told| Tokens::Memory(told.tokens.into()));
        let data = format!("{n_stories} stories of the world");
        Ok(Self { train, val, starts, report, val_bytes, data })
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

/// Stories of the world as tokens.
struct Told {
    /// Each story with an end token after it.
    tokens: Vec<u32>,
    n_stories: usize,
    /// Bytes of the stories.
    n_bytes: u64,
}

fn told(
    name: &str,
    split: Split,
    n_stories: u64,
    tokenizer: &Tokenizer,
    cx: &PhaseContext,
) -> Result<Told> {
    let world = World::new(cx.seed());
    let mut progress = Progress::new(format!("tokenizing {name}"), n_stories, cx);
    let mut told = Told { tokens: Vec::new(), n_stories: n_stories as usize, n_bytes: 0 };
    for idx in 0..n_stories {
        let story = world.story(split, idx);
        told.tokens.extend(tokenizer.encode(&story));
        told.tokens.push(tokenizer.special().eot);
        told.n_bytes += story.len() as u64;
        progress.at(idx)?;
    }
    Ok(told)
}
