//! TOML with positions.
//!
//! Tables come out of the parser sorted by name; here they are put back into file order, because
//! the order of sections matters to the reader of a plan.

use serde_json::Number;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::document::{Key, Node, NodeValue, duplicate_key, syntax_error};
use super::error::ConfigError;
use super::source::{Source, Span};

/// Parses a TOML text.
pub(super) fn parse(source: &Source) -> Result<Node, Box<ConfigError>> {
    let root = DeTable::parse(&source.text).map_err(|error| refused(source, &error))?;
    let span = Span { start: 0, end: 1 };
    Ok(Node { value: table(source, root.get_ref())?, span: Some(span) })
}

fn refused(source: &Source, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    let span = Span { start: span.start, end: span.end };
    if error.message() == "duplicate key" {
        let key = source.text.get(span.start..span.end).unwrap_or_default();
        return duplicate_key(source, key.trim_matches(['"', '\'']), Some(span))
            .help("it is already set above; keep one of the two");
    }
    let reason = match error.message() {
        deep if deep.starts_with("cannot recurse further") => "it is nested too deeply",
        reason => reason,
    };
    syntax_error(source, span, reason)
}

fn table(source: &Source, table: &DeTable<'_>) -> Result<NodeValue, Box<ConfigError>> {
    let mut entries = Vec::new();
    for (key, value) in table {
        let span = key.span();
        let span = Some(Span { start: span.start, end: span.end });
        entries.push((Key { text: key.get_ref().to_string(), span }, node(source, value)?));
    }
    entries.sort_by_key(|(key, _)| key.span.map(|span| span.start));
    Ok(NodeValue::Map(entries))
}

fn node(source: &Source, value: &Spanned<DeValue<'_>>) -> Result<Node, Box<ConfigError>> {
    let range = value.span();
    let span = Span { start: range.start, end: range.end };
    let value = match value.get_ref() {
        DeValue::String(text) => NodeValue::String(text.to_string()),
        DeValue::Boolean(value) => NodeValue::Bool(*value),
        DeValue::Datetime(time) => NodeValue::String(time.to_string()),
        DeValue::Integer(integer) => NodeValue::Number(
            whole(integer).ok_or_else(|| syntax_error(source, span, "the integer is too large"))?,
        ),
        DeValue::Float(float) => NodeValue::Number(
            decimal(float.as_str())
                .ok_or_else(|| syntax_error(source, span, "the number is not finite"))?,
        ),
        DeValue::Array(items) => {
            NodeValue::List(items.iter().map(|item| node(source, item)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(inner) => table(source, inner)?,
    };
    Ok(Node { value, span: Some(span) })
}

fn whole(integer: &DeInteger<'_>) -> Option<Number> {
    let (digits, radix) = (integer.as_str(), integer.radix());
    match i64::from_str_radix(digits, radix) {
        Ok(value) => Some(value.into()),
        Err(_) => u64::from_str_radix(digits, radix).ok().map(Number::from),
    }
}

fn decimal(text: &str) -> Option<Number> {
    text.parse().ok().and_then(Number::from_f64)
}
