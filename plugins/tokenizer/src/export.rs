//! A vocabulary as a list of pieces and merges, for formats that want it so.

use serde_json::Value;

use crate::engine;
use crate::huggingface::byte_piece;

/// One token of a vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// How it is written in the vocabulary: byte-level characters, or `▁` for a space.
    pub text: String,
    /// Log probability (unigram), or minus the id (BPE); what has more is preferred.
    pub score: f32,
    /// What it stands for.
    pub kind: PieceKind,
}

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// Text.
    Normal,
    /// Nothing that is shown: a marker.
    Control,
    /// One byte, written `<0x0A>`.
    Byte,
    /// Whatever the vocabulary lacks.
    Unknown,
    /// Text that is never split.
    UserDefined,
}

/// The pieces of a `tokenizer.json`, by id. Ids that the file leaves out are markers of no text.
pub(crate) fn vocabulary(json: &Value, vocab_size: usize) -> Vec<Piece> {
    let hole = |id| Piece { text: format!("<unused{id}>"), score: 0.0, kind: PieceKind::Control };
    let mut pieces: Vec<Piece> = (0..vocab_size).map(hole).collect();
    let model = &json["model"];
    let has_bytes = model["byte_fallback"] == true;
    for (id, text, score) in entries(model) {
        let is_unknown = model["unk_id"] == id || model["unk_token"] == text;
        let kind = match byte_piece(text) {
            _ if is_unknown => PieceKind::Unknown,
            Some(_) if has_bytes => PieceKind::Byte,
            _ => PieceKind::Normal,
        };
        if let Some(piece) = pieces.get_mut(id) {
            *piece = Piece { text: text.to_owned(), score, kind };
        }
    }
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        let piece = token["id"].as_u64().and_then(|id| pieces.get_mut(usize::try_from(id).ok()?));
        let Some(piece) = piece.filter(|piece| piece.kind != PieceKind::Unknown) else { continue };
        piece.text = token["content"].as_str().unwrap_or_default().to_owned();
        let is_special = token["special"] == true;
        piece.kind = if is_special { PieceKind::Control } else { PieceKind::UserDefined };
    }
    pieces
}

/// Id, text and score of what a model's `vocab` has.
fn entries(model: &Value) -> Vec<(usize, &str, f32)> {
    if let Value::Object(ids) = &model["vocab"] {
        let ids = ids.iter().filter_map(|(text, id)| Some((id.as_u64()?, text.as_str())));
        return ids.map(|(id, text)| (id as usize, text, -(id as f32))).collect();
    }
    let pieces = model["vocab"].as_array().into_iter().flatten().enumerate();
    pieces
        .filter_map(|(id, piece)| Some((id, piece[0].as_str()?, piece[1].as_f64()? as f32)))
        .collect()
}

/// The merges of a `tokenizer.json`, as `left right`.
pub(crate) fn merges(json: &Value) -> Vec<String> {
    engine::merges(&json["model"]).map(|(left, right)| format!("{left} {right}")).collect()
}
