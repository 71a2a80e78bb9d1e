//! Whether a section claims a key of the host's.
//!
//! A key has more than one way into a schema: as a property, by a pattern, by the names that are
//! allowed or required. A mapping whose names are the user's choice claims none: there `seed` is a
//! name like any other.

use sdk::RESERVED_KEYS;
use serde_json::{Value, json};

/// Keywords whose values are data and no schemas.
const DATA: [&str; 5] = ["default", "const", "enum", "examples", "x-expected"];
/// Keywords whose values are schemas by a name that is a key of the section.
const BY_KEY: [&str; 3] = ["properties", "dependentSchemas", "dependencies"];
/// Keywords whose values are schemas by a name of another sort.
const BY_NAME: [&str; 3] = ["patternProperties", "$defs", "definitions"];
/// Names that a mapping of the user's choice would take.
const ANY_NAMES: [&str; 5] = ["a", "abc", "entry", "my_name", "Name-2"];

/// The first key of the host's that a schema has, at any depth.
pub(super) fn reserved_key(schema: &Value) -> Option<&'static str> {
    match schema {
        Value::Object(keywords) => {
            claimed(schema).or_else(|| keywords.iter().find_map(|(name, value)| below(name, value)))
        }
        Value::Array(schemas) => schemas.iter().find_map(reserved_key),
        _ => None,
    }
}

fn below(keyword: &str, value: &Value) -> Option<&'static str> {
    if DATA.contains(&keyword) {
        return None;
    }
    match value.as_object().filter(|_| BY_KEY.contains(&keyword) || BY_NAME.contains(&keyword)) {
        Some(by_name) => by_name.values().find_map(reserved_key),
        None => reserved_key(value),
    }
}

/// The key that this schema itself names.
fn claimed(schema: &Value) -> Option<&'static str> {
    RESERVED_KEYS.into_iter().find(|key| {
        BY_KEY.iter().any(|keyword| schema[keyword].get(key).is_some())
            || schema["dependentRequired"].get(key).is_some()
            || is_listed(&schema["required"], key)
            || patterns(schema).any(|pattern| is_named(&json!({ "pattern": pattern }), key))
            || schema.get("propertyNames").is_some_and(|names| is_named(names, key))
    })
}

fn is_listed(names: &Value, key: &str) -> bool {
    names.as_array().is_some_and(|names| names.iter().any(|name| name == key))
}

fn patterns(schema: &Value) -> impl Iterator<Item = &String> {
    schema["patternProperties"].as_object().into_iter().flat_map(|patterns| patterns.keys())
}

/// Whether a schema of names takes this one, and not just any.
fn is_named(names: &Value, key: &str) -> bool {
    // What can't be read takes nothing: the section's own check says so.
    let Ok(names) = jsonschema::validator_for(names) else { return false };
    let takes = |name: &str| names.is_valid(&Value::from(name));
    takes(key) && !ANY_NAMES.into_iter().any(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_however_they_are_said() {
        let claims = [
            ("seed", json!({"properties": {"seed": {}}})),
            ("dtype", json!({"properties": {"model": {"properties": {"dtype": {}}}}})),
            ("device", json!({"$defs": {"A": {"properties": {"device": {}}}}})),
            ("amp_dtype", json!({"oneOf": [{"properties": {"amp_dtype": {}}}]})),
            ("seed", json!({"if": {}, "then": {"properties": {"seed": {}}}})),
            ("seed", json!({"items": {"properties": {"seed": {}}}})),
            ("seed", json!({"additionalProperties": {"properties": {"seed": {}}}})),
            ("seed", json!({"properties": {"properties": {"properties": {"seed": {}}}}})),
            ("deterministic", json!({"patternProperties": {"^determ": {}}})),
            ("device", json!({"patternProperties": {"^x$": {"properties": {"device": {}}}}})),
            ("dtype", json!({"patternProperties": {"^(amp_)?dtype$": {}}})),
            ("seed", json!({"propertyNames": {"enum": ["seed", "speed"]}})),
            ("seed", json!({"propertyNames": {"pattern": "^s?eed$"}})),
            ("seed", json!({"required": ["seed"]})),
            ("seed", json!({"dependentRequired": {"seed": ["lr"]}})),
            ("seed", json!({"dependentSchemas": {"seed": {}}})),
        ];
        for (key, schema) in claims {
            assert_eq!(reserved_key(&schema), Some(key), "{schema}");
        }
    }

    #[test]
    fn a_name_of_the_users_choice_is_no_claim() {
        let others = [
            json!({"properties": {"lr": {}}}),
            json!({"properties": {"seeds": {}, "device_map": {}}}),
            json!({"additionalProperties": {"type": "number"}}),
            json!({"patternProperties": {"^[a-z_]+$": {}}}),
            json!({"propertyNames": {"maxLength": 20}}),
            json!({"properties": {"best": {"enum": ["seed"], "default": "seed"}}}),
            json!({"properties": {"a": {"default": {"properties": {"seed": 1}}}}}),
            json!({"properties": {"a": {"examples": [{"required": ["seed"]}]}}}),
            json!({"patternProperties": {"(": {}}}),
            json!(true),
        ];
        for schema in others {
            assert_eq!(reserved_key(&schema), None, "{schema}");
        }
    }
}
