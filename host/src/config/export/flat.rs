//! The schema of a flat file: one phase's section without a name, in today's form and with the
//! habits of the seed systems that the host undoes (see the parent's `flat.rs`).

use serde_json::{Map, Value, json};

use super::super::flat::{LEGACY_BLOCKS, SWITCHES, TRAINING};
use super::super::global::{self, LEGACY_KEYS};
use super::super::{KnownPhase, schema::Schema};
use super::former::{deprecated, write_out};
use super::section::{host_keys, section};
use super::{Defs, global_block};

/// The section's keys at the top level of a file.
pub(super) fn section_of_file(
    known: &KnownPhase,
    others: &[&KnownPhase],
    defs: &mut Defs,
) -> Map<String, Value> {
    let mut section = section(known, defs);
    let Some(Value::Object(properties)) = section.get_mut("properties") else { return section };
    let view = Schema::new(&known.schema);
    if let Some(training) = properties.get_mut(TRAINING) {
        nest_training(training, known, others, defs);
    }
    for block in LEGACY_BLOCKS.into_iter().filter(|block| !block.is_empty()) {
        if let Some(place) = properties.get_mut(block) {
            add_legacy(place, &view.at(&[block]).keys(), defs);
        }
    }
    add_legacy_keys(properties, &view.top().keys());
    let mut host_keys = host_keys(&Value::Null, Some(known.version));
    host_keys.shift_remove("phase");
    properties.extend(host_keys);
    section
}

/// `training` keeps one block per phase in those files: this phase's counts.
fn nest_training(training: &mut Value, known: &KnownPhase, others: &[&KnownPhase], defs: &Defs) {
    write_out(training, defs);
    let mut own = training.clone();
    if let Some(Value::Object(keys)) = own.get_mut("properties") {
        keys.shift_remove(&known.phase);
    }
    add_legacy(&mut own, &Schema::new(&known.schema).at(&[TRAINING]).keys(), defs);
    let message = format!("now directly under `{TRAINING}`");
    training["properties"][&known.phase] = deprecated(&message, &own);
    for other in others.iter().filter(|other| other.phase != known.phase) {
        let message = format!("not used: this file is for phase `{}`", known.phase);
        training["properties"][&other.phase] = deprecated(&message, &json!({ "type": "object" }));
    }
}

fn add_legacy(block: &mut Value, own_keys: &[&str], defs: &Defs) {
    write_out(block, defs);
    if let Some(Value::Object(properties)) = block.get_mut("properties") {
        add_legacy_keys(properties, own_keys);
    }
}

/// The settings that every trainer of those systems had for itself.
fn add_legacy_keys(properties: &mut Map<String, Value>, own_keys: &[&str]) {
    let global = global_block();
    for key in LEGACY_KEYS.into_iter().filter(|key| !own_keys.contains(key)) {
        let message = format!("now `{}.{key}`", global::NAME);
        let schema = deprecated(&message, &global["properties"][key]);
        properties.insert(key.to_owned(), schema);
    }
    for switch in SWITCHES.into_iter().filter(|switch| !own_keys.contains(switch)) {
        let message = format!("now `{}.amp_dtype`", global::NAME);
        let schema = deprecated(&message, &json!({ "type": "boolean" }));
        properties.insert(switch.to_owned(), schema);
    }
}
