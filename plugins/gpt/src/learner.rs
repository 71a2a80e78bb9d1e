//! One optimizer step of the GPT, and its evaluation: what pretraining and fine-tuning share.
//!
//! Legend: B sequences of a micro-batch, T context. A step is some micro-batches; each is cut into
//! one part a thread. Every loss is divided by the valid tokens of the whole step, so the sum of
//! the parts' gradients is the gradient of the step's mean loss, however it was cut.
//!
//! On the CPU the passes are written out (`engine`); elsewhere they are candle's, on its tape.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use sdk::{Error, Generator, PhaseContext, Result, Stages, StateVisitor, Stateful, StepReport};
use sdk_numerics::ops::{Compute, Keys};
use sdk_numerics::{AdamW, Gradients, WarmupCosine, Workers, device_peak_flops, error};
use sdk_transformer::product::Precision;

use crate::config::{ModelConfig, TrainingConfig};
use crate::engine::Engine;
use crate::model::{Gpt, Mode, Training};
use corpus::{Batch, IGNORE};

/// Model, optimizer and randomness of a training phase.
pub struct Learner {
    /// The model.
    pub model: Gpt,
    optimizer: AdamW,
    gradients: Gradients,
    schedule: WarmupCosine,
    grad_clip: Option<f64>,
    dropout: Generator,
    /// Told which part of a step is done.
    stages: Stages,
    /// Seeds of a micro-batch's sequences.
    seeds: Vec<u64>,
    workers: Workers,
    /// The CPU's passes; none where candle's tape does the work.
    engine: Option<Engine>,
    /// The same in f32, where `engine` is not: mixed precision is for training only.
    evaluator: Option<Engine>,
    device: Device,
    flops_per_token: f64,
    /// What the device's products reach, in operations per second.
    peak_flops: f64,
}

impl Stateful for Learner {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("model", &mut self.model)?;
        visitor.nested("optimizer", &mut self.optimizer)?;
        visitor.generator("dropout", &mut self.dropout)
    }
}

impl Learner {
    /// A model with fresh weights, and its optimizer.
    ///
    /// # Errors
    /// When the device is not there or the sizes don't fit together.
    pub fn new(model: &ModelConfig, training: &TrainingConfig, cx: &PhaseContext) -> Result<Self> {
        let device = sdk_numerics::device(cx.device())?;
        let dtype = sdk_numerics::to_candle_dtype(cx.device().dtype);
        let how = Training {
            compute: Compute::of_phase(cx.device())?,
            recomputes_blocks: training.activation_checkpointing,
        };
        let threads = cx.device().threads;
        // A GPU works on one micro-batch at a time: more workers would only share its memory.
        let on_host = Workers::new(threads);
        let workers = if device.is_cpu() { on_host.clone() } else { Workers::new(1) };
        let engine = engine(model, how, &device, dtype, workers.threads());
        let in_f32 = || Engine::new(model, workers.threads(), Precision::F32, false);
        let is_mixed = engine.is_some() && how.compute == Compute::Bf16;
        let evaluator = is_mixed.then(in_f32);
        let flops_per_token = model.flops_per_token();
        let model = Gpt::new(model, &mut cx.generator("model init"), &device, dtype)?;
        let model = model.with_training(how);
        Ok(Self {
            optimizer: AdamW::new(model.params(), training.adamw()).workers(&on_host),
            gradients: Gradients::new(model.params()).workers(&on_host),
            schedule: training.schedule(),
            grad_clip: training.grad_clip,
            dropout: cx.generator("dropout"),
            stages: cx.stages().clone(),
            seeds: Vec::new(),
            peak_flops: peak_flops(&workers, &device)?,
            flops_per_token,
            workers,
            engine,
            evaluator,
            device,
            model,
        })
    }

    /// One optimizer update on some micro-batches: set the rate, forward and backward of each
    /// micro-batch, clip, update. Reports `lr`, `grad_norm` before clipping, and `mfu`.
    ///
    /// # Errors
    /// When the arithmetic fails, as with an id that is no token.
    pub fn step(&mut self, step: u64, micro_batches: &[Batch]) -> Result<StepReport> {
        let begin = Instant::now();
        let lr = self.schedule.lr(step);
        let valid_tokens: usize = micro_batches.iter().map(|batch| batch.valid_tokens).sum();
        // A step without targets has the loss 0 and no gradient; a mean of nothing would be NaN.
        let valid_tokens = valid_tokens.max(1);
        self.gradients.zero();
        self.engine.iter_mut().for_each(Engine::weights_changed);
        self.stages.done("zero");
        let mut loss = 0.0;
        for batch in micro_batches {
            loss += self.accumulate(batch, valid_tokens)?;
        }
        self.stages.done("forward and backward");
        let grad_norm = self.gradients.clip(self.grad_clip);
        self.stages.done("clip");
        if !grad_norm.is_finite() && loss.is_finite() {
            let name = self.gradients.non_finite().unwrap_or("unknown");
            let message = format!("the gradient of `{name}` is not a finite number");
            return Err(Error::new("train::not_finite", message).help("lower the learning rate"));
        }
        self.optimizer.step(self.model.params(), &self.gradients, lr)?;
        self.stages.done("update");
        let tokens = micro_batches.iter().map(|batch| (batch.n * batch.t) as u64).sum();
        let mfu = self.mfu(tokens, begin.elapsed().as_secs_f64());
        let report = StepReport::new(loss, tokens).metric("lr", lr);
        Ok(report.metric("grad_norm", grad_norm).metric("mfu", mfu))
    }

    /// Model FLOPs utilisation (Chowdhery et al. 2022): the operations that `tokens` need by the
    /// model's formula, as a share of what the machine's f32 products do in `seconds`.
    fn mfu(&self, tokens: u64, seconds: f64) -> f64 {
        self.flops_per_token * tokens as f64 / (seconds * self.peak_flops).max(1.0)
    }

    /// Adds the gradients of one micro-batch; returns its part of the step's mean loss.
    fn accumulate(&mut self, batch: &Batch, valid_tokens: usize) -> Result<f64> {
        if let Some(engine) = &mut self.engine {
            self.seeds.clear();
            self.seeds.extend((0..batch.n).map(|_| self.dropout.next_u64()));
            let (params, gradients) = (self.model.params(), &mut self.gradients);
            let (seeds, workers) = (&self.seeds, &self.workers);
            return engine.learn(params, batch, seeds, valid_tokens, workers, gradients);
        }
        let shards: Vec<(Batch, u64)> = shards(batch, self.workers.threads())
            .into_iter()
            .map(|shard| (shard, self.dropout.next_u64()))
            .collect();
        let (model, device) = (&self.model, &self.device);
        self.workers.gradients(model.params(), shards, &mut self.gradients, |(shard, key)| {
            let mut keys = Keys::new(key);
            let (sum, _) = loss_sum(model, device, &shard, &mut Mode::Train(&mut keys))?;
            (sum / valid_tokens as f64).map_err(error)
        })
    }

    /// Mean loss in nats over the valid tokens of all batches, without dropout. `None` when there
    /// are none.
    ///
    /// # Errors
    /// As [`Learner::step`]; also when the run was asked to stop.
    pub fn evaluate(&mut self, batches: &[Batch], cx: &PhaseContext) -> Result<Option<f64>> {
        let engines = self.engine.iter_mut().chain(&mut self.evaluator);
        engines.for_each(Engine::weights_changed);
        let (mut total, mut valid_tokens) = (0.0, 0);
        for batch in batches {
            cx.check_cancelled()?;
            total += self.sum_of_losses(batch)?;
            valid_tokens += batch.valid_tokens;
        }
        Ok((valid_tokens > 0).then(|| total / valid_tokens as f64))
    }

    fn sum_of_losses(&mut self, batch: &Batch) -> Result<f64> {
        if let Some(engine) = self.evaluator.as_mut().or(self.engine.as_mut()) {
            return engine.loss(self.model.params(), batch, &self.workers);
        }
        let sums = self.on_threads(shards(batch, self.workers.threads()), |shard| {
            let (sum, _) = loss_sum(&self.model, &self.device, &shard, &mut Mode::Eval)?;
            let sum = sum.to_dtype(DType::F64).and_then(|sum| sum.to_scalar::<f64>());
            sum.map_err(error)
        })?;
        Ok(sums.into_iter().sum())
    }

    /// Runs `work` on every item, one thread an item, and returns the results in order.
    pub(crate) fn on_threads<S: Send, R: Send>(
        &self,
        items: Vec<S>,
        work: impl Fn(S) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        std::thread::scope(|scope| {
            let work = &work;
            let handles: Vec<_> =
                items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
            handles
                .into_iter()
                .map(|handle| {
                    handle.join().unwrap_or_else(|payload| {
                        std::mem::forget(payload);
                        Err(Error::new("panic", "a thread of the evaluation panicked"))
                    })
                })
                .collect()
        })
    }

    /// Its threads and the precision of its products: what its memory depends on besides the sizes.
    /// `None` where that isn't the machine's memory.
    pub fn on_what(&self) -> Option<(usize, Precision)> {
        let is_mixed = self.evaluator.is_some();
        let precision = if is_mixed { Precision::Bf16 } else { Precision::F32 };
        self.device.is_cpu().then(|| (self.threads(), precision))
    }

    /// Threads that this learner keeps busy.
    pub fn threads(&self) -> usize {
        self.workers.threads()
    }
}

/// The CPU's passes, where it is the CPU that computes, in a precision that it multiplies in.
fn engine(
    model: &ModelConfig,
    how: Training,
    device: &Device,
    dtype: DType,
    threads: usize,
) -> Option<Engine> {
    let precision = how.compute.precision();
    let is_ours = device.is_cpu() && dtype == DType::F32 && precision.is_native();
    is_ours.then(|| Engine::new(model, threads, precision, how.recomputes_blocks))
}

/// The yardstick of [`Learner::mfu`].
fn peak_flops(workers: &Workers, device: &Device) -> Result<f64> {
    if device.is_cpu() { Ok(workers.peak_flops()) } else { device_peak_flops(device) }
}

fn loss_sum(
    model: &Gpt,
    device: &Device,
    batch: &Batch,
    mode: &mut Mode<'_>,
) -> Result<(Tensor, usize)> {
    let mut run = || {
        let shape = (batch.n, batch.t);
        let ids = Tensor::from_slice(&batch.ids, shape, device)?;
        let targets = Tensor::from_slice(&batch.targets, shape, device)?;
        model.loss_sum(&ids, &targets, Some(IGNORE), mode)
    };
    run().map_err(error)
}

/// Cuts a batch into at most `n` parts of nearly equal numbers of sequences, in order.
fn shards(batch: &Batch, n: usize) -> Vec<Batch> {
    let n = n.min(batch.n).max(1);
    (0..n)
        .map(|i| {
            let (begin, end) = (i * batch.n / n, (i + 1) * batch.n / n);
            let tokens = begin * batch.t..end * batch.t;
            let targets = batch.targets[tokens.clone()].to_vec();
            Batch {
                ids: batch.ids[tokens].to_vec(),
                valid_tokens: targets.iter().filter(|target| **target != IGNORE).count(),
                targets,
                n: end - begin,
                t: batch.t,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use sdk::DeviceContext;
    use sdk_transformer::simd::{Level, limited};

    use super::*;

    #[test]
    fn a_step_without_anything_to_learn_has_a_loss_of_0() {
        let model = ModelConfig {
            vocab: 11,
            context: 8,
            width: 8,
            n_layers: 1,
            n_heads: 2,
            d_ff: 16,
            ..ModelConfig::default()
        };
        let cx = PhaseContext::detached("sft", 1, DeviceContext::default());
        let mut learner = Learner::new(&model, &TrainingConfig::default(), &cx).unwrap();
        let (ids, targets) = (vec![1; 16], vec![IGNORE; 16]);
        let batch = Batch { ids, targets, n: 2, t: 8, valid_tokens: 0 };
        let report = learner.step(1, &[batch]).unwrap();
        let norm = report.metrics.iter().find(|(name, _)| name == "grad_norm").unwrap();
        assert_eq!((report.loss, norm.1), (0.0, 0.0));
    }

    /// What a GPU's steps are made of: candle's tape, composed operations, an optimizer on the host.
    /// Here they run on the CPU in f64, where the engine is none.
    #[test]
    fn the_tape_learns_what_the_engine_learns() {
        let model = ModelConfig {
            vocab: 13,
            context: 12,
            width: 16,
            n_layers: 2,
            n_heads: 2,
            d_ff: 24,
            dropout: 0.0,
            ..ModelConfig::default()
        };
        let ids: Vec<u32> = (0..36).map(|i| i * i % 13).collect();
        let mut targets: Vec<u32> = ids.iter().map(|id| (id + 5) % 13).collect();
        targets[7] = IGNORE;
        let batches = [Batch { ids, targets, n: 3, t: 12, valid_tokens: 35 }];
        let losses = |dtype, activation_checkpointing| {
            let training = TrainingConfig {
                activation_checkpointing,
                warmup_steps: 2,
                base_lr: 0.01,
                ..TrainingConfig::default()
            };
            let device = DeviceContext { dtype, threads: 2, ..DeviceContext::default() };
            let cx = PhaseContext::detached("pretrain", 1, device);
            let mut learner = Learner::new(&model, &training, &cx).unwrap();
            assert_eq!(learner.engine.is_some(), dtype == sdk::DType::F32);
            let step = |i| learner.step(i, &batches).unwrap().loss;
            let mut losses: Vec<f64> = (0..8).map(step).collect();
            losses.extend(learner.evaluate(&batches, &cx).unwrap());
            losses
        };
        let engine = losses(sdk::DType::F32, false);
        assert!(engine[8] < engine[0] - 0.5, "{engine:?}");
        for recomputes in [false, true] {
            for (tape, engine) in losses(sdk::DType::F64, recomputes).iter().zip(&engine) {
                assert!((tape - engine).abs() < 2e-5, "{tape} {engine}");
            }
        }
    }

    /// Where the CPU can't multiply in bfloat16, candle's tape emulates it.
    #[test]
    fn a_cpu_without_products_of_bfloat16_does_without_the_engine() {
        let mixed = Training { compute: Compute::Bf16, recomputes_blocks: false };
        let model = ModelConfig::default();
        let of = |how| limited(Level::Avx512, || engine(&model, how, &Device::Cpu, DType::F32, 1));
        assert!(of(mixed).is_none());
        assert!(of(Training::default()).is_some());
        assert!(engine(&model, Training::default(), &Device::Cpu, DType::F64, 1).is_none());
    }
}
