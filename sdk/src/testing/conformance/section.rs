//! The section: schema, defaults, what is refused, and what is said before anything starts.

use serde_json::{Map, Value, json};

use super::{
    Check, Conformance, Failure, Level, Verdict, describe, failed, hold, refused, skipped,
};
use crate::metadata::is_name;
use crate::section::ChangeKind;

/// A key that no section has.
const UNKNOWN: &str = "no_such_key_as_this";

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "described-alike",
        level: Level::Loads,
        about: "says the same of itself each time it is asked",
        run: described_alike,
    },
    Check {
        name: "names",
        level: Level::Conformant,
        about: "plugin, phase and capabilities have names that files and configurations can hold",
        run: names,
    },
    Check {
        name: "schema-type",
        level: Level::Conformant,
        about: "the schema is one of a mapping",
        run: schema_type,
    },
    Check {
        name: "schema-closed",
        level: Level::Conformant,
        about: "the schema refuses unknown keys at its top",
        run: schema_closed,
    },
    Check {
        name: "schema-described",
        level: Level::Conformant,
        about: "every key has a description",
        run: schema_described,
    },
    Check {
        name: "defaults-valid",
        level: Level::Conformant,
        about: "the defaults are a section that the trainer takes",
        run: defaults_valid,
    },
    Check {
        name: "section-round-trip",
        level: Level::Conformant,
        about: "the section with its defaults resolves to itself",
        run: round_trip,
    },
    Check {
        name: "unknown-key",
        level: Level::Conformant,
        about: "an unknown key is refused by its name",
        run: unknown_key,
    },
    Check {
        name: "unknown-key-inside",
        level: Level::Conformant,
        about: "an unknown key inside of a mapping is refused by its name",
        run: unknown_key_inside,
    },
    Check {
        name: "wrong-type",
        level: Level::Conformant,
        about: "a value of another type is refused with the key that it is at",
        run: wrong_type,
    },
    Check {
        name: "not-a-section",
        level: Level::Conformant,
        about: "what is no mapping is refused",
        run: not_a_section,
    },
    Check {
        name: "sound-section",
        level: Level::Conformant,
        about: "finds nothing wrong with a sound section",
        run: sound_section,
    },
    Check {
        name: "asked-twice",
        level: Level::Conformant,
        about: "checks and promises the same when asked again",
        run: asked_twice,
    },
    Check {
        name: "history",
        level: Level::Conformant,
        about: "the history of the section leads from keys that are gone to keys of today",
        run: history,
    },
];

fn described_alike(this: &Conformance) -> Verdict {
    this.description()?;
    let all = || {
        let phases = describe(this.root).map_err(Failure::Failed)?;
        Ok::<_, Failure>(serde_json::to_string(&phases).unwrap_or_default())
    };
    hold(all()? == all()?, || "its description differs between two calls".to_owned())?;
    Ok(None)
}

fn names(this: &Conformance) -> Verdict {
    let description = this.description()?;
    for (what, name) in [("phase", &description.phase), ("plugin", &description.plugin)] {
        hold(is_name(name), || format!("`{name}` is no name for a {what}"))?;
    }
    let is_fit = |name: &String| name.split('/').all(is_name);
    match description.capabilities.iter().find(|name| !is_fit(name)) {
        Some(name) => failed(format!("`{name}` is no name for a capability")),
        None => Ok(None),
    }
}

fn schema_type(this: &Conformance) -> Verdict {
    let kind = &this.description()?.schema["type"];
    hold(kind == "object", || format!("its type is {kind}, not \"object\""))?;
    Ok(None)
}

fn schema_closed(this: &Conformance) -> Verdict {
    let schema = &this.description()?.schema;
    let is_closed =
        schema["additionalProperties"] == false || schema["unevaluatedProperties"] == false;
    hold(is_closed, || {
        "say `#[serde(deny_unknown_fields)]`: a misspelt key would be passed over".to_owned()
    })?;
    Ok(None)
}

fn schema_described(this: &Conformance) -> Verdict {
    let schema = &this.description()?.schema;
    let mut without = Vec::new();
    for properties in all_properties(schema) {
        for (key, property) in properties {
            let is_described = property["description"].is_string()
                || property["$ref"].as_str().is_some_and(|at| {
                    schema
                        .pointer(at.trim_start_matches('#'))
                        .is_some_and(|there| there["description"].is_string())
                })
                || property.get("const").is_some();
            if !is_described {
                without.push(key.clone());
            }
        }
    }
    without.dedup();
    hold(without.is_empty(), || {
        let names: Vec<String> = without.iter().take(5).map(|key| format!("`{key}`")).collect();
        format!("give a doc comment to {}", names.join(", "))
    })?;
    Ok(None)
}

/// The properties of a schema and of those inside of it.
fn all_properties(schema: &Value) -> Vec<&Map<String, Value>> {
    let mut found = Vec::new();
    let mut open = vec![(schema, false)];
    while let Some((value, is_data)) = open.pop() {
        match value {
            Value::Object(map) if !is_data => {
                found.extend(map.get("properties").and_then(Value::as_object));
                for (name, value) in map {
                    let is_data =
                        matches!(name.as_str(), "default" | "examples" | "enum" | "const");
                    let is_custom = name.starts_with("x-");
                    open.push((value, is_data || is_custom));
                }
            }
            Value::Array(values) => open.extend(values.iter().map(|v| (v, is_data))),
            _ => {}
        }
    }
    found
}

fn defaults_valid(this: &Conformance) -> Verdict {
    let defaults = &this.description()?.defaults;
    if defaults.is_null() {
        return skipped("the section has keys without a default");
    }
    this.create(defaults)?;
    Ok(None)
}

fn round_trip(this: &Conformance) -> Verdict {
    let once = this.create(&this.section)?.resolved()?;
    let twice = this.create(&once)?.resolved()?;
    hold(once == twice, || format!("it resolves to {once}, and that to {twice}"))?;
    Ok(None)
}

/// The section with all its defaults, as a mapping.
fn whole(this: &Conformance) -> Result<Map<String, Value>, Failure> {
    match this.create(&this.section)?.resolved()? {
        Value::Object(map) => Ok(map),
        other => failed(format!("the section resolves to {other}, which is no mapping")),
    }
}

fn unknown_key(this: &Conformance) -> Verdict {
    let mut section = whole(this)?;
    section.insert(UNKNOWN.to_owned(), json!(1));
    is_named(this, &Value::Object(section), UNKNOWN, "an unknown key")?;
    Ok(None)
}

fn is_named(this: &Conformance, section: &Value, key: &str, what: &str) -> Result<(), Failure> {
    match refused(this.create(section), what)? {
        None => failed(format!("{what} is taken: `{key}`")),
        Some(error) => {
            let is_named =
                error.message.contains(key) || error.path.as_ref().is_some_and(|p| p.contains(key));
            hold(is_named, || {
                format!("{what} is refused without naming `{key}`: {}", error.message)
            })
        }
    }
}

fn unknown_key_inside(this: &Conformance) -> Verdict {
    let section = whole(this)?;
    let schema = &this.description()?.schema;
    let mut n = 0;
    for (key, value) in &section {
        // A mapping whose names are the user's takes any.
        if !value.is_object() || !is_closed(schema, key) {
            continue;
        }
        let mut changed = section.clone();
        changed[key][UNKNOWN] = json!(1);
        is_named(this, &Value::Object(changed), UNKNOWN, &format!("an unknown key in `{key}`"))?;
        n += 1;
    }
    if n == 0 { skipped("the section has no mapping inside") } else { Ok(None) }
}

/// Whether the schema of a key says which keys are in it.
fn is_closed(schema: &Value, key: &str) -> bool {
    let mut property = &schema["properties"][key];
    for _ in 0..8 {
        let at = property["$ref"].as_str().or_else(|| property["allOf"][0]["$ref"].as_str());
        match at.and_then(|at| schema.pointer(at.trim_start_matches('#'))) {
            Some(there) => property = there,
            None => break,
        }
    }
    property["additionalProperties"] == false
}

fn wrong_type(this: &Conformance) -> Verdict {
    let section = whole(this)?;
    let mut n = 0;
    for (key, value) in section.iter().filter(|(_, value)| !value.is_null()) {
        let other = match value {
            Value::Bool(_) | Value::Number(_) => json!({ UNKNOWN: [] }),
            _ => json!(-1.5e300),
        };
        let mut changed = section.clone();
        changed[key] = other;
        let what = format!("a value of another type at `{key}`");
        let Some(error) = refused(this.create(&Value::Object(changed)), &what)? else {
            return failed(format!("{what} is taken"));
        };
        let is_located = error.path.as_ref().is_some_and(|path| path.starts_with(key.as_str()));
        hold(is_located || error.message.contains(key.as_str()), || {
            format!("{what} is refused without the key: {}", error.message)
        })?;
        n += 1;
    }
    if n == 0 { skipped("the section has no keys") } else { Ok(None) }
}

fn not_a_section(this: &Conformance) -> Verdict {
    for section in [json!([[[1]]]), json!(1e300), json!("text"), json!(true)] {
        let what = format!("the section {section}");
        if refused(this.create(&section), &what)?.is_none() {
            return failed(format!("{what} is taken"));
        }
    }
    Ok(None)
}

fn sound_section(this: &Conformance) -> Verdict {
    let findings = this.create(&this.section)?.check(&this.given)?;
    match findings.first() {
        Some(error) => failed(super::said(error)),
        None => Ok(None),
    }
}

fn asked_twice(this: &Conformance) -> Verdict {
    let client = this.create(&this.section)?;
    let promises = || {
        let promised = client.promises(&this.given)?;
        let of = |a: &crate::abi::SharedArtifact| json!([a.name, a.kind, a.settings]);
        Ok::<_, Failure>(promised.iter().map(of).collect::<Vec<_>>())
    };
    hold(client.check(&this.given)? == client.check(&this.given)?, || {
        "it finds other faults when it is asked again".to_owned()
    })?;
    hold(promises()? == promises()?, || "it promises another thing when asked again".to_owned())?;
    Ok(None)
}

fn history(this: &Conformance) -> Verdict {
    let description = this.description()?;
    if description.changes.is_empty() {
        return skipped("the section is of its first version");
    }
    let schema = &description.schema;
    let last = description.changes.iter().map(|change| change.version).max().unwrap_or(0);
    hold(last <= description.section_version, || {
        format!(
            "a change leads to version {last}, the section is of {}",
            description.section_version
        )
    })?;
    let has = |path: &str| {
        let first = path.split('.').next().unwrap_or_default();
        schema["properties"].get(first).is_some()
    };
    let moved_on = |key: &str| {
        description.changes.iter().any(|later| match &later.kind {
            ChangeKind::Moved { from, .. } => from == key,
            ChangeKind::Removed { key: gone, .. } => gone == key,
            _ => false,
        })
    };
    for change in &description.changes {
        let (from, to) = match &change.kind {
            ChangeKind::Moved { from, to } => (from, to),
            ChangeKind::Implied { by, key, .. } => (by, key),
            _ => continue,
        };
        hold(has(to) || moved_on(to), || {
            format!("`{from}` leads to `{to}`, which the schema doesn't have")
        })?;
    }
    Ok(None)
}
