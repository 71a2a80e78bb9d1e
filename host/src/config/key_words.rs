//! What a key takes, in the few words that fit a table: `integer or null`, `at least 1`.

use serde_json::Value;

use super::describe::literal;
use super::schema::{Alternatives, Kind};

/// What may stand at a place: its kinds of value, or the values themselves where they are named.
pub(super) fn takes(place: &Alternatives<'_>) -> String {
    let named: Vec<String> =
        place.named_values().iter().map(|value| format!("`{}`", literal(value))).collect();
    let mut words = Vec::new();
    if !named.is_empty() {
        words.push(named.join(", "));
    }
    for schema in place.plain() {
        words.extend(Kind::of_type(schema).into_iter().map(|kind| kind_word(kind, schema, place)));
    }
    let takes_null = place.schemas().iter().any(|schema| names_null(schema));
    words.retain(|word| word != "null");
    words.extend(takes_null.then(|| "null".to_owned()));
    let mut seen: Vec<String> = Vec::new();
    for word in words {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    if seen.is_empty() { "anything".to_owned() } else { seen.join(" or ") }
}

fn names_null(schema: &Value) -> bool {
    let named = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    Kind::of_type(schema).contains(&Kind::Null) || named.into_iter().any(Value::is_null)
}

fn kind_word(kind: Kind, schema: &Value, place: &Alternatives<'_>) -> String {
    match kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Integer => "integer".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::Map if place.is_replaced_whole() => "mapping, replaced as a whole".to_owned(),
        Kind::Map => "mapping".to_owned(),
        Kind::List => list_words(schema, place),
    }
}

/// `list of 2 numbers`, `list of strings`.
fn list_words(schema: &Value, place: &Alternatives<'_>) -> String {
    let count = schema.get("minItems").filter(|min| Some(*min) == schema.get("maxItems"));
    let count = count.map(|count| format!("{count} ")).unwrap_or_default();
    match takes(&place.child("0")).as_str() {
        word @ ("integer" | "number" | "string" | "mapping") => format!("list of {count}{word}s"),
        _ => "list".to_owned(),
    }
}

/// The range of a number, or the size of a text, a list or a mapping; empty where all is taken.
pub(super) fn limits(place: &Alternatives<'_>) -> String {
    let mut words: Vec<String> = Vec::new();
    for schema in place.schemas() {
        let own = schema
            .get("x-expected")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .or_else(|| range(schema))
            .or_else(|| size(schema));
        let members = ["items", "additionalProperties"].into_iter();
        let members = members.filter_map(|name| range(schema.get(name)?));
        for word in own.into_iter().chain(members.map(|range| format!("each {range}"))) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.join("; ")
}

/// `1 to 64`, `at least 1`, `above 0, at most 1`.
fn range(schema: &Value) -> Option<String> {
    let bound = |name: &str| schema.get(name).filter(|bound| bound.is_number()).map(literal);
    if let (Some(min), Some(max)) = (bound("minimum"), bound("maximum")) {
        return Some(format!("{min} to {max}"));
    }
    let bounds = [
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
    ];
    let words: Vec<String> =
        bounds.iter().filter_map(|(name, word)| Some(format!("{word} {}", bound(name)?))).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn size(schema: &Value) -> Option<String> {
    let is_one = |name: &str| schema.get(name).and_then(Value::as_u64) == Some(1);
    ["minLength", "minProperties"].into_iter().any(is_one).then(|| "not empty".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::Schema;
    use super::*;

    #[test]
    fn a_schema_in_a_few_words() {
        let cases = [
            (json!({ "type": "integer", "minimum": 1 }), "integer", "at least 1"),
            (json!({ "type": "integer", "minimum": 1, "maximum": 64 }), "integer", "1 to 64"),
            (
                json!({ "type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1.0 }),
                "number or null",
                "above 0, at most 1",
            ),
            (json!({ "enum": ["a", "b", null] }), "`a`, `b` or null", ""),
            (json!({ "oneOf": [{ "const": "a" }, { "type": "integer" }] }), "`a` or integer", ""),
            (json!({ "type": "boolean" }), "true or false", ""),
            (json!({ "type": "string", "minLength": 1 }), "string", "not empty"),
            (
                json!({ "type": "string", "pattern": "^c", "x-expected": "a word with c" }),
                "string",
                "a word with c",
            ),
            (
                json!({ "type": "array", "items": { "type": "number", "minimum": 0 }, "minItems": 2, "maxItems": 2 }),
                "list of 2 numbers",
                "each at least 0",
            ),
            (json!({ "type": "array", "items": { "type": ["string", "null"] } }), "list", ""),
            (
                json!({ "type": "object", "additionalProperties": { "type": "number", "maximum": 1 } }),
                "mapping",
                "each at most 1",
            ),
            (
                json!({ "type": "object", "x-replace": true, "minProperties": 1 }),
                "mapping, replaced as a whole",
                "not empty",
            ),
            (json!({}), "anything", ""),
        ];
        for (schema, expected, range) in cases {
            let place = Schema::new(&schema).top();
            assert_eq!((takes(&place).as_str(), limits(&place).as_str()), (expected, range));
        }
    }
}
