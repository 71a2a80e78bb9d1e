//! Keys and values of earlier versions, which the host still takes: accepted, marked as deprecated,
//! with what to write today, and not offered by an editor.

use sdk::{Change, ChangeKind};
use serde_json::{Map, Value, json};

use super::Defs;

/// The keywords of alternatives.
const UNIONS: [&str; 2] = ["anyOf", "oneOf"];

/// Adds what a section's history says to its schema; a key of today's stays what it is.
pub(super) fn add(section: &mut Value, changes: &[Change], defs: &Defs) {
    for change in changes {
        match &change.kind {
            ChangeKind::Moved { from, to } => {
                let today = find(section, to, defs).cloned().unwrap_or_else(|| json!({}));
                insert(section, &path(from), &deprecated(&format!("now `{to}`"), &today), defs);
            }
            ChangeKind::Removed { key, why, accepts } => {
                let kept = if accepts.is_empty() { json!({}) } else { json!({ "enum": accepts }) };
                insert(section, &path(key), &deprecated(&format!("gone: {why}"), &kept), defs);
            }
            ChangeKind::Respelled { key, from, to } => {
                respell(section, &path(key), from, &format!("now {to}"), defs);
            }
            ChangeKind::Implied { .. } | ChangeKind::Unknown => {}
        }
    }
}

fn path(key: &str) -> Vec<&str> {
    key.split('.').collect()
}

/// A schema of something that has another name today.
pub(super) fn deprecated(message: &str, schema: &Value) -> Value {
    let mut out = schema.as_object().cloned().unwrap_or_default();
    out.shift_remove("default");
    out.insert("deprecated".to_owned(), true.into());
    // What VS Code and the YAML language server read.
    out.insert("deprecationMessage".to_owned(), message.into());
    out.insert("doNotSuggest".to_owned(), true.into());
    out.into()
}

/// A schema that takes one more value, one of earlier times.
pub(super) fn or_value(schema: &Value, value: &Value, message: &str) -> Value {
    let old = deprecated(message, &exactly(value));
    let mut inner = schema.as_object().cloned().unwrap_or_default();
    let mut out = Map::new();
    for annotation in ["description", "markdownDescription", "default", "x-expected", "x-unit"] {
        if let Some(value) = inner.shift_remove(annotation) {
            out.insert(annotation.to_owned(), value);
        }
    }
    let mut alternatives = match inner.get("anyOf") {
        Some(Value::Array(alternatives)) if inner.len() == 1 => alternatives.clone(),
        _ => vec![inner.into()],
    };
    alternatives.push(old);
    out.insert("anyOf".to_owned(), alternatives.into());
    out.into()
}

/// The schema of one value. Words are given as a pattern: an editor would offer a constant.
fn exactly(value: &Value) -> Value {
    let Some(word) = value.as_str() else { return json!({ "const": value }) };
    let escaped: String = word
        .chars()
        .flat_map(|c| "^$\\.*+?()[]{}|".contains(c).then_some('\\').into_iter().chain([c]))
        .collect();
    json!({ "type": "string", "pattern": format!("^{escaped}$") })
}

/// The schema of a dotted key, of the first alternative that has it.
fn find<'a>(section: &'a Value, key: &str, defs: &'a Defs) -> Option<&'a Value> {
    key.split('.').try_fold(section, |schema, segment| child(schema, segment, defs))
}

fn child<'a>(schema: &'a Value, key: &str, defs: &'a Defs) -> Option<&'a Value> {
    let schema = follow(schema, defs);
    let own = schema.get("properties").and_then(|properties| properties.get(key));
    own.or_else(|| {
        let branches = UNIONS.iter().filter_map(|union| schema.get(union)?.as_array()).flatten();
        branches.into_iter().find_map(|branch| child(branch, key, defs))
    })
}

fn follow<'a>(schema: &'a Value, defs: &'a Defs) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"));
    name.and_then(|name| defs.get(name)).unwrap_or(schema)
}

/// Puts other words for a value beside those of today, wherever the key may stand.
fn respell(schema: &mut Value, path: &[&str], word: &Value, message: &str, defs: &Defs) {
    let Some((key, below)) = path.split_first() else {
        *schema = or_value(schema, word, message);
        return;
    };
    for mapping in mappings(schema, defs) {
        if let Some(child) = mapping.get_mut(*key) {
            respell(child, below, word, message, defs);
        }
    }
}

/// Adds an old key wherever its mapping may stand; mappings on the way that are gone as well come
/// back as deprecated ones.
fn insert(schema: &mut Value, path: &[&str], old: &Value, defs: &Defs) {
    let Some((key, below)) = path.split_first() else { return };
    for mapping in mappings(schema, defs) {
        if below.is_empty() {
            mapping.entry(*key).or_insert_with(|| old.clone());
        } else {
            let gone = json!({ "type": "object", "additionalProperties": false, "properties": {} });
            let child = mapping
                .entry(*key)
                .or_insert_with(|| deprecated("gone; its keys have moved", &gone));
            insert(child, below, old, defs);
        }
    }
}

/// The keys of every mapping that may stand at a place; definitions on the way are written out.
fn mappings<'a>(schema: &'a mut Value, defs: &Defs) -> Vec<&'a mut Map<String, Value>> {
    write_out(schema, defs);
    let Value::Object(keywords) = schema else { return Vec::new() };
    let mut found = Vec::new();
    for (keyword, value) in keywords {
        match value {
            Value::Object(properties) if keyword == "properties" => found.push(properties),
            Value::Array(branches) if UNIONS.contains(&keyword.as_str()) => {
                found.extend(branches.iter_mut().flat_map(|branch| mappings(branch, defs)));
            }
            _ => {}
        }
    }
    found
}

/// Puts a definition where it is referred to, so that this place alone can be changed.
pub(super) fn write_out(schema: &mut Value, defs: &Defs) {
    let target = follow(schema, defs);
    if std::ptr::eq(target, schema) {
        return;
    }
    let mut target = target.as_object().cloned().unwrap_or_default();
    if let Value::Object(own) = schema {
        own.shift_remove("$ref");
        target.append(own);
        *own = target;
    }
}
