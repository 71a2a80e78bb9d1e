//! The bytes of UTF-8 as ids.

use sdk::Result;
use serde_json::{Map, Value, json};

use crate::decode::Pieces;
use crate::huggingface::add_special;
use crate::special::{SpecialTexts, SpecialTokens};
use crate::{Encoder, Tokenizer, byte_level};

pub(crate) const VOCAB_SIZE: usize = 256;
/// 0xF8 to 0xFB: bytes that would open a sequence longer than UTF-8 allows.
pub(crate) const SPECIAL: SpecialTokens =
    SpecialTokens { sys: 0xF8, usr: 0xF9, asst: 0xFA, eot: 0xFB };

struct Bytes;

impl Encoder for Bytes {
    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn huggingface_json(&self) -> Result<Value> {
        let alphabet = byte_level::alphabet();
        let mut vocab: Map<String, Value> =
            (0..).zip(alphabet).map(|(id, char): (u32, char)| (char.into(), id.into())).collect();
        for (id, text) in SPECIAL.all().into_iter().zip(SpecialTexts::plain().all()) {
            vocab.remove(&alphabet[id as usize].to_string());
            vocab.insert(text.to_owned(), id.into());
        }
        let mut json = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": byte_level::json(false),
            "post_processor": null,
            "decoder": byte_level::json(false),
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "",
                "fuse_unk": false,
                "byte_fallback": false,
                "vocab": vocab,
                "merges": [],
            },
        });
        add_special(&mut json, SPECIAL, &SpecialTexts::plain());
        Ok(json)
    }
}

pub(crate) fn tokenizer() -> Tokenizer {
    let mut pieces = Pieces::default();
    for byte in 0..=u8::MAX {
        let is_special = SPECIAL.all().contains(&byte.into());
        pieces.push(if is_special { &[] } else { std::slice::from_ref(&byte) });
    }
    let special = (SPECIAL, SpecialTexts::plain());
    Tokenizer::new("byte", special, pieces, None, Box::new(Bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bytes_and_special_ids_are_no_bytes_of_text() {
        for text in ["", "Mira hid a red kite.", "naïve 🦊 \u{10FFFF}\0"] {
            let ids = tokenizer().encode(text);
            assert_eq!(ids.len(), text.len());
            assert_eq!(tokenizer().decode(&ids), text);
            assert!(ids.iter().all(|id| !SPECIAL.all().contains(id)));
        }
        assert_eq!(tokenizer().decode(&[104, 0xFB, 105, 0xC3]), "hi\u{FFFD}");
    }

    #[test]
    fn a_description_leads_back_and_a_changed_one_is_refused() {
        let description = tokenizer().description();
        assert_eq!(description["special"]["eot"], 251);
        // Artifacts have this: it must stay.
        assert_eq!(description["hash"], "e73ba325aea1f1f18be0c8c765f50528");
        assert_eq!(Tokenizer::from_parts(&description, None).unwrap(), tokenizer());

        let mut changed = description.clone();
        changed["special"]["eot"] = json!(0);
        assert_eq!(Tokenizer::from_parts(&changed, None).unwrap_err().code, "tokenizer::mismatch");
        let unknown = json!({"kind": "runes"});
        assert_eq!(Tokenizer::from_parts(&unknown, None).unwrap_err().code, "tokenizer::kind");
    }

    #[test]
    fn a_model_needs_a_row_for_every_token() {
        assert!(tokenizer().check_model_vocab(256).is_ok());
        let error = tokenizer().check_model_vocab(128).unwrap_err();
        assert_eq!(error.message, "`model.V` is 128, but the tokenizer has 256 tokens");
    }
}
