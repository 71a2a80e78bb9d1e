//! `KEY=VALUE` as typed on a command line or found in the environment.
//!
//! A value is read the way JSON is, and is a plain text where it is not JSON; where the schema wants
//! a text, `2024` stays the text that was typed. Keys are dotted paths in which `-` and `_` are
//! alike: they are spelled the schema's way before anything else looks at them.

use serde_json::Value;

use super::document::{self, Key, Node, NodeValue};
use super::error::{ConfigError, Pointer, alike};
use super::limits::{self, DEPTH_MAX};
use super::number;
use super::printable::shortened;
use super::schema::{Alternatives, Kind, Schema, kind_of};
use super::source::Source;

/// How much of what was typed a message repeats.
const SHOWN_CHARS: usize = 80;

/// One override, read but not yet sent to a section.
#[derive(Clone, Debug)]
pub(super) struct Override {
    /// Which one, from 1.
    pub(super) position: usize,
    /// As typed.
    pub(super) text: String,
    /// The path as typed.
    pub(super) path: Vec<String>,
    /// The value.
    pub(super) value: Typed,
}

/// A value with the text it was read from.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    value: Value,
    raw: Option<String>,
}

/// Reads the n-th override.
pub(super) fn parse(position: usize, text: &str) -> Result<Override, Box<ConfigError>> {
    let refuse = |message: String| {
        let error = ConfigError::new("config::bad_override", message)
            .at(Pointer::Input(format!("override {position}: {text}")))
            .help("write it as `KEY=VALUE`, for example `global.seed=7`");
        Box::new(error)
    };
    let shown = shortened(text, SHOWN_CHARS);
    let Some((key, value)) = text.split_once('=') else {
        return Err(refuse(format!("`{shown}` is not an override: no `=` in it")));
    };
    let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
    let key = shortened(key, SHOWN_CHARS);
    if path.iter().any(String::is_empty) {
        return Err(refuse(format!(
            "`{shown}` is not an override: its key `{key}` has an empty part"
        )));
    }
    if let Some((_, fault)) = path.iter().find_map(|segment| limits::key_fault(segment)) {
        return Err(refuse(format!("override {position} is refused: {fault}")));
    }
    if path.len() > DEPTH_MAX {
        return Err(refuse(format!(
            "the key of override {position} has more than {DEPTH_MAX} parts"
        )));
    }
    let value = Typed::read(value).map_err(|fault| {
        let help = "write lists, mappings and quoted texts as JSON, for example `[0.9, 0.95]`";
        ConfigError {
            help: Some(help.to_owned()),
            ..*refuse(format!("the value of override `{key}` {fault}"))
        }
    })?;
    Ok(Override { position, text: text.to_owned(), path, value })
}

impl Typed {
    /// Reads a typed value.
    ///
    /// # Errors
    /// With what is wrong, when a text that starts like JSON's list, mapping or string is not one.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if trimmed.starts_with(['[', '{', '"']) {
            let source = Source::new("", trimmed);
            let value = document::parse(&source, "json").map_err(|errors| fault(&errors))?;
            return Ok(Self { value: value.to_value(), raw: None });
        }
        let value = match serde_json::from_str(trimmed) {
            Ok(Value::Number(_)) | Err(_) => number(trimmed),
            Ok(value) => Some(value),
        };
        Ok(Self { value: value.unwrap_or_else(|| text.into()), raw: Some(text.to_owned()) })
    }

    /// A value that has no text of its own.
    pub(super) fn given(value: &Value) -> Self {
        Self { value: value.clone(), raw: None }
    }

    /// Whether the value is a mapping.
    pub(super) fn is_map(&self) -> bool {
        self.value.is_object()
    }

    /// The value a place takes: the typed text where a number or a truth value was not asked for.
    fn fit(&self, place: &Alternatives<'_>) -> Value {
        let kind = kind_of(&self.value);
        let is_guess = matches!(kind, Kind::Bool | Kind::Integer | Kind::Number);
        match &self.raw {
            Some(raw) if is_guess && !place.takes(kind) && place.takes(Kind::String) => {
                raw.as_str().into()
            }
            _ => self.value.clone(),
        }
    }

    /// Fits the value anew where it stands in a tree of mappings: a change of the section may have
    /// brought it to a place that takes the typed text.
    pub(super) fn refit(&self, node: &mut Node, place: &Alternatives<'_>) {
        if let NodeValue::Map(entries) = &mut node.value {
            entries.iter_mut().for_each(|(key, child)| self.refit(child, &place.child(&key.text)));
        } else if node.to_value() == self.value {
            *node = node_of(&self.fit(place));
        }
    }

    /// The value as a tree of mappings that leads to it along a path.
    pub(super) fn at_path(&self, path: &[String], schema: Schema<'_>) -> Node {
        let path = spell(path, schema);
        let value = self.fit(&schema.at(&path));
        path.iter().rev().fold(node_of(&value), |inner, segment| Node {
            value: NodeValue::Map(vec![(Key { text: segment.clone(), span: None }, inner)]),
            span: None,
        })
    }
}

/// What is wrong with a JSON value, as the rest of a sentence about it.
fn fault(errors: &[ConfigError]) -> String {
    let Some(error) = errors.first() else { return "is refused".to_owned() };
    match error.message.strip_prefix("`` ") {
        Some(rest) => rest.replacen("cannot be read:", "is not JSON:", 1),
        None => format!("is refused: {}", error.message),
    }
}

/// A number, also one that JSON would not read: `.5`, `5.`, `+1`, `007`. One that can't be held is
/// none, and stays the text that it may have been meant as.
fn number(text: &str) -> Option<Value> {
    let is_numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.chars().any(|c| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    if !is_numeric {
        return None;
    }
    number::integer(text, 10).or_else(|_| number::decimal(text)).ok().map(Value::Number)
}

/// The path with every key spelled the way the schema spells it.
pub(super) fn spell(path: &[String], schema: Schema<'_>) -> Vec<String> {
    let mut place = schema.top();
    let mut spelled = Vec::with_capacity(path.len());
    for segment in path {
        let keys = place.keys();
        let key = match keys.iter().find(|key| *key == segment) {
            Some(key) => *key,
            None => {
                keys.iter().find(|key| alike(key) == alike(segment)).copied().unwrap_or(segment)
            }
        };
        place = place.child(key);
        spelled.push(key.to_owned());
    }
    spelled
}

/// A value as a tree without positions.
pub(super) fn node_of(value: &Value) -> Node {
    let value = match value {
        Value::Null => NodeValue::Null,
        Value::Bool(value) => NodeValue::Bool(*value),
        Value::Number(value) => NodeValue::Number(value.clone()),
        Value::String(value) => NodeValue::String(value.clone()),
        Value::Array(items) => NodeValue::List(items.iter().map(node_of).collect()),
        Value::Object(map) => NodeValue::Map(
            map.iter()
                .map(|(key, value)| (Key { text: key.clone(), span: None }, node_of(value)))
                .collect(),
        ),
    };
    Node { value, span: None }
}
