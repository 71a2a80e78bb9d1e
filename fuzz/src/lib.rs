//! What must hold of any configuration, whatever is in it.
//!
//! Every target ends in [`check`]. A text that resolves must, written out again in any of the three
//! formats, resolve to the same. One that is refused must say so in bounded room, with places that
//! are in the text. That nothing panics, and that all of it is quick, libFuzzer sees by itself.

mod phases;

use host::config::{ConfigErrors, Location, Plan, Pointer, Request, check_text, to_toml, to_yaml};
use serde_json::{Map, Value, json};

pub use phases::catalogue;

/// The most characters of a rendered list of errors: some twenty of them, with quotes of lines.
const RENDERED_MAX: usize = 20 * 12_000;

/// Checks a text of a format with overrides on top; what it resolves to, if it does.
pub fn check(text: &str, format: &str, overrides: &[String]) -> Option<Value> {
    let request = Request { overrides: overrides.to_vec(), ..Request::default() };
    let mut result = check_text(text, format, &request, catalogue());
    if result.as_ref().is_err_and(|errors| errors.0[0].code == "config::no_phase") {
        // A flat text; with a phase it may well resolve.
        let request = Request { phase: Some("try".to_owned()), ..request };
        result = check_text(text, format, &request, catalogue());
    }
    match result {
        Ok(plan) => Some(check_plan(&plan, format)),
        Err(errors) => {
            check_errors(&errors, text);
            None
        }
    }
}

/// A plan, written out in a format, resolves to the same plan.
fn check_plan(plan: &Plan, format: &str) -> Value {
    let settings = document(plan);
    let text = match (format, &settings) {
        ("yaml", settings) => to_yaml(settings),
        ("toml", Value::Object(map)) => to_toml(map),
        (_, settings) => settings.to_string(),
    };
    match check_text(&text, format, &Request::default(), catalogue()) {
        Ok(again) => {
            let again = without_nulls(&document(&again));
            assert_eq!(again, without_nulls(&settings), "{format}: {text}");
        }
        Err(errors) => panic!("what was written is refused: {errors}\n{format}: {text}"),
    }
    settings
}

/// The resolved settings in the sectioned form.
fn document(plan: &Plan) -> Value {
    let Value::Object(settings) = plan.with_defaults(catalogue()) else {
        unreachable!("settings are a mapping")
    };
    let names: Vec<&str> = plan.phases.iter().map(|phase| phase.name.as_str()).collect();
    let mut document = Map::new();
    document.insert("phases".to_owned(), json!(names));
    for (name, mut section) in settings {
        if let Some(phase) = plan.phase(&name) {
            section["phase"] = json!(phase.phase);
        }
        document.insert(name, section);
    }
    Value::Object(document)
}

/// A value without the keys that TOML has no word for.
pub fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, child)| !child.is_null());
            Value::Object(kept.map(|(key, child)| (key.clone(), without_nulls(child))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn check_errors(errors: &ConfigErrors, text: &str) {
    assert!(!errors.0.is_empty(), "refused without a word");
    for error in &errors.0 {
        assert!(!error.message.is_empty());
        if let Some(Pointer::File(location)) = &error.location
            && location.file == "text"
        {
            check_place(location, text.strip_prefix('\u{feff}').unwrap_or(text));
        }
    }
    let rendered = errors.to_string();
    assert!(rendered.len() <= RENDERED_MAX, "{} bytes of errors", rendered.len());
    let is_hidden = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!rendered.contains(is_hidden), "a control character: {rendered:?}");
}

fn check_place(location: &Location, text: &str) {
    let line = text.split('\n').nth(location.line - 1);
    let line = line.unwrap_or_else(|| panic!("no such line: {location:?}"));
    assert!(location.column <= line.chars().count() + 1, "no such column: {location:?}");
    assert!(location.length >= 1);
}
