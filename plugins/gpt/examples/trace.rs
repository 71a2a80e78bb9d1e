//! Trains a small GPT on the bytes of a file without dropout and writes down everything that another
//! implementation needs to follow it: weights, batches, losses, rates.
//!
//! `cargo run --release -p gpt --example trace -- TEXT OUT_DIR [steps]`
//!
//! Into `OUT_DIR`: `initial.safetensors` and `final.safetensors` (weights), `initial.json` and
//! `final.json` (ids, targets, logits and mean loss of one batch under those weights), and
//! `trace.jsonl`, whose first line holds the settings and every further one a step: ids, targets,
//! mean loss in nats before the update, learning rate, norm of the gradient before clipping.
//! `tests/peers` reads all of it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use candle_core::{Device, Tensor};
use corpus::Batch;
use gpt::config::{ModelConfig, TrainingConfig};
use gpt::learner::Learner;
use gpt::model::{Gpt, Mode};
use safetensors::tensor::{Dtype, TensorView};
use sdk::{Error, Generator, PhaseContext, Result};
use sdk_numerics::error;
use serde_json::{Value, json};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [text, directory, rest @ ..] = args.as_slice() else {
        return Err(Error::new("trace::usage", "usage: trace TEXT OUT_DIR [steps]"));
    };
    let steps = rest.first().and_then(|steps| steps.parse().ok()).unwrap_or(200);
    let text = fs::read(text).map_err(|e| Error::new("trace::read", e.to_string()))?;
    let directory = Path::new(directory);
    fs::create_dir_all(directory).map_err(unwritten)?;
    let training = training(steps);
    let cx = PhaseContext::detached("trace", 42, sdk::DeviceContext::default());
    let mut learner = Learner::new(&model(), &training, &cx)?;
    let mut windows = Windows { text, draws: cx.generator("windows") };

    let probe = windows.batch(2);
    write_weights(directory, "initial", &learner.model, &probe)?;
    let file = File::create(directory.join("trace.jsonl")).map_err(unwritten)?;
    let mut out = BufWriter::new(file);
    line(&mut out, &json!({ "model": model(), "training": training }))?;
    for step in 0..steps {
        let batch = windows.batch(training.micro_batch);
        let report = learner.step(step, std::slice::from_ref(&batch))?;
        let metric = |name: &str| report.metrics.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        line(
            &mut out,
            &json!({
                "step": step, "ids": rows(&batch.ids), "targets": rows(&batch.targets),
                "loss": report.loss,
                "lr": metric("lr"), "grad_norm": metric("grad_norm"),
            }),
        )?;
    }
    out.flush().map_err(unwritten)?;
    write_weights(directory, "final", &learner.model, &probe)
}

fn model() -> ModelConfig {
    ModelConfig {
        vocab: 256,
        context: 64,
        width: 64,
        n_layers: 2,
        n_heads: 4,
        d_ff: 160,
        dropout: 0.0,
        rope_theta: 10_000.0,
    }
}

fn training(total_steps: u64) -> TrainingConfig {
    TrainingConfig {
        micro_batch: 8,
        total_steps,
        base_lr: 3e-3,
        min_lr: 3e-4,
        warmup_steps: total_steps / 10,
        ..TrainingConfig::default()
    }
}

/// Windows of the text at places drawn at random.
struct Windows {
    text: Vec<u8>,
    draws: Generator,
}

impl Windows {
    fn batch(&mut self, n: usize) -> Batch {
        let t = model().context;
        let mut batch = Batch { n, t, valid_tokens: n * t, ..Batch::default() };
        for _ in 0..n {
            let places = self.text.len().saturating_sub(t).max(1);
            let start = self.draws.below(places as u64) as usize;
            let window = self.text[start..].iter().chain(std::iter::repeat(&b'\n')).take(t + 1);
            let window: Vec<u32> = window.map(|byte| u32::from(*byte)).collect();
            batch.ids.extend(&window[..t]);
            batch.targets.extend(&window[1..]);
        }
        batch
    }
}

fn rows(ids: &[u32]) -> Vec<&[u32]> {
    ids.chunks(model().context).collect()
}

fn write_weights(directory: &Path, name: &str, model: &Gpt, probe: &Batch) -> Result<()> {
    write_tensors(model, &directory.join(format!("{name}.safetensors")))?;
    let tensor = |ids: &[u32]| Tensor::from_slice(ids, (probe.n, probe.t), &Device::Cpu);
    let measure = || {
        let (ids, targets) = (tensor(&probe.ids)?, tensor(&probe.targets)?);
        let logits: Vec<f32> = model.forward(&ids, &mut Mode::Eval)?.flatten_all()?.to_vec1()?;
        let (sum, n) = model.loss_sum(&ids, &targets, None, &mut Mode::Eval)?;
        Ok::<_, candle_core::Error>((logits, f64::from(sum.to_scalar::<f32>()?) / n as f64))
    };
    let (logits, loss) = measure().map_err(error)?;
    let probe = json!({
        "ids": rows(&probe.ids), "targets": rows(&probe.targets), "logits": logits, "loss": loss,
    });
    fs::write(directory.join(format!("{name}.json")), probe.to_string()).map_err(unwritten)
}

fn write_tensors(model: &Gpt, path: &Path) -> Result<()> {
    let tensors = model.params().to_tensors()?;
    let mut views = Vec::new();
    for (name, tensor) in &tensors {
        let bytes = tensor.as_bytes().unwrap_or_default();
        views.push((name, TensorView::new(Dtype::F32, tensor.shape().to_vec(), bytes)));
    }
    let views = views.into_iter().map(|(name, view)| Ok((name, view?)));
    views
        .collect::<std::result::Result<Vec<_>, _>>()
        .and_then(|views| safetensors::serialize_to_file(views, None, path))
        .map_err(|e| Error::new("trace::write", e.to_string()))
}

fn line(out: &mut impl Write, value: &Value) -> Result<()> {
    writeln!(out, "{value}").map_err(unwritten)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that `map_err` wants")]
fn unwritten(e: std::io::Error) -> Error {
    Error::new("trace::write", e.to_string())
}
