//! Ids back to text, at once and one by one.
//!
//! Every kind of tokenizer decodes the same way: each id stands for some bytes, and the text is
//! those bytes one after another. Only two rules differ: what becomes of a space that the encoder
//! put in front, and how many replacement characters a broken sequence gets.

use std::sync::Arc;

/// What each id stands for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    /// The bytes of all ids, one after another.
    bytes: Vec<u8>,
    /// Where the bytes of each id end.
    ends: Vec<usize>,
    /// Ids whose leading space is always text, ascending.
    solid: Vec<usize>,
    leading: Leading,
    invalid: Invalid,
}

/// What becomes of a space that the first pieces begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Leading {
    /// It is part of the text.
    #[default]
    Keep,
    /// One is dropped: the encoder put it there.
    DropOne,
    /// One is dropped from each piece until there is text: the encoder lets no text begin with it.
    DropAll,
}

/// How bytes that are no UTF-8 are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// One U+FFFD for each longest beginning of a character, as the standard library does.
    #[default]
    EachSequence,
    /// One U+FFFD for each byte, as SentencePiece does.
    EachByte,
}

impl Pieces {
    pub(crate) fn new(leading: Leading, invalid: Invalid) -> Self {
        Self { leading, invalid, ..Self::default() }
    }

    /// Adds the next id.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    /// Adds an id whose leading space is no one's but its own.
    pub(crate) fn push_solid(&mut self, bytes: &[u8]) {
        self.solid.push(self.ends.len());
        self.push(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of an id; one that can't be in UTF-8 for an id that doesn't exist, which a model
    /// with more rows than there are tokens can draw.
    fn get(&self, id: u32) -> &[u8] {
        let idx = id as usize;
        let Some(end) = self.ends.get(idx) else { return &[0xFF] };
        let start = idx.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..*end]
    }
}

/// Turns ids into text one at a time; made by [`Tokenizer::decoder`](crate::Tokenizer::decoder).
///
/// All that [`push`](Decoder::push) and [`finish`](Decoder::finish) return, put together, is what
/// [`Tokenizer::decode`](crate::Tokenizer::decode) makes of the same ids.
#[derive(Clone, Debug)]
pub struct Decoder {
    pieces: Arc<Pieces>,
    /// The beginning of a character whose other bytes are yet to come; at most three bytes.
    pending: Vec<u8>,
    leading: Leading,
}

impl Decoder {
    pub(crate) fn new(pieces: Arc<Pieces>) -> Self {
        let leading = pieces.leading;
        Self { pieces, pending: Vec::new(), leading }
    }

    /// The text that one more id completes, if any: whole characters only.
    pub fn push(&mut self, id: u32) -> Option<String> {
        let mut text = String::new();
        self.push_to(id, &mut text);
        (!text.is_empty()).then_some(text)
    }

    /// What is left when no id follows: a character that was begun shows as U+FFFD.
    pub fn finish(mut self) -> Option<String> {
        let mut text = String::new();
        self.finish_to(&mut text);
        (!text.is_empty()).then_some(text)
    }

    pub(crate) fn push_to(&mut self, id: u32, text: &mut String) {
        let mut bytes = self.pieces.get(id);
        if bytes.is_empty() {
            return;
        }
        if self.leading != Leading::Keep {
            let is_solid = self.pieces.solid.binary_search(&(id as usize)).is_ok();
            let stripped = bytes.strip_prefix(b" ").filter(|_| !is_solid);
            if stripped.is_none_or(|rest| !rest.is_empty()) || self.leading == Leading::DropOne {
                self.leading = Leading::Keep;
            }
            bytes = stripped.unwrap_or(bytes);
        }
        self.pending.extend_from_slice(bytes);
        let kept = self.flush_to(text);
        self.pending.drain(..self.pending.len() - kept);
    }

    pub(crate) fn finish_to(&mut self, text: &mut String) {
        replace(self.pending.len(), self.pieces.invalid, text);
        self.pending.clear();
    }

    /// Writes what is complete, and says how many bytes at the end are not.
    fn flush_to(&self, text: &mut String) -> usize {
        let mut chunks = self.pending.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_unfinished(invalid) {
                return invalid.len();
            }
            replace(invalid.len(), self.pieces.invalid, text);
        }
        0
    }
}

fn replace(n_bytes: usize, invalid: Invalid, text: &mut String) {
    let n = if invalid == Invalid::EachByte { n_bytes } else { n_bytes.min(1) };
    text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, n));
}

/// Whether more bytes could make a character of these.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
