//! Writes tokenizers as `tokenizer.json` files, and the ids that they give here.
//!
//! `cargo run --release -p tokenizer --example export -- TEXTS.json OUT_DIR [FILE.model …]`
//!
//! `TEXTS.json` is a list of texts. For each kind, and for each SentencePiece model named, `OUT_DIR`
//! gets a folder with `tokenizer.json` and `ids.json`. `tests/peers/compare.py` calls this and
//! compares.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokenizer::{SpecialTexts, Tokenizer, TokenizerConfig, TrainConfig, TrainModel};

fn main() -> sdk::Result<()> {
    let mut args = std::env::args().skip(1);
    let texts = std::fs::read_to_string(args.next().unwrap_or_default())?;
    let texts: Vec<String> = serde_json::from_str(&texts)?;
    let out = PathBuf::from(args.next().unwrap_or_default());
    write(&out.join("byte"), &Tokenizer::byte(), &texts)?;
    write(&out.join("gpt2"), &Tokenizer::open(&TokenizerConfig::Gpt2 {})?, &texts)?;
    for (name, model) in [("train-bpe", TrainModel::Bpe), ("train-unigram", TrainModel::Unigram)] {
        let config = TrainConfig { model, vocab_size: 600, min_frequency: 2 };
        let tokenizer = Tokenizer::train(&config, &mut texts.iter().cloned(), &mut |_| Ok(()))?;
        write(&out.join(name), &tokenizer, &texts)?;
    }
    for path in args.map(PathBuf::from) {
        let name = path.file_stem().unwrap_or_default().to_owned();
        let config = TokenizerConfig::SentencePiece { path, special: None, expected: None };
        write(&out.join(name), &Tokenizer::open(&config)?, &texts)?;
    }
    Ok(())
}

fn write(folder: &Path, tokenizer: &Tokenizer, texts: &[String]) -> sdk::Result<()> {
    std::fs::create_dir_all(folder)?;
    let SpecialTexts { sys, usr, asst, eot } = tokenizer.special_texts();
    let ids: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text)).collect();
    let decoded: Vec<String> = ids.iter().map(|ids| tokenizer.decode(ids)).collect();
    let found = json!({
        "ids": ids,
        "decoded": decoded,
        "special": tokenizer.special(),
        "texts": [sys, usr, asst, eot],
    });
    std::fs::write(folder.join("ids.json"), found.to_string())?;
    std::fs::write(folder.join("tokenizer.json"), tokenizer.huggingface_json()?.to_string())?;
    Ok(())
}
