//! A language model: a table of embeddings in front of a stack, and the same table behind it.
//!
//! The head and its loss are computed in chunks of rows, so that the logits of a pass never exist
//! whole: they are V wide.
//!
//! Legend: as in `stack`; V vocabulary.

use std::sync::Arc;

use crate::buffer::Buffer;
use crate::kernels;
use crate::product::{Mat, Precision, Products, To};
use crate::stack::{
    GradientsMut, Layout, LinearAt, PackedWeights, Pass, Stack, StackConfig, Weights, Worker,
};
use crate::threads::Threads;

/// Logits that a chunk of rows may have: 16 MiB.
const CHUNK_LOGITS: usize = 1 << 22;
/// Rows of a chunk at most, and at least.
const CHUNK_ROWS: (usize, usize) = (48, 240);

/// Rows whose logits over `vocab` tokens are there at one time.
pub fn chunk_rows(vocab: usize) -> usize {
    (CHUNK_LOGITS / vocab.max(1)).clamp(CHUNK_ROWS.0, CHUNK_ROWS.1)
}

/// What the target of a position is that nothing is learnt from.
pub const IGNORE: u32 = u32::MAX;

/// The sizes and parameters of a language model. Parameter 0 is the table (V, C).
#[derive(Clone, Debug)]
pub struct LanguageModel {
    stack: Arc<Stack>,
    vocab: usize,
    linears: Vec<LinearAt>,
}

/// One thread's passes through a language model.
#[derive(Debug)]
pub struct LanguageWorker {
    stack: Worker,
    products: Products,
    logits: Buffer,
    d: Buffer,
}

/// Sequences of tokens with what is to come at each position.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// n·T ids.
    pub ids: &'a [u32],
    /// n·T ids, or [`IGNORE`].
    pub targets: &'a [u32],
    /// T.
    pub length: usize,
    /// A seed of dropout for each sequence; empty for none.
    pub seeds: &'a [u64],
}

impl LanguageModel {
    /// A model over `vocab` tokens, for sequences of at most `positions`.
    pub fn new(config: &StackConfig, vocab: usize, positions: usize) -> Self {
        let stack = Stack::new(config, 1, positions);
        let mut linears = stack.layout.linears();
        linears.push(LinearAt { weight: 0, bias: None, outputs: vocab, inputs: config.width });
        Self { stack, vocab, linears }
    }

    /// The parameters behind the table, in order.
    pub fn layout(&self) -> &Layout {
        &self.stack.layout
    }

    /// Packs the weights for products, after each update of them.
    pub fn pack(
        &self,
        values: &[&[f32]],
        packed: &mut PackedWeights,
        precision: Precision,
        threads: &Threads,
    ) {
        packed.pack(values, &self.linears, &Products::new(precision), threads);
    }

    /// A worker; as for [`Worker::new`].
    pub fn worker(&self, precision: Precision, recomputes: bool) -> LanguageWorker {
        LanguageWorker {
            stack: Worker::new(&self.stack, precision, recomputes),
            products: Products::new(precision),
            logits: Buffer::default(),
            d: Buffer::default(),
        }
    }
}

impl LanguageWorker {
    /// The sum of the token losses in nats; adds the gradients of `scale` times it to `gradients`,
    /// which has a range for each parameter of the model.
    pub fn learn(
        &mut self,
        model: &LanguageModel,
        w: Weights<'_>,
        tokens: &Tokens<'_>,
        scale: f32,
        gradients: &mut GradientsMut<'_>,
    ) -> f64 {
        let pass = self.embed(model, w, tokens, true);
        self.stack.forward(w, &pass);
        let loss = self.head(model, w, tokens, Some((scale, &mut gradients[0])));
        self.stack.backward(w, &pass, &mut self.d, gradients);
        pass.noise(model.stack.config.dropout, 1).apply(&mut self.d);
        let c = model.stack.config.width;
        for (d, id) in self.d.chunks_exact(c).zip(tokens.ids) {
            let row = *id as usize * c;
            kernels::add_assign(&mut gradients[0][row..row + c], d);
        }
        loss
    }

    /// The sum of the token losses in nats, without dropout.
    pub fn loss(&mut self, model: &LanguageModel, w: Weights<'_>, tokens: &Tokens<'_>) -> f64 {
        let pass = self.embed(model, w, tokens, false);
        self.stack.forward(w, &pass);
        self.head(model, w, tokens, None)
    }

    fn embed<'a>(
        &mut self,
        model: &LanguageModel,
        w: Weights<'_>,
        tokens: &Tokens<'a>,
        keeps: bool,
    ) -> Pass<'a> {
        let (length, c) = (tokens.length, model.stack.config.width);
        let sequences = tokens.ids.len() / length;
        let seeds = if keeps { tokens.seeds } else { &[] };
        let pass = Pass { sequences, length, lengths: &[], seeds, keeps };
        let input = self.stack.input(&pass);
        for (row, id) in input.chunks_exact_mut(c).zip(tokens.ids) {
            row.copy_from_slice(&w.values[0][*id as usize * c..][..c]);
        }
        pass.noise(model.stack.config.dropout, 1).apply(input);
        pass
    }

    /// Logits and loss of what the stack gave; given a scale and the table's gradient also the
    /// gradients, those of what the stack gave into `self.d`.
    fn head(
        &mut self,
        model: &LanguageModel,
        w: Weights<'_>,
        tokens: &Tokens<'_>,
        mut learns: Option<(f32, &mut [f32])>,
    ) -> f64 {
        let scale = learns.as_ref().map_or(0.0, |(scale, _)| *scale);
        let (v, c) = (model.vocab, model.stack.config.width);
        let hidden = self.stack.output();
        let chunk = chunk_rows(v);
        self.logits.resize(chunk.min(tokens.ids.len()) * v);
        self.d.resize(hidden.len());
        let mut loss = 0.0;
        let rows = hidden.chunks(chunk * c).zip(self.d.chunks_mut(chunk * c));
        for ((x, d), targets) in rows.zip(tokens.targets.chunks(chunk)) {
            let n = targets.len();
            let logits = &mut self.logits[..n * v];
            let right = (&w.packed.at(0).forward, Mat::rows(w.values[0], c).t());
            self.products.by_panels((n, v, c), Mat::rows(x, c), right, &mut To::rows(logits, v));
            for (row, target) in logits.chunks_exact_mut(v).zip(targets) {
                match *target {
                    IGNORE => row.fill(0.0),
                    target => {
                        let target = target as usize;
                        loss += f64::from(kernels::cross_entropy_row(row, target, scale));
                    }
                }
            }
            if let Some((_, gradient)) = &mut learns {
                let (dlogits, size) = (Mat::rows(logits, v), (n, c, v));
                let right = (&w.packed.at(0).input, Mat::rows(w.values[0], c));
                self.products.by_panels(size, dlogits, right, &mut To::rows(d, c));
                let mut to = To::sum(gradient, c);
                self.products.product((v, c, n), dlogits.t(), Mat::rows(x, c), &mut to);
            }
        }
        loss
    }
}
