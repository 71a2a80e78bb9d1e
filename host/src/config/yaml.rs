//! YAML with positions; the only file that knows the YAML crate.
//!
//! Values follow YAML 1.2: `yes` and `on` are texts, `1e-5` is a number. Anchors and aliases are
//! expanded by the reader, within its budget; an expanded value stands where its alias stands. Merge
//! keys are carried out here, so that no key is dropped unseen.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Spanned};

use super::document::{Key, Node, NodeValue, duplicate_key, syntax_error};
use super::error::ConfigError;
use super::limits::{self, DEPTH_MAX, EXPANDED_BYTES_MAX, VALUES_MAX};
use super::source::{Source, Span};
use super::syntax::{self, Format};
use super::{number, phrases};

/// The key whose value is one or more mappings to take entries from.
const MERGE: &str = "<<";
/// Why binary data is refused.
const BINARY: &str = "binary data has no place in a configuration";

/// Parses a YAML text.
pub(super) fn parse(source: &Source) -> Result<Node, Box<ConfigError>> {
    let options = serde_saphyr::options! {
        // Duplicates are found later, all at once and with both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        strict_booleans: true,
        reject_unsupported_tags: true,
        // What aliases expand to counts each time.
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: VALUES_MAX,
            max_total_scalar_bytes: EXPANDED_BYTES_MAX,
            max_documents: 2,
            // One anchor may well be used often.
            enforce_alias_anchor_ratio: false,
        },
    };
    let mut raw: Spanned<RawValue> = serde_saphyr::from_str_with_options(&source.text, options)
        .map_err(|error| refused(source, error.without_snippet()))?;
    if matches!(raw.value, RawValue::Scalar(NodeValue::Null)) {
        // An empty document is an empty mapping, as it is in TOML.
        raw.value = RawValue::Map(Vec::new());
    }
    node(source, raw)
}

/// Settings as YAML.
pub fn to_yaml(settings: &Value) -> String {
    // Blocks of folded lines cannot hold every text at every depth; quotes can.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(settings, options)
        .expect("a tree of plain values can be written")
}

fn refused(source: &Source, error: &Error) -> ConfigError {
    let start = error.location().map_or(0, |location| byte_of(source, location));
    refused_at(source, error, Span { start, end: start + 1 })
}

fn refused_at(source: &Source, error: &Error, span: Span) -> ConfigError {
    match error {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            limits::too_deep(source, Some(span))
        }
        Error::Budget { breach: BudgetBreach::ScalarBytes { .. }, .. } => {
            limits::too_much_text(source, Some(span))
        }
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. }
        | Error::MultipleDocuments { .. } => {
            syntax_error(source, span, "it holds more than one document")
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            limits::too_many_values(source, Some(span))
        }
        Error::NonFiniteFloat { value, .. } => {
            let reason = number::decimal(value).err().unwrap_or(number::NOT_FINITE);
            syntax_error(source, span, reason)
        }
        Error::InvalidScalar { .. }
        | Error::InvalidBooleanStrict { .. }
        | Error::InvalidBinaryBase64 { .. }
        | Error::BinaryNotUtf8 { .. } => {
            syntax_error(source, span, "the value does not fit its tag")
        }
        Error::UnsupportedTag { tag, .. } => {
            syntax_error(source, span, &format!("the tag `{tag}` has no meaning here"))
                .help("write the value without the tag")
        }
        Error::AliasError { error, .. } => refused_at(source, error, span),
        Error::NullIntoString { .. } => syntax_error(source, span, "a key cannot be null"),
        _ => phrased(source, span, &first_line(&error.to_string())),
    }
}

/// The parser's words in the reader's, where the error's kind alone does not say what is wrong.
fn phrased(source: &Source, span: Span, words: &str) -> ConfigError {
    match words {
        "recursion limit exceeded" => limits::too_deep(source, Some(span)),
        "expected string scalar" => syntax::unfilled(source, span.start)
            .unwrap_or_else(|| syntax_error(source, span, "a key must be a plain string")),
        words => syntax::recognised(source, Format::Yaml, span.start)
            .unwrap_or_else(|| phrases::refused(source, span, words, phrases::YAML)),
    }
}

/// The first line of the parser's words, without its own mention of the position.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line = line.split(" at line ").next().unwrap_or(line);
    let (head, rest) = line.split_once(": ").unwrap_or(("", line));
    let line = if head.starts_with("line ") { rest } else { line };
    line.trim_end_matches('.').to_owned()
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

fn node(source: &Source, raw: Spanned<RawValue>) -> Result<Node, Box<ConfigError>> {
    let place = span(source, raw.referenced);
    let value = match raw.value {
        RawValue::Scalar(value) => as_written(source, value, raw.defined, place)?,
        RawValue::List(items) => {
            let items = items.into_iter().map(|item| node(source, item));
            NodeValue::List(items.collect::<Result<_, _>>()?)
        }
        RawValue::Map(entries) => {
            let entry = |(key, value): (Spanned<String>, _)| {
                let key = Key { text: key.value, span: span(source, key.referenced) };
                node(source, value).map(|node| (key, node))
            };
            let entries = entries.into_iter().map(entry).collect::<Result<_, _>>()?;
            NodeValue::Map(merged(source, entries)?)
        }
    };
    Ok(Node { value, span: place })
}

/// A decimal number as it is written: the reader takes an integer that it can't hold for one, and one
/// that is too small for zero.
fn as_written(
    source: &Source,
    value: NodeValue,
    defined: serde_saphyr::Location,
    place: Option<Span>,
) -> Result<NodeValue, Box<ConfigError>> {
    let is_decimal = matches!(&value, NodeValue::Number(number) if number.is_f64());
    let Some(written) = span(source, defined).filter(|_| is_decimal) else {
        return Ok(value);
    };
    let text = source.slice(written).trim();
    let is_whole = text.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit());
    let refused = match if is_whole { number::integer(text, 10) } else { number::decimal(text) } {
        Ok(number) => return Ok(NodeValue::Number(number)),
        // In quotes, behind a tag, or in a spelling that only YAML has.
        Err(number::NOT_FINITE) => return Ok(value),
        Err(reason) => syntax_error(source, place.unwrap_or(written), reason),
    };
    Err(refused.into())
}

/// The entries of a mapping with those of merged mappings where their `<<` stands. A key that the
/// mapping has itself, or got from an earlier one, stays as it is.
fn merged(
    source: &Source,
    entries: Vec<(Key, Node)>,
) -> Result<Vec<(Key, Node)>, Box<ConfigError>> {
    let is_merge = |(key, _): &&(Key, Node)| key.text == MERGE;
    if let Some((second, _)) = entries.iter().filter(is_merge).nth(1) {
        let error = duplicate_key(source, MERGE, second.span);
        return Err(error.help("merge several mappings with one list: `<<: [*a, *b]`").into());
    }
    let own = entries.iter().map(|(key, _)| key.text.clone()).filter(|key| key != MERGE);
    let mut known: HashSet<String> = own.collect();
    let mut all = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        if key.text != MERGE {
            all.push((key, node));
            continue;
        }
        for part in parts(source, node)? {
            let first = all.len();
            all.extend(part.into_iter().filter(|(key, _)| !known.contains(&key.text)));
            known.extend(all[first..].iter().map(|(key, _)| key.text.clone()));
        }
    }
    Ok(all)
}

/// The mappings that a merge key names.
fn parts(source: &Source, node: Node) -> Result<Vec<Vec<(Key, Node)>>, Box<ConfigError>> {
    let span = node.span;
    let items = match node.value {
        NodeValue::List(items) => items,
        _ => vec![node],
    };
    let part = |item: Node| match item.value {
        NodeValue::Map(entries) => Ok(entries),
        _ => {
            let place = item.span.or(span).unwrap_or(Span { start: 0, end: 1 });
            let reason = "`<<` takes a mapping or a list of mappings";
            Err(Box::new(syntax_error(source, place, reason)))
        }
    };
    items.into_iter().map(part).collect()
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

    // What fits 64 bits comes as that.
    fn visit_i128<E: de::Error>(self, _value: i128) -> Result<RawValue, E> {
        Err(E::custom(number::INTEGER_TOO_LARGE))
    }

    fn visit_u128<E: de::Error>(self, _value: u128) -> Result<RawValue, E> {
        Err(E::custom(number::INTEGER_TOO_LARGE))
    }

    fn visit_bytes<E: de::Error>(self, _value: &[u8]) -> Result<RawValue, E> {
        Err(E::custom(BINARY))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<RawValue, E> {
        match Number::from_f64(value) {
            Some(number) => Self::number(number),
            None => Err(E::custom(number::NOT_FINITE)),
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
