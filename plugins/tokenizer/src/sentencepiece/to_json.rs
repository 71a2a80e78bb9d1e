//! A SentencePiece model as a `tokenizer.json`.

use std::cmp::Reverse;
use std::collections::HashMap;

use sdk::Result;
use serde_json::{Map, Value, json};

use super::model_proto::{ModelProto, PieceType, SentencePiece};
use crate::huggingface::added_token;

/// What a space is written as.
pub(super) const SPACE: &str = "\u{2581}";

/// The model as a `tokenizer.json`: control and user-defined pieces are added tokens.
pub(super) fn convert(proto: &ModelProto) -> Result<Value> {
    let added = (0..).zip(&proto.pieces).filter_map(|(id, piece)| match piece.r#type() {
        PieceType::Control | PieceType::Unknown => Some(added_token(id, piece.text(), true)),
        PieceType::UserDefined => Some(added_token(id, piece.text(), false)),
        _ => None,
    });
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": normalizer(proto),
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": decoder(proto),
        "model": if proto.is_unigram() { unigram(proto) } else { bpe(proto) },
    }))
}

fn normalizer(proto: &ModelProto) -> Value {
    let spec = proto.normalizer();
    let mut steps = Vec::new();
    let charsmap = spec.precompiled_charsmap();
    if !charsmap.is_empty() {
        steps.push(json!({"type": "Precompiled", "precompiled_charsmap": base64(charsmap)}));
    }
    let replace =
        |pattern, content| json!({"type": "Replace", "pattern": pattern, "content": content});
    if spec.remove_extra_whitespaces() {
        steps.push(replace(json!({"Regex": "^ +| +$"}), ""));
        steps.push(replace(json!({"Regex": " {2,}"}), " "));
    }
    if spec.add_dummy_prefix() {
        steps.push(json!({"type": "Prepend", "prepend": SPACE}));
    }
    steps.push(replace(json!({"String": " "}), SPACE));
    json!({"type": "Sequence", "normalizers": steps})
}

/// The file for text that is normalised already.
pub(super) fn without_charsmap(mut json: Value) -> Value {
    if let Some(steps) = json["normalizer"]["normalizers"].as_array_mut() {
        steps.retain(|step| step["type"] != "Precompiled");
    }
    json
}

fn decoder(proto: &ModelProto) -> Value {
    let spec = proto.normalizer();
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if spec.add_dummy_prefix() || spec.remove_extra_whitespaces() {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

fn unigram(proto: &ModelProto) -> Value {
    let normal = proto.pieces.iter().filter(|piece| piece.r#type() == PieceType::Normal);
    let score_min = normal.map(SentencePiece::score).fold(0.0, f32::min);
    // SentencePiece never finds a byte piece in a text that reads `<0x41>`, but `tokenizers` does.
    // The score makes it the last choice: the six characters always have more.
    let byte_score = 6.0 * score_min - 1.0;
    let vocab = proto.pieces.iter().map(|piece| {
        let is_byte = piece.r#type() == PieceType::Byte;
        (piece.text(), if is_byte { byte_score } else { piece.score() })
    });
    json!({
        "type": "Unigram",
        "unk_id": proto.unk_id(),
        "vocab": vocab.collect::<Vec<_>>(),
        "byte_fallback": proto.trainer().byte_fallback(),
    })
}

fn bpe(proto: &ModelProto) -> Value {
    let vocab: Map<String, Value> = (0..)
        .zip(&proto.pieces)
        .map(|(id, piece): (u32, _)| (piece.text().to_owned(), id.into()))
        .collect();
    json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": proto.unk_id().map(|id| proto.pieces[id].text()),
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": true,
        "byte_fallback": proto.trainer().byte_fallback(),
        "ignore_merges": false,
        "vocab": vocab,
        "merges": merges(proto),
    })
}

/// Every way to make a piece from two others, the piece with the best score first.
fn merges(proto: &ModelProto) -> Vec<[&str; 2]> {
    let normal = proto.pieces.iter().filter(|piece| piece.r#type() == PieceType::Normal);
    let scores: HashMap<&str, f32> =
        normal.clone().map(|piece| (piece.text(), piece.score())).collect();
    let mut merges: Vec<([&str; 2], f32)> = Vec::new();
    for piece in normal {
        let text = piece.text();
        let splits = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let known =
            splits.filter(|(left, right)| scores.contains_key(left) && scores.contains_key(right));
        merges.extend(known.map(|(left, right)| ([left, right], piece.score())));
    }
    merges.sort_by(|a, b| {
        let lengths = |merge: &[&str; 2]| merge.map(|part| Reverse(part.len()));
        b.1.total_cmp(&a.1).then_with(|| lengths(&a.0).cmp(&lengths(&b.0)))
    });
    merges.into_iter().map(|(merge, _)| merge).collect()
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for idx in 0..4_usize {
            let digit = DIGITS[(word >> (18 - 6 * idx) & 63) as usize];
            text.push(if idx <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}
