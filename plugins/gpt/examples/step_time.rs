//! Tokens per second and peak memory of whole optimizer steps.
//!
//! `cargo run --release -p gpt --example step_time -- [threads] [shards] [dropout] [words]`, the
//! words being any of `wide` (C384 L8 T256 B8 instead of the `dev` sizes), `recompute` (activation
//! checkpointing) and `bf16` (mixed precision).
//!
//! Sets glibc's thresholds as the host does, so that freed pages stay with the process.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use gpt::config::{ModelConfig, TrainingConfig};
use gpt::model::{Gpt, Mode, Training};
use sdk::Generator;
use sdk_numerics::ops::{Compute, Keys};
use sdk_numerics::{AdamW, Gradients, Workers};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    fn mallopt(param: i32, value: i32) -> i32;
}

fn main() -> sdk::Result<()> {
    let arg = |i: usize, default: f64| {
        std::env::args().nth(i).and_then(|a| a.parse().ok()).unwrap_or(default)
    };
    let (threads, shards, p) = (arg(1, 2.0) as usize, arg(2, 2.0) as usize, arg(3, 0.1));
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both options take any positive size; M_MMAP_THRESHOLD is -3, M_TRIM_THRESHOLD -1.
    unsafe {
        mallopt(-3, 1 << 30);
        mallopt(-1, i32::MAX);
    }
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    }

    let says = |word: &str| std::env::args().any(|arg| arg == word);
    let (config, batch) = sizes(says("wide"), p);
    let how = Training {
        compute: if says("bf16") { Compute::Bf16 } else { Compute::Own },
        recomputes_blocks: says("recompute"),
    };
    let training = TrainingConfig::default();
    let t = config.context;
    let mut init = Generator::new(42, "model init");
    let gpt = Gpt::new(&config, &mut init, &Device::Cpu, DType::F32)?.with_training(how);
    let mut optimizer = AdamW::new(gpt.params(), training.adamw()).threads(threads);
    let mut gradients = Gradients::new(gpt.params());
    let workers = Workers::new(threads);
    let mut data = Generator::new(42, "data");
    let mut noise = Generator::new(42, "dropout");

    let mut step = || -> sdk::Result<f64> {
        gradients.zero();
        let rows = batch / shards;
        let cut: Vec<(Vec<u32>, u64)> = (0..shards)
            .map(|_| {
                let ids = (0..rows * (t + 1)).map(|_| data.below(64) as u32).collect();
                (ids, noise.next_u64())
            })
            .collect();
        let loss = workers.gradients(gpt.params(), cut, &mut gradients, |(ids, seed)| {
            let run = || {
                let ids = Tensor::from_vec(ids, (rows, t + 1), &Device::Cpu)?;
                let (x, y) = (ids.narrow(1, 0, t)?, ids.narrow(1, 1, t)?);
                let mut keys = Keys::new(seed);
                let (sum, _) = gpt.loss_sum(&x, &y, None, &mut Mode::Train(&mut keys))?;
                sum / (batch * t) as f64
            };
            run().map_err(sdk_numerics::error)
        })?;
        gradients.clip(training.grad_clip);
        optimizer.step(gpt.params(), &gradients, 3e-4)?;
        Ok(loss)
    };
    let mut loss = step()?;
    step()?;
    let mut rates = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..3 {
            loss = step()?;
        }
        rates.push((3 * batch * t) as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let flops = rates[rates.len() / 2] * config.flops_per_token();
    report(&rates, loss, flops / workers.peak_flops());
    Ok(())
}

/// The model, and sequences of a step.
fn sizes(is_wide: bool, dropout: f64) -> (ModelConfig, usize) {
    if is_wide {
        return (ModelConfig { context: 256, dropout, ..ModelConfig::default() }, 8);
    }
    let config = ModelConfig {
        context: 128,
        width: 256,
        n_layers: 4,
        n_heads: 4,
        d_ff: 512,
        dropout,
        ..ModelConfig::default()
    };
    (config, 16)
}

/// The most memory that this process held at once, in MiB; 0 where Linux doesn't tell.
fn peak_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) / 1024
}

#[expect(clippy::print_stdout, reason = "the result of this program")]
fn report(rates: &[f64], loss: f64, mfu: f64) {
    let (low, median, high) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
    let peak = peak_mib();
    println!(
        "tokens/s: median {median:.0}, from {low:.0} to {high:.0}; loss {loss:.4}; \
         MFU {mfu:.2}; peak memory {peak} MiB"
    );
}
