//! The part of `sentencepiece_model.proto` that encoding and decoding need.

use prost::Message;
use sdk::{Error, Result};

use super::charsmap::Charsmap;

/// The whole file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) pieces: Vec<SentencePiece>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
    #[prost(message, optional, tag = "5")]
    denormalizer_spec: Option<NormalizerSpec>,
}

/// One piece; its id is its place.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SentencePiece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(enumeration = "PieceType", optional, tag = "3", default = "Normal")]
    r#type: Option<i32>,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum PieceType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// How the model was trained, as far as it matters later.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TrainerSpec {
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24", default = "false")]
    treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35", default = "false")]
    byte_fallback: Option<bool>,
    #[prost(string, optional, tag = "44", default = " \u{2047} ")]
    unk_surface: Option<String>,
}

/// What happens to a text before pieces are looked for.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3", default = "true")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4", default = "true")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5", default = "true")]
    escape_whitespaces: Option<bool>,
}

impl SentencePiece {
    pub(super) fn text(&self) -> &str {
        self.piece()
    }
}

impl ModelProto {
    pub(super) fn trainer(&self) -> TrainerSpec {
        self.trainer_spec.clone().unwrap_or_default()
    }

    pub(super) fn normalizer(&self) -> NormalizerSpec {
        self.normalizer_spec.clone().unwrap_or_default()
    }

    pub(super) fn is_unigram(&self) -> bool {
        self.trainer().model_type() == 1
    }

    /// How characters are normalised, unless that is damaged.
    pub(super) fn charsmap(&self) -> Option<Charsmap> {
        Charsmap::parse(self.normalizer().precompiled_charsmap())
    }

    /// The id of the piece of unknown text.
    pub(super) fn unk_id(&self) -> Option<usize> {
        self.pieces.iter().position(|piece| piece.r#type() == PieceType::Unknown)
    }

    /// Refuses what would encode otherwise than SentencePiece does.
    pub(super) fn check(&self) -> Result<()> {
        let trainer = self.trainer();
        let denormalizer = self.denormalizer_spec.clone().unwrap_or_default();
        let is_unused = |piece: &SentencePiece| piece.r#type() == PieceType::Unused;
        let faults = [
            (!(1..=2).contains(&trainer.model_type()), "a model type other than unigram and BPE"),
            (trainer.treat_whitespace_as_suffix(), "whitespace as a suffix"),
            (!self.normalizer().escape_whitespaces(), "whitespace that is not escaped"),
            (!denormalizer.precompiled_charsmap().is_empty(), "a denormaliser"),
            (self.pieces.iter().any(is_unused), "pieces that are marked unused"),
            (self.unk_id().is_none(), "no piece for unknown text"),
            (self.charsmap().is_none(), "a damaged normaliser"),
        ];
        let found: Vec<&str> = faults.iter().filter(|fault| fault.0).map(|fault| fault.1).collect();
        if found.is_empty() {
            return Ok(());
        }
        let message = format!("the SentencePiece model can't be used: it has {}", found.join(", "));
        Err(Error::new("tokenizer::sentencepiece", message))
    }
}
