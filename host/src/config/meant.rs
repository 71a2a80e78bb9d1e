//! What a value of the wrong kind was meant to be, as advice.
//!
//! A number in quotes, `yes` for true, one item that is no list: the value tells what its author had
//! in mind. It is said, never taken silently: what a file says is what runs.

use serde_json::Value;

use super::describe::literal;
use super::schema::{Alternatives, Kind};
use super::spelling;
use super::syntax::Format;

/// The way out for a value that a place does not take; `format` is that of the file it stands in.
pub(super) fn help(
    found: &Value,
    place: &Alternatives<'_>,
    format: Option<Format>,
) -> Option<String> {
    match found {
        Value::String(text) => text_help(text, place, format),
        Value::Number(number) => number_help(number, place),
        Value::Bool(_) => quoted(found, place),
        Value::Array(items) => list_help(items, place, format),
        Value::Null => Some("give it a value, or leave the key out".to_owned()),
        Value::Object(_) => None,
    }
}

fn text_help(text: &str, place: &Alternatives<'_>, format: Option<Format>) -> Option<String> {
    if let Some(word) = spelling::word_meant(text) {
        match word {
            "null" if place.names(Kind::Null) && format == Some(Format::Toml) => {
                return Some("leave the key out: TOML has no `null`".to_owned());
            }
            "null" if !place.names(Kind::Null) => {}
            "true" | "false" if !place.names(Kind::Bool) => {}
            _ => return Some(without_quotes(word, text, format)),
        }
    }
    let is_whole = !place.names(Kind::Number);
    let is_number = !is_whole || place.names(Kind::Integer);
    if let Some(advice) = is_number.then(|| spelling::number_meant(text, is_whole)).flatten() {
        let is_plain = serde_json::from_str::<serde_json::Number>(text).is_ok();
        return Some(if is_plain { format!("{advice}, without quotes") } else { advice });
    }
    if place.names(Kind::List) {
        return one_item(&Value::from(text), place);
    }
    place.names(Kind::Map).then(|| text_for_mapping(text)).flatten()
}

/// `true` was written as a text: in quotes, or in YAML as a word that is none there.
fn without_quotes(word: &str, text: &str, format: Option<Format>) -> String {
    let is_quoted = text == word || format != Some(Format::Yaml);
    if is_quoted { format!("write `{word}`, without quotes") } else { format!("write `{word}`") }
}

/// A key and its value that YAML reads as one text.
fn text_for_mapping(text: &str) -> Option<String> {
    let is_key = |key: &str| !key.is_empty() && !key.contains(char::is_whitespace);
    let (key, value) = text.split_once('=').or_else(|| text.split_once(':'))?;
    let (key, value) = (key.trim(), value.trim());
    is_key(key).then(|| format!("write `{key}: {value}`, with `:` and a space between the two"))
}

fn number_help(number: &serde_json::Number, place: &Alternatives<'_>) -> Option<String> {
    let value = Value::from(number.clone());
    match number.as_u64() {
        Some(0) if place.names(Kind::Bool) => Some("write `false`".to_owned()),
        Some(1) if place.names(Kind::Bool) => Some("write `true`".to_owned()),
        _ => quoted(&value, place).or_else(|| one_item(&value, place)),
    }
}

/// A text that reads as a number or a truth value needs quotes.
fn quoted(found: &Value, place: &Alternatives<'_>) -> Option<String> {
    let is_text = place.names(Kind::String) && place.named_values().is_empty();
    is_text.then(|| format!("write `\"{}\"`, with quotes", literal(found)))
}

/// One value where a list belongs, if a list may have one item of that kind.
fn one_item(found: &Value, place: &Alternatives<'_>) -> Option<String> {
    let least = place.bound("minItems").unwrap_or(0);
    let takes_it = place.child("0").takes(super::schema::kind_of(found));
    (place.names(Kind::List) && least <= 1 && takes_it).then(|| format!("write `[{found}]`"))
}

fn list_help(items: &[Value], place: &Alternatives<'_>, format: Option<Format>) -> Option<String> {
    if place.names(Kind::List) {
        return comma_for_dot(items, place);
    }
    if place.names(Kind::Map) && items.iter().all(Value::is_object) && !items.is_empty() {
        return Some(match format {
            Some(Format::Toml) => {
                "`[[…]]` makes a list: write the name in single brackets".to_owned()
            }
            Some(Format::Yaml) => "leave the `- ` out: it makes a list".to_owned(),
            _ => "leave the `[` and `]` out: they make a list".to_owned(),
        });
    }
    match items {
        [only] if !only.is_object() && !only.is_array() => {
            Some(format!("write `{only}`, without brackets"))
        }
        _ => None,
    }
}

/// `[0,9, 0,95]` has twice as many items as were meant.
fn comma_for_dot(items: &[Value], place: &Alternatives<'_>) -> Option<String> {
    let most = usize::try_from(place.bound("maxItems")?).ok()?;
    let is_whole = items.iter().all(Value::is_u64);
    let (whole, fraction) = (items.first()?, items.get(1)?);
    (is_whole && items.len() == 2 * most && place.child("0").names(Kind::Number))
        .then(|| format!("numbers take a dot: `{whole}.{fraction}`"))
}
