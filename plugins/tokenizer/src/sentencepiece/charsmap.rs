//! The map of characters that a SentencePiece model normalises text by.
//!
//! It is the length of a trie in bytes, the trie as a double array of `u32`, and the replacements,
//! each ended by a zero byte. At each place of a text the longest entry of the trie is replaced.
//! The normaliser of the `tokenizers` crate goes by grapheme clusters instead, and loses marks that
//! an entry doesn't cover.

use std::ops::Range;

/// A map that was checked: it can be walked with any text.
pub(super) struct Charsmap {
    units: Vec<Unit>,
    replacements: String,
}

/// A node of the trie, as the library Darts lays it out.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    fn is_value(self) -> bool {
        self.0 >> 31 == 1
    }

    fn value(self) -> usize {
        (self.0 & 0x7FFF_FFFF) as usize
    }

    fn has_value(self) -> bool {
        self.0 >> 8 & 1 == 1
    }

    /// The byte that leads here; no byte for values.
    fn label(self) -> u32 {
        self.0 & (1 << 31 | 0xFF)
    }

    fn offset(self) -> usize {
        ((self.0 >> 10) << ((self.0 & 1 << 9) >> 6)) as usize
    }
}

impl Charsmap {
    /// The map, which is empty where a model has none; nothing when it is damaged.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self { units: Vec::new(), replacements: String::new() });
        }
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (trie, replacements) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let (units, []) = trie.as_chunks::<4>() else { return None };
        let units = units.iter().map(|unit| Unit(u32::from_le_bytes(*unit))).collect();
        let replacements = String::from_utf8(replacements.to_vec()).ok()?;
        let map = Self { units, replacements };
        map.is_sound().then_some(map)
    }

    /// Whether every step from every node leads to a node, and every value to a replacement.
    fn is_sound(&self) -> bool {
        let is_sound = |(idx, unit): (usize, &Unit)| {
            if unit.is_value() {
                return self.replacements.is_char_boundary(unit.value());
            }
            let next = idx ^ unit.offset();
            (next | 0xFF) < self.units.len() && (!unit.has_value() || self.units[next].is_value())
        };
        !self.units.is_empty() && self.units.iter().enumerate().all(is_sound)
    }

    /// The text with everything replaced but the `kept` strings.
    pub(super) fn normalize(&self, text: &str, kept: &[String]) -> String {
        let mut normal = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            let kept = kept.iter().filter(|kept| rest.starts_with(*kept)).map(String::len).max();
            let (length, replacement) = match kept {
                Some(length) => (length, None),
                None => self.longest(rest.as_bytes()).unwrap_or((char.len_utf8(), None)),
            };
            match replacement {
                Some(range) => normal.push_str(&self.replacements[range]),
                None => normal.push_str(&rest[..length]),
            }
            rest = &rest[length..];
        }
        normal
    }

    /// How many bytes the longest entry covers that `text` begins with, and its replacement.
    fn longest(&self, text: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
        let mut found = None;
        let mut idx = self.units.first()?.offset();
        for (at, byte) in text.iter().enumerate() {
            idx ^= usize::from(*byte);
            let unit = self.units[idx];
            if *byte == 0 || unit.label() != u32::from(*byte) {
                break;
            }
            idx ^= unit.offset();
            if unit.has_value() {
                found = Some((at + 1, self.units[idx].value()));
            }
        }
        let (length, start) = found?;
        let end =
            self.replacements[start..].find('\0').map_or(self.replacements.len(), |n| start + n);
        // Entries are whole characters in a sound model; in any other this keeps to them.
        std::str::from_utf8(&text[..length]).ok()?;
        Some((length, Some(start..end)))
    }
}
