//! TOML with positions.
//!
//! Tables come out of the parser sorted by name; here they are put back into file order, because
//! the order of sections matters to the reader of a plan.

use serde_json::Number;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Key, Node, NodeValue, duplicate_key, syntax_error};
use super::error::ConfigError;
use super::source::{Source, Span};
use super::syntax::{self, Format};
use super::{limits, number, phrases};

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
    let is_blank = source.slice(span).trim().is_empty() && span.end > span.start;
    let reason = match error.message() {
        deep if deep.starts_with("cannot recurse further") || deep == "recursion limit" => {
            return limits::too_deep(source, Some(span));
        }
        _ if is_blank => "missing value",
        reason => reason,
    };
    syntax::recognised(source, Format::Toml, span.start)
        .unwrap_or_else(|| phrases::refused(source, span, reason, phrases::TOML))
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
        DeValue::Integer(integer) => {
            held(source, span, number::integer(integer.as_str(), integer.radix()))?
        }
        DeValue::Float(float) => held(source, span, number::decimal(float.as_str()))?,
        DeValue::Array(items) => {
            NodeValue::List(items.iter().map(|item| node(source, item)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(inner) => table(source, inner)?,
    };
    Ok(Node { value, span: Some(span) })
}

fn held(
    source: &Source,
    span: Span,
    number: Result<Number, &'static str>,
) -> Result<NodeValue, Box<ConfigError>> {
    number.map(NodeValue::Number).map_err(|reason| Box::new(syntax_error(source, span, reason)))
}
