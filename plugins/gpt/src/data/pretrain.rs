//! Windows of text to pretrain on.
//!
//! A source's documents stand one after another, each followed by an end token, in one stream per
//! split. A window starts anywhere in its stream with equal probability.

use std::collections::BTreeMap;

use sdk::{Error, Generator, Result, StateVisitor, Stateful};

use super::config::{PretrainDataConfig, TextSource};
use super::mixture::{Mixture, weights_where};
use super::records::{Records, SourceFile};
use super::{Batch, SourceReport, Split};
use crate::tokenizer::Tokenizer;
use crate::world::World;

/// The texts of a pretraining phase, and the position in them.
#[derive(Clone, Debug)]
pub struct PretrainData {
    streams: Vec<Stream>,
    mix: BTreeMap<String, f64>,
    mixture: Mixture,
    context_tokens: usize,
    seed: u64,
}

#[derive(Clone, Debug)]
struct Stream {
    train: Vec<u32>,
    val: Vec<u32>,
    starts: Generator,
    report: SourceReport,
}

impl PretrainData {
    /// Reads and encodes the sources that the mix names, for windows of `context_tokens` + 1.
    ///
    /// # Errors
    /// When the mix is faulty, a file can't be read or has nothing usable, or a stream is shorter
    /// than a window; with the key below `data`.
    pub fn open(
        config: &PretrainDataConfig,
        tokenizer: &Tokenizer,
        context_tokens: usize,
        seed: u64,
    ) -> Result<Self> {
        config.check()?;
        let mut streams = Vec::new();
        for name in config.mix.keys() {
            let source = &config.sources[name];
            let stream = Stream::read(name, source, tokenizer, seed)?;
            stream.check_length(source, context_tokens + 1)?;
            streams.push(stream);
        }
        let weights = weights_where(&config.mix, |_| true);
        let mixture = Mixture::new(weights, Generator::new(seed, "data/mix"));
        Ok(Self { streams, mix: config.mix.clone(), mixture, context_tokens, seed })
    }

    /// The next `n` training windows; the only method that moves the position.
    pub fn next_batch(&mut self, n: usize) -> Batch {
        let mut batch = Batch::with_capacity(n, self.context_tokens);
        for _ in 0..n {
            let stream = &mut self.streams[self.mixture.draw()];
            push_window(&mut batch, &stream.train, &mut stream.starts);
        }
        batch
    }

    /// `n_batches` batches of `n` held-back windows: the same at every call, drawn by the weights
    /// of the mix from the sources that hold something back. None where no source does.
    pub fn eval_batches(&self, n_batches: usize, n: usize) -> Vec<Batch> {
        let weights = weights_where(&self.mix, |idx| !self.streams[idx].val.is_empty());
        if weights.iter().all(|weight| *weight == 0.0) {
            return Vec::new();
        }
        let mut mixture = Mixture::new(weights, Generator::new(self.seed, "eval/mix"));
        let of = |stream: &Stream| {
            Generator::new(self.seed, format!("eval/source/{}", stream.report.name))
        };
        let mut starts: Vec<Generator> = self.streams.iter().map(of).collect();
        let mut batch = || {
            let mut batch = Batch::with_capacity(n, self.context_tokens);
            for _ in 0..n {
                let idx = mixture.draw();
                push_window(&mut batch, &self.streams[idx].val, &mut starts[idx]);
            }
            batch
        };
        (0..n_batches).map(|_| batch()).collect()
    }

    /// What was read, per source in the order of their names.
    pub fn reports(&self) -> Vec<&SourceReport> {
        self.streams.iter().map(|stream| &stream.report).collect()
    }
}

impl Stateful for PretrainData {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("mixture", &mut self.mixture)?;
        for stream in &mut self.streams {
            visitor.generator(&format!("source/{}", stream.report.name), &mut stream.starts)?;
        }
        Ok(())
    }
}

fn push_window(batch: &mut Batch, tokens: &[u32], starts: &mut Generator) {
    let window_tokens = batch.t + 1;
    let start = starts.below((tokens.len() - window_tokens + 1) as u64) as usize;
    let window = &tokens[start..start + window_tokens];
    batch.push_window(window, window);
}

impl Stream {
    fn read(name: &str, source: &TextSource, tokenizer: &Tokenizer, seed: u64) -> Result<Self> {
        let documents = documents(name, source, seed)?;
        let (train, val) = (joined(&documents.train, tokenizer), joined(&documents.val, tokenizer));
        let report = SourceReport {
            name: name.to_owned(),
            n_train: documents.train.len(),
            n_val: documents.val.len(),
            train_tokens: train.len(),
            val_tokens: val.len(),
            bad_records: documents.bad,
            ..SourceReport::default()
        };
        Ok(Self { train, val, starts: Generator::new(seed, format!("data/source/{name}")), report })
    }

    fn check_length(&self, source: &TextSource, window_tokens: usize) -> Result<()> {
        let (key, held_back) = match source {
            TextSource::World { .. } => ("documents", true),
            TextSource::Text { val_fraction, .. } | TextSource::Jsonl { val_fraction, .. } => {
                ("path", *val_fraction > 0.0)
            }
        };
        let splits =
            [(Split::Train, self.train.len(), true), (Split::Val, self.val.len(), held_back)];
        for (split, n_tokens, is_used) in splits {
            if is_used && n_tokens < window_tokens {
                let name = &self.report.name;
                let message = format!(
                    "split {split} of source `{name}` has {n_tokens} tokens, but a window needs \
                     {window_tokens}"
                );
                return Err(Error::new("data::too_short", message)
                    .at(format!("data.sources.{name}.{key}"))
                    .help("bring more documents, or lower `model.T`"));
            }
        }
        Ok(())
    }
}

fn documents(name: &str, source: &TextSource, seed: u64) -> Result<Records<String>> {
    match source {
        TextSource::World { documents } => {
            let world = World::new(seed);
            let stories = |split, n| (0..n).map(|idx| world.story(split, idx)).collect();
            let (train, val) =
                (stories(Split::Train, *documents), stories(Split::Val, documents.div_ceil(10)));
            Ok(Records { train, val, bad: Vec::new() })
        }
        TextSource::Text { path, val_fraction } => {
            SourceFile { source: name, path, val_fraction: *val_fraction }.texts()
        }
        TextSource::Jsonl { path, field, val_fraction } => {
            SourceFile { source: name, path, val_fraction: *val_fraction }.fields(field)
        }
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

#[cfg(test)]
mod tests;
