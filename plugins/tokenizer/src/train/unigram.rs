//! A unigram vocabulary in the manner of SentencePiece: pieces with log probabilities, and bytes
//! for the characters that have none.

use std::collections::{BTreeMap, HashSet};

use sdk::{Error, Result};
use serde_json::{Value, json};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};

use super::counts::Counts;
use super::{SPECIAL, check_size, file};
use crate::TrainConfig;
use crate::huggingface::added_token;
use crate::special::SpecialTexts;

/// The text of the token for what is unknown; bytes stand in for it.
const UNKNOWN: &str = "<unk>";
/// The id of the token for what is unknown: after the special ones.
const UNKNOWN_ID: u32 = 4;
/// What a space is written as.
const SPACE: &str = "\u{2581}";
/// The characters that a byte's piece is written with. They always have pieces, so that a text that
/// reads `<0x41>` is never one for any reader of the file.
const BYTE_CHARS: &str = "<0123456789ABCDEFx>";
/// How much of the text characters of their own must cover; the rest is left to bytes.
const COVERAGE: f64 = 0.9995;
/// By how much each character that training dropped is scored above the one before.
const DROPPED_SCORE_STEP: f64 = 0.0001;

/// The file, and how many tokens it has.
pub(super) fn train(config: &TrainConfig, words: &Counts) -> Result<(Value, usize)> {
    let n_fixed = 4 + 1 + 256;
    let n_free = check_size(config, n_fixed + BYTE_CHARS.len())?;
    let mut chars = alphabet(words, n_free * 9 / 10);
    chars.extend(BYTE_CHARS.chars());
    let n_pieces = config.vocab_size - n_fixed;
    let pieces = pieces(&sentences(words, &chars), n_pieces, chars.len())?;
    let n_tokens = n_fixed + pieces.len();
    let mut json = file();
    json["normalizer"] = replace(" ", SPACE);
    json["decoder"] = decoder();
    json["model"] = model(pieces);
    if let Some(added) = json["added_tokens"].as_array_mut() {
        added.push(added_token(UNKNOWN_ID, UNKNOWN, true));
    }
    Ok((json, n_tokens))
}

/// The characters that get pieces of their own: the most frequent, at most `n_max`.
fn alphabet(words: &Counts, n_max: usize) -> HashSet<char> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in words {
        word.chars().for_each(|char| *counts.entry(char).or_default() += count);
    }
    let total: u64 = counts.values().sum();
    let mut counts = Vec::from_iter(counts);
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut covered = 0;
    let needed = counts.into_iter().take_while(|(_, count)| {
        let is_needed = (covered as f64) < COVERAGE * total as f64;
        covered += count;
        is_needed
    });
    needed.take(n_max).map(|(char, _)| char).collect()
}

/// The words as the trainer wants them, cut where a character has no piece.
fn sentences(words: &Counts, chars: &HashSet<char>) -> Vec<(String, u32)> {
    let mut sentences: BTreeMap<String, u32> = BTreeMap::new();
    for (word, count) in words {
        let count = u32::try_from(*count).unwrap_or(u32::MAX);
        for part in word.split(|char| !chars.contains(&char)).filter(|part| !part.is_empty()) {
            let sum = sentences.entry(part.replace(' ', SPACE)).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    Vec::from_iter(sentences)
}

/// The pieces with their scores, the best first: `n_pieces` of them, or fewer where the text has no
/// more.
///
/// The trainer drops pieces as it goes, and with little text more than it should. So it is asked
/// for more until it gives enough, and the best of them stay.
fn pieces(
    sentences: &[(String, u32)],
    n_pieces: usize,
    n_chars: usize,
) -> Result<Vec<(String, f64)>> {
    let mut most = Vec::new();
    for percent in [100, 125, 200, 400, 1600] {
        let pieces = trained(sentences, n_pieces * percent / 100)?;
        if pieces.len() > most.len() {
            most = pieces;
        }
        if most.len() >= n_pieces || sentences.is_empty() {
            break;
        }
    }
    Ok(best(settled(most, n_chars), n_pieces))
}

/// What the trainer makes of it when asked for `n_pieces`.
fn trained(sentences: &[(String, u32)], n_pieces: usize) -> Result<Vec<(String, f64)>> {
    let fault = |error: &dyn std::fmt::Display| {
        Error::new("tokenizer::train", format!("training unigram: {error}"))
    };
    if sentences.is_empty() {
        return Ok(BYTE_CHARS.chars().map(|char| (char.to_string(), -1.0)).collect());
    }
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size(u32::try_from(n_pieces).map_err(|error| fault(&error))?)
        .special_tokens(Vec::new())
        .initial_alphabet(BYTE_CHARS.chars().collect())
        .build()
        .map_err(|error| fault(&error))?;
    // Sums of many threads would depend on how many there are.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|e| fault(&e))?;
    let mut model = Unigram::default();
    one.install(|| trainer.do_train(sentences.to_vec(), &mut model))
        .map_err(|error| fault(&error))?;
    Ok(model.iter().cloned().collect())
}

/// All single characters, and of the other pieces as many of the best as there is room for.
fn best(mut pieces: Vec<(String, f64)>, n_pieces: usize) -> Vec<(String, f64)> {
    let is_char = |piece: &(String, f64)| piece.0.chars().count() == 1;
    let n_chars = pieces.iter().filter(|piece| is_char(piece)).count();
    let mut room = n_pieces.saturating_sub(n_chars);
    pieces.retain(|piece| {
        let is_kept = is_char(piece) || room > 0;
        room -= usize::from(is_kept && !is_char(piece));
        is_kept
    });
    pieces
}

/// Pieces in an order that doesn't depend on the trainer's hash tables: those give the characters
/// that training dropped scores just above the lowest, in any order. Here all get the lowest.
fn settled(mut pieces: Vec<(String, f64)>, n_chars: usize) -> Vec<(String, f64)> {
    let lowest = pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    let dropped_max = lowest + n_chars as f64 * DROPPED_SCORE_STEP;
    for (text, score) in &mut pieces {
        if text.chars().count() == 1 && *score <= dropped_max {
            *score = lowest;
        }
    }
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    pieces
}

fn model(pieces: Vec<(String, f64)>) -> Value {
    let lowest = pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    // Bytes come in only where no piece does, not where a text reads `<0x41>`: its six characters
    // must have more.
    let byte_score = 6.0 * lowest - 1.0;
    let special = SpecialTexts::plain();
    let mut vocab: Vec<(String, f64)> = Vec::new();
    vocab.extend(special.all().map(|text| (text.to_owned(), 0.0)));
    debug_assert_eq!(SPECIAL.eot as usize + 1, vocab.len());
    vocab.push((UNKNOWN.to_owned(), 0.0));
    vocab.extend((0..=u8::MAX).map(|byte| (format!("<{byte:#04X}>"), byte_score)));
    vocab.extend(pieces);
    json!({"type": "Unigram", "unk_id": UNKNOWN_ID, "vocab": vocab, "byte_fallback": true})
}

fn replace(pattern: &str, content: &str) -> Value {
    json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
}

fn decoder() -> Value {
    let steps = [replace(SPACE, " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    json!({"type": "Sequence", "decoders": steps})
}
