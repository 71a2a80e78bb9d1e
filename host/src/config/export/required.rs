//! What a section without a base must have.
//!
//! A file is one layer of several, so its schema requires nothing by itself: a base may give a key,
//! and a section that only changes one number of a tagged mapping is a good one. A section that
//! `extends` nothing, though, has no other file to take a key from, and an editor should say so
//! before the host does. What a schema requires is taken out here as a schema of its own, with
//! nothing else in it, so that no other fault is shown twice.

use sdk::{Change, ChangeKind};
use serde_json::{Map, Value, json};

/// How many schemas may lie in each other; one with more is going in circles.
const DEPTH_MAX: usize = 16;

/// What a pointer leads to.
pub(super) fn target<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    root.pointer(pointer.strip_prefix('#')?)
}

/// Whether anything below a schema is required, also where it is replaced as a whole.
pub(super) fn leads_to_required(root: &Value, schema: &Value) -> bool {
    reaches(root, schema, DEPTH_MAX)
}

fn reaches(root: &Value, schema: &Value, depth_left: usize) -> bool {
    let Some(depth_left) = depth_left.checked_sub(1) else { return false };
    match schema {
        Value::Object(map) => map.iter().any(|(keyword, value)| match (keyword.as_str(), value) {
            ("required", Value::Array(names)) => !names.is_empty(),
            ("$ref", Value::String(pointer)) => {
                target(root, pointer).is_some_and(|target| reaches(root, target, depth_left))
            }
            (_, value) => reaches(root, value, depth_left),
        }),
        Value::Array(items) => items.iter().any(|item| reaches(root, item, depth_left)),
        _ => false,
    }
}

/// The conditional by which a section that extends nothing must be complete. One with an old key
/// is left alone: what that key stands for today is not there yet.
pub(super) fn condition(root: &Value, changes: &[Change]) -> Option<Value> {
    let needs = needs(root, root, DEPTH_MAX)?;
    let old = changes.iter().filter_map(|change| match &change.kind {
        ChangeKind::Moved { from: key, .. } | ChangeKind::Implied { by: key, .. } => Some(has(key)),
        _ => None,
    });
    let mut cases = vec![has("extends")];
    for case in old {
        if !cases.contains(&case) {
            cases.push(case);
        }
    }
    let case = if cases.len() == 1 { has("extends") } else { json!({ "anyOf": cases }) };
    Some(json!({ "if": { "not": case }, "then": needs }))
}

/// The schema of mappings that have a dotted key.
fn has(key: &str) -> Value {
    match key.split_once('.') {
        Some((first, rest)) => json!({ "required": [first], "properties": { first: has(rest) } }),
        None => json!({ "type": "object", "required": [key] }),
    }
}

/// Only what a schema requires, where layers are merged key by key.
fn needs(root: &Value, schema: &Value, depth_left: usize) -> Option<Value> {
    let depth_left = depth_left.checked_sub(1)?;
    if schema.get("x-replace") == Some(&Value::Bool(true)) {
        return None;
    }
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
        return needs(root, target(root, pointer)?, depth_left);
    }
    let mut out = Map::new();
    if let Some(required) = schema.get("required").filter(|names| **names != json!([])) {
        out.insert("required".to_owned(), required.clone());
    }
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let properties: Map<String, Value> = properties
        .filter_map(|(key, child)| {
            let mut needs = needs(root, child, depth_left)?;
            // An editor offers the key from where it is described.
            needs["doNotSuggest"] = true.into();
            Some((key.clone(), needs))
        })
        .collect();
    if !properties.is_empty() {
        out.insert("properties".to_owned(), properties.into());
    }
    for keyword in ["anyOf", "oneOf"] {
        let branches = schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
        let branches: Vec<&Value> = branches.collect();
        if branches.iter().any(|branch| needs(root, branch, depth_left).is_some()) {
            let told = branches.iter().map(|branch| told_apart(root, branch, depth_left));
            out.insert("anyOf".to_owned(), told.collect());
        }
    }
    (!out.is_empty()).then(|| out.into())
}

/// One of several alternatives: what it requires, and what it is told by.
fn told_apart(root: &Value, branch: &Value, depth_left: usize) -> Value {
    let mut out = needs(root, branch, depth_left).unwrap_or_else(|| json!({}));
    let mut branch = branch;
    while let Some(to) = branch.get("$ref").and_then(Value::as_str).and_then(|p| target(root, p)) {
        branch = to;
    }
    for keyword in ["type", "const", "enum"] {
        if let Some(value) = branch.get(keyword) {
            out[keyword] = value.clone();
        }
    }
    let properties = branch.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (key, property) in properties {
        if let Some(value) = property.get("const") {
            out["properties"][key]["const"] = value.clone();
        }
    }
    out
}
