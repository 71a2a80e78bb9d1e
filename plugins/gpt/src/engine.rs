//! The passes of the CPU: forward and backward written out, over the parameters where they lie.
//!
//! Legend: B sequences of a batch, T context. Each thread takes a consecutive part of the sequences,
//! a few at a time, so that their activations stay small and near.

use corpus::{Batch, IGNORE};
use sdk::{Error, Result};
use sdk_numerics::{Gradients, Params, Reader, Workers};
use sdk_transformer::language::{self, LanguageModel, LanguageWorker, Tokens};
use sdk_transformer::product::Precision;
use sdk_transformer::stack::{Activation, Norm, PackedWeights, Placement, StackConfig, Weights};
use sdk_transformer::threads::{Items, Threads};

use crate::config::ModelConfig;
use crate::model::NORM_EPS;

/// Rows (positions of sequences) that a thread takes through the model at once.
pub(crate) const PASS_ROWS: usize = 256;

/// The model's passes on some threads.
#[derive(Debug)]
pub(crate) struct Engine {
    model: LanguageModel,
    vocab: usize,
    precision: Precision,
    threads: Vec<LanguageWorker>,
    reader: Reader,
    packed: PackedWeights,
    is_packed: bool,
}

/// The stack of a GPT of these sizes.
pub(crate) fn stack(model: &ModelConfig) -> StackConfig {
    StackConfig {
        width: model.width,
        heads: model.n_heads,
        feed_forward: model.d_ff,
        layers: model.n_layers,
        norm: Norm::Rms,
        norm_eps: NORM_EPS,
        placement: Placement::Before,
        activation: Activation::SwiGlu,
        is_causal: true,
        rope_theta: Some(model.rope_theta),
        attention_bias: false,
        feed_forward_bias: true,
        dropout: model.dropout,
    }
}

/// Consecutive sequences of a batch with their seeds of dropout, for one thread.
struct Part<'a> {
    ids: &'a [u32],
    targets: &'a [u32],
    seeds: &'a [u64],
}

impl Engine {
    /// Passes in `precision`; with `recomputes` a layer keeps its input only.
    pub(crate) fn new(
        config: &ModelConfig,
        threads: usize,
        precision: Precision,
        recomputes: bool,
    ) -> Self {
        let model = LanguageModel::new(&stack(config), config.vocab, config.context);
        let worker = || model.worker(precision, recomputes);
        Self {
            threads: (0..threads.max(1)).map(|_| worker()).collect(),
            vocab: config.vocab,
            precision,
            reader: Reader::default(),
            packed: PackedWeights::default(),
            is_packed: false,
            model,
        }
    }

    /// To be told after each update of the weights.
    pub(crate) fn weights_changed(&mut self) {
        self.is_packed = false;
    }

    /// Adds the gradients of the batch's losses, each divided by `valid_tokens`; returns their sum,
    /// likewise divided. `seeds` has one for each sequence.
    ///
    /// # Errors
    /// When an id or a target is no token.
    pub(crate) fn learn(
        &mut self,
        params: &Params,
        batch: &Batch,
        seeds: &[u64],
        valid_tokens: usize,
        workers: &Workers,
        gradients: &mut Gradients,
    ) -> Result<f64> {
        self.check(batch)?;
        let (length, scale) = (batch.t, 1.0 / valid_tokens as f32);
        let sum = self.with_weights(params, workers.pool(), |model, weights, threads| {
            let n = threads.len().min(batch.n).max(1);
            workers.passes(&mut threads[..n], gradients, |i, worker, to| {
                let passes = passes(&part(batch, seeds, i, n), length);
                Ok(passes.map(|tokens| worker.learn(model, weights, &tokens, scale, to)).sum())
            })
        })??;
        Ok(sum / valid_tokens as f64)
    }

    /// The sum of the batch's losses in nats, without dropout.
    ///
    /// # Errors
    /// As [`Engine::learn`].
    pub(crate) fn loss(
        &mut self,
        params: &Params,
        batch: &Batch,
        workers: &Workers,
    ) -> Result<f64> {
        self.check(batch)?;
        self.with_weights(params, workers.pool(), |model, weights, threads| {
            let n = threads.len().min(batch.n).max(1);
            let mut sums = vec![0.0; n];
            let parts = (Items::new(threads), Items::new(&mut sums));
            workers.each(parts, |i, (worker, sum)| {
                let passes = passes(&part(batch, &[], i, n), batch.t);
                *sum = passes.map(|tokens| worker.loss(model, weights, &tokens)).sum();
            })?;
            Ok(sums.iter().sum())
        })?
    }

    /// Runs `f` on the model, its weights and the workers, with the weights packed on `pool`.
    fn with_weights<R>(
        &mut self,
        params: &Params,
        pool: &Threads,
        f: impl FnOnce(&LanguageModel, Weights<'_>, &mut [LanguageWorker]) -> R,
    ) -> Result<R> {
        let Self { model, precision, threads, reader, packed, is_packed, .. } = self;
        reader.read(params, |values| {
            if !*is_packed {
                model.pack(values, packed, *precision, pool);
                *is_packed = true;
            }
            f(model, Weights { values, packed }, threads)
        })
    }

    /// Refuses what is no token.
    fn check(&self, batch: &Batch) -> Result<()> {
        let is_token = |id: &&u32| (**id as usize) < self.vocab;
        let mut targets = batch.targets.iter().filter(|target| **target != IGNORE);
        let foreign = batch.ids.iter().find(|id| !is_token(id));
        match foreign.or_else(|| targets.find(|target| !is_token(target))) {
            None => Ok(()),
            Some(id) => {
                let message = format!("{id} is not one of the {} tokens", self.vocab);
                Err(Error::new("data::token", message))
            }
        }
    }
}

/// Part `i` of `n` of a batch: nearly as many sequences as each other has, in order.
fn part<'a>(batch: &'a Batch, seeds: &'a [u64], i: usize, n: usize) -> Part<'a> {
    let (begin, end) = (i * batch.n / n, (i + 1) * batch.n / n);
    let rows = begin * batch.t..end * batch.t;
    let seeds = if seeds.is_empty() { seeds } else { &seeds[begin..end] };
    Part { ids: &batch.ids[rows.clone()], targets: &batch.targets[rows], seeds }
}

/// A part's sequences, as many at a time as [`PASS_ROWS`] holds, at least one.
fn passes<'a>(part: &Part<'a>, length: usize) -> impl Iterator<Item = Tokens<'a>> + use<'a> {
    const { assert!(IGNORE == language::IGNORE) };
    let sequences = (PASS_ROWS / length.max(1)).max(1);
    let Part { ids, targets, seeds } = *part;
    let rows = sequences * length.max(1);
    ids.chunks(rows).zip(targets.chunks(rows)).enumerate().map(move |(i, (ids, targets))| {
        let seeds = match seeds {
            [] => seeds,
            seeds => &seeds[i * sequences..i * sequences + ids.len() / length],
        };
        Tokens { ids, targets, length, seeds }
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use sdk::Generator;
    use sdk_numerics::ops::Keys;
    use sdk_transformer::simd::{Level, limited};

    use super::*;
    use crate::model::{Gpt, Mode};

    fn config(dropout: f64) -> ModelConfig {
        ModelConfig {
            vocab: 23,
            context: 70,
            width: 24,
            n_layers: 2,
            n_heads: 3,
            d_ff: 20,
            dropout,
            ..ModelConfig::default()
        }
    }

    fn gpt(config: &ModelConfig, dtype: DType) -> Gpt {
        let mut init = Generator::new(5, "model init");
        let gpt = Gpt::new(config, &mut init, &Device::Cpu, dtype).unwrap();
        // The weights start small; larger ones make every path matter.
        for (name, _, var) in gpt.params().iter() {
            let wave = Tensor::arange(0f32, var.elem_count() as f32, &Device::Cpu).unwrap();
            let wave = ((wave * 12.9898).unwrap().sin().unwrap() * 0.1).unwrap();
            let wave = wave.reshape(var.shape()).unwrap().to_dtype(dtype).unwrap();
            let base = f64::from(u8::from(name.contains("ln")));
            var.set(&((var.as_tensor() * base).unwrap() + wave).unwrap()).unwrap();
        }
        gpt
    }

    fn batch(n: usize, t: usize) -> Batch {
        let ids: Vec<u32> = (0..(n * t) as u32).map(|i| (i * 7 + i * i) % 23).collect();
        let target = |i: u32| if i % 5 == 4 { IGNORE } else { (i * 11 + 3) % 23 };
        let targets: Vec<u32> = (0..(n * t) as u32).map(target).collect();
        let valid_tokens = targets.iter().filter(|target| **target != IGNORE).count();
        Batch { ids, targets, n, t, valid_tokens }
    }

    /// Loss and gradients of candle's tape in f64, one sequence a shard.
    fn taped(gpt: &Gpt, batch: &Batch, seeds: &[u64]) -> (f64, Gradients) {
        let mut gradients = Gradients::new(gpt.params());
        let shards = (0..batch.n).map(|i| (i, seeds[i])).collect();
        let loss = Workers::new(1).gradients(gpt.params(), shards, &mut gradients, |(i, seed)| {
            let run = || {
                let rows = i * batch.t..(i + 1) * batch.t;
                let shape = (1, batch.t);
                let ids = Tensor::from_slice(&batch.ids[rows.clone()], shape, &Device::Cpu)?;
                let targets = Tensor::from_slice(&batch.targets[rows], shape, &Device::Cpu)?;
                let mut keys = Keys::new(seed);
                let mut mode = Mode::Train(&mut keys);
                let (sum, _) = gpt.loss_sum(&ids, &targets, Some(IGNORE), &mut mode)?;
                sum / batch.valid_tokens as f64
            };
            run().map_err(sdk_numerics::error)
        });
        (loss.unwrap(), gradients)
    }

    fn agrees(dropout: f64, (n, t): (usize, usize), threads: usize) {
        let config = config(dropout);
        let (gpt, exact) = (gpt(&config, DType::F32), gpt(&config, DType::F64));
        let batch = batch(n, t);
        let seeds: Vec<u64> = (0..n as u64).map(|i| 100 + i).collect();
        let (want, tape) = taped(&exact, &batch, &seeds);
        let mut engine = Engine::new(&config, threads, Precision::F32, false);
        let mut gradients = Gradients::new(gpt.params());
        let workers = Workers::new(threads);
        let (params, valid) = (gpt.params(), batch.valid_tokens);
        let loss = engine.learn(params, &batch, &seeds, valid, &workers, &mut gradients).unwrap();
        assert!((loss - want).abs() < 1e-5 * want, "{loss} {want}");
        let norm = |g: &mut dyn Iterator<Item = f32>| g.map(|g| g * g).sum::<f32>().sqrt();
        for (name, _, _) in params.iter() {
            let (got, want) = (gradients.get(name).unwrap(), tape.get(name).unwrap());
            let size = norm(&mut want.iter().copied());
            let apart = norm(&mut got.iter().zip(&want).map(|(got, want)| got - want));
            // Of a single position nothing depends on queries and keys.
            assert!(size > 0.0 || t == 1, "{name} has no gradient");
            assert!(apart <= 1e-5 * size, "{name}: {}", apart / size);
        }
        if dropout == 0.0 {
            let sum = engine.loss(params, &batch, &workers).unwrap();
            assert!((sum / valid as f64 - want).abs() < 1e-5 * want, "{sum}");
        }
    }

    #[test]
    fn the_passes_agree_with_candles_tape_for_odd_sizes() {
        for size in [(1, 1), (1, 7), (3, 13), (2, 70), (16, 63)] {
            agrees(0.0, size, 2);
        }
    }

    #[test]
    fn they_agree_on_every_instruction_set() {
        for level in [Level::Baseline, Level::Avx2, Level::Avx512] {
            limited(level, || agrees(0.0, (3, 13), 1));
        }
    }

    /// The same keys drop the same elements, in either.
    #[test]
    fn they_drop_the_same_elements() {
        agrees(0.3, (3, 13), 2);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let config = config(0.0);
        let gpt = gpt(&config, DType::F32);
        let mut engine = Engine::new(&config, 1, Precision::F32, false);
        let mut batch = batch(1, 7);
        batch.targets[3] = 23;
        let error = engine.loss(gpt.params(), &batch, &Workers::new(1)).unwrap_err();
        assert_eq!(error.message, "23 is not one of the 23 tokens");
    }
}
