//! Tokens per second and peak memory of whole optimizer steps, for the comparison in `bench/`.
//!
//! `cargo run --release -p gpt --example step_time -- --size tiny|dev|prod [--dropout P] [--threads N]
//! [--seconds S] [--bf16] [--recompute]`
//!
//! Prints one line of JSON: the tokens per second of each step, the loss, the share of the machine's
//! f32 peak (MFU) at the median, and the most memory that the process held. Sets glibc's thresholds as
//! the host does, so that freed pages stay with the process.

use std::time::Instant;

use corpus::Batch;
use gpt::config::{ModelConfig, TrainingConfig};
use gpt::learner::Learner;
use sdk::{DType, DeviceContext, Generator, PhaseContext};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    fn mallopt(param: i32, value: i32) -> i32;
}

fn main() -> sdk::Result<()> {
    keep_pages();
    let dropout = number("--dropout", 0.0);
    let threads = number("--threads", 2.0) as usize;
    let seconds = number("--seconds", 10.0);
    let (model, n) = sizes(text("--size").as_deref(), dropout);
    let amp_dtype = says("--bf16").then_some(DType::Bf16);
    let device = DeviceContext { threads, amp_dtype, ..DeviceContext::default() };
    let cx = PhaseContext::detached("pretrain", 42, device);
    let training = TrainingConfig {
        base_lr: 3e-4,
        warmup_steps: 0,
        activation_checkpointing: says("--recompute"),
        ..TrainingConfig::default()
    };
    let mut learner = Learner::new(&model, &training, &cx)?;
    let mut data = Generator::new(42, "data");
    let t = model.context;
    let mut batch = || {
        let stream: Vec<u32> = (0..n * (t + 1)).map(|_| data.below(256) as u32).collect();
        let rows = || stream.chunks_exact(t + 1);
        Batch {
            ids: rows().flat_map(|row| row[..t].to_vec()).collect(),
            targets: rows().flat_map(|row| row[1..].to_vec()).collect(),
            n,
            t,
            valid_tokens: n * t,
        }
    };
    for step in 0..3 {
        learner.step(step, &[batch()])?;
    }
    let (begin, mut rates, mut mfu, mut loss) = (Instant::now(), Vec::new(), Vec::new(), 0.0);
    while begin.elapsed().as_secs_f64() < seconds || rates.len() < 3 {
        let batch = [batch()];
        let start = Instant::now();
        let report = learner.step(3 + rates.len() as u64, &batch)?;
        rates.push(((n * t) as f64 / start.elapsed().as_secs_f64()).round());
        mfu.extend(report.metrics.iter().filter(|(name, _)| name == "mfu").map(|(_, mfu)| *mfu));
        loss = report.loss;
    }
    mfu.sort_by(f64::total_cmp);
    report(&rates, mfu[mfu.len() / 2], loss);
    Ok(())
}

/// The model, and sequences of a step: the profile `dev`, a production run's sizes, and a model so
/// small that what surrounds the arithmetic counts.
fn sizes(size: Option<&str>, dropout: f64) -> (ModelConfig, usize) {
    let of = |(vocab, context), (width, n_layers, n_heads, d_ff)| {
        let sizes = ModelConfig { vocab, context, dropout, ..ModelConfig::default() };
        ModelConfig { width, n_layers, n_heads, d_ff, ..sizes }
    };
    match size {
        Some("prod") => (of((16_000, 256), (384, 8, 6, 1152)), 8),
        Some("tiny") => (of((256, 32), (32, 2, 2, 64)), 4),
        _ => (of((256, 128), (256, 4, 4, 512)), 16),
    }
}

fn says(flag: &str) -> bool {
    std::env::args().any(|arg| arg == flag)
}

fn text(flag: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != flag).nth(1)
}

fn number(flag: &str, default: f64) -> f64 {
    text(flag).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn keep_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both options take any positive size; M_MMAP_THRESHOLD is -3, M_TRIM_THRESHOLD -1.
    unsafe {
        mallopt(-3, 1 << 30);
        mallopt(-1, i32::MAX);
    }
}

/// The most memory that this process held at once, in MiB; 0 where Linux doesn't tell.
fn peak_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) / 1024
}

#[expect(clippy::print_stdout, reason = "the result of this program")]
fn report(rates: &[f64], mfu: f64, loss: f64) {
    let peak_mib = peak_mib();
    let report = serde_json::json!({
        "tokens_per_s": rates, "mfu": mfu, "loss": loss, "peak_mib": peak_mib,
    });
    println!("{report}");
}
