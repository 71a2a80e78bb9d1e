//! Conversations to fine-tune on, packed into windows.
//!
//! A window holds whole conversations one after another, as many as fit, and is filled up with end
//! tokens that aren't learnt; a conversation can attend to those before it. A conversation that no
//! longer fits opens the next window, so nothing is drawn in vain; that one is part of the saved
//! position.

use std::collections::BTreeMap;

use sdk::{Error, Generator, Result, StateVisitor, Stateful};

use super::config::{ChatSource, SftDataConfig};
use super::example::fit;
use super::mixture::{EpochCursor, Mixture, weights_where};
use super::records::{Records, SourceFile};
use super::{Batch, IGNORE, SourceReport, Split};
use crate::chat::{Message, Rendered};
use crate::tokenizer::Tokenizer;
use crate::world::World;

/// The conversations of a fine-tuning phase, and the position in them.
#[derive(Clone, Debug)]
pub struct SftData {
    library: Library,
    mix: BTreeMap<String, f64>,
    position: Draws,
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

#[derive(Clone, Debug)]
struct Pool {
    train: Vec<Rendered>,
    val: Vec<Rendered>,
    report: SourceReport,
}

/// Draws conversations by the mix, each source in shuffled epochs.
#[derive(Clone, Debug)]
struct Draws {
    mixture: Mixture,
    cursors: BTreeMap<String, EpochCursor>,
    /// Source and conversation that did not fit into the last window.
    pending: Option<(usize, usize)>,
}

impl SftData {
    /// Reads and encodes the sources that the mix names, for windows of `context_tokens` + 1.
    ///
    /// # Errors
    /// When the mix is faulty, or a file can't be read or has nothing usable; with the key below
    /// `data`.
    pub fn open(
        config: &SftDataConfig,
        tokenizer: &Tokenizer,
        context_tokens: usize,
        seed: u64,
    ) -> Result<Self> {
        config.check()?;
        let mut pools = Vec::new();
        for name in config.mix.keys() {
            pools.push(Pool::read(
                name,
                &config.sources[name],
                tokenizer,
                context_tokens + 1,
                seed,
            )?);
        }
        let position = Draws::new("data", Split::Train, &pools, &config.mix, seed);
        let eot = tokenizer.special().eot;
        let library = Library { pools, context_tokens, pack: config.pack, eot };
        Ok(Self { library, mix: config.mix.clone(), position, seed })
    }

    /// The next `n` training windows; the only method that moves the position.
    pub fn next_batch(&mut self, n: usize) -> Batch {
        self.library.batch(Split::Train, &mut self.position, n)
    }

    /// `n_batches` batches of `n` held-back windows: the same at every call, drawn by the weights
    /// of the mix from the sources that hold something back. None where no source does.
    pub fn eval_batches(&self, n_batches: usize, n: usize) -> Vec<Batch> {
        let pools = &self.library.pools;
        if pools.iter().all(|pool| pool.val.is_empty()) {
            return Vec::new();
        }
        let mut draws = Draws::new("eval", Split::Val, pools, &self.mix, self.seed);
        (0..n_batches).map(|_| self.library.batch(Split::Val, &mut draws, n)).collect()
    }

    /// What was read, per source in the order of their names.
    pub fn reports(&self) -> Vec<&SourceReport> {
        self.library.pools.iter().map(|pool| &pool.report).collect()
    }
}

impl Library {
    fn batch(&self, split: Split, draws: &mut Draws, n: usize) -> Batch {
        let mut batch = Batch::with_capacity(n, self.context_tokens);
        for _ in 0..n {
            let window = self.window(split, draws);
            batch.push_window(&window.ids, &window.labels);
        }
        batch
    }

    fn window(&self, split: Split, draws: &mut Draws) -> Rendered {
        let window_tokens = self.context_tokens + 1;
        let mut window = Rendered { ids: Vec::new(), labels: Vec::new() };
        loop {
            let drawn = draws.pending.take().unwrap_or_else(|| draws.draw());
            let example = &self.pools[drawn.0].examples(split)[drawn.1];
            if window.ids.len() + example.ids.len() > window_tokens {
                draws.pending = Some(drawn);
                break;
            }
            window.ids.extend(&example.ids);
            window.labels.extend(&example.labels);
            if !self.pack {
                break;
            }
        }
        window.ids.resize(window_tokens, self.eot);
        window.labels.resize(window_tokens, IGNORE);
        window
    }
}

impl Stateful for SftData {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("position", &mut self.position)
    }
}

impl Draws {
    fn new(
        stream: &str,
        split: Split,
        pools: &[Pool],
        mix: &BTreeMap<String, f64>,
        seed: u64,
    ) -> Self {
        let weights = weights_where(mix, |idx| !pools[idx].examples(split).is_empty());
        let cursor = |pool: &Pool| {
            let name = pool.report.name.clone();
            let n_examples = pool.examples(split).len();
            (name.clone(), EpochCursor::new(seed, format!("{stream}/source/{name}"), n_examples))
        };
        Self {
            mixture: Mixture::new(weights, Generator::new(seed, format!("{stream}/mix"))),
            cursors: pools.iter().map(cursor).collect(),
            pending: None,
        }
    }

    fn draw(&mut self) -> (usize, usize) {
        let source = self.mixture.draw();
        let cursor = self.cursors.values_mut().nth(source);
        let example = cursor.map_or(0, EpochCursor::draw);
        (source, example)
    }
}

impl Stateful for Draws {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("mixture", &mut self.mixture)?;
        for (name, cursor) in &mut self.cursors {
            visitor.nested(&format!("source/{name}"), cursor)?;
        }
        visitor.value("pending", &mut self.pending)
    }
}

impl Pool {
    fn read(
        name: &str,
        source: &ChatSource,
        tokenizer: &Tokenizer,
        window_tokens: usize,
        seed: u64,
    ) -> Result<Self> {
        let conversations = conversations(name, source, seed)?;
        let mut report = SourceReport {
            name: name.to_owned(),
            bad_records: conversations.bad,
            ..SourceReport::default()
        };
        let mut examples = |messages: &[Vec<Message>]| -> Result<Vec<Rendered>> {
            let mut examples = Vec::new();
            for conversation in messages {
                let (example, is_truncated) = fit(conversation, tokenizer, window_tokens)?;
                report.n_truncated += usize::from(is_truncated);
                report.n_unlabelled += usize::from(example.n_labelled() == 0);
                examples.push(example);
            }
            examples.retain(|example| example.n_labelled() > 0);
            Ok(examples)
        };
        let (train, val) = (examples(&conversations.train)?, examples(&conversations.val)?);
        if train.is_empty() {
            let message = format!("source `{name}` has no conversation with anything to learn");
            return Err(Error::new("data::empty", message).at(format!("data.sources.{name}")));
        }
        let n_tokens = |examples: &[Rendered]| examples.iter().map(|e| e.ids.len()).sum();
        (report.n_train, report.n_val) = (train.len(), val.len());
        (report.train_tokens, report.val_tokens) = (n_tokens(&train), n_tokens(&val));
        Ok(Self { train, val, report })
    }

    fn examples(&self, split: Split) -> &[Rendered] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
        }
    }
}

fn conversations(name: &str, source: &ChatSource, seed: u64) -> Result<Records<Vec<Message>>> {
    match source {
        ChatSource::World { documents } => {
            let world = World::new(seed);
            let dialogues =
                |split, n| (0..n).map(|idx| world.dialogue(split, idx).messages()).collect();
            let (train, val) = (
                dialogues(Split::Train, *documents),
                dialogues(Split::Val, documents.div_ceil(10)),
            );
            Ok(Records { train, val, bad: Vec::new() })
        }
        ChatSource::Jsonl { path, val_fraction } => {
            SourceFile { source: name, path, val_fraction: *val_fraction }.conversations()
        }
    }
}

#[cfg(test)]
mod tests;
