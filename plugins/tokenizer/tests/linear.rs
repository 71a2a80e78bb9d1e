//! Time to encode grows with the text, also for texts made to be slow.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokenizer::{Tokenizer, TokenizerConfig};

/// A megabyte each of what makes merges, regular expressions or lattices slow.
fn hostile() -> [(&'static str, String); 6] {
    let megabyte = |unit: &str| unit.repeat((1 << 20) / unit.len());
    [
        ("one letter", megabyte("a")),
        ("spaces", megabyte(" ")),
        ("spaces and a word", megabyte(" ") + "word"),
        ("emoji", megabyte("🦊")),
        ("joined emoji", megabyte("👩\u{200d}")),
        ("combining marks", megabyte("\u{301}")),
    ]
}

fn check(name: &str, tokenizer: &Tokenizer) {
    for (text_name, text) in hostile() {
        let started = Instant::now();
        let ids = tokenizer.encode(&text);
        let took = started.elapsed();
        assert!(!ids.is_empty() || name.contains("sentencepiece"), "{name}, {text_name}");
        // Some ten times what a slow machine takes; a quadratic algorithm takes minutes.
        assert!(took < Duration::from_secs(20), "{name}, {text_name}: {took:?}");
    }
}

#[test]
fn bytes_and_gpt2() {
    check("byte", &Tokenizer::byte());
    check("gpt2", &Tokenizer::open(&TokenizerConfig::Gpt2 {}).unwrap());
}

#[test]
fn sentencepiece() {
    for model in ["unigram", "bpe", "plain"] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let path = folder.join(format!("{model}.model"));
        let config = TokenizerConfig::SentencePiece { path, special: None, expected: None };
        check(&format!("sentencepiece {model}"), &Tokenizer::open(&config).unwrap());
    }
}
