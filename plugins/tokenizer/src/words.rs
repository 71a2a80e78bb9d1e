//! Words: what no token reaches over, so that a text can be encoded word by word.
//!
//! Splitting is linear in the text, whatever the text. The regular expressions that define the
//! words look ahead, and those who run them so give up on a long run of white space.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use regex::Regex;
use sdk::{Error, Result};
use serde_json::{Value, json};

use crate::byte_level;

/// How text is split into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// As GPT-2 does: a contraction, or letters, digits or signs with a space before.
    Gpt2,
    /// As our unigram vocabularies do: a line's end, or anything up to white space with a space
    /// before. U+2581, which stands for a space in pieces, is one.
    Spaces,
}

impl Pattern {
    /// The words but for white space, which leaves its last character to a word that follows.
    fn regex(self) -> &'static str {
        match self {
            Self::Gpt2 => r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+",
            Self::Spaces => r"\n|[ \u{2581}]?[^\s\u{2581}]+|(?:[^\S\n]|\u{2581})+",
        }
    }

    fn is_space(self, char: char) -> bool {
        char.is_whitespace() || self == Self::Spaces && char == '\u{2581}'
    }

    /// The pre-tokenizer of a `tokenizer.json` that gives the same words.
    pub(crate) fn json(self) -> Value {
        const SPACES: &str = "\\n|\u{2581}?[^\\s\u{2581}]+|(?:[^\\S\\n]|\u{2581})+(?![^\\s\u{2581}])\
                              |(?:[^\\S\\n]|\u{2581})+";
        match self {
            Self::Gpt2 => byte_level::json(true),
            Self::Spaces => json!({
                "type": "Split",
                "pattern": {"Regex": SPACES},
                "behavior": "Isolated",
                "invert": false,
            }),
        }
    }

    /// The pattern that a whole `tokenizer.json` splits by, and nothing else before.
    pub(crate) fn of(json: &Value) -> Option<Self> {
        let has_added = json["added_tokens"].as_array().is_some_and(|added| !added.is_empty());
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
        let normalizer = &json["normalizer"];
        let found = [(Self::Gpt2, Value::Null), (Self::Spaces, spaces)];
        let is_it = |(pattern, normal): &(Self, Value)| {
            !has_added && json["pre_tokenizer"] == pattern.json() && normalizer == normal
        };
        found.into_iter().find(is_it).map(|(pattern, _)| pattern)
    }
}

/// Splits texts into words.
pub(crate) struct Words {
    pattern: Pattern,
    regex: Regex,
}

impl Words {
    pub(crate) fn new(pattern: Pattern) -> Result<Self> {
        let regex = Regex::new(pattern.regex()).map_err(|error| {
            Error::new("tokenizer::words", format!("pattern of words: {error}"))
        })?;
        Ok(Self { pattern, regex })
    }

    /// Calls `use_word` with each word; together they are the text.
    pub(crate) fn for_each<'t>(&self, text: &'t str, mut use_word: impl FnMut(&'t str)) {
        let is_space = |char| self.pattern.is_space(char);
        let mut at = 0;
        while let Some(found) = self.regex.find_at(text, at) {
            let word = found.as_str();
            let last = word.char_indices().next_back().map_or(0, |(last, _)| last);
            let is_run = last > 0 && word[last..].starts_with(is_space);
            let ends_run = text[found.end()..].chars().next().is_none_or(is_space);
            at = if is_run && !ends_run { found.start() + last } else { found.end() };
            use_word(&text[found.start()..at]);
        }
    }
}

/// How many words are remembered.
const WORDS_MAX: usize = 1 << 17;
/// The longest word that is remembered, in bytes.
const WORD_BYTES_MAX: usize = 64;

type Known = HashMap<Box<str>, Box<[u32]>>;

/// Encodes word by word, and remembers the ids of words: most come again.
pub(crate) struct WordEncoder {
    words: Words,
    known: RwLock<Known>,
}

impl WordEncoder {
    pub(crate) fn new(pattern: Pattern) -> Result<Self> {
        Ok(Self { words: Words::new(pattern)?, known: RwLock::default() })
    }

    /// The ids of a text, of which `encode_word` gives those of a word.
    pub(crate) fn encode(&self, text: &str, encode_word: impl Fn(&str) -> Vec<u32>) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        let mut new: HashMap<&str, Vec<u32>> = HashMap::new();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        self.words.for_each(text, |word| match known.get(word) {
            Some(found) => ids.extend_from_slice(found),
            None if word.len() > WORD_BYTES_MAX => ids.extend(encode_word(word)),
            None => ids.extend_from_slice(new.entry(word).or_insert_with(|| encode_word(word))),
        });
        drop(known);
        self.remember(new);
        ids
    }

    fn remember(&self, new: HashMap<&str, Vec<u32>>) {
        if new.is_empty() {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let room = WORDS_MAX.saturating_sub(known.len());
        known.extend(new.into_iter().take(room).map(|(word, ids)| (word.into(), ids.into())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pattern: Pattern, text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        Words::new(pattern).unwrap().for_each(text, |word| words.push(word));
        assert_eq!(words.concat(), text);
        words
    }

    const TEXT: &str = "It's   12é!?\n\n x \n\ty  ";

    #[test]
    fn words_are_those_of_gpt2() {
        // By the pattern of tiktoken's `r50k_base`, with Python's `regex` 2026.11.19.
        let expected = ["It", "'s", "  ", " 12", "é", "!?", "\n\n", " x", " \n", "\t", "y", "  "];
        assert_eq!(words(Pattern::Gpt2, TEXT), expected);
    }

    #[test]
    fn a_space_stays_with_the_word_after_it() {
        let expected = ["It's", "  ", " 12é!?", "\n", "\n", " x", " ", "\n", "\t", "y", "  "];
        assert_eq!(words(Pattern::Spaces, TEXT), expected);
        assert_eq!(
            words(Pattern::Spaces, "a\u{2581}b \u{2581}c"),
            ["a", "\u{2581}b", " ", "\u{2581}c"]
        );
    }

    #[test]
    fn a_remembered_word_has_the_ids_of_a_new_one() {
        let encoder = WordEncoder::new(Pattern::Gpt2).unwrap();
        let calls = std::cell::Cell::new(0);
        let bytes = |word: &str| {
            calls.set(calls.get() + 1);
            word.bytes().map(u32::from).collect()
        };
        let long = "x".repeat(WORD_BYTES_MAX + 1);
        let text = format!("a b a b {long} {long}");
        let expected: Vec<u32> = text.bytes().map(u32::from).collect();
        for n_calls in [5, 7] {
            assert_eq!(encoder.encode(&text, bytes), expected);
            // "a", " b", " a" once; the long ones, which are not kept, each time.
            assert_eq!(calls.get(), n_calls);
        }
    }
}
