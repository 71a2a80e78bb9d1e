//! Windows of text to pretrain on.
//!
//! A source's documents stand one after another, each followed by an end token, in one stream per
//! split. A window starts anywhere in its stream with equal probability.

use std::collections::BTreeMap;

use sdk::{Error, Generator, PhaseContext, Result, StateVisitor, Stateful};

use crate::cache::{Tokens, cache_dir};
use crate::config::PretrainDataConfig;
use crate::mixture::{Mixture, data_state, weights_where};
use crate::{Batch, SourceReport};
use stream::Stream;
use tokenizer::Tokenizer;

mod stream;

/// The texts of a pretraining phase, and the position in them.
#[derive(Clone, Debug)]
pub struct PretrainData {
    /// Those of the mix in the order of their names, then the one that is only evaluated on.
    streams: Vec<Stream>,
    mix: BTreeMap<String, f64>,
    val_source: Option<String>,
    mixture: Mixture,
    context_tokens: usize,
    seed: u64,
}

impl PretrainData {
    /// Reads and encodes the sources that are named, for windows of `context_tokens` + 1. Files are
    /// encoded once, into a cache; a later run maps it.
    ///
    /// # Errors
    /// When the section is faulty, a file can't be read or has nothing usable, a stream is shorter
    /// than a window, or the run was asked to stop; with the key below `data`.
    pub fn open(
        config: &PretrainDataConfig,
        tokenizer: &Tokenizer,
        context_tokens: usize,
        cx: &PhaseContext,
    ) -> Result<Self> {
        if let Some(fault) = config.check().into_iter().next() {
            return Err(fault);
        }
        let folder = cache_dir(config.cache_dir.as_deref());
        let mut streams = Vec::new();
        for name in config.names() {
            let key = config.key(name);
            let source = config.source(name).ok_or_else(|| unknown(name, &key))?;
            let stream = Stream::open(name, &source, &key, tokenizer, &folder, cx)?;
            let is_trained_on = config.mix.contains_key(name);
            let is_alone = config.val_source.as_deref() == Some(name);
            stream.check_length(&source, &key, is_trained_on, is_alone, context_tokens + 1)?;
            streams.push(stream);
        }
        let weights = weights_where(&config.mix, |_| true);
        let mixture = Mixture::new(weights, Generator::new(cx.seed(), "data/mix"));
        let (mix, val_source) = (config.mix.clone(), config.val_source.clone());
        Ok(Self { streams, mix, val_source, mixture, context_tokens, seed: cx.seed() })
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

    /// `n_batches` batches of `n` held-back windows: the same at every call, from `val_source`, or
    /// drawn by the weights of the mix from the sources that hold something back. None where no
    /// source does.
    pub fn eval_batches(&self, n_batches: usize, n: usize) -> Vec<Batch> {
        let weights = self.val_weights();
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

    /// How many bytes of text a token of the evaluation stands for, on average over what is drawn
    /// from. A loss in nats per token is this times ln 2 in bits per byte. `None` where nothing is
    /// held back.
    pub fn val_bytes_per_token(&self) -> Option<f64> {
        let weights = self.val_weights();
        let total: f64 = weights.iter().sum();
        let of = |(stream, weight): (&Stream, &f64)| weight * stream.val_bytes_per_token();
        let bytes: f64 = self.streams.iter().zip(&weights).map(of).sum();
        (total > 0.0).then(|| bytes / total)
    }

    /// What was read, per source: those of the mix in the order of their names, then `val_source`.
    pub fn reports(&self) -> Vec<&SourceReport> {
        self.streams.iter().map(|stream| &stream.report).collect()
    }

    /// Memory that the tokens take; those of a cache are mapped, and take what the system can spare.
    pub fn memory_bytes(&self) -> usize {
        self.streams.iter().map(|s| s.train.memory_bytes() + s.val.memory_bytes()).sum()
    }

    /// Tokens after which the source that is gone through fastest has been seen once.
    pub fn tokens_per_pass(&self) -> u64 {
        let of = |s: &Stream| Some(s.train.len() as f64 / self.mix.get(&s.report.name)?);
        self.streams.iter().filter_map(of).fold(f64::INFINITY, f64::min) as u64
    }

    /// How often each stream is drawn from in an evaluation, of any sum.
    fn val_weights(&self) -> Vec<f64> {
        let weight = |stream: &Stream| {
            let name = &stream.report.name;
            let of_mix = || self.mix.get(name).copied().unwrap_or(0.0);
            let alone = self.val_source.as_ref();
            let weight = alone.map_or_else(of_mix, |alone| f64::from(u8::from(alone == name)));
            if stream.val.len() == 0 { 0.0 } else { weight }
        };
        self.streams.iter().map(weight).collect()
    }
}

impl Stateful for PretrainData {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("mixture", &mut self.mixture)?;
        for stream in self.streams.iter_mut().take(self.mix.len()) {
            data_state(&stream.report.name, &stream.data, visitor)?;
            visitor.generator(&format!("source/{}", stream.report.name), &mut stream.starts)?;
        }
        Ok(())
    }
}

fn push_window(batch: &mut Batch, tokens: &Tokens, starts: &mut Generator) {
    let window_tokens = batch.t + 1;
    let start = starts.below((tokens.len() - window_tokens + 1) as u64) as usize;
    let window = tokens.window(start, window_tokens);
    batch.push_window(&window, &window);
}

fn unknown(name: &str, key: &str) -> Error {
    Error::new("data::mix_unknown", format!("the mix names `{name}`, which is no source")).at(key)
}

#[cfg(test)]
mod tests;
