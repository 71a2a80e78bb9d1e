//! Model files of the SentencePiece library, unigram and BPE.
//!
//! A model file is a protobuf message: pieces with scores, and how text is normalised before they
//! are looked for. Normalising and decoding follow SentencePiece itself; pieces are looked for by the
//! `tokenizers` crate, with the model turned into a `tokenizer.json`, which is also the export.

mod charsmap;
mod model_proto;
mod to_json;

use std::path::Path;
use std::sync::Arc;

use prost::Message;
use sdk::{Error, Result};
use serde_json::Value;

use crate::decode::{Invalid, Leading, Pieces};
use crate::engine::Engine;
use crate::huggingface::{add_special, byte_piece, check_plain, read};
use crate::special::{self, REFERENCE, SpecialTexts, SpecialTokens, Vocabulary};
use crate::{Encoder, Piece, PieceKind, Tokenizer};
use charsmap::Charsmap;
use model_proto::{ModelProto, PieceType, SentencePiece};

struct Model {
    engine: Engine,
    charsmap: Charsmap,
    /// Pieces that are found in a text as they are, before it is normalised.
    kept: Vec<String>,
    proto: ModelProto,
    special: (SpecialTokens, SpecialTexts),
}

impl Encoder for Model {
    fn encode(&self, text: &str) -> Vec<u32> {
        self.engine.encode(&self.charsmap.normalize(text, &self.kept))
    }

    fn huggingface_json(&self) -> Result<Value> {
        let mut json = to_json::convert(&self.proto)?;
        add_special(&mut json, self.special.0, &self.special.1);
        Ok(json)
    }

    fn vocabulary(&self, _vocab_size: usize) -> Result<Vec<Piece>> {
        let special = self.special.0.all();
        let pieces = (0..).zip(&self.proto.pieces).map(|(id, piece): (u32, _)| {
            let is_special = special.contains(&id);
            let kind = if is_special { PieceKind::Control } else { kind(piece) };
            Piece { text: piece.text().to_owned(), score: piece.score(), kind }
        });
        Ok(pieces.collect())
    }
}

fn kind(piece: &SentencePiece) -> PieceKind {
    match piece.r#type() {
        PieceType::Normal | PieceType::Unused => PieceKind::Normal,
        PieceType::Unknown => PieceKind::Unknown,
        PieceType::Control => PieceKind::Control,
        PieceType::UserDefined => PieceKind::UserDefined,
        PieceType::Byte => PieceKind::Byte,
    }
}

pub(crate) fn open(
    path: &Path,
    special: Option<&SpecialTexts>,
    expected: Option<SpecialTokens>,
) -> Result<Tokenizer> {
    let own = SpecialTexts::new(REFERENCE);
    let model = read(path)?;
    tokenizer(model, special.unwrap_or(&own), expected)
        .map_err(|error| error.context(format!("reading `{}`", path.display())))
}

pub(crate) fn tokenizer(
    model: Arc<[u8]>,
    texts: &SpecialTexts,
    expected: Option<SpecialTokens>,
) -> Result<Tokenizer> {
    let proto = ModelProto::decode(&*model).map_err(|error| {
        Error::new("tokenizer::sentencepiece", format!("not a SentencePiece model: {error}"))
    })?;
    proto.check()?;
    let json = to_json::convert(&proto)?;
    let full = Engine::full(json.clone())?;
    let vocabulary = ModelVocabulary { proto: &proto, full: &full };
    let ids = special::resolve(&vocabulary, texts, expected)?;
    let pieces = pieces(&proto, ids);
    let engine = Engine::plain(to_json::without_charsmap(json), texts)?;
    check_plain(&engine, ids, texts)?;
    let charsmap = proto.charsmap().ok_or_else(damaged)?;
    let kept = kept(&proto, texts);
    let encoder = Model { engine, charsmap, kept, proto, special: (ids, texts.clone()) };
    let special = (ids, texts.clone());
    Ok(Tokenizer::new("sentencepiece", special, pieces, Some(model), Box::new(encoder)))
}

fn damaged() -> Error {
    Error::new("tokenizer::sentencepiece", "the normaliser of the SentencePiece model is damaged")
}

fn kept(proto: &ModelProto, special: &SpecialTexts) -> Vec<String> {
    let pieces = proto.pieces.iter().filter(|piece| piece.r#type() == PieceType::UserDefined);
    let texts = pieces.map(|piece| piece.text().to_owned());
    texts.filter(|text| !text.is_empty() && !special.all().contains(&text.as_str())).collect()
}

/// What a model file says of special tokens.
struct ModelVocabulary<'a> {
    proto: &'a ModelProto,
    full: &'a Engine,
}

impl Vocabulary for ModelVocabulary<'_> {
    fn id(&self, text: &str) -> Option<u32> {
        let is_it = |piece: &SentencePiece| {
            piece.text() == text && ![PieceType::Unknown, PieceType::Byte].contains(&piece.r#type())
        };
        u32::try_from(self.proto.pieces.iter().position(is_it)?).ok()
    }

    fn text(&self, id: u32) -> Option<String> {
        Some(self.proto.pieces.get(id as usize)?.text().to_owned())
    }

    fn pieces(&self, text: &str) -> Vec<u32> {
        match self.id(text) {
            // One id by its nature: no text becomes it, it is only ever put in.
            Some(id) if self.proto.pieces[id as usize].r#type() == PieceType::Control => vec![id],
            _ => self.full.vocabulary().pieces(text),
        }
    }

    fn size(&self) -> usize {
        self.proto.pieces.len()
    }
}

/// What each id stands for, by the rules of `SentencePieceProcessor::Decode`.
fn pieces(proto: &ModelProto, ids: SpecialTokens) -> Pieces {
    let normalizer = proto.normalizer();
    let leading = match (normalizer.remove_extra_whitespaces(), normalizer.add_dummy_prefix()) {
        (true, _) => Leading::DropAll,
        (false, true) => Leading::DropOne,
        (false, false) => Leading::Keep,
    };
    let mut pieces = Pieces::new(leading, Invalid::EachByte);
    for (id, piece) in (0..).zip(&proto.pieces) {
        match piece.r#type() {
            _ if ids.all().contains(&id) => pieces.push(&[]),
            PieceType::Control => pieces.push(&[]),
            PieceType::Unknown => pieces.push_solid(proto.trainer().unk_surface().as_bytes()),
            PieceType::Byte => pieces.push_solid(byte_piece(piece.text()).as_slice()),
            _ => pieces.push(piece.text().replace(to_json::SPACE, " ").as_bytes()),
        }
    }
    pieces
}
