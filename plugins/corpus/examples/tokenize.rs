//! Measures how fast a text file becomes a token cache, and how much memory that takes.
//!
//! `cargo run --release -p corpus --example tokenize -- FILE --tokenizer byte|gpt2`

#![expect(clippy::print_stdout, reason = "the numbers are what an example is run for")]

use std::time::Instant;
use std::{env, fs, thread};

use corpus::{PretrainData, PretrainDataConfig};
use sdk::{DeviceContext, Error, PhaseContext, Result};
use serde_json::json;
use tokenizer::{Tokenizer, TokenizerConfig};

const CONTEXT_TOKENS: usize = 256;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file, rest @ ..] = arguments.as_slice() else {
        return Err(Error::new("usage", "usage: tokenize FILE [--tokenizer byte|gpt2]"));
    };
    let kind = rest.get(1).map_or("byte", String::as_str);
    let tokenizer =
        Tokenizer::open(&serde_json::from_value::<TokenizerConfig>(json!({"kind": kind}))?)?;
    let cache = env::temp_dir().join(format!("tokenize-{}", std::process::id()));
    let config: PretrainDataConfig = serde_json::from_value(json!({
        "sources": {"file": {"kind": "text", "path": file, "val_split_by": "tail"}},
        "mix": {"file": 1.0},
        "cache_dir": cache,
    }))?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let cx = PhaseContext::detached("tokenize", 1, DeviceContext { threads, ..Default::default() });
    for pass in ["built", "mapped"] {
        let begun = Instant::now();
        let mut data = PretrainData::open(&config, &tokenizer, CONTEXT_TOKENS, &cx)?;
        let seconds = begun.elapsed().as_secs_f64();
        data.next_batch(16);
        let megabytes = fs::metadata(file)?.len() as f64 / 1e6;
        let report = data.reports()[0];
        println!(
            "{pass}: {megabytes:.0} MB, {} tokens in {seconds:.1} s: {:.1} MB/s on {threads} \
             threads, peak memory {} MB",
            report.train_tokens + report.val_tokens,
            megabytes / seconds,
            peak_megabytes()?
        );
    }
    fs::remove_dir_all(cache)?;
    Ok(())
}

/// The most memory that this process ever had, as Linux tells it.
fn peak_megabytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kibibytes.unwrap_or(0) * 1024 / 1_000_000)
}
