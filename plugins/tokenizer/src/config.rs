//! What a section says about the tokenizer, and what is known from it before any is built.

use std::path::PathBuf;

use schemars::JsonSchema;
use sdk::Result;
use serde::{Deserialize, Serialize};

use crate::special::{SpecialTexts, SpecialTokens};
use crate::{Tokenizer, byte, gpt2};

/// Which tokenizer a phase uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum TokenizerConfig {
    /// The bytes of UTF-8 as ids; needs a model with V of at least 256.
    Byte {},
    /// The vocabulary of GPT-2, which comes with the plugin; needs V of at least 50,257.
    Gpt2 {},
    /// A model file of the SentencePiece library, unigram or BPE.
    SentencePiece {
        /// The `.model` file.
        path: PathBuf,
        /// The texts of the four special pieces; those of this project's own models if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        special: Option<SpecialTexts>,
        /// The ids that the four special pieces must have; not checked if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<SpecialTokens>,
    },
    /// A `tokenizer.json` as Hugging Face writes it.
    HuggingFace {
        /// The `tokenizer.json` file.
        path: PathBuf,
        /// The texts of the four special tokens; usual names are tried if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        special: Option<SpecialTexts>,
        /// The ids that the four special tokens must have; not checked if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<SpecialTokens>,
    },
    /// Trained on the run's own data before the first step.
    Train {
        /// How the vocabulary is made.
        #[serde(default)]
        model: TrainModel,
        /// How many tokens the vocabulary has, the four special ones included.
        #[schemars(range(min = 261, max = 1_000_000), extend("x-unit" = "tokens"))]
        vocab_size: usize,
        /// How often a pair must occur to be merged (`bpe` only).
        #[serde(default = "default_min_frequency")]
        #[schemars(range(min = 1), extend("x-unit" = "occurrences"))]
        min_frequency: u64,
    },
}

/// How a vocabulary is made from text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrainModel {
    /// Byte-level byte pair encoding, as GPT-2's: every text comes back as it was.
    #[default]
    Bpe,
    /// The unigram language model of SentencePiece, with bytes for what the vocabulary lacks. The
    /// one character that doesn't come back is U+2581, which stands for a space in the pieces.
    Unigram,
}

/// What [`Tokenizer::train`] needs to know; [`TokenizerConfig::training`] gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainConfig {
    /// How the vocabulary is made.
    pub model: TrainModel,
    /// How many tokens the vocabulary has, the four special ones included.
    pub vocab_size: usize,
    /// How often a pair must occur to be merged; of no use to unigram.
    pub min_frequency: u64,
}

fn default_min_frequency() -> u64 {
    2
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self::Byte {}
    }
}

impl TokenizerConfig {
    /// Whether the tokenizer must be trained before it can be used.
    pub fn needs_training(&self) -> bool {
        self.training().is_some()
    }

    /// How to train the tokenizer, for the kind that is trained.
    pub fn training(&self) -> Option<TrainConfig> {
        match *self {
            Self::Train { model, vocab_size, min_frequency } => {
                Some(TrainConfig { model, vocab_size, min_frequency })
            }
            _ => None,
        }
    }

    /// How many ids the tokenizer has, before it is trained too. Opens files for the kinds that
    /// have them.
    ///
    /// # Errors
    /// When the file can't be read or its special tokens are not as they must be.
    pub fn vocab_size(&self) -> Result<usize> {
        match self {
            Self::Byte {} => Ok(byte::VOCAB_SIZE),
            Self::Gpt2 {} => Ok(gpt2::VOCAB_SIZE),
            Self::Train { vocab_size, .. } => Ok(*vocab_size),
            Self::SentencePiece { .. } | Self::HuggingFace { .. } => {
                Tokenizer::open(self).map(|tokenizer| tokenizer.vocab_size())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(section: serde_json::Value) -> serde_json::Result<TokenizerConfig> {
        serde_json::from_value(section)
    }

    #[test]
    fn configuration_is_strict() {
        assert_eq!(parse(json!({"kind": "byte"})).unwrap(), TokenizerConfig::default());
        assert!(parse(json!({"kind": "byte", "vocab": 3})).is_err());
        assert!(parse(json!({"kind": "bytes"})).is_err());
        assert!(parse(json!({"kind": "sentencepiece"})).is_err());
        assert!(parse(json!({"kind": "huggingface", "path": "t.json", "eot": "x"})).is_err());
        let part = json!({"kind": "huggingface", "path": "t.json", "special": {"sys": "x"}});
        assert!(parse(part).is_err());
    }

    #[test]
    fn the_size_of_a_vocabulary_is_known_before_there_is_one() {
        let train = parse(json!({"kind": "train", "vocab_size": 512})).unwrap();
        assert_eq!(train.vocab_size().unwrap(), 512);
        let training = train.training().unwrap();
        assert_eq!((training.model, training.min_frequency), (TrainModel::Bpe, 2));
        assert!(train.needs_training());
        assert_eq!(Tokenizer::open(&train).unwrap_err().code, "tokenizer::untrained");

        let gpt2 = parse(json!({"kind": "gpt2"})).unwrap();
        assert_eq!(gpt2.vocab_size().unwrap(), 50_257);
        assert!(!gpt2.needs_training());
    }

    #[test]
    fn the_schema_refuses_what_the_type_refuses() {
        let schema = schemars::schema_for!(TokenizerConfig);
        for variant in schema.as_value()["oneOf"].as_array().unwrap() {
            assert_eq!(variant["additionalProperties"], false, "{variant}");
        }
    }
}
