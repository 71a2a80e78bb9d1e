//! Text to token ids and back, and the four ids that frame a conversation.
//!
//! A tokenizer is chosen by `tokenizer: {kind: …}`:
//!
//! - `byte`: the ids 0 to 255 are the bytes of UTF-8;
//! - `gpt2`: the 50,257 tokens of GPT-2, which come with this crate;
//! - `sentencepiece`: a `.model` file, unigram or BPE;
//! - `huggingface`: a `tokenizer.json`;
//! - `train`: made from the run's own texts by [`Tokenizer::train`].
//!
//! Whatever the kind, [`Tokenizer::encode`] takes plain text only: what looks like a special token
//! is text, and the special ids are put in by whoever frames messages. A tokenizer describes itself
//! in JSON; the description travels with an artifact, the model's bytes beside it, and a later phase
//! reads its tokenizer from there.

mod byte;
mod byte_level;
mod config;
mod decode;
mod engine;
mod export;
mod gpt2;
mod huggingface;
mod sentencepiece;
mod special;
mod train;
mod words;

use std::fmt;
use std::sync::Arc;

use sdk::{Error, Result};
use serde_json::{Value, json};

pub use config::{TokenizerConfig, TrainConfig, TrainModel};
pub use decode::Decoder;
use decode::Pieces;
pub use export::{Piece, PieceKind};
pub use special::{SpecialTexts, SpecialTokens};

/// What each kind of tokenizer does its own way.
trait Encoder: Send + Sync {
    /// The ids of a text; never a special one.
    fn encode(&self, text: &str) -> Vec<u32>;
    /// The same tokenizer as a `tokenizer.json`.
    fn huggingface_json(&self) -> Result<Value>;
    /// The tokens by id.
    fn vocabulary(&self, vocab_size: usize) -> Result<Vec<Piece>> {
        Ok(export::vocabulary(&self.huggingface_json()?, vocab_size))
    }
}

/// Turns text into token ids and back. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    description: Value,
    special: SpecialTokens,
    texts: SpecialTexts,
    pieces: Arc<Pieces>,
    /// What must travel with an artifact so that [`Tokenizer::from_parts`] finds the same
    /// tokenizer; none where the kind alone says it all.
    model: Option<Arc<[u8]>>,
    encoder: Box<dyn Encoder>,
}

impl Tokenizer {
    /// A tokenizer of its parts; the description, with its hash, is made here and once.
    fn new(
        kind: &str,
        (special, texts): (SpecialTokens, SpecialTexts),
        pieces: Pieces,
        model: Option<Arc<[u8]>>,
        encoder: Box<dyn Encoder>,
    ) -> Self {
        let mut description = json!({
            "kind": kind,
            "vocab_size": pieces.len(),
            "special": special,
        });
        if model.is_some() {
            description["texts"] = json!(texts);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(description.to_string().as_bytes());
        hasher.update(model.as_deref().unwrap_or_default());
        description["hash"] = json!(hasher.finalize().to_hex()[..32]);
        Self(Arc::new(Inner { description, special, texts, pieces: pieces.into(), model, encoder }))
    }

    /// The bytes of UTF-8 as ids.
    pub fn byte() -> Self {
        byte::tokenizer()
    }

    /// The tokenizer that a configuration asks for.
    ///
    /// # Errors
    /// When its file can't be read, its special tokens are not as they must be, or it must be
    /// trained first.
    pub fn open(config: &TokenizerConfig) -> Result<Self> {
        match config {
            TokenizerConfig::Byte {} => Ok(Self::byte()),
            TokenizerConfig::Gpt2 {} => gpt2::tokenizer(),
            TokenizerConfig::SentencePiece { path, special, expected } => {
                sentencepiece::open(path, special.as_ref(), *expected)
            }
            TokenizerConfig::HuggingFace { path, special, expected } => {
                huggingface::open(path, special.as_ref(), *expected)
            }
            TokenizerConfig::Train { .. } => {
                let message = "the tokenizer must be trained before it can be used";
                Err(Error::new("tokenizer::untrained", message).at("tokenizer.kind"))
            }
        }
    }

    /// A tokenizer made from texts, and only from them: the same texts in the same order give the
    /// same tokenizer, whatever the number of threads. Its four special tokens come first, ids 0
    /// to 3.
    ///
    /// `progress` is called now and then, with the bytes of text read so far; an error of it ends the
    /// training, as when the run is cancelled.
    ///
    /// # Errors
    /// When the texts give fewer tokens than `config` asks for, or `progress` fails.
    pub fn train(
        config: &TrainConfig,
        texts: &mut dyn Iterator<Item = String>,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Self> {
        train::train(config, texts, progress)
    }

    /// How many ids there are; every id is below.
    pub fn vocab_size(&self) -> usize {
        self.0.pieces.len()
    }

    /// The ids that mark messages.
    pub fn special(&self) -> SpecialTokens {
        self.0.special
    }

    /// How the special tokens are written in templates and exports.
    pub fn special_texts(&self) -> &SpecialTexts {
        &self.0.texts
    }

    /// Where a raw text has the text of a special token, as the token's name and the byte offset
    /// of the first one. [`Tokenizer::encode`] makes no special token of it, but what reads an
    /// export may: data should have none.
    pub fn find_special(&self, text: &str) -> Option<(&'static str, usize)> {
        self.0.texts.find_in(text)
    }

    /// The ids of a text; never a special one.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.0.encoder.encode(text)
    }

    /// The text of some ids. Special tokens have none, and what isn't valid UTF-8 becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut decoder = self.decoder();
        for id in ids {
            decoder.push_to(*id, &mut text);
        }
        decoder.finish_to(&mut text);
        text
    }

    /// Decodes ids as they come, in whole characters.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(Arc::clone(&self.0.pieces))
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

    /// What this tokenizer is, to keep beside whatever it encoded: `kind`, `vocab_size`, `special`,
    /// where there is a model also `texts`, and a `hash` of those and of the model.
    pub fn description(&self) -> Value {
        self.0.description.clone()
    }

    /// What must travel beside the description, to make the same tokenizer elsewhere: the `.model`
    /// file of SentencePiece, the `tokenizer.json` of the others, nothing for `byte` and `gpt2`.
    pub fn model(&self) -> Option<&[u8]> {
        self.0.model.as_deref()
    }

    /// The tokenizer that a description and a model belong to, as [`Tokenizer::description`] and
    /// [`Tokenizer::model`] gave them.
    ///
    /// # Errors
    /// When the kind is unknown, the model is missing or another, or this version of the kind
    /// encodes otherwise.
    pub fn from_parts(description: &Value, model: Option<&[u8]>) -> Result<Self> {
        let tokenizer = Self::rebuild(description, model)?;
        let own = &tokenizer.0.description;
        if own != description {
            let message = format!("tokenizer mismatch: `{own}` here, `{description}` recorded");
            return Err(Error::new("tokenizer::mismatch", message)
                .help("use the version of the plugin that wrote the artifact"));
        }
        Ok(tokenizer)
    }

    fn rebuild(description: &Value, model: Option<&[u8]>) -> Result<Self> {
        let kind = description.get("kind").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "byte" => return Ok(Self::byte()),
            "gpt2" => return gpt2::tokenizer(),
            "sentencepiece" | "huggingface" | "train" => {}
            _ => {
                let message = format!("unknown kind of tokenizer: `{kind}`");
                return Err(Error::new("tokenizer::kind", message));
            }
        }
        let Some(model) = model else {
            let message = format!("the model of the tokenizer is missing, kind: `{kind}`");
            return Err(Error::new("tokenizer::model", message));
        };
        let texts = description.get("texts").cloned().unwrap_or_default();
        let texts: SpecialTexts = serde_json::from_value(texts).map_err(|error| {
            Error::new("tokenizer::model", format!("special texts of the tokenizer: {error}"))
        })?;
        match kind {
            "sentencepiece" => sentencepiece::tokenizer(model.into(), &texts, None),
            "train" => huggingface::tokenizer("train", model.into(), Some(&texts), None),
            _ => huggingface::tokenizer("huggingface", model.into(), Some(&texts), None),
        }
    }

    /// This tokenizer as a `tokenizer.json` of Hugging Face's `tokenizers`, which gives the same
    /// ids, and makes special tokens of special texts.
    ///
    /// # Errors
    /// When the model can't be read again, which its being here rules out.
    pub fn huggingface_json(&self) -> Result<Value> {
        self.0.encoder.huggingface_json()
    }

    /// The tokens in the order of their ids, as formats with a list of pieces want them.
    ///
    /// # Errors
    /// As [`Tokenizer::huggingface_json`].
    pub fn vocabulary(&self) -> Result<Vec<Piece>> {
        self.0.encoder.vocabulary(self.vocab_size())
    }

    /// The merges of a BPE in the order of their ranks, as `left right`; none for the other kinds.
    ///
    /// # Errors
    /// As [`Tokenizer::huggingface_json`].
    pub fn merges(&self) -> Result<Vec<String>> {
        Ok(export::merges(&self.huggingface_json()?))
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokenizer({})", self.0.description)
    }
}

impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        self.0.description == other.0.description
    }
}
