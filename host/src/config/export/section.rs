//! The schema of one phase's section: the plugin's, and the keys that the host reads in any section.

use serde_json::{Map, Value, json};

use super::super::KnownPhase;
use super::rewrite::{Rewriter, definition};
use super::{Defs, former, required};

/// Adds the section of a phase to the definitions, under the phase's name.
pub(super) fn add_section(known: &KnownPhase, defs: &mut Defs) {
    // The section comes before what it refers to.
    defs.insert(known.phase.clone(), Value::Bool(true));
    let mut section = section(known, defs);
    let host_keys = host_keys(&json!({ "const": known.phase }), Some(known.version));
    if let Some(Value::Object(properties)) = section.get_mut("properties") {
        properties.extend(host_keys);
    } else {
        section.insert("properties".to_owned(), host_keys.into());
    }
    defs.insert(known.phase.clone(), section.into());
}

/// The plugin's own keys, today's and old ones.
pub(super) fn section(known: &KnownPhase, defs: &mut Defs) -> Map<String, Value> {
    let mut rewriter = Rewriter { root: &known.schema, phase: &known.phase, defs };
    let section = rewriter.section(Some(&known.defaults));
    let Value::Object(mut section) = section else { return Map::new() };
    section.insert("title".to_owned(), format!("Section of phase {}", known.phase).into());
    // An empty section of YAML reads as null.
    section.insert("type".to_owned(), json!(["object", "null"]));
    if let Some(Value::Object(condition)) = required::condition(&known.schema, &known.changes) {
        let all = section.entry("allOf").or_insert_with(|| json!([]));
        if let Value::Array(all) = all {
            all.push(condition.into());
        }
    }
    let mut section = Value::Object(section);
    former::add(&mut section, &known.changes, defs);
    match section {
        Value::Object(section) => section,
        _ => Map::new(),
    }
}

/// The keys of a section that the host itself reads; `phase` is what its key of that name may say.
pub(super) fn host_keys(phase: &Value, version: Option<u32>) -> Map<String, Value> {
    let mut keys = Map::new();
    let mut add = |key: &str, description: &str, mut schema: Value| {
        schema["description"] = description.into();
        keys.insert(key.to_owned(), schema);
    };
    add(
        "extends",
        "A profile, or a file beside this one, whose section of the same phase this one builds on.",
        json!({ "type": "string", "minLength": 1 }),
    );
    add(
        "phase",
        "The phase that this section is of, where its name is not the phase's.",
        phase.clone(),
    );
    let mut versions = json!({ "type": "integer", "minimum": 1 });
    if let Some(version) = version {
        versions["maximum"] = version.into();
    }
    let about = "The version of the section's keys that this was written for; older ones are brought up to date.";
    add("schema_version", about, versions);
    keys
}

/// A reference to the section of a phase.
pub(super) fn reference(phase: &str) -> Value {
    json!({ "$ref": definition(phase) })
}
