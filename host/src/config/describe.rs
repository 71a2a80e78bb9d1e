//! Values and expectations in the reader's words: no type of the program, no parser's jargon.

use serde_json::Value;

use super::error::listed;
use super::printable::escaped;
use super::schema::{Alternatives, Kind};

/// A found value: `string `x``, `` `3` ``, `a list`.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::String(text) if text.is_empty() => "an empty string".to_owned(),
        Value::String(text) if text.chars().count() > 60 => "a long string".to_owned(),
        Value::String(text) => format!("string `{}`", escaped(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// A setting's value the way one would write it.
pub(super) fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number_text(number),
        other => other.to_string(),
    }
}

fn number_text(number: &serde_json::Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// What a place of a schema takes: `an integer or null`, ``one of `a`, `b` ``.
pub(super) fn expected(alternatives: &Alternatives<'_>) -> String {
    let mut phrases: Vec<String> = Vec::new();
    let named: Vec<String> =
        alternatives.named_values().iter().map(|value| literal(value)).collect();
    match named.as_slice() {
        [] => {}
        [only] => phrases.push(format!("`{only}`")),
        several => phrases.push(format!("one of {}", listed(several.iter().map(String::as_str)))),
    }
    for schema in alternatives.plain() {
        if let Some(text) = schema.get("x-expected").and_then(Value::as_str) {
            phrases.push(text.to_owned());
            continue;
        }
        phrases.extend(Kind::of_type(schema).into_iter().map(|kind| kind_phrase(kind, schema)));
    }
    let has_null = phrases.iter().any(|phrase| phrase == "null")
        || (!named.is_empty() && alternatives.takes(Kind::Null));
    phrases.retain(|phrase| phrase != "null");
    if phrases.iter().any(|phrase| phrase == "a number") {
        phrases.retain(|phrase| phrase != "an integer");
    }
    phrases.extend(has_null.then(|| "null".to_owned()));
    let mut seen = Vec::new();
    phrases.retain(|phrase| {
        !seen.contains(phrase) && {
            seen.push(phrase.clone());
            true
        }
    });
    if phrases.is_empty() { "another value".to_owned() } else { phrases.join(" or ") }
}

fn kind_phrase(kind: Kind, schema: &Value) -> String {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "true or false",
        Kind::Integer => "an integer",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Map => "a mapping",
        Kind::List => return list_phrase(schema),
    }
    .to_owned()
}

fn list_phrase(schema: &Value) -> String {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    match (bound("minItems"), bound("maxItems")) {
        (Some(min), Some(max)) if min == max => format!("a list of {}", items(min)),
        (Some(min), Some(max)) => format!("a list of {min} to {}", items(max)),
        (Some(min), None) if min > 0 => format!("a list of at least {}", items(min)),
        (None, Some(max)) => format!("a list of at most {}", items(max)),
        _ => "a list".to_owned(),
    }
}

/// A count of list items.
pub(super) fn items(count: u64) -> String {
    if count == 1 { "1 item".to_owned() } else { format!("{count} items") }
}
