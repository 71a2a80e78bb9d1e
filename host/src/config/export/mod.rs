//! One JSON Schema (draft 2020-12) for configuration files, from the host's own parts and the
//! sections of all plugins: what an editor completes and a checker checks.
//!
//! It accepts what the host accepts, in a single file: what an older plugin or the seed systems
//! called otherwise is there too, marked as deprecated. Nothing is `required` that another layer may
//! give: only a section without `extends` must be complete in itself (`required.rs`), and what is
//! replaced as a whole always. Editors know little of the newer keywords, so `$ref`, `properties`,
//! `additionalProperties`, `anyOf` and `if` do nearly everything.

mod flat;
mod former;
mod hover;
mod required;
mod rewrite;
mod section;

use serde_json::{Map, Value, json};

use self::former::deprecated;
use self::section::{add_section, host_keys, reference};
use super::{KnownPhase, global, profile};

pub(super) const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Definitions that several places refer to.
type Defs = Map<String, Value>;

/// The schema of a file with sections, of these phases only.
pub fn sectioned_schema(phases: &[&KnownPhase]) -> Value {
    let mut defs = Defs::new();
    let mut properties = file_keys();
    properties.insert("phases".to_owned(), order(phases));
    for known in phases {
        add_section(known, &mut defs);
        properties.insert(known.phase.clone(), reference(&known.phase));
    }
    for known in phases {
        let message = format!("now a section `{}` in the same file", known.phase);
        let file = json!({ "type": "string", "description": "A flat file of this phase." });
        properties.insert(format!("{}_config_path", known.phase), deprecated(&message, &file));
    }
    let mut schema = head("configuration", "Configuration of the trainer host");
    schema["description"] =
        "What is shared, the order of the phases, and a section for each.".into();
    schema["properties"] = properties.into();
    schema["additionalProperties"] = named_section(phases);
    schema["propertyNames"] = json!({ "pattern": "^(\\$schema|[A-Za-z0-9_-]+)$" });
    schema["$defs"] = defs.into();
    schema
}

/// The schema of a flat file: all its keys but the host's belong to one phase. `others` are the
/// phases whose settings such a file may hold beside them.
pub fn flat_schema(known: &KnownPhase, others: &[&KnownPhase]) -> Value {
    let mut defs = Defs::new();
    let section = flat::section_of_file(known, others, &mut defs);
    let name = &known.phase;
    let mut schema =
        head(&format!("configuration:{name}"), &format!("Flat configuration of phase {name}"));
    let Value::Object(root) = &mut schema else { return schema };
    let mut properties = file_keys();
    for (keyword, value) in section {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(own)) => properties.extend(own),
            ("title" | "type", _) => {}
            (_, value) => drop(root.insert(keyword, value)),
        }
    }
    root.insert("properties".to_owned(), properties.into());
    root.insert("$defs".to_owned(), defs.into());
    schema
}

fn head(name: &str, title: &str) -> Value {
    json!({
        "$schema": DRAFT,
        "$id": format!("urn:host:{name}"),
        "title": title,
        "type": "object",
    })
}

/// The keys of the host's own that any file may have.
fn file_keys() -> Map<String, Value> {
    let mut keys = Map::new();
    let schema = json!({
        "type": "string",
        "description": "The schema by which an editor completes and checks this file; the host reads over it.",
    });
    keys.insert("$schema".to_owned(), schema);
    keys.insert(profile::BLOCK.to_owned(), block(&profile::schema()));
    keys.insert(global::NAME.to_owned(), global_block());
    keys
}

/// A block of the host's own; an empty one reads as null.
fn block(schema: &Value) -> Value {
    let mut block = rewrite::own(schema);
    block["type"] = json!(["object", "null"]);
    block
}

/// `global`, with the spellings of earlier systems that it takes too.
fn global_block() -> Value {
    let mut block = block(&global::schema());
    for (key, spellings) in global::OLD_SPELLINGS {
        let place = &mut block["properties"][key];
        for spelling in spellings {
            *place = former::or_value(place, &json!(spelling), "an old spelling");
        }
    }
    block
}

/// The list that says in which order phases run.
fn order(phases: &[&KnownPhase]) -> Value {
    let names: Vec<&str> = phases.iter().map(|known| known.phase.as_str()).collect();
    json!({
        "type": "array",
        "description": "The phases in the order in which they run: the names of the sections. May be left out where there is only one.",
        "items": { "anyOf": [{ "enum": names }, { "type": "string", "pattern": "^[A-Za-z0-9_-]+$" }] },
        "minItems": 1,
        "uniqueItems": true,
    })
}

/// A section under a name of the user's choice: it says of which phase it is.
fn named_section(phases: &[&KnownPhase]) -> Value {
    if phases.is_empty() {
        return Value::Bool(false);
    }
    let names: Vec<&str> = phases.iter().map(|known| known.phase.as_str()).collect();
    let branches = phases.iter().map(|known| {
        json!({
            "if": { "properties": { "phase": { "const": known.phase } }, "required": ["phase"] },
            "then": reference(&known.phase),
        })
    });
    let mut properties = host_keys(&json!({ "enum": names }), None);
    properties["phase"]["description"] =
        "The phase that this section is of: its name is one of your own choice.".into();
    json!({
        "type": "object",
        "description": "A section under a name of your own choice, for a phase that runs more than once.",
        "properties": properties,
        "required": ["phase"],
        "allOf": branches.collect::<Vec<_>>(),
    })
}
