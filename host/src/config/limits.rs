//! How large a configuration may be, the same in every format.
//!
//! Nobody writes a configuration that comes near any of these by hand. They stand so that a wrong
//! file, or one that is meant to do harm, is answered at once and in bounded memory: everything
//! behind this check may be recursive, and may compare all keys of a mapping with each other.

use super::document::{Node, NodeValue, pointer};
use super::error::{ConfigError, Pointer};
use super::printable::{escaped, is_hidden, shortened};
use super::source::{Source, Span};

/// Bytes of a file.
pub(super) const FILE_BYTES_MAX: usize = 1 << 20;
/// Bytes of all texts of a YAML file once its aliases are expanded.
pub(super) const EXPANDED_BYTES_MAX: usize = 2 * FILE_BYTES_MAX;
/// Mappings and lists inside each other.
pub(super) const DEPTH_MAX: usize = 32;
/// Keys and values of a document, the expanded ones included.
pub(super) const VALUES_MAX: usize = 20_000;
/// Characters of one key.
pub(super) const KEY_CHARS_MAX: usize = 200;
/// Keys of the outermost mapping, and names in a list of phases.
pub(super) const SECTIONS_MAX: usize = 200;
/// Faults of one kind that are collected before the search ends: nobody reads more at a time.
pub(super) const FAULTS_MAX: usize = 100;

/// What of a document goes beyond the limits.
///
/// # Errors
/// With its depth or its size, or with every key that is too long or holds what can't be seen.
pub(super) fn check(source: &Source, root: &Node) -> Result<(), Vec<ConfigError>> {
    let mut walk = Walk { source, values: 0, errors: Vec::new() };
    walk.node(root, 0).map_err(|error| vec![*error])?;
    if let Some((key, _)) = root.entries().get(SECTIONS_MAX) {
        let message = format!("`{}` has more than {SECTIONS_MAX} keys at its top", source.name);
        walk.errors.insert(0, too_large(source, key.span, message));
    }
    if walk.errors.is_empty() { Ok(()) } else { Err(walk.errors) }
}

/// The error for mappings and lists that are nested beyond the limit.
pub(super) fn too_deep(source: &Source, span: Option<Span>) -> ConfigError {
    let message = format!("`{}` is nested too deeply", source.name);
    ConfigError::new("config::too_deep", message)
        .at(pointer(source, span))
        .expected(format!("at most {DEPTH_MAX} mappings and lists inside each other"))
}

/// The error for more keys and values than the limit.
pub(super) fn too_many_values(source: &Source, span: Option<Span>) -> ConfigError {
    let message = format!("`{}` holds more than {VALUES_MAX} keys and values", source.name);
    too_large(source, span, message)
}

/// The error for texts that aliases multiply beyond the limit.
pub(super) fn too_much_text(source: &Source, span: Option<Span>) -> ConfigError {
    let message = format!(
        "`{}` holds more than {} MiB of text once its aliases are expanded",
        source.name,
        EXPANDED_BYTES_MAX >> 20
    );
    too_large(source, span, message)
}

fn too_large(source: &Source, span: Option<Span>, message: String) -> ConfigError {
    ConfigError::new("config::too_large", message)
        .at(pointer(source, span))
        .help("check that this is the configuration you mean")
}

/// What is wrong with a key by itself, if anything: a code, and a clause without its place.
pub(super) fn key_fault(key: &str) -> Option<(&'static str, String)> {
    if key.chars().count() > KEY_CHARS_MAX {
        let message =
            format!("key `{}` has more than {KEY_CHARS_MAX} characters", shortened(key, 40));
        return Some(("config::too_large", message));
    }
    let hidden = key.chars().find(|c| is_hidden(*c))?;
    let message =
        format!("key `{}` holds the invisible character U+{:04X}", escaped(key), hidden as u32);
    Some(("config::bad_key", message))
}

struct Walk<'a> {
    source: &'a Source,
    values: usize,
    errors: Vec<ConfigError>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, depth: usize) -> Result<(), Box<ConfigError>> {
        self.count(node)?;
        let is_nested = matches!(node.value, NodeValue::List(_) | NodeValue::Map(_));
        if is_nested && depth == DEPTH_MAX {
            return Err(too_deep(self.source, node.span.map(Span::first_byte)).into());
        }
        if let NodeValue::List(items) = &node.value {
            items.iter().try_for_each(|item| self.node(item, depth + 1))?;
        }
        for (key, child) in node.entries() {
            self.count(child)?;
            self.key(&key.text, key.span);
            self.node(child, depth + 1)?;
        }
        Ok(())
    }

    fn count(&mut self, node: &Node) -> Result<(), Box<ConfigError>> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(too_many_values(self.source, node.span.map(Span::first_byte)).into());
        }
        Ok(())
    }

    fn key(&mut self, key: &str, span: Option<Span>) {
        if self.errors.len() < FAULTS_MAX
            && let Some((code, message)) = key_fault(key)
        {
            let at = span.map(|span| Pointer::File(self.source.locate(span)));
            self.errors.push(ConfigError::new(code, message).at(at));
        }
    }
}
