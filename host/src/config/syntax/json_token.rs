//! The smallest parts of a JSON text, and of what is often written in its place.

use super::Span;

/// A part of a text and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) span: Span,
}

/// What a [`Token`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// `{` or `[`.
    Open(char),
    /// `}` or `]`.
    Close(char),
    Colon,
    Comma,
    /// A text in double quotes.
    Text,
    /// A text whose quotes are not closed on its line.
    Unclosed,
    /// What stands in single quotes.
    Single(&'a str),
    Comment,
    /// Anything else up to the next blank or sign.
    Word(&'a str),
    End,
}

/// Takes a text apart.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        let blank = |c: char| c.is_ascii_whitespace();
        self.at += self.rest().len() - self.rest().trim_start_matches(blank).len();
        let start = self.at;
        let kind = self.kind();
        Token { kind, span: Span { start, end: self.at } }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn kind(&mut self) -> Kind<'a> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Kind::End };
        self.at += first.len_utf8();
        match first {
            '{' | '[' => Kind::Open(first),
            '}' | ']' => Kind::Close(first),
            ':' => Kind::Colon,
            ',' => Kind::Comma,
            '"' => self.text(),
            '\'' => self.single(),
            '#' => self.comment(rest.find('\n')),
            '/' if rest.starts_with("//") => self.comment(rest.find('\n')),
            '/' if rest.starts_with("/*") => self.comment(rest.find("*/").map(|at| at + 2)),
            _ => self.word(rest),
        }
    }

    fn text(&mut self) -> Kind<'a> {
        let mut is_escaped = false;
        for (at, c) in self.rest().char_indices() {
            match c {
                '\n' => {
                    self.at += at;
                    return Kind::Unclosed;
                }
                '"' if !is_escaped => {
                    self.at += at + 1;
                    return Kind::Text;
                }
                _ => is_escaped = c == '\\' && !is_escaped,
            }
        }
        self.at = self.text.len();
        Kind::Unclosed
    }

    fn single(&mut self) -> Kind<'a> {
        let rest = self.rest();
        let length = rest.find(['\'', '\n']).unwrap_or(rest.len());
        let is_closed = rest[length..].starts_with('\'');
        self.at += length + usize::from(is_closed);
        Kind::Single(&rest[..length])
    }

    fn comment(&mut self, length: Option<usize>) -> Kind<'a> {
        let start = self.at - 1;
        self.at = length.map_or(self.text.len(), |length| start + length);
        Kind::Comment
    }

    fn word(&mut self, rest: &'a str) -> Kind<'a> {
        let is_end = |c: char| c.is_ascii_whitespace() || "{}[]:,\"'".contains(c);
        let length = rest.find(is_end).unwrap_or(rest.len());
        self.at = self.text.len() - rest.len() + length;
        Kind::Word(&rest[..length])
    }
}
