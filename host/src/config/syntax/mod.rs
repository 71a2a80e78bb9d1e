//! What is wrong with a text that a parser refuses, told from the text itself.
//!
//! A parser says which character it could not take. The mistake often lies before it: a comma that
//! is missing, a bracket that was never closed, a habit of another format. The files of this module
//! look for the usual ones, one file for each format; whatever they don't recognise is told in the
//! parser's words (`phrases.rs`).

mod json;
mod json_token;
mod toml;
mod toml_value;
mod yaml;

use super::document::syntax_error;
use super::error::ConfigError;
use super::source::{Source, Span};
use super::spelling;

/// A mistake that was recognised.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    span: Span,
    message: String,
    help: Option<String>,
}

impl Mistake {
    fn new(span: Span, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: Some(help.into()) }
    }
}

/// The formats that a configuration may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Toml,
    Yaml,
}

impl Format {
    /// The format that a file's name stands for.
    pub(super) fn of(file: &str) -> Option<Self> {
        let (_, extension) = file.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("JSON", "json"),
            Self::Toml => ("TOML", "toml"),
            Self::Yaml => ("YAML", "yaml"),
        }
    }

    /// A key that has a list of names as its value, the way one writes it.
    pub(super) fn list_setting(self, key: &str, names: &[&str]) -> String {
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        match self {
            Self::Json => format!("\"{key}\": [{}]", quoted.join(", ")),
            Self::Toml => format!("{key} = [{}]", quoted.join(", ")),
            Self::Yaml => format!("{key}: [{}]", names.join(", ")),
        }
    }
}

/// The mistake in a text that a parser refused at a byte, if it is one of the usual ones.
pub(super) fn recognised(source: &Source, format: Format, at: usize) -> Option<ConfigError> {
    let at = source.text.floor_char_boundary(at);
    let mistake = other_format(source, format).or_else(|| match format {
        Format::Json => json::mistake(&source.text),
        Format::Toml => toml::mistake(&source.text, at),
        Format::Yaml => yaml::mistake(&source.text, at),
    });
    let mistake = mistake.or_else(|| escape(&source.text, at, format))?;
    Some(syntax_error(source, mistake.span, &mistake.message).maybe_help(mistake.help))
}

/// A placeholder where the parser found a mapping in place of a key.
pub(super) fn unfilled(source: &Source, at: usize) -> Option<ConfigError> {
    let mistake = placeholder(&source.text, at)?;
    Some(syntax_error(source, mistake.span, &mistake.message).maybe_help(mistake.help))
}

/// A file whose first line is of another format than its name says.
fn other_format(source: &Source, format: Format) -> Option<Mistake> {
    let is_blank = |line: &Line<'_>| line.content().is_empty() || line.content().starts_with('#');
    let first = Line::all(&source.text).find(|line| !is_blank(line))?;
    let looks = looks_like(first.content()).filter(|looks| {
        // A flow mapping is YAML too.
        *looks != format && !(format == Format::Yaml && *looks == Format::Json)
    })?;
    // Of a text of one line, such as an override's, only the line itself may be wrong.
    let second = Line::all(&source.text).filter(|line| !is_blank(line)).nth(1);
    if looks != Format::Json && second.is_none() {
        return None;
    }
    let ((own, _), (other, extension)) = (format.name(), looks.name());
    Some(Mistake::new(
        first.span(),
        format!("it looks like {other}, not {own}"),
        format!("give the file a name that ends in `.{extension}`, or write it in {own}"),
    ))
}

/// The format that a first line can only be of.
fn looks_like(line: &str) -> Option<Format> {
    let is_bare = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if line.starts_with('{') {
        return Some(Format::Json);
    }
    if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return is_bare(name.trim_matches(['[', ']'])).then_some(Format::Toml);
    }
    let (key, rest) = line.split_at(line.find([':', '=', ' '])?);
    match rest.trim_start().chars().next() {
        Some('=') if is_bare(key) => Some(Format::Toml),
        Some(':') if is_bare(key) => Some(Format::Yaml),
        _ => None,
    }
}

/// A line of a text.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    /// Its first byte in the text.
    start: usize,
    /// The line without its end.
    text: &'a str,
}

impl<'a> Line<'a> {
    fn all(text: &'a str) -> impl Iterator<Item = Self> {
        let mut start = 0;
        text.split('\n').map(move |line| {
            let this = Line { start, text: line.trim_end_matches('\r') };
            start += line.len() + 1;
            this
        })
    }

    /// The line of a byte.
    fn at(text: &'a str, byte: usize) -> Option<Self> {
        Self::all(text).take_while(|line| line.start <= byte).last()
    }

    /// The last line before this one that is not blank.
    fn before(self, text: &'a str) -> Option<Self> {
        Self::all(text)
            .take_while(|line| line.start < self.start)
            .filter(|line| !line.content().is_empty() && !line.content().starts_with('#'))
            .last()
    }

    fn indent(self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }

    /// The line without the blanks around it.
    fn content(self) -> &'a str {
        self.text.trim()
    }

    /// Where the content stands.
    fn span(self) -> Span {
        self.part(self.content())
    }

    /// Where a part of this line stands.
    fn part(self, part: &str) -> Span {
        let offset = part.as_ptr() as usize - self.text.as_ptr() as usize;
        let start = self.start + offset;
        Span { start, end: start + part.len().max(1) }
    }
}

/// The number of the line of a byte, from 1.
fn line_number(text: &str, byte: usize) -> usize {
    1 + text.as_bytes()[..byte.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// A place behind what ends at a byte.
fn behind(end: usize) -> Span {
    Span { start: end, end: end + 1 }
}

/// `{{ … }}` and `${…}` stand for a value that some other program was to fill in.
fn placeholder(text: &str, at: usize) -> Option<Mistake> {
    let line = Line::at(text, at)?;
    let (opening, closing) = [("{{", "}}"), ("${", "}")]
        .into_iter()
        .find(|(opening, closing)| line.text.contains(opening) && line.text.contains(closing))?;
    let start = line.text.find(opening)?;
    let end = start + line.text[start..].find(closing)? + closing.len();
    Some(Mistake::new(
        line.part(&line.text[start..end]),
        "a placeholder was not filled in",
        "write a value in its place",
    ))
}

/// A backslash in double quotes with a character behind it that means nothing there.
fn escape(text: &str, at: usize, format: Format) -> Option<Mistake> {
    let (known, help) = match format {
        Format::Json => ("\"\\/bfnrtu", ""),
        Format::Toml => ("\"\\bfnretuUx", ", or put the string in single quotes"),
        Format::Yaml => ("\"\\/0abtnvfreN_LPxuU \t", ", or put the string in single quotes"),
    };
    let line = Line::at(text, at)?;
    let mut quote = None;
    let mut chars = line.text.char_indices();
    while let Some((start, c)) = chars.next() {
        match (quote, c) {
            (None, '"') => quote = Some(c),
            (None, '\'') if format != Format::Json => quote = Some(c),
            (Some('"'), '\\') => {
                let (_, next) = chars.next()?;
                if !known.contains(next) {
                    return Some(Mistake::new(
                        line.part(&line.text[start..=start + next.len_utf8()]),
                        "a `\\` is followed by a character that means nothing there",
                        format!("write a plain `\\` as `\\\\`{help}"),
                    ));
                }
            }
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

/// The mistake of a word that is no value of a format; its text may be quoted.
fn bad_word(word: &str, span: Span, format: Format) -> Mistake {
    let (format_name, _) = format.name();
    match spelling::word_meant(word) {
        Some("null") if format == Format::Toml => {
            return Mistake::new(
                span,
                format!("TOML has no `{word}`"),
                "leave the key out, or write `\"…\"` for a string",
            );
        }
        Some(right) if word.len() > 1 => {
            return Mistake::new(
                span,
                format!("`{word}` is not {format_name}"),
                format!("write `{right}`, or `\"{word}\"` for a string"),
            );
        }
        _ => {}
    }
    match spelling::number_meant(word, false) {
        Some(advice) => {
            Mistake::new(span, format!("`{word}` is not a number in {format_name}"), advice)
        }
        None => Mistake::new(
            span,
            "a string needs quotes",
            format!("write `\"{}\"`", word.trim().replace('"', "\\\"")),
        ),
    }
}
