//! JSON with positions.
//!
//! `serde_json` reads the text first and is the only judge of what is well-formed. The walk below
//! then goes over a text that is known to be good, so it has no error cases of its own: it only
//! finds where things stand.

use serde_json::Value;

use super::document::{Key, Node, NodeValue, syntax_error};
use super::error::ConfigError;
use super::source::{Source, Span};

/// Parses a JSON text.
pub(super) fn parse(source: &Source) -> Result<Node, Box<ConfigError>> {
    if let Err(error) = serde_json::from_str::<Value>(&source.text) {
        let start = byte_of(source, error.line(), error.column());
        return Err(syntax_error(source, Span { start, end: start + 1 }, &reason(&error)).into());
    }
    Ok(Walk { text: &source.text, at: 0 }.node())
}

/// serde_json counts columns in bytes.
fn byte_of(source: &Source, line: usize, column: usize) -> usize {
    let line_start = source.byte_at(line, 1);
    (line_start + column.saturating_sub(1)).min(source.text.len())
}

/// The parser's words without the position behind them.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text);
    match reason.strip_prefix("EOF") {
        Some(while_parsing) => format!("the text ends{while_parsing}"),
        None if reason == "recursion limit exceeded" => "it is nested too deeply".to_owned(),
        None if reason == "expected ident" => "expected `true`, `false` or `null`".to_owned(),
        None => reason.to_owned(),
    }
}

struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl Walk<'_> {
    fn node(&mut self) -> Node {
        self.skip_space();
        let start = self.at;
        let value = match self.peek() {
            b'{' => self.map(),
            b'[' => self.list(),
            b'"' => NodeValue::String(self.string()),
            _ => self.scalar(),
        };
        Node { value, span: Some(Span { start, end: self.at }) }
    }

    fn map(&mut self) -> NodeValue {
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
            entries.push((key, self.node()));
        }
        self.at += 1;
        NodeValue::Map(entries)
    }

    fn list(&mut self) -> NodeValue {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.skip_space_and(b',');
            if self.peek() == b']' {
                break;
            }
            items.push(self.node());
        }
        self.at += 1;
        NodeValue::List(items)
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

    fn scalar(&mut self) -> NodeValue {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.find([',', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        self.at += length;
        match serde_json::from_str(&rest[..length]).expect("the text was read as JSON before") {
            Value::Bool(value) => NodeValue::Bool(value),
            Value::Number(value) => NodeValue::Number(value),
            _ => NodeValue::Null,
        }
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
