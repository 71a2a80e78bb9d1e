//! Conversations to fine-tune on, packed into windows.
//!
//! A window holds whole conversations one after another, as many as fit, and is filled up with end
//! tokens that aren't learnt; a conversation can attend to those before it. A conversation that no
//! longer fits opens the next window, so nothing is drawn in vain; that one is part of the saved
//! position. Every conversation has something to learn behind its first token, so every window
//! has.

mod pool;
mod reading;

use std::collections::BTreeMap;

use sdk::{Error, Generator, PhaseContext, Result, StateVisitor, Stateful};
use tokenizer::Tokenizer;

use crate::cache::cache_dir;
use crate::chat::{ChatTemplate, Learnt};
use crate::config::SftDataConfig;
use crate::example::Token;
use crate::mixture::{EpochCursor, Mixture, data_state};
use crate::{Batch, IGNORE, SourceReport, Split};
use pool::Pool;
use reading::Making;

/// The conversations of a fine-tuning phase, and the position in them.
#[derive(Clone, Debug)]
pub struct SftData {
    library: Library,
    /// How often each source is evaluated on; all 0 where nothing is held back.
    eval_weights: Vec<f64>,
    position: Draws,
    template: ChatTemplate,
    seed: u64,
}

/// Everything that drawing does not change.
#[derive(Clone, Debug)]
struct Library {
    pools: Vec<Pool>,
    context_tokens: usize,
    pack: bool,
    eot: u32,
}

/// Draws conversations by weight, each source in shuffled epochs.
#[derive(Clone, Debug)]
struct Draws {
    mixture: Mixture,
    /// One for each source; none for those that are never drawn from.
    cursors: Vec<Option<EpochCursor>>,
    names: Vec<String>,
    /// What tells each source's conversations from others.
    data: Vec<String>,
    /// Source and conversation that did not fit into the last window.
    pending: Option<(usize, usize)>,
}

impl SftData {
    /// Reads and encodes the sources that the section names, for windows of `context_tokens` + 1.
    /// What is fetched goes to `cache_dir`.
    ///
    /// # Errors
    /// When the section is faulty, or a source can't be read or has nothing to learn; with the key
    /// below `data`.
    pub fn open(
        config: &SftDataConfig,
        tokenizer: &Tokenizer,
        context_tokens: usize,
        cx: &PhaseContext,
    ) -> Result<Self> {
        if let Some(fault) = config.check().into_iter().next() {
            return Err(fault);
        }
        let template = ChatTemplate::new(config.chat_template.as_deref(), tokenizer)?;
        let making = Making {
            template: &template,
            learnt: config.learnt(),
            system: config.system.as_deref(),
            window_tokens: context_tokens + 1,
        };
        let pools = read_all(config, making, cx)?;
        let weights = |split| weights(config, &pools, split);
        let position = Draws::new("data", Split::Train, &pools, weights(Split::Train), cx.seed());
        let eval_weights = weights(Split::Val);
        check_val_source(config, &eval_weights)?;
        let eot = tokenizer.special().eot;
        let library = Library { pools, context_tokens, pack: config.pack, eot };
        Ok(Self { library, eval_weights, position, template, seed: cx.seed() })
    }

    /// The next `n` training windows; the only method that moves the position.
    pub fn next_batch(&mut self, n: usize) -> Batch {
        self.library.batch(Split::Train, &mut self.position, n)
    }

    /// `n_batches` batches of `n` held-back windows: the same at every call, drawn by the weights
    /// of the mix from the sources that hold something back, or from `val_source` alone. None
    /// where nothing is held back.
    pub fn eval_batches(&self, n_batches: usize, n: usize) -> Vec<Batch> {
        if self.eval_weights.iter().all(|weight| *weight == 0.0) {
            return Vec::new();
        }
        let pools = &self.library.pools;
        let mut draws = Draws::new("eval", Split::Val, pools, self.eval_weights.clone(), self.seed);
        (0..n_batches).map(|_| self.library.batch(Split::Val, &mut draws, n)).collect()
    }

    /// What was read, per source in the order of their names.
    pub fn reports(&self) -> Vec<&SourceReport> {
        self.library.pools.iter().map(|pool| &pool.report).collect()
    }

    /// Memory that the conversations take.
    pub fn memory_bytes(&self) -> usize {
        self.library.pools.iter().map(Pool::memory_bytes).sum()
    }

    /// Tokens of windows after which the source that is gone through fastest has been seen once,
    /// when conversations are drawn by the weights of `mix`. Without packing each takes a window.
    pub fn tokens_per_pass(&self, mix: &BTreeMap<String, f64>) -> u64 {
        let Library { pools, context_tokens, pack, .. } = &self.library;
        let weighted =
            pools.iter().filter_map(|pool| Some((&pool.report, mix.get(&pool.report.name)?)));
        let weighted = weighted.filter(|(report, _)| report.n_train > 0);
        let tokens_each = |report: &SourceReport| match pack {
            true => report.train_tokens as f64 / report.n_train as f64,
            false => *context_tokens as f64,
        };
        let mean: f64 = weighted.clone().map(|(report, weight)| weight * tokens_each(report)).sum();
        let conversations = weighted.map(|(report, weight)| report.n_train as f64 / weight);
        (conversations.fold(f64::INFINITY, f64::min) * mean) as u64
    }

    /// How messages become tokens.
    pub fn chat_template(&self) -> &ChatTemplate {
        &self.template
    }
}

impl SftDataConfig {
    fn learnt(&self) -> Learnt {
        Learnt { assistant_only: self.assistant_only_loss, include_eot: self.include_eot_in_loss }
    }
}

fn read_all(config: &SftDataConfig, making: Making<'_>, cx: &PhaseContext) -> Result<Vec<Pool>> {
    let cache_dir = cache_dir(config.cache_dir.as_deref());
    let read = |name: &&str| -> Option<Result<Pool>> {
        let source = config.source(name)?;
        Some(reading::read(name, &source, &config.key(name), making, &cache_dir, cx))
    };
    config.names().iter().filter_map(read).collect()
}

/// A source that is to be evaluated on must hold something back.
fn check_val_source(config: &SftDataConfig, eval_weights: &[f64]) -> Result<()> {
    let Some(name) =
        config.val_source.as_deref().filter(|_| eval_weights.iter().all(|w| *w == 0.0))
    else {
        return Ok(());
    };
    let message = format!("`val_source` names `{name}`, which holds no conversation back");
    Err(Error::new("data::val_source", message)
        .at("data.val_source")
        .help("raise its `val_fraction`, or give it a `val_path` or `val_split`"))
}

/// How often each source is drawn from, in the order of the pools; 0 where it has nothing.
fn weights(config: &SftDataConfig, pools: &[Pool], split: Split) -> Vec<f64> {
    let weight = |pool: &Pool| {
        let name = &pool.report.name;
        match (&config.val_source, split) {
            _ if pool.n_examples(split) == 0 => 0.0,
            (Some(alone), Split::Val) => f64::from(u8::from(alone == name)),
            _ => config.mix.get(name).copied().unwrap_or(0.0),
        }
    };
    pools.iter().map(weight).collect()
}

impl Library {
    fn batch(&self, split: Split, draws: &mut Draws, n: usize) -> Batch {
        let mut batch = Batch::with_capacity(n, self.context_tokens);
        for _ in 0..n {
            let (ids, labels) = self.window(split, draws);
            batch.push_window(&ids, &labels);
        }
        batch
    }

    fn window(&self, split: Split, draws: &mut Draws) -> (Vec<u32>, Vec<u32>) {
        let window_tokens = self.context_tokens + 1;
        let mut window: Vec<Token> = Vec::with_capacity(window_tokens);
        loop {
            let drawn = draws.pending.take().unwrap_or_else(|| draws.draw());
            let example = self.pools[drawn.0].example(split, drawn.1);
            if window.len() + example.len() > window_tokens {
                draws.pending = Some(drawn);
                break;
            }
            window.extend(example);
            if !self.pack {
                break;
            }
        }
        let mut ids: Vec<u32> = window.iter().map(|token| token.id()).collect();
        let mut labels: Vec<u32> = window.iter().map(|token| token.label()).collect();
        ids.resize(window_tokens, self.eot);
        labels.resize(window_tokens, IGNORE);
        (ids, labels)
    }
}

impl Stateful for SftData {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("position", &mut self.position)
    }
}

impl Draws {
    fn new(stream: &str, split: Split, pools: &[Pool], weights: Vec<f64>, seed: u64) -> Self {
        let cursor = |(pool, weight): (&Pool, &f64)| {
            let stream = format!("{stream}/source/{}", pool.report.name);
            (*weight > 0.0).then(|| EpochCursor::new(seed, stream, pool.n_examples(split)))
        };
        Self {
            cursors: pools.iter().zip(&weights).map(cursor).collect(),
            names: pools.iter().map(|pool| pool.report.name.clone()).collect(),
            data: pools.iter().map(|pool| pool.data.clone()).collect(),
            mixture: Mixture::new(weights, Generator::new(seed, format!("{stream}/mix"))),
            pending: None,
        }
    }

    fn draw(&mut self) -> (usize, usize) {
        let source = self.mixture.draw();
        let example = self.cursors[source].as_mut().map_or(0, EpochCursor::draw);
        (source, example)
    }
}

impl Stateful for Draws {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("mixture", &mut self.mixture)?;
        for ((name, data), cursor) in self.names.iter().zip(&self.data).zip(&mut self.cursors) {
            if let Some(cursor) = cursor {
                data_state(name, data, visitor)?;
                visitor.nested(&format!("source/{name}"), cursor)?;
            }
        }
        visitor.value("pending", &mut self.pending)
    }
}

#[cfg(test)]
mod tests;
