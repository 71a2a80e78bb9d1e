//! A small language model, written twice: of single operations, and around the SDK's stack.
//!
//! `cargo run --release -p sdk-numerics --example transformer -- [--stack] [--threads N]
//! [--seconds S]` prints the tokens per second of each step, for `bench/authors.py`. As a plugin it
//! would be the `lib.rs` of a `cdylib` crate, without `main`.
//!
//! Legend: B sequences of a step, n of a part, T positions, C width, H heads, F feed-forward width,
//! V tokens.

mod timing;

use candle_core::{DType, Device, Result, Tensor};
use schemars::JsonSchema;
use sdk::{Artifacts, DeviceContext, Generator, PhaseContext, Schedule};
use sdk::{StateVisitor, Stateful, StepReport, Trainer};
use sdk_numerics::ops::{self, Keys, Rope};
use sdk_numerics::stack::{Activation, Norm, Placement, Sequences, StackConfig, TransformerStack};
use sdk_numerics::{AdamW, AdamWConfig, Gradients, Init, ParamKind, Params, Workers, error};
use serde::{Deserialize, Serialize};

/// Added under the root of each norm.
const EPS: f64 = 1e-5;

/// Learns how sequences of bytes go on.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    total_steps: u64,
    /// Sequences of an update.
    #[schemars(range(min = 1))]
    batch_size: usize,
    /// Positions of a sequence.
    #[schemars(range(min = 1))]
    context: usize,
    /// Width of the residual stream.
    #[schemars(range(min = 1))]
    width: usize,
    /// Heads of attention; must divide the width.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Width of the feed-forward part.
    #[schemars(range(min = 1))]
    feed_forward: usize,
    /// Layers.
    #[schemars(range(min = 1))]
    layers: usize,
    /// Probability of being dropped.
    #[schemars(range(min = 0.0, max = 0.9))]
    dropout: f64,
    /// Learning rate.
    #[schemars(range(min = 0.0))]
    learning_rate: f64,
    /// Whether the layers are the SDK's stack, and not written out.
    stack: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            total_steps: 1000,
            batch_size: 16,
            context: 128,
            width: 256,
            heads: 4,
            feed_forward: 512,
            layers: 4,
            dropout: 0.0,
            learning_rate: 3e-4,
            stack: false,
        }
    }
}

/// V.
const TOKENS: usize = 256;

// guide: block
/// A pre-norm layer: attention, then a gated feed-forward part.
struct Block {
    norm1: Tensor, // (C)
    qkv: Tensor,   // (3C, C)
    proj: Tensor,  // (C, C)
    norm2: Tensor, // (C)
    up: Affine,    // (F, C)
    gate: Affine,  // (F, C)
    down: Affine,  // (C, F)
    heads: usize,
    rope: Rope,
    dropout: f64,
}

/// A linear layer with a bias.
struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, &self.weight, Some(&self.bias))
    }
}

impl Block {
    /// (n, T, C) to the same.
    fn forward(&self, h: &Tensor, keys: &mut Keys) -> Result<Tensor> {
        let p = self.dropout;
        let qkv = ops::linear(&ops::rms_norm(h, &self.norm1, EPS)?, &self.qkv, None)?; // (n, T, 3C)
        let y = ops::causal_attention(&qkv, self.heads, Some(&self.rope), p, keys.next_key())?;
        let h = ops::add_dropout(h, &ops::linear(&y, &self.proj, None)?, p, keys.next_key())?;
        let x = ops::rms_norm(&h, &self.norm2, EPS)?;
        let x = ops::swiglu(&self.up.forward(&x)?, &self.gate.forward(&x)?)?; // (n, T, F)
        ops::add_dropout(&h, &self.down.forward(&x)?, p, keys.next_key())
    }
}
// guide: end

/// Declares parameters under a name.
struct Declare<'a> {
    params: &'a mut Params,
    init: &'a mut Generator,
}

impl Declare<'_> {
    fn weight(&mut self, name: &str, kind: ParamKind, shape: &[usize]) -> sdk::Result<Tensor> {
        self.params.declare(name, kind, shape, Init::Normal { std: 0.02 }, self.init)
    }

    fn gain(&mut self, name: &str, width: usize) -> sdk::Result<Tensor> {
        self.params.declare(name, ParamKind::Norm, &[width], Init::Ones, self.init)
    }

    fn affine(&mut self, name: &str, outputs: usize, inputs: usize) -> sdk::Result<Affine> {
        let weight =
            self.weight(&format!("{name}.weight"), ParamKind::Weight, &[outputs, inputs])?;
        let name = format!("{name}.bias");
        let bias =
            self.params.declare(name, ParamKind::Bias, &[outputs], Init::Zeros, self.init)?;
        Ok(Affine { weight, bias })
    }

    fn block(&mut self, name: &str, config: &Config, rope: &Rope) -> sdk::Result<Block> {
        let (c, f) = (config.width, config.feed_forward);
        Ok(Block {
            norm1: self.gain(&format!("{name}.norm1"), c)?,
            qkv: self.weight(&format!("{name}.qkv"), ParamKind::Weight, &[3 * c, c])?,
            proj: self.weight(&format!("{name}.proj"), ParamKind::Weight, &[c, c])?,
            norm2: self.gain(&format!("{name}.norm2"), c)?,
            up: self.affine(&format!("{name}.up"), f, c)?,
            gate: self.affine(&format!("{name}.gate"), f, c)?,
            down: self.affine(&format!("{name}.down"), c, f)?,
            heads: config.heads,
            rope: rope.clone(),
            dropout: config.dropout,
        })
    }
}

/// The model: a table of tokens in front, layers, and the same table behind.
struct Model {
    table: Tensor, // (V, C)
    layers: Layers,
    dropout: f64,
}

/// The layers and the norm behind them.
enum Layers {
    WrittenOut(Vec<Block>, Tensor),
    Stack(TransformerStack),
}

impl Model {
    fn new(config: &Config, params: &mut Params, init: &mut Generator) -> sdk::Result<Self> {
        let shape = [TOKENS, config.width];
        let table = Declare { params, init }.weight("table", ParamKind::Embedding, &shape)?;
        let layers = if config.stack {
            let normal = Init::Normal { std: 0.02 };
            let (stack, t) = (stack(config), config.context);
            Layers::Stack(TransformerStack::declare("stack", &stack, t, normal, params, init)?)
        } else {
            written_out(config, &mut Declare { params, init })?
        };
        Ok(Self { table, layers, dropout: config.dropout })
    }

    /// The sum of the losses of all positions but the last: ids (n, T + 1), a seed for each of n.
    fn loss_sum(&self, ids: &Tensor, seeds: &[u64]) -> Result<Tensor> {
        let t = ids.dim(1)? - 1;
        let mut keys = Keys::new(seeds[0]);
        let (x, targets) = (ids.narrow(1, 0, t)?, ids.narrow(1, 1, t)?);
        let h = ops::embedding(&self.table, &x)?; // (n, T, C)
        let h = ops::dropout(&h, self.dropout, keys.next_key())?;
        let h = match &self.layers {
            Layers::WrittenOut(blocks, norm) => {
                let h = blocks.iter().try_fold(h, |h, block| block.forward(&h, &mut keys))?;
                ops::rms_norm(&h, norm, EPS)?
            }
            Layers::Stack(stack) => stack.forward(&h, Sequences { lengths: &[], seeds })?,
        };
        let logits = ops::linear(&h, &self.table, None)?.flatten(0, 1)?; // (n · T, V)
        Ok(ops::cross_entropy_sum(&logits, &targets.flatten_all()?, None)?.0)
    }
}

fn written_out(config: &Config, new: &mut Declare<'_>) -> sdk::Result<Layers> {
    let rope = Rope::new(config.context, config.width / config.heads, 10_000.0).map_err(error)?;
    let blocks = (0..config.layers)
        .map(|i| new.block(&format!("blocks.{i}"), config, &rope))
        .collect::<sdk::Result<_>>()?;
    Ok(Layers::WrittenOut(blocks, new.gain("norm", config.width)?))
}

// guide: stack
/// The same layers as the SDK's stack has them.
fn stack(config: &Config) -> StackConfig {
    StackConfig {
        width: config.width,
        heads: config.heads,
        feed_forward: config.feed_forward,
        layers: config.layers,
        norm: Norm::Rms,
        norm_eps: EPS,
        placement: Placement::Before,
        activation: Activation::SwiGlu,
        is_causal: true,
        rope_theta: Some(10_000.0),
        attention_bias: false,
        feed_forward_bias: true,
        dropout: config.dropout,
    }
}
// guide: end

struct Writer {
    config: Config,
    params: Params,
    model: Model,
    data: Generator,
    dropout: Generator,
    gradients: Gradients,
    optimizer: AdamW,
    workers: Workers,
}

impl Stateful for Writer {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> sdk::Result<()> {
        visitor.nested("model", &mut self.params)?;
        visitor.nested("optimizer", &mut self.optimizer)?;
        visitor.generator("data", &mut self.data)?;
        visitor.generator("dropout", &mut self.dropout)
    }
}

impl Trainer for Writer {
    type Config = Config;

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> sdk::Result<Self> {
        let mut params = Params::new(&Device::Cpu, DType::F32);
        let model = Model::new(&config, &mut params, &mut cx.generator("model init"))?;
        let workers = Workers::new(cx.device().threads);
        Ok(Self {
            data: cx.generator("data"),
            dropout: cx.generator("dropout"),
            gradients: Gradients::new(&params).workers(&workers),
            optimizer: AdamW::new(&params, AdamWConfig::default()).workers(&workers),
            workers,
            model,
            params,
            config,
        })
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(self.config.total_steps)
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> sdk::Result<StepReport> {
        let (batch, length) = (self.config.batch_size, self.config.context + 1);
        let tokens = batch * self.config.context;
        let ids = sequences(&mut self.data, batch, length);
        // Some whole sequences at a time: their activations, about 512 rows of them, stay in the
        // cache, and memory does not grow with the batch. Each sequence has a seed of its own.
        let of_part = (512 / self.config.context).max(1);
        let seeds: Vec<u64> = (0..batch).map(|_| self.dropout.next_u64()).collect();
        let parts = ids.chunks(of_part * length).zip(seeds.chunks(of_part)).collect();
        let model = &self.model;
        self.gradients.zero();
        let loss =
            self.workers.gradients(&self.params, parts, &mut self.gradients, |(ids, seeds)| {
                let loss = || {
                    let ids = Tensor::from_slice(ids, (seeds.len(), length), &Device::Cpu)?;
                    model.loss_sum(&ids, seeds)? / tokens as f64
                };
                loss().map_err(error)
            })?;
        let grad_norm = self.gradients.clip(Some(1.0));
        self.optimizer.step(&self.params, &self.gradients, self.config.learning_rate)?;
        Ok(StepReport::new(loss, tokens as u64).metric("grad_norm", grad_norm))
    }
}

/// Sequences of which each counts on by a stride of its own, below 4, modulo V.
fn sequences(generator: &mut Generator, n: usize, length: usize) -> Vec<u32> {
    let one = |_| {
        let (start, stride) = (generator.below(TOKENS as u64), generator.below(4));
        (0..length as u64).map(move |i| ((start + i * stride) % TOKENS as u64) as u32)
    };
    (0..n).flat_map(one).collect()
}

fn main() -> sdk::Result<()> {
    let device = DeviceContext { threads: timing::threads(), ..DeviceContext::default() };
    let cx = PhaseContext::detached("transformer", 42, device);
    timing::keep_pages();
    let config =
        Config { stack: std::env::args().any(|arg| arg == "--stack"), ..Config::default() };
    let mut trainer = Writer::prepare(config, &Artifacts::default(), &cx)?;
    timing::report("tokens_per_s", |step| trainer.step(step, &cx))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained(stack: bool, dropout: f64) -> Vec<f64> {
        let device = DeviceContext { threads: 2, ..DeviceContext::default() };
        let cx = PhaseContext::detached("transformer", 1, device);
        let config = Config {
            context: 16,
            width: 32,
            feed_forward: 48,
            layers: 2,
            heads: 2,
            learning_rate: 1e-2,
            dropout,
            stack,
            ..Config::default()
        };
        let mut trainer = Writer::prepare(config, &Artifacts::default(), &cx).unwrap();
        (0..30).map(|step| trainer.step(step, &cx).unwrap().loss).collect()
    }

    /// Both ways draw the same weights and sequences, so their losses are the same up to rounding,
    /// which grows with the steps.
    #[test]
    fn the_stack_learns_as_the_blocks_do() {
        let (blocks, stack) = (trained(false, 0.0), trained(true, 0.0));
        assert!((blocks[0] - 256f64.ln()).abs() < 0.3, "{}", blocks[0]);
        for (step, (a, b)) in blocks.iter().zip(&stack).enumerate() {
            assert!((a - b).abs() < 1e-5 * f64::from(step as u32 + 1), "{step}: {a} {b}");
        }
        assert!(blocks[29] < 4.0, "{blocks:?}");
        // Noise is drawn differently: the first losses are apart by more than rounding.
        let (blocks, stack) = (trained(false, 0.2), trained(true, 0.2));
        assert!((blocks[0] - stack[0]).abs() > 1e-4, "{} {}", blocks[0], stack[0]);
        assert!(blocks[29] < 4.5 && stack[29] < 4.5, "{} {}", blocks[29], stack[29]);
    }
}
