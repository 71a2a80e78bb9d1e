//! Encoding with the `tokenizers` crate, from a `tokenizer.json`.
//!
//! The file's own reading makes special tokens of texts that look like them. So plain text goes
//! through a copy of the file that has none: special tokens are neither added tokens nor anything
//! that the model could find in a text.

use std::collections::{HashMap, HashSet};

use sdk::{Error, Result};
use serde_json::{Value, json};

use crate::huggingface::byte_piece;
use crate::special::{SpecialTexts, Vocabulary};
use crate::words::{Pattern, WordEncoder};

/// What reads plain text.
pub(crate) struct Engine {
    tokenizer: tokenizers::Tokenizer,
    bytes: Option<BytePieces>,
    /// For files that split words as we know them.
    words: Option<WordEncoder>,
    /// The file's ids by those that added tokens got here, where they differ: the library numbers
    /// added tokens by their place, and some were taken out.
    renumbered: HashMap<u32, u32>,
}

/// The bytes that a unigram model has for characters without a piece.
struct BytePieces {
    unk_id: u32,
    /// By byte.
    ids: [u32; 256],
}

impl Engine {
    /// An encoder that finds no special token in any text, and no byte in one that reads `<0x41>`.
    ///
    /// # Errors
    /// When the file is not one that `tokenizers` reads.
    pub(crate) fn plain(mut json: Value, special: &SpecialTexts) -> Result<Self> {
        let texts = special_texts(&json, special);
        if let Some(added) = json["added_tokens"].as_array_mut() {
            added.retain(|token| !token["content"].as_str().is_some_and(|t| texts.contains(t)));
        }
        let bytes = BytePieces::of(&json["model"]);
        hide(&mut json["model"], &texts, bytes.is_some());
        let words = Pattern::of(&json).map(WordEncoder::new).transpose()?;
        let added = json["added_tokens"].clone();
        let engine = Self { bytes, words, ..Self::full(json)? };
        let renumbered = engine.renumbered(&added);
        Ok(Self { renumbered, ..engine })
    }

    /// An encoder for which special tokens in a text count.
    ///
    /// # Errors
    /// When the file is not one that `tokenizers` reads.
    pub(crate) fn full(mut json: Value) -> Result<Self> {
        // What these would add or cut, framing adds and cuts.
        for key in ["truncation", "padding", "post_processor"] {
            json[key] = Value::Null;
        }
        let tokenizer = serde_json::from_value(json).map_err(|error| {
            Error::new("tokenizer::json", format!("not a `tokenizer.json`: {error}"))
        })?;
        Ok(Self { tokenizer, bytes: None, words: None, renumbered: HashMap::new() })
    }

    /// The ids of a text.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = match &self.words {
            Some(words) => words.encode(text, |word| self.encode_whole(word)),
            None => self.encode_whole(text),
        };
        if !self.renumbered.is_empty() {
            ids.iter_mut().for_each(|id| *id = *self.renumbered.get(id).unwrap_or(id));
        }
        ids
    }

    fn renumbered(&self, added: &Value) -> HashMap<u32, u32> {
        let pair = |token: &Value| {
            let here = self.tokenizer.token_to_id(token["content"].as_str()?)?;
            let there = u32::try_from(token["id"].as_u64()?).ok()?;
            (here != there).then_some((here, there))
        };
        added.as_array().into_iter().flatten().filter_map(pair).collect()
    }

    fn encode_whole(&self, text: &str) -> Vec<u32> {
        const CHECKED: &str = "a model that was checked encodes any text";
        let Some(bytes) = &self.bytes else {
            return self.tokenizer.encode_fast(text, false).expect(CHECKED).get_ids().to_vec();
        };
        let encoding = self.tokenizer.encode(text, false).expect(CHECKED);
        let mut ids = Vec::with_capacity(encoding.len());
        for (id, token) in encoding.get_ids().iter().zip(encoding.get_tokens()) {
            if *id == bytes.unk_id {
                ids.extend(token.bytes().map(|byte| bytes.ids[usize::from(byte)]));
            } else {
                ids.push(*id);
            }
        }
        ids
    }

    /// The file as `tokenizers` understands it.
    pub(crate) fn vocabulary(&self) -> FileVocabulary<'_> {
        FileVocabulary(&self.tokenizer)
    }
}

impl BytePieces {
    /// Those of a unigram model that has all.
    fn of(model: &Value) -> Option<Self> {
        if model["byte_fallback"] != true {
            return None;
        }
        let unk_id = u32::try_from(model["unk_id"].as_u64()?).ok()?;
        let mut ids = [None; 256];
        for (id, piece) in (0_u32..).zip(model["vocab"].as_array()?) {
            if let Some(byte) = byte_piece(piece[0].as_str()?) {
                ids[usize::from(byte)] = Some(id);
            }
        }
        let found: Option<Vec<u32>> = ids.into_iter().collect();
        Some(Self { unk_id, ids: found?.try_into().ok()? })
    }
}

/// The texts of the special tokens: those of the file and the four.
fn special_texts(json: &Value, special: &SpecialTexts) -> HashSet<String> {
    let added = json["added_tokens"].as_array().into_iter().flatten();
    let added = added.filter(|token| token["special"] == true);
    let added = added.filter_map(|token| token["content"].as_str());
    added.chain(special.all()).map(str::to_owned).collect()
}

/// Makes tokens of these texts, and bytes where asked, unreachable for the model; their ids stay
/// taken.
fn hide(model: &mut Value, texts: &HashSet<String>, hides_bytes: bool) {
    let unknown = model["unk_token"].as_str().map(str::to_owned);
    let merged: HashSet<String> = merges(model).map(|(left, right)| left + &right).collect();
    match &mut model["vocab"] {
        // The trie of a unigram model never matches an empty piece. The score is that of control
        // pieces: the lowest one, from which the cost of unknown text follows, is none of these.
        Value::Array(pieces) => {
            let is_hidden =
                |text: &str| texts.contains(text) || hides_bytes && byte_piece(text).is_some();
            let hidden = pieces.iter_mut().filter(|piece| piece[0].as_str().is_some_and(is_hidden));
            hidden.for_each(|piece| *piece = json!(["", 0.0]));
        }
        // What merges make of a text must stay for them, and is its text's own token. The others
        // keep a place, for the library counts, by a name that is neither a character nor a word.
        Value::Object(ids) => {
            let is_hidden = |text: &&String| {
                texts.contains(*text) && unknown.as_ref() != Some(*text) && !merged.contains(*text)
            };
            let hidden: Vec<String> = ids.keys().filter(is_hidden).cloned().collect();
            for text in hidden {
                let id = ids.remove(&text).unwrap_or_default();
                ids.insert(format!("\0{id}\0"), id);
            }
        }
        _ => {}
    }
}

/// The merges of a model, which are written in one of two ways.
pub(crate) fn merges(model: &Value) -> impl Iterator<Item = (String, String)> + '_ {
    model["merges"].as_array().into_iter().flatten().filter_map(|merge| {
        let (left, right) = match merge {
            Value::String(merge) => merge.split_once(' ')?,
            _ => (merge[0].as_str()?, merge[1].as_str()?),
        };
        Some((left.to_owned(), right.to_owned()))
    })
}

/// What a `tokenizer.json` says of special tokens.
pub(crate) struct FileVocabulary<'a>(&'a tokenizers::Tokenizer);

impl Vocabulary for FileVocabulary<'_> {
    fn id(&self, text: &str) -> Option<u32> {
        self.0.token_to_id(text)
    }

    fn text(&self, id: u32) -> Option<String> {
        self.0.id_to_token(id)
    }

    fn pieces(&self, text: &str) -> Vec<u32> {
        let encoding = self.0.encode_fast(text, false);
        let mut ids = encoding.map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default();
        // The space that some models put in front of every text is no part of the token.
        if ids.len() > 1 && self.0.id_to_token(ids[0]).as_deref() == Some("\u{2581}") {
            ids.remove(0);
        }
        ids
    }

    fn size(&self) -> usize {
        self.0.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1)
    }
}
