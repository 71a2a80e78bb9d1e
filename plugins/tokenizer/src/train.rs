//! A tokenizer made from the run's own texts.
//!
//! The result depends on the texts alone. Words are counted here and handed to the trainers of the
//! `tokenizers` crate in an order of our own, and what they leave open (the order of equal scores)
//! is settled here.

mod bpe;
mod counts;
mod unigram;

use sdk::{Error, Result};
use serde_json::{Value, json};

use crate::huggingface::{self, added_token};
use crate::special::{NAMES, SpecialTexts, SpecialTokens};
use crate::words::Pattern;
use crate::{Tokenizer, TrainConfig, TrainModel};

/// Where the special tokens of a trained vocabulary are.
const SPECIAL: SpecialTokens = SpecialTokens { sys: 0, usr: 1, asst: 2, eot: 3 };

pub(crate) fn train(
    config: &TrainConfig,
    texts: &mut dyn Iterator<Item = String>,
    progress: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Tokenizer> {
    let pattern = match config.model {
        TrainModel::Bpe => Pattern::Gpt2,
        TrainModel::Unigram => Pattern::Spaces,
    };
    let words = counts::count(pattern, texts, progress)?;
    let (mut json, n_tokens) = match config.model {
        TrainModel::Bpe => bpe::train(config, &words)?,
        TrainModel::Unigram => unigram::train(config, &words)?,
    };
    json["pre_tokenizer"] = pattern.json();
    if n_tokens != config.vocab_size {
        return Err(too_few(config, n_tokens));
    }
    let bytes = serde_json::to_vec(&json)?;
    huggingface::tokenizer("train", bytes.into(), Some(&SpecialTexts::plain()), Some(SPECIAL))
}

fn too_few(config: &TrainConfig, n_tokens: usize) -> Error {
    let wanted = config.vocab_size;
    let message = format!("the data gives {n_tokens} tokens, `vocab_size` is {wanted}");
    Error::new("tokenizer::too_few", message)
        .at("tokenizer.vocab_size")
        .help(format!("set `vocab_size` to {n_tokens} or less, or give more text"))
}

/// A `tokenizer.json` with the special tokens, without what is particular to a model.
fn file() -> Value {
    let added = SPECIAL.all().into_iter().zip(SpecialTexts::plain().all().map(str::to_owned));
    let added: Vec<Value> = added.map(|(id, text)| added_token(id, &text, true)).collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": null,
        "model": null,
    })
}

/// How many tokens a vocabulary has besides what the texts give.
fn check_size(config: &TrainConfig, n_fixed: usize) -> Result<usize> {
    config.vocab_size.checked_sub(n_fixed).filter(|n| *n > 0).ok_or_else(|| {
        let message = format!(
            "`vocab_size` is {}, but {} special tokens and the bytes alone are {n_fixed}",
            config.vocab_size,
            NAMES.len(),
        );
        Error::new("tokenizer::vocab_size", message).at("tokenizer.vocab_size")
    })
}
