//! The part of `sentencepiece_model.proto` that encoding and decoding need.

use prost::Message;
use sdk::{Error, Result};

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
            (!is_sound(self.normalizer().precompiled_charsmap()), "a damaged normaliser"),
        ];
        let found: Vec<&str> = faults.iter().filter(|fault| fault.0).map(|fault| fault.1).collect();
        if found.is_empty() {
            return Ok(());
        }
        let message = format!("the SentencePiece model can't be used: it has {}", found.join(", "));
        Err(Error::new("tokenizer::sentencepiece", message))
    }
}

/// Whether a character map can be walked with any text. It is the length of a trie in bytes, the
/// trie as a double array of `u32`, and the replacements, each ended by a zero byte.
fn is_sound(charsmap: &[u8]) -> bool {
    if charsmap.is_empty() {
        return true;
    }
    let Some((length, rest)) = charsmap.split_first_chunk::<4>() else { return false };
    let length = u32::from_le_bytes(*length) as usize;
    let Some((trie, replacements)) = rest.split_at_checked(length) else { return false };
    let Ok(replacements) = std::str::from_utf8(replacements) else { return false };
    let (units, rest) = trie.as_chunks::<4>();
    !units.is_empty()
        && rest.is_empty()
        && units.iter().enumerate().all(|(idx, unit)| {
            let unit = u32::from_le_bytes(*unit);
            if unit >> 31 == 1 {
                // A value: where its replacement begins.
                return replacements.is_char_boundary((unit & 0x7FFF_FFFF) as usize);
            }
            let next = idx ^ ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
            let has_value = unit >> 8 & 1 == 1;
            (next | 0xFF) < units.len() && (!has_value || units[next][3] >> 7 == 1)
        })
}
