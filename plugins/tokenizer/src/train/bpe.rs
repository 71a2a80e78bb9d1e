//! Byte-level BPE in the manner of GPT-2: 256 bytes, and a token for each merge.

use ahash::AHashMap;
use compact_str::CompactString;
use sdk::{Error, Result};
use serde_json::Value;
use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, BpeTrainer};

use super::counts::Counts;
use super::{check_size, file};
use crate::special::SpecialTexts;
use crate::{TrainConfig, byte_level};

/// The file, and how many tokens it has.
pub(super) fn train(config: &TrainConfig, words: &Counts) -> Result<(Value, usize)> {
    check_size(config, 4 + 256)?;
    let counts: AHashMap<CompactString, u64> =
        words.iter().map(|(word, count)| (written(word), *count)).collect();
    let special = SpecialTexts::plain();
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(config.vocab_size)
        .min_frequency(config.min_frequency)
        .special_tokens(special.all().map(|text| AddedToken::from(text, true)).to_vec())
        .initial_alphabet(byte_level::alphabet().into())
        .build();
    let mut model = BPE::default();
    trainer
        .do_train(&counts, &mut model)
        .map_err(|error| Error::new("tokenizer::train", format!("training BPE: {error}")))?;
    let n_tokens = model.get_vocab().len();
    let mut json = file();
    json["decoder"] = byte_level::json(true);
    json["model"] = serde_json::to_value(&model)?;
    Ok((json, n_tokens))
}

fn written(word: &str) -> CompactString {
    word.bytes().map(byte_level::char_of).collect()
}
