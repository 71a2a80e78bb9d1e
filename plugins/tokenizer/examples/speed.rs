//! How fast each kind of tokenizer encodes a text, and into how many ids.
//!
//! `cargo run --release -p tokenizer --example speed -- TEXT_FILE [VOCAB_SIZE]`
//!
//! The text is repeated to 10 MB. Trained kinds are trained on the file, with 2,000 tokens if
//! nothing else is said.
#![expect(clippy::print_stdout, reason = "a program for people, not part of a plugin")]

use std::time::Instant;

use tokenizer::{Tokenizer, TokenizerConfig, TrainConfig, TrainModel};

fn main() -> sdk::Result<()> {
    let mut args = std::env::args().skip(1);
    let text = std::fs::read_to_string(args.next().unwrap_or_default())?;
    let vocab_size = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(2000);
    measure("byte", &Tokenizer::byte(), &text);
    measure("gpt2", &Tokenizer::open(&TokenizerConfig::Gpt2 {})?, &text);
    for model in [TrainModel::Bpe, TrainModel::Unigram] {
        let started = Instant::now();
        let config = TrainConfig { model, vocab_size, min_frequency: 2 };
        let tokenizer =
            Tokenizer::train(&config, &mut std::iter::once(text.clone()), &mut |_| Ok(()))?;
        println!("{model:?} of {vocab_size} trained in {:?}", started.elapsed());
        measure(&format!("{model:?}"), &tokenizer, &text);
    }
    Ok(())
}

fn measure(name: &str, tokenizer: &Tokenizer, text: &str) {
    let text = text.repeat(10_000_000_usize.div_ceil(text.len().max(1)));
    let started = Instant::now();
    let n_ids: usize = text.split_inclusive("\n\n").map(|part| tokenizer.encode(part).len()).sum();
    let seconds = started.elapsed().as_secs_f64();
    let n_bytes = text.len() as f64;
    println!(
        "{name}: {:.1} MB/s, {:.2} bytes an id",
        n_bytes / 1e6 / seconds,
        n_bytes / n_ids as f64
    );
}
