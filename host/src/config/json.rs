//! JSON with positions.
//!
//! `serde_json` reads the text first and is the only judge of what is well-formed. The walk below
//! then goes over a text that is known to be good: it finds where things stand, and refuses the
//! numbers that can't be held.

use serde_json::Value;

use super::document::{Key, Node, NodeValue, syntax_error};
use super::error::ConfigError;
use super::source::{Source, Span};
use super::syntax::{self, Format};
use super::{limits, number, phrases};

/// What Python writes for numbers that JSON doesn't have.
const NOT_FINITE: [&str; 2] = ["NaN", "Infinity"];

/// Parses a JSON text.
pub(super) fn parse(source: &Source) -> Result<Node, Box<ConfigError>> {
    if let Err(error) = serde_json::from_str::<Value>(&source.text) {
        return Err(refused(source, &error).into());
    }
    Walk { source, text: &source.text, at: 0 }.node()
}

fn refused(source: &Source, error: &serde_json::Error) -> ConfigError {
    let start = byte_of(source, error.line(), error.column());
    let span = Span { start, end: start + 1 };
    let words = error.to_string();
    let reason = words.split(" at line ").next().unwrap_or(&words);
    if source.text.trim().is_empty() {
        return syntax_error(source, span, "it is empty");
    }
    if reason.starts_with("recursion limit exceeded") {
        return limits::too_deep(source, Some(span));
    }
    if let Some(error) = syntax::recognised(source, Format::Json, start) {
        return error;
    }
    let (word, around) = word_around(source, start);
    if NOT_FINITE.iter().any(|name| word.trim_start_matches('-') == *name) {
        return syntax_error(source, around, number::NOT_FINITE);
    }
    // Hexadecimal digits, underscores and bare points: numbers elsewhere.
    let is_numeric =
        word.trim_start_matches(['+', '-', '.']).starts_with(|c: char| c.is_ascii_digit());
    let (span, reason) = match reason {
        _ if !is_numeric || reason.starts_with("EOF") => (span, reason),
        "number out of range" => (around, reason),
        _ => (around, "invalid number"),
    };
    phrases::refused(source, span, reason, phrases::JSON)
}

/// The word that a byte is in or behind, as long as nothing of JSON ends it.
fn word_around(source: &Source, byte: usize) -> (&str, Span) {
    let ends = |c: char| c.is_whitespace() || ",:[]{}\"".contains(c);
    let byte = source.text.floor_char_boundary(byte);
    let start =
        source.text[..byte].rfind(ends).map_or(0, |at| source.text.ceil_char_boundary(at + 1));
    let end = source.text[byte..].find(ends).map_or(source.text.len(), |length| byte + length);
    let span = Span { start, end };
    (source.slice(span), span)
}

/// serde_json counts columns in bytes.
fn byte_of(source: &Source, line: usize, column: usize) -> usize {
    let line_start = source.byte_at(line, 1);
    (line_start + column.saturating_sub(1)).min(source.text.len())
}

struct Walk<'a> {
    source: &'a Source,
    text: &'a str,
    at: usize,
}

impl Walk<'_> {
    fn node(&mut self) -> Result<Node, Box<ConfigError>> {
        self.skip_space();
        let start = self.at;
        let value = match self.peek() {
            b'{' => self.map()?,
            b'[' => self.list()?,
            b'"' => NodeValue::String(self.string()),
            _ => self.scalar()?,
        };
        Ok(Node { value, span: Some(Span { start, end: self.at }) })
    }

    fn map(&mut self) -> Result<NodeValue, Box<ConfigError>> {
        let mut entries = Vec::new();
        self.at += 1;
        loop {
            self.skip_space_and(b',');
            if self.peek() == b'}' {
                break;
            }
            let start = self.at;
            let text = self.string();
            let key = Key { text, span: Some(Span { start, end: self.at }) };
            self.skip_space_and(b':');
            entries.push((key, self.node()?));
        }
        self.at += 1;
        Ok(NodeValue::Map(entries))
    }

    fn list(&mut self) -> Result<NodeValue, Box<ConfigError>> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.skip_space_and(b',');
            if self.peek() == b']' {
                break;
            }
            items.push(self.node()?);
        }
        self.at += 1;
        Ok(NodeValue::List(items))
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while self.peek() != b'"' {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_str(&self.text[start..self.at]).expect("the text was read as JSON before")
    }

    fn scalar(&mut self) -> Result<NodeValue, Box<ConfigError>> {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.find([',', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        self.at += length;
        let number = match &rest[..length] {
            "null" => return Ok(NodeValue::Null),
            "true" => return Ok(NodeValue::Bool(true)),
            "false" => return Ok(NodeValue::Bool(false)),
            text if text.contains(['.', 'e', 'E']) => number::decimal(text),
            text => number::integer(text, 10),
        };
        let span = Span { start, end: self.at };
        number
            .map(NodeValue::Number)
            .map_err(|reason| Box::new(syntax_error(self.source, span, reason)))
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes()[self.at]
    }

    fn skip_space(&mut self) {
        self.skip_space_and(b' ');
    }

    fn skip_space_and(&mut self, also: u8) {
        while self.peek() == also || self.peek().is_ascii_whitespace() {
            self.at += 1;
        }
    }
}
