//! One parsed document with a position on every key and value.
//!
//! The three formats meet here: whatever the extension, the rest of the module sees the same
//! [`Node`]s. Reading is strict: syntax errors, duplicate keys and what goes beyond the limits are
//! refused with their place.
//! Nothing here knows what a key means.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::error::{ConfigError, Pointer};
use super::source::{Source, Span};
use super::{json, limits, toml_text, yaml};

/// The file name extensions a configuration file may have.
pub(super) const EXTENSIONS: [&str; 4] = ["toml", "yaml", "yml", "json"];

/// A parsed document.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// The text it was read from.
    pub(super) source: Arc<Source>,
    /// The top-level mapping.
    pub(super) root: Node,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The value.
    pub(super) value: NodeValue,
    /// The place of the value; absent where the format does not tell.
    pub(super) span: Option<Span>,
}

/// The value of a [`Node`].
#[derive(Clone, Debug)]
pub(super) enum NodeValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer or a finite decimal number.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in file order.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The key, unquoted.
    pub(super) text: String,
    /// Its place.
    pub(super) span: Option<Span>,
}

impl Document {
    /// Reads and parses a file; its extension says how.
    ///
    /// # Errors
    /// When the file cannot be read, is not well-formed, is too large, or has a key twice.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<ConfigError>> {
        let extension = path.extension().and_then(|ext| ext.to_str()).unwrap_or_default();
        let extension = extension.to_ascii_lowercase();
        if !EXTENSIONS.contains(&extension.as_str()) {
            return Err(vec![unknown_format(path)]);
        }
        let source = Source::read(path).map_err(|error| vec![*error])?;
        Self::parse(source, &extension)
    }

    /// Parses a text in the format that a file name extension stands for.
    ///
    /// # Errors
    /// When the text is not well-formed, is too large, or has a key twice.
    pub(super) fn parse(source: Arc<Source>, extension: &str) -> Result<Self, Vec<ConfigError>> {
        let root = parse(&source, extension)?;
        if root.is_map() {
            Ok(Self { source, root })
        } else {
            Err(vec![not_a_mapping(&source, &root)])
        }
    }
}

/// Parses a text that need not be a mapping.
///
/// # Errors
/// When the text is not well-formed, is too large, or has a key twice.
pub(super) fn parse(source: &Source, extension: &str) -> Result<Node, Vec<ConfigError>> {
    let root = match extension {
        "json" => json::parse(source),
        "toml" => toml_text::parse(source),
        _ => yaml::parse(source),
    }
    .map_err(|error| vec![*error])?;
    limits::check(source, &root)?;
    let mut errors = Vec::new();
    refuse_duplicates(source, &root, "", &mut errors);
    if errors.is_empty() { Ok(root) } else { Err(errors) }
}

impl Node {
    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            NodeValue::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of a mapping with this key.
    pub(super) fn get(&self, key: &str) -> Option<&(Key, Self)> {
        self.entries().iter().find(|(known, _)| known.text == key)
    }

    /// Takes an entry out of a mapping.
    pub(super) fn take(&mut self, key: &str) -> Option<(Key, Self)> {
        let NodeValue::Map(entries) = &mut self.value else {
            return None;
        };
        let at = entries.iter().position(|(known, _)| known.text == key)?;
        Some(entries.remove(at))
    }

    /// Whether this is a mapping.
    pub(super) fn is_map(&self) -> bool {
        matches!(self.value, NodeValue::Map(_))
    }

    /// The text of a string.
    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.value {
            NodeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// The same value without positions.
    pub(super) fn to_value(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(value) => Value::Bool(*value),
            NodeValue::Number(value) => Value::Number(value.clone()),
            NodeValue::String(value) => Value::String(value.clone()),
            NodeValue::List(items) => items.iter().map(Self::to_value).collect(),
            NodeValue::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, node)| (key.text.clone(), node.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// The place of a span as an error shows it.
pub(super) fn pointer(source: &Source, span: Option<Span>) -> Option<Pointer> {
    span.map(|span| Pointer::File(source.locate(span)))
}

/// A syntax error at a place.
pub(super) fn syntax_error(source: &Source, span: Span, reason: &str) -> ConfigError {
    ConfigError::new("config::syntax", format!("`{}` cannot be read: {reason}", source.name))
        .at(Pointer::File(source.locate(span)))
}

fn unknown_format(path: &Path) -> ConfigError {
    ConfigError::new(
        "config::unknown_format",
        format!("cannot tell the format of `{}`", path.display()),
    )
    .expected("a name ending in `.toml`, `.yaml`, `.yml` or `.json`")
}

fn not_a_mapping(source: &Source, root: &Node) -> ConfigError {
    let is_unspaced = root.as_str().is_some_and(|text| text.contains(':'));
    let help = is_unspaced.then(|| "a `:` needs a space behind it".to_owned());
    let found = super::describe::found(&root.to_value());
    ConfigError::new(
        "config::wrong_type",
        format!("`{}` is not a configuration: expected a mapping, found {found}", source.name),
    )
    .at(pointer(source, root.span))
    .found(found)
    .expected("a mapping")
    .maybe_help(help)
}

/// Reports every key that stands twice in one mapping.
fn refuse_duplicates(source: &Source, node: &Node, parent: &str, errors: &mut Vec<ConfigError>) {
    if let NodeValue::List(items) = &node.value {
        for (idx, item) in items.iter().enumerate() {
            refuse_duplicates(source, item, &join(parent, &idx.to_string()), errors);
        }
    }
    let mut first_line: HashMap<&str, usize> = HashMap::new();
    for (key, child) in node.entries() {
        let dotted = join(parent, &key.text);
        let line = key.span.map_or(0, |span| source.line_of(span.start));
        if errors.len() >= limits::FAULTS_MAX {
            return;
        }
        if let Some(first) = first_line.insert(&key.text, line) {
            errors.push(
                duplicate_key(source, &key.text, key.span)
                    .key(&dotted)
                    .help(format!("it is already set in line {first}; keep one of the two")),
            );
        }
        refuse_duplicates(source, child, &dotted, errors);
    }
}

/// A key that stands twice in one mapping.
pub(super) fn duplicate_key(source: &Source, key: &str, span: Option<Span>) -> ConfigError {
    ConfigError::new("config::duplicate_key", format!("duplicate key `{key}`"))
        .at(pointer(source, span))
}

/// A dotted path and one more segment.
pub(super) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}
