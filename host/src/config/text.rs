//! Settings as a person would write them: JSON with short numbers and with short lists on one line.

use serde_json::{Number, Value};

use super::printable::is_hidden;

/// Below this a number is written with an exponent where that is shorter.
const SMALL: f64 = 1e-3;

/// Settings as JSON.
pub fn to_json(settings: &Value) -> String {
    let mut text = String::new();
    write(&mut text, settings, "\n");
    text.push('\n');
    text
}

/// A value on one line, as JSON.
pub fn inline(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) => value.to_string(),
        Value::Number(value) => number(value),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let entries =
                map.iter().map(|(key, value)| format!("{}: {}", quoted(key), inline(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A number: `3e-5`, `0.001`, `1.0`, `7`.
pub(super) fn number(number: &Number) -> String {
    let plain = number.to_string();
    let Some(value) = number.as_f64().filter(|value| number.is_f64() && *value != 0.0) else {
        return plain;
    };
    let short = format!("{value:e}");
    if value.abs() < SMALL && short.len() < plain.len() { short } else { plain }
}

/// A text in double quotes, with nothing in it that a terminal would obey; JSON and TOML read it
/// alike.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    for c in Value::from(text).to_string().chars() {
        match u16::try_from(u32::from(c)) {
            Ok(code) if is_hidden(c) => quoted += &format!("\\u{code:04x}"),
            _ => quoted.push(c),
        }
    }
    quoted
}

/// Writes a value; `newline` is a line's end with the indentation of the next.
fn write(text: &mut String, value: &Value, newline: &str) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let entries = map.iter().map(|(key, value)| (format!("{}: ", quoted(key)), value));
            write_all(text, ['{', '}'], entries, newline);
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            write_all(text, ['[', ']'], items.iter().map(|item| (String::new(), item)), newline);
        }
        value => *text += &inline(value),
    }
}

fn write_all<'a>(
    text: &mut String,
    [open, close]: [char; 2],
    entries: impl Iterator<Item = (String, &'a Value)>,
    newline: &str,
) {
    let inner = format!("{newline}  ");
    text.push(open);
    for (idx, (label, value)) in entries.enumerate() {
        let comma = if idx == 0 { "" } else { "," };
        *text += &format!("{comma}{inner}{label}");
        write(text, value, &inner);
    }
    text.push_str(newline);
    text.push(close);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_as_one_would() {
        let numbers = [3e-5, 0.0001, 0.00015, 1e-8, 0.001, 0.0015, 0.05, 1.0, 10000.0, -0.0, -3e-4];
        let texts = numbers.map(|value| inline(&json!(value)));
        assert_eq!(
            texts.join(" "),
            "3e-5 1e-4 1.5e-4 1e-8 0.001 0.0015 0.05 1.0 10000.0 -0.0 -3e-4"
        );
        assert_eq!(inline(&json!([7, u64::MAX, 1e300])), "[7, 18446744073709551615, 1e+300]");
    }

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        let hidden = json!({"a\u{202e}": "\u{1b}\u{9b}2J\t"});
        assert_eq!(inline(&hidden), r#"{"a\u202e": "\u001b\u009b2J\t"}"#);
        assert_eq!(serde_json::from_str::<Value>(&inline(&hidden)).unwrap(), hidden);
    }

    #[test]
    fn json_reads_as_it_was_printed() {
        let settings = json!({
            "a": {"rate": 3e-5, "betas": [0.9, 0.95], "none": null, "empty": [{}, []]},
            "b\n": {"list": [{"c": 1}, [2]], "nothing": {}},
        });
        let text = to_json(&settings);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), settings);
        let lines = [
            "{",
            r#"  "a": {"#,
            r#"    "rate": 3e-5,"#,
            r#"    "betas": [0.9, 0.95],"#,
            r#"    "none": null,"#,
            r#"    "empty": ["#,
            "      {},",
            "      []",
            "    ]",
            "  },",
            r#"  "b\n": {"#,
            r#"    "list": ["#,
            "      {",
            r#"        "c": 1"#,
            "      },",
            "      [2]",
            "    ],",
            r#"    "nothing": {}"#,
            "  }",
            "}",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
        assert_eq!(to_json(&json!({})), "{}\n");
    }
}
