//! Other values that a key may have, by its schema: near ones first.

use serde_json::{Map, Value, json};

use super::schema::{Leaf, Schema};

/// What a number without a value yet is tried with, in this order.
const NUMBERS: [f64; 4] = [2.0, 0.5, 1.0, 0.1];
/// What a whole number without a value yet is tried with, in this order.
const INTEGERS: [i64; 5] = [1, 2, 3, 8, 0];

/// Values for the key besides `current`. A string has none that the schema could know.
pub(super) fn others(leaf: &Leaf<'_>, current: &Value) -> Vec<Value> {
    let mut values = match leaf.tag {
        Some(tag) => other_kinds(leaf.schema, tag, current),
        None => plain(leaf.schema, current),
    };
    let mut seen = vec![current.clone()];
    values.retain(|value| {
        let is_new = !seen.contains(value);
        seen.push(value.clone());
        is_new
    });
    values
}

/// The mapping as each other kind, as far as the kinds have the same fields.
fn other_kinds(schema: Schema<'_>, tag: &str, current: &Value) -> Vec<Value> {
    let Some(current) = current.as_object() else { return Vec::new() };
    let variants = schema.place().variants.into_iter();
    let with_kind = variants.filter_map(|variant| Some((variant.tag?.1.clone(), variant)));
    let others = with_kind.filter(|(kind, _)| current.get(tag) != Some(kind));
    others
        .map(|(kind, variant)| {
            let shared = current.iter().filter(|(name, _)| variant.has(name));
            let mut other: Map<_, _> = shared.map(|(k, v)| (k.clone(), v.clone())).collect();
            other.insert(tag.to_owned(), kind);
            Value::Object(other)
        })
        .collect()
}

fn plain(schema: Schema<'_>, current: &Value) -> Vec<Value> {
    let place = schema.place();
    let mut values: Vec<Value> =
        place.plain.iter().flat_map(|schema| of_type(*schema, current)).collect();
    if place.is_nullable {
        values.push(Value::Null);
    }
    values
}

fn of_type(schema: Schema<'_>, current: &Value) -> Vec<Value> {
    if let Some(only) = schema.get("const") {
        return vec![only.clone()];
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        return choices.clone();
    }
    match current {
        Value::Array(list) if schema.has_type("array") => lists(schema, list),
        Value::Object(map) if schema.has_type("object") => turned(map).into_iter().collect(),
        _ if schema.has_type("boolean") => vec![json!(true), json!(false)],
        _ if schema.has_type("integer") => integers(schema, current),
        _ if schema.has_type("number") => numbers(schema, current),
        _ => Vec::new(),
    }
}

fn integers(schema: Schema<'_>, current: &Value) -> Vec<Value> {
    let values = match current.as_i64() {
        Some(n) => vec![n.saturating_add(1), n.saturating_sub(1), n.saturating_mul(2), n / 2],
        None => INTEGERS.to_vec(),
    };
    let in_range = values.into_iter().filter(|n| is_in_range(schema, *n as f64));
    in_range.map(Value::from).collect()
}

fn numbers(schema: Schema<'_>, current: &Value) -> Vec<Value> {
    let values = match current.as_f64().filter(|x| *x != 0.0) {
        Some(x) => vec![x * 0.5, x * 1.5, x * 0.9, x * 1.05],
        None => NUMBERS.to_vec(),
    };
    values.into_iter().filter(|x| is_in_range(schema, *x)).map(Value::from).collect()
}

fn is_in_range(schema: Schema<'_>, x: f64) -> bool {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    bound("minimum").is_none_or(|min| x >= min)
        && bound("exclusiveMinimum").is_none_or(|min| x > min)
        && bound("maximum").is_none_or(|max| x <= max)
        && bound("exclusiveMaximum").is_none_or(|max| x < max)
        // Unsigned numbers of schemas that have no range.
        && !(x < 0.0 && schema.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint")))
}

/// The list with another first item, turned round, and without its last item.
fn lists(schema: Schema<'_>, list: &[Value]) -> Vec<Value> {
    let mut lists = Vec::new();
    if let (Some(items), [first, rest @ ..]) = (schema.items(), list) {
        let with_other = |other: Value| [std::slice::from_ref(&other), rest].concat();
        lists.extend(plain(items, first).into_iter().filter(|o| o != first).map(with_other));
    }
    lists.push(list.iter().rev().cloned().collect());
    lists.extend(list.split_last().map(|(_, shorter)| shorter.to_vec()));
    lists.into_iter().map(Value::Array).collect()
}

/// The mapping with its values in another order, which keeps their sum.
fn turned(map: &Map<String, Value>) -> Option<Value> {
    let (names, values): (Vec<&String>, Vec<&Value>) = map.iter().unzip();
    let turned = values.iter().cycle().skip(1);
    let pairs = names.into_iter().zip(turned).map(|(name, value)| (name.clone(), (*value).clone()));
    (map.len() > 1).then(|| Value::Object(pairs.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other values of the key `k` of a schema.
    fn of(schema: &Value, current: &Value) -> Value {
        let root = json!({ "properties": { "k": schema } });
        let leaves = Schema::new(&root).leaves(&json!({ "k": current }));
        others(leaves.last().unwrap(), current).into()
    }

    #[test]
    fn other_values_are_near_and_in_range() {
        let count = json!({"type": "integer", "minimum": 1});
        assert_eq!(of(&count, &json!(4)), json!([5, 3, 8, 2]));
        assert_eq!(of(&count, &json!(1)), json!([2]));
        let part = json!({"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1});
        assert_eq!(of(&part, &json!(0.5)), json!([0.25, 0.75, 0.45, 0.525, null]));
        assert_eq!(of(&part, &json!(null)), json!([0.5, 1.0, 0.1]));
        assert_eq!(of(&json!({"type": "integer", "format": "uint"}), &json!(0)), json!([1]));
        assert_eq!(of(&json!({"type": "boolean"}), &json!(true)), json!([false]));
        assert_eq!(of(&json!({"type": "string"}), &json!("x")), json!([]));
    }

    #[test]
    fn choices_lists_and_mappings_change_as_a_whole() {
        let choice = json!({"oneOf": [{"const": "a"}, {"const": "b"}]});
        assert_eq!(of(&choice, &json!("a")), json!(["b"]));
        assert_eq!(of(&json!({"enum": ["a", "b", null]}), &json!("a")), json!(["b", null]));
        let list = json!({"type": "array", "items": {"type": "integer", "minimum": 0}});
        assert_eq!(of(&list, &json!([0, 7])), json!([[1, 7], [7, 0], [0]]));
        let mix = json!({"type": "object", "additionalProperties": {"type": "number"}});
        assert_eq!(of(&mix, &json!({"a": 0.7, "b": 0.3})), json!([{"a": 0.3, "b": 0.7}]));
    }

    #[test]
    fn a_kind_becomes_another_with_the_fields_that_both_have() {
        let kinds = json!({"oneOf": [
            {"properties": {"kind": {"const": "x"}, "a": {}, "b": {}}},
            {"properties": {"kind": {"const": "y"}, "a": {}}},
        ]});
        let current = json!({"kind": "x", "a": 1, "b": 2});
        assert_eq!(of(&kinds, &current), json!([{"kind": "y", "a": 1}]));
    }
}
