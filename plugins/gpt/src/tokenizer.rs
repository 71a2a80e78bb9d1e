//! Text to token ids and back, and the four ids that frame a conversation.
//!
//! A tokenizer is chosen by `tokenizer: {kind: …}`. There is one kind so far, `byte`: the ids 0 to
//! 255 are the bytes of UTF-8, and the special tokens are four bytes that no UTF-8 text contains,
//! so no text can be mistaken for a marker. A tokenizer describes itself in JSON; the description
//! travels with an artifact, and a later phase reads its tokenizer from there.

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::stable_hash;

/// Which tokenizer a phase uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum TokenizerConfig {
    /// The bytes of UTF-8 as ids; needs a model with V of at least 256.
    Byte {},
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self::Byte {}
    }
}

/// The ids that mark who speaks and where a message or document ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialTokens {
    /// Opens a system message.
    pub sys: u32,
    /// Opens a user's message.
    pub usr: u32,
    /// Opens an assistant's message.
    pub asst: u32,
    /// Ends a message of a conversation or a document.
    pub eot: u32,
}

impl SpecialTokens {
    /// All of them, in the order of the fields.
    pub fn all(&self) -> [u32; 4] {
        [self.sys, self.usr, self.asst, self.eot]
    }

    /// The three that open a message; a reply must contain none of them.
    pub fn roles(&self) -> [u32; 3] {
        [self.sys, self.usr, self.asst]
    }
}

const BYTE_VOCAB_SIZE: usize = 256;
/// 0xF8 to 0xFB: bytes that would open a sequence longer than UTF-8 allows.
const BYTE_SPECIAL: SpecialTokens = SpecialTokens { sys: 0xF8, usr: 0xF9, asst: 0xFA, eot: 0xFB };

/// Turns text into token ids and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokenizer {
    /// The bytes of UTF-8.
    Byte,
}

impl Tokenizer {
    /// The tokenizer that a configuration asks for.
    ///
    /// # Errors
    /// When its files can't be read; `byte` has none.
    pub fn open(config: &TokenizerConfig) -> Result<Self> {
        match config {
            TokenizerConfig::Byte {} => Ok(Self::Byte),
        }
    }

    /// How many ids there are; every id is below.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Byte => BYTE_VOCAB_SIZE,
        }
    }

    /// The ids that mark messages.
    pub fn special(&self) -> SpecialTokens {
        match self {
            Self::Byte => BYTE_SPECIAL,
        }
    }

    /// The ids of a text; never a special one.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match self {
            Self::Byte => text.bytes().map(u32::from).collect(),
        }
    }

    /// The text of some ids. Special tokens have none, and what isn't valid UTF-8 becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let special = self.special().all();
        match self {
            Self::Byte => {
                let text = ids.iter().filter(|id| !special.contains(id));
                let bytes: Vec<u8> = text.map(|id| u8::try_from(*id).unwrap_or(0xFF)).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    /// Checks that a model has a row for every id.
    ///
    /// # Errors
    /// When the model's vocabulary is smaller than the tokenizer's.
    pub fn check_model_vocab(&self, model_vocab_size: usize) -> Result<()> {
        let needed = self.vocab_size();
        if model_vocab_size >= needed {
            return Ok(());
        }
        let message =
            format!("`model.V` is {model_vocab_size}, but the tokenizer has {needed} tokens");
        Err(Error::new("tokenizer::vocab", message)
            .at("model.V")
            .help(format!("set `model.V` to {needed}")))
    }

    /// What this tokenizer is, to keep beside whatever it encoded: `kind`, `vocab_size`, `special`
    /// and a `hash` of those.
    pub fn description(&self) -> Value {
        let mut description = json!({
            "kind": self.kind(),
            "vocab_size": self.vocab_size(),
            "special": self.special(),
        });
        let hash = stable_hash(description.to_string().as_bytes());
        description["hash"] = json!(format!("{hash:016x}"));
        description
    }

    /// The tokenizer that a description belongs to.
    ///
    /// # Errors
    /// When the kind is unknown, or this version of the kind encodes otherwise.
    pub fn from_description(description: &Value) -> Result<Self> {
        let kind = description.get("kind").and_then(Value::as_str).unwrap_or_default();
        let tokenizer = match kind {
            "byte" => Self::Byte,
            _ => {
                let message = format!("unknown kind of tokenizer: `{kind}`");
                return Err(Error::new("tokenizer::kind", message));
            }
        };
        let own = tokenizer.description();
        if own != *description {
            let message = format!("tokenizer mismatch: `{own}` here, `{description}` recorded");
            return Err(Error::new("tokenizer::mismatch", message)
                .help("use the version of the plugin that wrote the artifact"));
        }
        Ok(tokenizer)
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Byte => "byte",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_a_round_trip() {
        for text in ["", "Mira hid a red kite.", "naïve 🦊 \u{10FFFF}\0"] {
            let ids = Tokenizer::Byte.encode(text);
            assert_eq!(Tokenizer::Byte.decode(&ids), text);
            assert!(ids.iter().all(|id| !BYTE_SPECIAL.all().contains(id)));
        }
        assert_eq!(Tokenizer::Byte.decode(&[104, 0xFB, 105, 0xC3]), "hi\u{FFFD}");
    }

    #[test]
    fn special_ids_are_distinct_and_in_range() {
        let mut ids = BYTE_SPECIAL.all().to_vec();
        ids.dedup();
        assert_eq!(ids.len(), 4);
        assert!(ids.iter().all(|id| (*id as usize) < BYTE_VOCAB_SIZE));
    }

    #[test]
    fn a_description_leads_back_and_a_changed_one_is_refused() {
        let description = Tokenizer::Byte.description();
        assert_eq!(description["special"]["eot"], 251);
        assert_eq!(Tokenizer::from_description(&description).unwrap(), Tokenizer::Byte);

        let mut changed = description.clone();
        changed["special"]["eot"] = json!(0);
        assert_eq!(Tokenizer::from_description(&changed).unwrap_err().code, "tokenizer::mismatch");
        let unknown = json!({"kind": "gpt2"});
        assert_eq!(Tokenizer::from_description(&unknown).unwrap_err().code, "tokenizer::kind");
    }

    #[test]
    fn a_model_needs_a_row_for_every_token() {
        assert!(Tokenizer::Byte.check_model_vocab(256).is_ok());
        let error = Tokenizer::Byte.check_model_vocab(128).unwrap_err();
        assert_eq!(error.message, "`model.V` is 128, but the tokenizer has 256 tokens");
    }

    #[test]
    fn configuration_is_strict() {
        let parse = |text| serde_json::from_str::<TokenizerConfig>(text);
        assert_eq!(parse(r#"{"kind": "byte"}"#).unwrap(), TokenizerConfig::default());
        assert!(parse(r#"{"kind": "byte", "vocab": 3}"#).is_err());
        assert!(parse(r#"{"kind": "bytes"}"#).is_err());
    }
}
