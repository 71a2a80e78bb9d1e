//! Keys and values that nobody wrote, in the three formats.

use serde_json::Value;

use crate::config::document::Node;
use crate::config::toml_print;

/// Words that YAML, or one who learned it from an older YAML, would not read as texts.
const NOT_TEXTS: [&str; 13] =
    ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan", ".inf", ".nan"];

/// JSON on one line, with a space behind commas and colons.
pub(super) fn json_value(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(json_value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let entry = |(key, value): (&String, _)| {
                format!("{}: {}", Value::from(key.as_str()), json_value(value))
            };
            let entries: Vec<String> = map.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => value.to_string(),
    }
}

/// YAML on one line.
pub(super) fn yaml_value(value: &Value) -> String {
    match value {
        Value::String(text) => yaml_key(text),
        // JSON is YAML.
        _ => json_value(value),
    }
}

/// A YAML key or text, in quotes where it could be read as something else.
pub(super) fn yaml_key(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || "_/".contains(c))
        && text.chars().all(is_word)
        && !NOT_TEXTS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

/// TOML on one line. There is no null: who has one to print is told when the file is read again.
pub(super) fn toml_value(node: &Node) -> String {
    toml_print::inline(&node.to_value()).unwrap_or_else(|| "null".to_owned())
}
