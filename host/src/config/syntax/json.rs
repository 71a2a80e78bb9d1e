//! The usual mistakes in JSON.
//!
//! The text is read once more, by its grammar but without regard to what is inside of numbers and
//! texts, up to the first part that does not fit. What stands before and around it tells what the
//! mistake is.

use serde_json::Value;

use super::json_token::{Kind, Token, Tokens};
use super::spelling;
use super::{Format, Mistake, Span, bad_word, behind, line_number, placeholder};

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    /// The first item of a list, or its end.
    Item,
    Key,
    /// The first key of a mapping, or its end.
    Entry,
    Colon,
    /// A comma, or the end of the list or mapping.
    More,
    End,
}

/// The first mistake in the text, if it is one of the usual ones.
pub(super) fn mistake(text: &str) -> Option<Mistake> {
    let start = Token { kind: Kind::End, span: Span { start: 0, end: 0 } };
    let mut reader = Reader { text, open: Vec::new(), expect: Expect::Value, last: [start; 2] };
    let mut tokens = Tokens::new(text);
    loop {
        let token = tokens.next();
        if reader.expect == Expect::End && token.kind == Kind::End {
            return None;
        }
        if !reader.takes(token) {
            return reader.refuses(token);
        }
        reader.last = [token, reader.last[0]];
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Brackets that are not closed yet.
    open: Vec<(char, Span)>,
    expect: Expect,
    /// The last two parts, the later one first.
    last: [Token<'a>; 2],
}

impl Reader<'_> {
    /// Goes on by one part, if it fits.
    fn takes(&mut self, token: Token<'_>) -> bool {
        let is_value = matches!(self.expect, Expect::Value | Expect::Item);
        let is_key = matches!(self.expect, Expect::Key | Expect::Entry);
        self.expect = match token.kind {
            Kind::Open(sign) if is_value => {
                self.open.push((sign, token.span));
                if sign == '{' { Expect::Entry } else { Expect::Item }
            }
            Kind::Text if is_value => self.after_value(),
            Kind::Word(word) if is_value && is_json(word) => self.after_value(),
            Kind::Text if is_key => Expect::Colon,
            Kind::Colon if self.expect == Expect::Colon => Expect::Value,
            Kind::Comma if self.expect == Expect::More => match self.open.last() {
                Some(('{', _)) => Expect::Key,
                _ => Expect::Value,
            },
            Kind::Close(sign) if self.closes(sign) => {
                self.open.pop();
                self.after_value()
            }
            _ => return false,
        };
        true
    }

    fn after_value(&self) -> Expect {
        if self.open.is_empty() { Expect::End } else { Expect::More }
    }

    fn closes(&self, sign: char) -> bool {
        let is_due = matches!(self.expect, Expect::More | Expect::Item | Expect::Entry);
        is_due && self.open.last().is_some_and(|(open, _)| partner(*open) == sign)
    }

    /// What is wrong with a part that does not fit.
    fn refuses(&self, token: Token<'_>) -> Option<Mistake> {
        match token.kind {
            Kind::Comment => Some(Mistake::new(
                token.span,
                "JSON has no comments",
                "remove it, or write the file in YAML or TOML, which have comments",
            )),
            Kind::Unclosed => Some(Mistake::new(
                token.span,
                "a string is not closed on its line",
                "close it with `\"`; a line break in it is written `\\n`",
            )),
            Kind::Single(inner) => Some(Mistake::new(
                token.span,
                "JSON takes double quotes",
                format!("write `\"{}\"`", inner.replace('"', "\\\"")),
            )),
            Kind::End => Some(self.ends_early(token)),
            _ => match self.expect {
                Expect::Value | Expect::Item => self.no_value(token),
                Expect::Key | Expect::Entry => self.no_key(token),
                Expect::Colon => Some(self.no_colon(token)),
                Expect::More => Some(self.no_comma(token)),
                Expect::End => Some(behind_the_end(token)),
            },
        }
    }

    fn ends_early(&self, token: Token<'_>) -> Mistake {
        match self.open.last() {
            Some((sign, span)) => {
                let close = partner(*sign);
                Mistake::new(
                    *span,
                    format!("a `{sign}` is not closed"),
                    format!("add the `{close}`"),
                )
            }
            None => Mistake::new(token.span, "it is empty", "an empty configuration is `{}`"),
        }
    }

    fn no_value(&self, token: Token<'_>) -> Option<Mistake> {
        let last = self.last[0];
        match token.kind {
            // What is out of range, or not finite, the parser tells well enough.
            Kind::Word("NaN" | "-NaN" | "Infinity" | "-Infinity") => None,
            Kind::Word(word) => Some(bad_word(word, token.span, Format::Json)),
            Kind::Comma if last.kind == Kind::Comma => Some(two_commas(token.span)),
            Kind::Close(_) if last.kind == Kind::Comma => Some(trailing_comma(last.span)),
            Kind::Comma | Kind::Close(_) if last.kind == Kind::Colon => Some(Mistake::new(
                behind(last.span.end),
                "a value is missing behind `:`",
                "write the value, or leave the key out",
            )),
            _ => None,
        }
    }

    fn no_key(&self, token: Token<'_>) -> Option<Mistake> {
        let [last, before] = self.last;
        let is_digits = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
        match token.kind {
            Kind::Close(_) if last.kind == Kind::Comma => Some(trailing_comma(last.span)),
            Kind::Comma if last.kind == Kind::Comma => Some(two_commas(token.span)),
            Kind::Word(word) if last.kind == Kind::Comma && is_digits(word) => {
                let span = Span { start: before.span.start, end: token.span.end };
                let advice = spelling::number_meant(&self.text[span.start..span.end], false);
                advice.map(|advice| Mistake::new(span, "a number has a comma in it", advice))
            }
            Kind::Word(word) => {
                Some(Mistake::new(token.span, "a key needs quotes", format!("write `\"{word}\"`")))
            }
            Kind::Open('{') => placeholder(self.text, token.span.start),
            _ => None,
        }
    }

    fn no_colon(&self, token: Token<'_>) -> Mistake {
        let key = &self.text[self.last[0].span.start..self.last[0].span.end];
        let help = format!("write `{key}: …`");
        match token.kind {
            Kind::Word(word) if word.starts_with('=') => {
                let span = Span { start: token.span.start, end: token.span.start + 1 };
                Mistake::new(span, "a `=` stands between a key and its value", help)
            }
            _ => Mistake::new(
                behind(self.last[0].span.end),
                format!("`:` is missing behind `{key}`"),
                help,
            ),
        }
    }

    fn no_comma(&self, token: Token<'_>) -> Mistake {
        let last = self.last[0];
        let touches = last.span.end == token.span.start;
        match (token.kind, self.open.last()) {
            (Kind::Close(sign), Some((open, span))) => {
                let line = line_number(self.text, span.start);
                let close = partner(*open);
                Mistake::new(
                    token.span,
                    format!("a `{open}` is closed by `{sign}`"),
                    format!("the `{open}` in line {line} is closed by `{close}`"),
                )
            }
            (Kind::Colon, Some(('[', span))) => {
                let line = line_number(self.text, span.start);
                Mistake::new(
                    last.span,
                    "a key stands in a list",
                    format!("close the list that begins in line {line} with `]` before the key"),
                )
            }
            (Kind::Word(_) | Kind::Text, _) if touches && last.kind == Kind::Text => Mistake::new(
                Span { start: last.span.end - 1, end: token.span.end },
                "a string goes on behind its closing quote",
                "check the quotes in this line; one inside of a string is written `\\\"`",
            ),
            _ => Mistake::new(
                behind(last.span.end),
                "`,` is missing",
                "separate what follows with a comma",
            ),
        }
    }
}

fn trailing_comma(span: Span) -> Mistake {
    Mistake::new(span, "nothing follows this comma", "remove it: JSON takes no comma at the end")
}

fn two_commas(span: Span) -> Mistake {
    Mistake::new(span, "two commas follow each other", "remove one of them")
}

fn behind_the_end(token: Token<'_>) -> Mistake {
    match token.kind {
        Kind::Close(sign) => {
            Mistake::new(token.span, format!("one `{sign}` too many"), "remove it")
        }
        _ => Mistake::new(
            token.span,
            "something stands behind the end of the document",
            "one file holds one `{…}`; remove what follows it",
        ),
    }
}

fn partner(open: char) -> char {
    if open == '{' { '}' } else { ']' }
}

/// Whether a word is a value, be it one that is too large.
fn is_json(word: &str) -> bool {
    match serde_json::from_str::<Value>(word) {
        Ok(_) => true,
        Err(error) => error.to_string().starts_with("number out of range"),
    }
}
