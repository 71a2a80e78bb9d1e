//! What an ENVI header says, as numbers and lists; every fault with its line and what was expected.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use sdk::{Error, Result};

use super::entries::{Entry, Value, entries, fault};

/// The entries of one header.
pub(super) struct Fields {
    file: String,
    entries: BTreeMap<String, Entry>,
}

impl Fields {
    pub(super) fn parse(file: &str, text: &str) -> Result<Self> {
        Ok(Self { file: file.to_owned(), entries: entries(file, text)? })
    }

    /// A fault in the entry `key`.
    pub(super) fn fault(&self, key: &str, message: impl AsRef<str>) -> Error {
        fault(&self.file, self.entries.get(key).map_or(1, |entry| entry.line), message)
    }

    /// The entry `key` is needed, and isn't there.
    pub(super) fn missing(&self, key: &str, expected: &str) -> Error {
        let message = format!("{}: `{key}` is missing: {expected}", self.file);
        Error::new("spectral::envi_header", message)
    }

    /// Whether there is an entry `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The text of an entry without braces.
    pub(super) fn word(&self, key: &str) -> Result<Option<&str>> {
        let Some(entry) = self.entries.get(key) else { return Ok(None) };
        let Value::Word(word) = &entry.value else {
            return Err(self.fault(key, format!("`{key}` must be one value, not a list")));
        };
        Ok(Some(word.as_str()).filter(|word| !word.is_empty()))
    }

    /// A number that is `expected` to be such as `accepts`.
    pub(super) fn number<N: FromStr>(
        &self,
        key: &str,
        expected: &str,
        accepts: impl Fn(&N) -> bool,
    ) -> Result<Option<N>> {
        let Some(word) = self.word(key)? else { return Ok(None) };
        let number = word.parse().ok().filter(accepts);
        let wrong = || self.fault(key, format!("`{key}` must be {expected}, not `{word}`"));
        number.map(Some).ok_or_else(wrong)
    }

    /// A size, which must be there and be 1 or more.
    pub(super) fn size(&self, key: &str) -> Result<usize> {
        let expected = "a whole number from 1";
        self.number(key, expected, |size| *size > 0)?.ok_or_else(|| self.missing(key, expected))
    }

    /// A list of `n` items, told as `each`.
    pub(super) fn list(
        &self,
        key: &str,
        n: usize,
        each: &str,
    ) -> Result<Option<&[(usize, String)]>> {
        let Some(entry) = self.entries.get(key) else { return Ok(None) };
        let Value::List(items) = &entry.value else {
            return Err(self.fault(key, format!("`{key}` must be a list in braces")));
        };
        if items.len() == n {
            return Ok(Some(items));
        }
        let n_found = items.len();
        let message = format!("`{key}` must have {n} items, {each}, but has {n_found}");
        Err(self.fault(key, message))
    }

    /// A list of `n` numbers that are finite, told as `each`.
    pub(super) fn numbers(&self, key: &str, n: usize, each: &str) -> Result<Option<Vec<f64>>> {
        let Some(items) = self.list(key, n, each)? else { return Ok(None) };
        let number = |(i, (line, text)): (usize, &(usize, String))| {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            number.ok_or_else(|| self.not_a_number(*line, key, i + 1, text))
        };
        items.iter().enumerate().map(number).collect::<Result<_>>().map(Some)
    }

    fn not_a_number(&self, line: usize, key: &str, place: usize, text: impl Display) -> Error {
        fault(&self.file, line, format!("item {place} of `{key}` must be a number, not `{text}`"))
    }
}
