//! The usual mistakes in TOML, looked for around the place where the parser stopped.

use super::toml_value::setting;
use super::{Format, Line, Mistake, Span, bad_word, behind, line_number, placeholder, spelling};

/// The mistake at a byte that the parser could not take, if it is one of the usual ones.
pub(super) fn mistake(text: &str, at: usize) -> Option<Mistake> {
    let line = Line::at(text, at)?;
    let scan = Scan::up_to(text, line.start + line.text.len());
    if let Some(mistake) = placeholder(text, at).or(scan.unclosed_text) {
        return Some(mistake);
    }
    let scan = Scan::up_to(text, at);
    match scan.open.last() {
        Some((sign, start)) => in_brackets(text, at, *sign, *start),
        None => too_many(text, at).or_else(|| header(line)).or_else(|| setting(line)),
    }
}

/// What a look at quotes and brackets finds.
#[derive(Debug, Default)]
struct Scan {
    /// Brackets that are not closed, with their places.
    open: Vec<(char, usize)>,
    unclosed_text: Option<Mistake>,
}

impl Scan {
    fn up_to(text: &str, end: usize) -> Self {
        let mut scan = Self::default();
        let mut at = 0;
        let mut begins_line = true;
        while let Some(c) = text[at..].chars().next().filter(|_| at < end) {
            let rest = &text[at..];
            let length = match c {
                '[' if begins_line && scan.open.is_empty() => line_length(rest),
                '#' => line_length(rest),
                '"' | '\'' => scan.quoted(rest, at, c),
                _ => {
                    scan.bracket(c, at);
                    c.len_utf8()
                }
            };
            begins_line = c == '\n' || (begins_line && c.is_whitespace());
            at += length;
        }
        scan
    }

    fn bracket(&mut self, sign: char, at: usize) {
        match sign {
            '[' | '{' => self.open.push((sign, at)),
            ']' | '}' if self.open.last().is_some_and(|(open, _)| partner(*open) == sign) => {
                self.open.pop();
            }
            _ => {}
        }
    }

    /// The length of a text in quotes; one that its line does not close is a mistake.
    fn quoted(&mut self, rest: &str, at: usize, quote: char) -> usize {
        let triple = quote.to_string().repeat(3);
        if let Some(inner) = rest.strip_prefix(triple.as_str()) {
            return inner.find(&triple).map_or(rest.len(), |length| length + 6);
        }
        let mut is_escaped = false;
        for (length, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if c == quote && !is_escaped => return length + 1,
                _ => is_escaped = quote == '"' && c == '\\' && !is_escaped,
            }
        }
        let length = line_length(rest);
        self.unclosed_text.get_or_insert_with(|| {
            let span = Span { start: at, end: at + length };
            let help = format!("close it with `{quote}`; one of several lines stands in {triple}");
            Mistake::new(span, "a string is not closed on its line", help)
        });
        length
    }
}

fn line_length(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

/// A mistake inside of a list or an inline table.
fn in_brackets(text: &str, at: usize, open: char, start: usize) -> Option<Mistake> {
    let close = partner(open);
    let rest = &text[at..];
    let found = rest.chars().next();
    let before = text[..at].trim_end();
    if let Some(sign @ (']' | '}')) = found.filter(|sign| *sign != close) {
        let line = line_number(text, start);
        return Some(Mistake::new(
            Span { start: at, end: at + 1 },
            format!("a `{open}` is closed by `{sign}`"),
            format!("the `{open}` in line {line} is closed by `{close}`"),
        ));
    }
    if rest.trim().is_empty() || begins_setting(text, at, start) || found == Some('\n') {
        let span = Span { start, end: start + 1 };
        return Some(Mistake::new(
            span,
            format!("a `{open}` is not closed"),
            format!("add the `{close}`"),
        ));
    }
    match found {
        Some(',') if before.ends_with(',') => Some(Mistake::new(
            Span { start: at, end: at + 1 },
            "two commas follow each other",
            "remove one of them",
        )),
        Some('=') => missing_comma(text, before.len()),
        _ => item(text, at, before),
    }
}

/// Whether a line below the opening bracket is a setting or a table of its own.
fn begins_setting(text: &str, at: usize, start: usize) -> bool {
    let Some(line) = Line::at(text, at).filter(|line| line.start > start) else { return false };
    let bare = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    let key = line.content().find(bare).unwrap_or(0);
    let is_setting = key > 0 && line.content()[key..].trim_start().starts_with('=');
    is_setting || (line.content().starts_with('[') && line.indent() == 0)
}

/// A list item, or a value of an inline table.
fn item(text: &str, at: usize, before: &str) -> Option<Mistake> {
    let rest = &text[at..];
    let item = &rest[..rest.find([',', ']', '}', '\n', '#']).unwrap_or(rest.len())];
    if !before.ends_with(['[', '{', ',', '=']) {
        return missing_comma(text, at);
    }
    let item = item.trim_end();
    match item.find(char::is_whitespace) {
        Some(length) if spelling::is_number(&item[..length]) => Some(comma_behind(at + length)),
        _ if item.is_empty() || item.starts_with(['"', '\'', '[', '{']) => None,
        _ => Some(bad_word(item, Span { start: at, end: at + item.len() }, Format::Toml)),
    }
}

/// A comma is missing before the word that ends at, or just begins at, a byte.
fn missing_comma(text: &str, at: usize) -> Option<Mistake> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let before = text[..at].trim_end_matches(is_part);
    let end = before.trim_end().len();
    (end < before.len()).then(|| comma_behind(end))
}

fn comma_behind(end: usize) -> Mistake {
    Mistake::new(behind(end), "`,` is missing", "separate what follows with a comma")
}

/// A closing bracket without an opening one.
fn too_many(text: &str, at: usize) -> Option<Mistake> {
    let sign = text[at..].chars().next().filter(|sign| matches!(sign, ']' | '}'))?;
    let span = Span { start: at, end: at + 1 };
    Some(Mistake::new(span, format!("one `{sign}` too many"), "remove it"))
}

/// A table's name without its closing brackets.
fn header(line: Line<'_>) -> Option<Mistake> {
    let content = line.content();
    let name = content.trim_start_matches('[');
    let closing = "]".repeat(content.len() - name.len());
    if closing.is_empty() || content.ends_with(&closing) {
        return None;
    }
    let whole = format!("{}{closing}", content.trim_end_matches(']'));
    let end = line.span().end;
    Some(Mistake::new(behind(end), "the name of a table is not closed", format!("write `{whole}`")))
}

fn partner(open: char) -> char {
    if open == '{' { '}' } else { ']' }
}
