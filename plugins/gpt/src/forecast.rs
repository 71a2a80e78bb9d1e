//! What a training phase will need, from its sizes alone.
//!
//! Legend: B sequences of a micro-batch, T context, C width, L layers, H heads, F feed-forward
//! width, V vocabulary, W workers (threads with a part of a micro-batch each), b the sequences of
//! one worker. All numbers are f32; under mixed precision packed factors are half as long.

use corpus::Batch;
use sdk::Forecast;
use sdk_transformer::language::chunk_rows;
use sdk_transformer::product::{Precision, Products};

use crate::config::{ModelConfig, TrainingConfig};
use crate::engine::PASS_ROWS;

/// Bytes of a number.
const F32: usize = size_of::<f32>();

/// What is no array: code, the tokenizer, stacks of the threads; as measured on small models.
const OWN_BYTES: usize = 4 << 20;

/// What a phase's data takes and gives.
pub struct Data<'a> {
    /// Memory that its tokens take.
    pub memory_bytes: usize,
    /// Batches that are kept for evaluations.
    pub held_back: &'a [&'a [Batch]],
    /// Tokens after which it has been seen once.
    pub tokens_per_pass: u64,
}

/// What a phase needs that trains this model on so many threads in such a precision; its memory is
/// left open where another device computes.
pub fn forecast(
    model: &ModelConfig,
    training: &TrainingConfig,
    data: &Data<'_>,
    on_what: Option<(usize, Precision)>,
) -> Forecast {
    let tokens = training.micro_batch * training.accum_steps * model.context;
    let data_bytes = data.memory_bytes + batch_bytes(data.held_back);
    let memory_bytes = on_what.map(|(threads, precision)| {
        let memory = Memory { model, training, threads, precision };
        OWN_BYTES + data_bytes + memory.numbers() * F32
    });
    Forecast {
        parameters: Some(model.parameter_count() as u64),
        units_per_step: Some(tokens as u64),
        units_per_pass: Some(data.tokens_per_pass),
        memory_bytes: memory_bytes.map(|bytes| bytes as u64),
        flops_per_unit: Some(model.flops_per_token() as u64),
    }
}

fn batch_bytes(held_back: &[&[Batch]]) -> usize {
    let batches = held_back.iter().copied().flatten();
    batches.map(|batch| (batch.ids.len() + batch.targets.len()) * size_of::<u32>()).sum()
}

struct Memory<'a> {
    model: &'a ModelConfig,
    training: &'a TrainingConfig,
    threads: usize,
    precision: Precision,
}

impl Memory<'_> {
    /// Numbers in memory at the worst moment: everything is kept from step to step, and a checkpoint
    /// copies weights and moments beside it.
    fn numbers(&self) -> usize {
        let parameters = self.model.parameter_count();
        let workers = self.threads.min(self.training.micro_batch).max(1);
        // Weights, two moments, a gradient for each worker; a copy of the first three.
        let always = (3 + workers + 3) * parameters;
        let rows = self.rows(self.training.micro_batch.div_ceil(workers));
        let training = self.packed(self.precision) + workers * self.worker(rows, true);
        if self.precision == Precision::F32 {
            return always + training;
        }
        // Mixed precision is for training only: evaluation has passes of its own.
        let evaluators = self.threads.min(self.training.eval_batch()).max(1);
        let rows = self.rows(self.training.eval_batch().div_ceil(evaluators));
        always + training + self.packed(Precision::F32) + evaluators * self.worker(rows, false)
    }

    /// Positions that a worker with `b` sequences takes through the model at once.
    fn rows(&self, b: usize) -> usize {
        b.min(PASS_ROWS / self.model.context).max(1) * self.model.context
    }

    /// The matrices once more for each direction, in the order in which products read them.
    fn packed(&self, precision: Precision) -> usize {
        if !Products::new(precision).packs() {
            return 0;
        }
        let ModelConfig { vocab, width: c, n_layers, d_ff: f, .. } = *self.model;
        let matrices = vocab * c + n_layers * (4 * c * c + 3 * c * f);
        if precision == Precision::Bf16 { matrices } else { 2 * matrices }
    }

    /// What a worker keeps: the inputs of the layers; for each (recomputed: for one) q, k and v,
    /// attention and its sum, the feed-forward part before its non-linearity, and a sum for each
    /// head; scratch as wide as that; the gradient on its way down; and a chunk of logits.
    fn worker(&self, rows: usize, learns: bool) -> usize {
        let ModelConfig { vocab, context, width: c, n_layers, n_heads, d_ff: f, .. } = *self.model;
        let kept = match learns && !self.training.activation_checkpointing {
            true => n_layers,
            false => 1,
        };
        let layer = 5 * c + 2 * f + n_heads;
        let scratch = if learns { 5 * c + 2 * f } else { 2 * c + f };
        let logits = chunk_rows(vocab).min(rows) * vocab;
        // Parts of factors that products copy, of the longest and the widest.
        let factors = rows.min(2 * 384) * c.max(f) + 240 * 384 + 7 * context * c / n_heads.max(1);
        rows * ((n_layers + 1) * c + kept * layer + scratch + c) + logits + factors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory_mib(model: &ModelConfig, training: &TrainingConfig, threads: usize) -> usize {
        let data = Data { memory_bytes: 1 << 20, held_back: &[], tokens_per_pass: 7 };
        let forecast = forecast(model, training, &data, Some((threads, Precision::F32)));
        assert_eq!(forecast.units_per_pass, Some(7));
        forecast.memory_bytes.unwrap() as usize >> 20
    }

    /// Sizes that were measured on two threads, with what the process held beyond its start.
    #[test]
    fn forecasts_are_near_what_was_measured() {
        if !Products::new(Precision::F32).packs() {
            return; // measured on a machine with AVX-512
        }
        let measured = [
            (256, 128, 4, 128, 4, false, 55),
            (256, 128, 4, 128, 16, false, 55),
            (256, 128, 4, 128, 16, true, 47),
            (256, 256, 4, 128, 16, false, 171),
            (256, 256, 4, 128, 16, true, 154),
            (256, 384, 8, 256, 4, false, 680),
            (256, 384, 8, 256, 16, false, 680),
            (256, 384, 8, 256, 16, true, 622),
            (8000, 256, 4, 128, 16, false, 261),
            (8000, 256, 4, 128, 16, true, 244),
        ];
        for (vocab, width, n_layers, context, micro_batch, activation_checkpointing, mib) in
            measured
        {
            let (n_heads, d_ff) = (width / 32, 3 * width);
            let sizes = ModelConfig::default();
            let model = ModelConfig { vocab, context, width, n_layers, n_heads, d_ff, ..sizes };
            let defaults = TrainingConfig::default();
            let training = TrainingConfig { micro_batch, activation_checkpointing, ..defaults };
            let share = memory_mib(&model, &training, 2) as f64 / f64::from(mib);
            assert!((0.95..1.1).contains(&share), "{model:?} {training:?}: {share} of {mib} MiB");
        }
    }

    #[test]
    fn every_worker_needs_its_own() {
        let (model, training) = (ModelConfig::default(), TrainingConfig::default());
        let of = |threads| memory_mib(&model, &training, threads);
        // Sixteen workers have one sequence each; a seventeenth thread has nothing to do.
        assert!(of(16) > of(2) && of(17) == of(16), "{} {} {}", of(2), of(16), of(17));
        let once = TrainingConfig { activation_checkpointing: true, ..TrainingConfig::default() };
        assert!(memory_mib(&model, &once, 1) < of(1));
    }
}
