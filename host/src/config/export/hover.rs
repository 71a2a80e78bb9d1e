//! What an editor shows where the pointer rests on a key: the description, and in a second paragraph
//! what the key takes, which editors know and do not show.

use serde_json::{Map, Value};

use super::super::key_words::{limits, takes};
use super::super::schema::Schema;

/// Adds the text to a key that has a description and no keys of its own.
pub(super) fn describe(schema: &mut Map<String, Value>) {
    let Some(about) = schema.get("description").and_then(Value::as_str) else { return };
    if schema.contains_key("properties") {
        return;
    }
    let facts = facts(schema);
    if !facts.is_empty() {
        let text = format!("{about}\n\n{facts}");
        schema.insert("markdownDescription".to_owned(), text.into());
    }
}

/// `integer, at least 1, steps; default: 200`; only the default where the rest is defined elsewhere.
fn facts(schema: &Map<String, Value>) -> String {
    let whole = Value::Object(schema.clone());
    let place = Schema::new(&whole).top();
    let is_here = !schema.contains_key("$ref") && !schema.contains_key("anyOf");
    let mut facts: Vec<String> = Vec::new();
    if is_here {
        facts.extend([takes(&place), limits(&place)].into_iter().filter(|fact| !fact.is_empty()));
        facts.extend(place.text("x-unit").map(str::to_owned));
    }
    let default = schema.get("default").map(|default| format!("default: `{default}`"));
    let facts = (!facts.is_empty()).then(|| facts.join(", "));
    facts.into_iter().chain(default).collect::<Vec<_>>().join("; ")
}
