//! The text of one configuration input and positions in it.
//!
//! A [`Source`] is read once and kept for as long as anything may still point into it: every node
//! of a parsed document holds a [`Span`] of bytes, and an error turns that into file, line, column
//! and the offending line only when it is shown.

use std::path::Path;
use std::sync::Arc;

use super::error::{ConfigError, Location};
use super::{intake, printable};

/// The longest source line shown whole; beyond it only the surroundings of the column are.
const SHOWN_LINE_CHARS: usize = 160;

/// A file, or a text that a plugin carries, with the name under which messages show it.
#[derive(Debug)]
pub(super) struct Source {
    /// The path as the user wrote it, or `plugin NAME: PROFILE.toml`.
    pub(super) name: String,
    /// The whole text, without a byte order mark.
    pub(super) text: String,
    /// The first byte of every line.
    line_starts: Vec<usize>,
}

/// A range of bytes of a [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first byte.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
}

impl Span {
    /// The place where something of any length begins.
    pub(super) fn first_byte(self) -> Self {
        Self { end: self.start + 1, ..self }
    }
}

impl Source {
    /// Wraps a text that is already in memory.
    pub(super) fn new(name: impl Into<String>, text: &str) -> Arc<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Arc::new(Self { name: name.into(), text: text.to_owned(), line_starts })
    }

    /// Reads a file; a byte order mark at its start is skipped.
    ///
    /// # Errors
    /// When the file is missing, unreadable, too large or not UTF-8.
    pub(super) fn read(path: &Path) -> Result<Arc<Self>, Box<ConfigError>> {
        let name = path.display().to_string();
        let bytes = intake::bytes(path)?;
        Ok(Self::new(name.clone(), &intake::text(&name, bytes)?))
    }

    /// The line number of a byte, from 1.
    pub(super) fn line_of(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= byte)
    }

    /// File, line, column and source line of a span.
    pub(super) fn locate(&self, span: Span) -> Location {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end.max(start));
        let line_number = self.line_of(start);
        let line_start = self.line_starts[line_number - 1];
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let chars_before = self.text[line_start..start].chars().count();
        let length = self.text[start..end.min(line_end)].trim_end().chars().count().max(1);
        let (source_line, indent) = window(line, chars_before);
        Location {
            file: self.name.clone(),
            line: line_number,
            column: chars_before + 1,
            length: length.min(source_line.chars().count().saturating_sub(indent).max(1)),
            source_line: printable::source_line(&source_line),
            indent,
        }
    }

    /// The byte at 1-based line and column (in characters), as parsers report them.
    pub(super) fn byte_at(&self, line: usize, column: usize) -> usize {
        let line_start = self.line_starts.get(line.saturating_sub(1)).copied();
        let line_start = line_start.unwrap_or(self.text.len());
        let rest = &self.text[line_start..];
        let in_line = rest.char_indices().nth(column.saturating_sub(1));
        line_start + in_line.map_or(rest.len(), |(at, _)| at)
    }

    /// The text of a span.
    pub(super) fn slice(&self, span: Span) -> &str {
        let start = self.boundary(span.start);
        &self.text[start..self.boundary(span.end.max(start))]
    }

    fn boundary(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }
}

/// A long line's surroundings of a column, and how many characters stand before it there.
fn window(line: &str, column_idx: usize) -> (String, usize) {
    if line.chars().count() <= SHOWN_LINE_CHARS {
        return (line.to_owned(), column_idx);
    }
    let first = column_idx.saturating_sub(SHOWN_LINE_CHARS / 2);
    let shown: String = line.chars().skip(first).take(SHOWN_LINE_CHARS).collect();
    if first == 0 { (shown, column_idx) } else { (format!("…{shown}"), column_idx - first + 1) }
}
