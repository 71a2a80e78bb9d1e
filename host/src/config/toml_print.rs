//! Settings as TOML.
//!
//! Written by hand, because TOML has no null: such a key stays in its place as a comment, and where
//! leaving it out means something else, the caller is told.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::compare::leaves;
use super::text::{number, quoted};

/// Settings as TOML.
pub fn to_toml(settings: &Map<String, Value>) -> String {
    let mut text = String::new();
    table(&mut text, settings, &mut Vec::new());
    text
}

/// Writes a table's own keys, then the tables in it, because a header ends what belongs to the
/// table above it.
fn table(text: &mut String, map: &Map<String, Value>, path: &mut Vec<String>) {
    for (name, value) in map.iter().filter(|(_, value)| !value.is_object()) {
        let _ = match inline(value) {
            Some(value) => writeln!(text, "{} = {value}", key(name)),
            None => writeln!(text, "# {} = {value}", key(name)),
        };
    }
    for (name, value) in map {
        let Value::Object(inner) = value else { continue };
        path.push(key(name));
        // A table that only holds tables needs no header of its own.
        if inner.is_empty() || inner.values().any(|value| !value.is_object()) {
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{}]", path.join("."));
        }
        table(text, inner, path);
        path.pop();
    }
}

/// A value on one line; nothing for one with a null in it.
pub(super) fn inline(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => number(value),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(inline).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Object(map) => {
            let entry =
                |(name, value): (&String, _)| Some(format!("{} = {}", key(name), inline(value)?));
            let entries = map.iter().map(entry).collect::<Option<Vec<String>>>()?;
            if entries.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", entries.join(", "))
            }
        }
    })
}

/// A key, in quotes where it needs them.
pub(super) fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// What TOML cannot say: dotted keys that are null, or a list with a null in it, while leaving them
/// out means another value, with that value.
pub fn unsayable(settings: &Value, defaults: &Value) -> Vec<(String, Value)> {
    leaves(settings)
        .into_iter()
        .filter(|(_, value)| !value.is_object() && inline(value).is_none())
        .filter_map(|(path, value)| {
            let default = path.iter().try_fold(defaults, |value, key| value.get(key))?;
            (default != value).then(|| (path.join("."), default.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::document::Document;
    use super::super::source::Source;
    use super::*;
    use crate::config::to_yaml;

    fn read(text: &str, extension: &str) -> Value {
        let document = Document::parse(Source::new("a", text), extension);
        document.unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).root.to_value()
    }

    #[test]
    fn settings_read_as_they_were_printed() {
        let texts = [
            "",
            "1",
            "1e3",
            "null",
            "~",
            "yes",
            "0x1",
            "a: b",
            "- a",
            "# a",
            "a\nb\n",
            " a ",
            "\"'\\",
            "\t\u{1}\u{7f}\u{85}\u{feff}",
            "häuser",
            "2024-01-01",
            "{a}",
            "!a",
            "&a",
            "*a",
            ".",
        ];
        let settings = json!({
            "numbers": [0, -1, 1.0, 3e-5, 1e300, 1e16, -0.0, 5e-324, u64::MAX, i64::MIN, 0.1],
            "texts": texts,
            "flags": [true, false],
            "empty": {"map": {}, "list": [], "text": ""},
            "a key": {"a.b": 1, "": 2, "ü": {"c": [[1], {"d": {}, "e": "f"}]}},
            "tables": {"only": {"tables": {"x": 1}}},
        });
        let map = settings.as_object().unwrap();
        assert_eq!(read(&to_toml(map), "toml"), settings);
        assert_eq!(read(&to_yaml(&settings), "yaml"), settings);
        for text in texts {
            let deep = json!({"a": {"b c": [[{"b": text}]]}});
            assert_eq!(read(&to_yaml(&deep), "yaml"), deep);
            assert_eq!(read(&to_toml(deep.as_object().unwrap()), "toml"), deep);
        }
    }

    #[test]
    fn toml_keeps_nulls_as_comments() {
        let settings = json!({
            "phases": ["a"],
            "a": {"x": null, "y": {"rate": 3e-5, "z": [1, null], "n": null}, "k": 1.0},
        });
        assert_eq!(
            to_toml(settings.as_object().unwrap()),
            "phases = [\"a\"]\n\n[a]\n# x = null\nk = 1.0\n\n[a.y]\nrate = 3e-5\n# z = [1,null]\n# n = null\n"
        );
        let defaults = json!({"x": null, "y": {"rate": 1, "z": [1], "n": 5}});
        let found = unsayable(&settings["a"], &defaults);
        assert_eq!(found, [("y.z".to_owned(), json!([1])), ("y.n".to_owned(), json!(5))]);
    }
}
