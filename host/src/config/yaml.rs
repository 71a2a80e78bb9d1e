//! YAML with positions; the only file that knows the YAML crate.
//!
//! Values follow YAML 1.2: `yes` and `on` are texts, `1e-5` is a number. Anchors, aliases and merge
//! keys are expanded by the reader; an expanded value stands where its alias stands.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Spanned};

use super::document::{Key, Node, NodeValue, syntax_error};
use super::error::ConfigError;
use super::source::{Source, Span};

/// Parses a YAML text.
pub(super) fn parse(source: &Source) -> Result<Node, Box<ConfigError>> {
    let options = serde_saphyr::options! {
        // Duplicates are found later, all at once and with both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        // The reader is recursive; no configuration nests this deep.
        budget: serde_saphyr::budget! { max_depth: 24 },
    };
    let mut raw: Spanned<RawValue> = serde_saphyr::from_str_with_options(&source.text, options)
        .map_err(|error| refused(source, error.without_snippet()))?;
    if matches!(raw.value, RawValue::Scalar(NodeValue::Null)) {
        // An empty document is an empty mapping, as it is in TOML.
        raw.value = RawValue::Map(Vec::new());
    }
    Ok(node(source, raw))
}

fn refused(source: &Source, error: &Error) -> ConfigError {
    let start = error.location().map_or(0, |location| byte_of(source, location));
    let reason = match error {
        Error::MultipleDocuments { .. } => "it holds more than one document".to_owned(),
        Error::NonFiniteFloat { .. } => "the number is not finite".to_owned(),
        _ => plain(&error.to_string()),
    };
    syntax_error(source, Span { start, end: start + 1 }, &reason)
}

/// The first line of the parser's words, without its own mention of the position or of types.
fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line = line.split(" at line ").next().unwrap_or(line);
    let (head, rest) = line.split_once(": ").unwrap_or(("", line));
    let line = if head.starts_with("line ") { rest } else { line };
    match line.trim_end_matches('.') {
        "expected string scalar" => "a key must be a plain string".to_owned(),
        line if line.contains("null into string") => "a key cannot be null".to_owned(),
        line if line.starts_with("invalid ") && line.split(' ').count() == 2 => {
            "the value does not fit its tag".to_owned()
        }
        line if line.starts_with("budget breached") => {
            "it is nested too deeply, or its aliases expand too far".to_owned()
        }
        line => line.to_owned(),
    }
}

fn byte_of(source: &Source, location: serde_saphyr::Location) -> usize {
    match location.span().byte_offset() {
        Some(byte) => usize::try_from(byte).unwrap_or(usize::MAX),
        None => source.byte_at(to_usize(location.line()), to_usize(location.column())),
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn span(source: &Source, location: serde_saphyr::Location) -> Option<Span> {
    if location.line() == 0 {
        return None;
    }
    let start = byte_of(source, location);
    let length = location.span().byte_len().map_or(1, to_usize);
    Some(Span { start, end: start.saturating_add(length.max(1)) })
}

fn node(source: &Source, raw: Spanned<RawValue>) -> Node {
    let value = match raw.value {
        RawValue::Scalar(value) => value,
        RawValue::List(items) => {
            NodeValue::List(items.into_iter().map(|item| node(source, item)).collect())
        }
        RawValue::Map(entries) => NodeValue::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let key_span = span(source, key.referenced);
                    (Key { text: key.value, span: key_span }, node(source, value))
                })
                .collect(),
        ),
    };
    Node { value, span: span(source, raw.referenced) }
}

enum RawValue {
    Scalar(NodeValue),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl RawVisitor {
    fn number<E>(number: impl Into<Number>) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(NodeValue::Number(number.into())))
    }
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(NodeValue::Null))
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(NodeValue::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
        RawValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(NodeValue::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Self::number(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Self::number(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<RawValue, E> {
        match Number::from_f64(value) {
            Some(number) => Self::number(number),
            None => Err(E::custom("the number is not finite")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(NodeValue::String(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(RawValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(RawValue::Map(entries))
    }
}
