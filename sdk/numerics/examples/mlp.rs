//! A plugin on candle, whole: a classifier of two hidden layers, and how fast its step is.
//!
//! `cargo run --release -p sdk-numerics --example mlp -- [--threads N] [--seconds S]` prints the
//! samples per second of each step, for `bench/authors.py`. As a plugin it would be the `lib.rs` of
//! a `cdylib` crate, without `main`.
//!
//! Legend: B samples of a step, K inputs, H hidden width, N classes.

mod timing;

use candle_core::{DType, Device, Result, Tensor};
use schemars::JsonSchema;
use sdk::{Artifact, Artifacts, DeviceContext, Generator, PhaseContext, Schedule};
use sdk::{StateVisitor, Stateful, StepReport, Trainer};
use sdk_numerics::{AdamW, AdamWConfig, Gradients, Init, ParamKind, Params, Workers, error, ops};
use serde::{Deserialize, Serialize};

/// K.
const INPUTS: usize = 784;
/// N.
const CLASSES: usize = 10;
/// Samples that are drawn from.
const SAMPLES: usize = 4096;

/// Learns which of ten clouds a point belongs to.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    total_steps: u64,
    /// Samples of an update.
    #[schemars(range(min = 1))]
    batch_size: usize,
    /// Width of both hidden layers.
    #[schemars(range(min = 1))]
    hidden: usize,
    /// Learning rate.
    #[schemars(range(min = 0.0))]
    learning_rate: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { total_steps: 1000, batch_size: 256, hidden: 512, learning_rate: 1e-3 }
    }
}

// guide: model
/// Linear layers, each stored (out, in), with a ReLU between any two.
struct Mlp {
    layers: Vec<(Tensor, Tensor)>,
}

impl Mlp {
    fn new(widths: &[usize], params: &mut Params, init: &mut Generator) -> sdk::Result<Self> {
        let mut layers = Vec::new();
        for (i, pair) in widths.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let start = Init::Uniform { bound: 1.0 / (inputs as f64).sqrt() };
            let mut declare = |name: &str, kind, shape: &[usize]| {
                params.declare(format!("layers.{i}.{name}"), kind, shape, start, init)
            };
            let weight = declare("weight", ParamKind::Weight, &[outputs, inputs])?;
            let bias = declare("bias", ParamKind::Bias, &[outputs])?;
            layers.push((weight, bias));
        }
        Ok(Self { layers })
    }

    /// (n, K) to (n, N).
    fn logits(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = x.clone();
        for (i, (weight, bias)) in self.layers.iter().enumerate() {
            if i > 0 {
                h = ops::relu(&h)?;
            }
            h = ops::linear(&h, weight, Some(bias))?;
        }
        Ok(h)
    }
}
// guide: end

/// Points around ten centres.
struct Clouds {
    /// SAMPLES × K.
    points: Vec<f32>,
    labels: Vec<u32>,
}

impl Clouds {
    fn new(generator: &mut Generator) -> Self {
        let centres: Vec<f64> = (0..CLASSES * INPUTS).map(|_| generator.normal()).collect();
        let mut clouds = Self { points: Vec::new(), labels: Vec::new() };
        for _ in 0..SAMPLES {
            let label = generator.below(CLASSES as u64) as usize;
            let centre = &centres[label * INPUTS..(label + 1) * INPUTS];
            clouds.points.extend(centre.iter().map(|c| (0.2 * c + generator.normal()) as f32));
            clouds.labels.push(label as u32);
        }
        clouds
    }

    /// Some samples: (n, K) and (n).
    fn rows(&self, samples: &[usize]) -> Result<(Tensor, Tensor)> {
        let points: Vec<f32> = samples
            .iter()
            .flat_map(|i| &self.points[i * INPUTS..(i + 1) * INPUTS])
            .copied()
            .collect();
        let labels: Vec<u32> = samples.iter().map(|i| self.labels[*i]).collect();
        let n = samples.len();
        Ok((
            Tensor::from_vec(points, (n, INPUTS), &Device::Cpu)?,
            Tensor::from_vec(labels, n, &Device::Cpu)?,
        ))
    }
}

// guide: trainer
struct Classifier {
    config: Config,
    params: Params,
    model: Mlp,
    data: Clouds,
    order: Generator,
    gradients: Gradients,
    optimizer: AdamW,
    workers: Workers,
}

impl Stateful for Classifier {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> sdk::Result<()> {
        visitor.nested("model", &mut self.params)?;
        visitor.nested("optimizer", &mut self.optimizer)?;
        visitor.generator("order", &mut self.order)
    }
}

impl Trainer for Classifier {
    type Config = Config;

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> sdk::Result<Self> {
        let mut params = Params::new(&Device::Cpu, DType::F32);
        let widths = [INPUTS, config.hidden, config.hidden, CLASSES];
        let model = Mlp::new(&widths, &mut params, &mut cx.generator("model init"))?;
        let workers = Workers::new(cx.device().threads);
        let settings = AdamWConfig { weight_decay: 0.01, ..AdamWConfig::default() };
        Ok(Self {
            data: Clouds::new(&mut cx.generator("data")),
            order: cx.generator("order"),
            gradients: Gradients::new(&params).workers(&workers),
            optimizer: AdamW::new(&params, settings).workers(&workers),
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
        let batch = self.config.batch_size;
        let samples: Vec<usize> =
            (0..batch).map(|_| self.order.below(SAMPLES as u64) as usize).collect();
        // One part for each thread. Its loss is divided by the samples of the whole step, so that
        // the gradients of the parts add up to the one of the step's mean loss.
        let parts: Vec<&[usize]> = samples.chunks(batch.div_ceil(self.workers.threads())).collect();
        let (model, data) = (&self.model, &self.data);
        self.gradients.zero();
        let loss = self.workers.gradients(&self.params, parts, &mut self.gradients, |part| {
            let loss = || {
                let (x, labels) = data.rows(part)?;
                let (sum, _) = ops::cross_entropy_sum(&model.logits(&x)?, &labels, None)?;
                sum / batch as f64
            };
            loss().map_err(error)
        })?;
        let grad_norm = self.gradients.clip(Some(1.0));
        self.optimizer.step(&self.params, &self.gradients, self.config.learning_rate)?;
        Ok(StepReport::new(loss, batch as u64).metric("grad_norm", grad_norm))
    }

    fn artifacts(&mut self) -> sdk::Result<Vec<Artifact>> {
        let settings = serde_json::json!({ "hidden": self.config.hidden });
        let artifact = Artifact::new("classifier", "mlp", settings);
        let tensors = self.params.to_tensors()?.into_iter();
        Ok(vec![tensors.fold(artifact, |artifact, (name, t)| artifact.tensor(&name, t))])
    }
}
// guide: end

fn main() -> sdk::Result<()> {
    let device = DeviceContext { threads: timing::threads(), ..DeviceContext::default() };
    let cx = PhaseContext::detached("mlp", 42, device);
    timing::keep_pages();
    let mut trainer = Classifier::prepare(Config::default(), &Artifacts::default(), &cx)?;
    timing::report("samples_per_s", |step| trainer.step(step, &cx))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clouds lie 0.2 · √(2 · 784) = 7.9 standard deviations apart: nothing is left to confuse.
    #[test]
    fn the_classifier_learns_its_clouds() {
        let device = DeviceContext { threads: 2, ..DeviceContext::default() };
        let cx = PhaseContext::detached("mlp", 1, device);
        let config =
            Config { hidden: 32, batch_size: 64, learning_rate: 1e-2, ..Config::default() };
        let mut trainer = Classifier::prepare(config, &Artifacts::default(), &cx).unwrap();
        let first = trainer.step(0, &cx).unwrap().loss;
        let losses: Vec<f64> = (1..60).map(|s| trainer.step(s, &cx).unwrap().loss).collect();
        assert!((first - 10f64.ln()).abs() < 0.1, "{first}");
        let last = losses[39..].iter().sum::<f64>() / 20.0;
        assert!(last < 0.15, "{losses:?}");
    }
}
