//! Layers of settings merged into one value, with the memory of who set what.
//!
//! The precedence stands here and nowhere else. Lowest first:
//!
//! 1. the defaults of the plugin, or of the host for `global`; they fill what all others leave out;
//! 2. what a section `extends`, the far end of the chain first;
//! 3. the profile or the file; for `global` that is what flat files keep per trainer, and then the
//!    `global` blocks of a pipeline's parts;
//! 4. the `global` block;
//! 5. `HOST_…` variables, which set keys of `global` only;
//! 6. `--set KEY=VALUE` and `KEY=VALUE`, in the order typed;
//! 7. flags of their own, as `--seed`.
//!
//! Mappings merge key by key, everything else is replaced whole, and so is a mapping that the schema
//! marks `x-replace`. Every assignment is kept, including the overruled ones, so that a later
//! question "where does this come from" has its whole answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::document::{Node, NodeValue};
use super::error::Pointer;
use super::schema::{Alternatives, Schema};
use super::source::{Source, Span};

/// The layers a setting may come from, lowest first; defaults lie below them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// The section that a section `extends`.
    Extends,
    /// What an old file keeps per trainer and `global` has now.
    Legacy,
    /// The profile or the file.
    File,
    /// The `global` block.
    Global,
    /// A `HOST_…` variable.
    Environment,
    /// `--set` or `KEY=VALUE`.
    Override,
    /// A flag of its own, as `--seed`.
    Flag,
}

/// Where a setting was written.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In a file.
    File {
        /// The file.
        source: Arc<Source>,
        /// The place of the key.
        key: Option<Span>,
        /// The place of the value.
        value: Option<Span>,
    },
    /// On the command line as `KEY=VALUE`; positions count from 1.
    Override {
        /// Which of the overrides.
        position: usize,
        /// As it was typed.
        text: String,
    },
    /// On the command line as a flag of its own.
    Flag {
        /// The flag with its dashes.
        name: String,
        /// Its value.
        text: String,
    },
    /// In the environment.
    Environment {
        /// The variable.
        variable: String,
        /// Its value.
        text: String,
    },
}

/// A layer and the place in it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The layer.
    pub(super) layer: Layer,
    /// The place.
    pub(super) place: Place,
}

/// What of an assignment an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

/// Settings of one section with everything that led to them.
#[derive(Clone, Debug)]
pub(super) struct Layered {
    value: Value,
    assignments: BTreeMap<Vec<String>, Vec<Assignment>>,
    layers_applied: usize,
    topmost: Option<Layer>,
}

/// What one layer did to a setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    /// The layer and the place.
    pub(super) origin: &'a Origin,
    /// The value as it was written; nothing where the layer replaced a mapping whole and left the
    /// setting out of it.
    pub(super) value: Option<&'a Value>,
}

#[derive(Clone, Debug)]
struct Assignment {
    order: usize,
    origin: Origin,
    value: Value,
    /// Whether it did away with what lower layers had put there and below.
    replaces: bool,
}

impl Default for Layered {
    fn default() -> Self {
        let value = Value::Object(Map::new());
        Self { value, assignments: BTreeMap::new(), layers_applied: 0, topmost: None }
    }
}

impl Layered {
    /// Puts one more layer on top.
    pub(super) fn apply(&mut self, node: &Node, origin: &Origin, schema: Schema<'_>) {
        debug_assert!(self.topmost <= Some(origin.layer), "layers come lowest first");
        self.topmost = Some(origin.layer);
        self.layers_applied += 1;
        let mut value = std::mem::take(&mut self.value);
        self.merge(&mut value, node, &mut Vec::new(), origin, &schema.top());
        self.value = value;
    }

    /// The merged settings.
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// The merged settings, to be brought into canonical form in place.
    pub(super) fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    /// Who gave the value at a path; a key inside a value that was set whole belongs to its setter.
    pub(super) fn origin(&self, path: &[String]) -> Option<&Origin> {
        self.winner(path).map(|assignment| &assignment.origin)
    }

    /// Every layer that had a say in the value at a path, lowest first; the last one counts.
    pub(super) fn history(&self, path: &[String]) -> Vec<Step<'_>> {
        let own = self.assignments.get(path).map(Vec::as_slice).unwrap_or_default();
        let is_own = |order| own.iter().any(|assignment| assignment.order == order);
        let was_set = |order| own.first().is_some_and(|first| first.order < order);
        let above = (0..path.len()).filter_map(|len| self.assignments.get(&path[..len])).flatten();
        let removed = above
            .filter(|above| above.replaces && was_set(above.order) && !is_own(above.order))
            .map(|above| (above.order, Step { origin: &above.origin, value: None }));
        let set = own
            .iter()
            .map(|own| (own.order, Step { origin: &own.origin, value: Some(&own.value) }));
        let mut steps: Vec<(usize, Step<'_>)> = set.chain(removed).collect();
        steps.sort_by_key(|(order, _)| *order);
        // A layer that replaced mappings at several depths did so once.
        steps.dedup_by_key(|(order, _)| *order);
        steps.into_iter().map(|(_, step)| step).collect()
    }

    /// The place that an error about a path points at.
    pub(super) fn pointer(&self, path: &[String], part: Part) -> Option<Pointer> {
        let nearest =
            (0..=path.len()).rev().find_map(|len| self.winner(&path[..len]).map(|hit| (len, hit)));
        let (len, assignment) = nearest?;
        if len == path.len() {
            return Some(assignment.origin.place.pointer(part));
        }
        // Of a mapping that lacks the key, its name says more than its whole extent.
        let assignment = self.holder(&path[..len]).unwrap_or(assignment);
        Some(assignment.origin.place.pointer(Part::Key))
    }

    fn merge(
        &mut self,
        target: &mut Value,
        node: &Node,
        path: &mut Vec<String>,
        origin: &Origin,
        schema: &Alternatives<'_>,
    ) {
        let replaces = !node.is_map() || !target.is_object() || schema.is_replaced_whole();
        self.record(path, node, origin, replaces);
        if replaces {
            *target = if node.is_map() { Value::Object(Map::new()) } else { node.to_value() };
        }
        if let NodeValue::List(items) = &node.value {
            for (idx, item) in items.iter().enumerate() {
                path.push(idx.to_string());
                self.record_all(path, item, &origin.within(None, item.span));
                path.pop();
            }
        }
        for (key, child) in node.entries() {
            let Value::Object(map) = &mut *target else {
                return;
            };
            let child_origin = origin.within(key.span, child.span);
            let slot = map.entry(key.text.clone()).or_insert(Value::Null);
            path.push(key.text.clone());
            self.merge(slot, child, path, &child_origin, &schema.child(&key.text));
            path.pop();
        }
    }

    /// Keeps the places of everything in a list item, which is never merged.
    fn record_all(&mut self, path: &mut Vec<String>, node: &Node, origin: &Origin) {
        self.record(path, node, origin, true);
        for (key, child) in node.entries() {
            path.push(key.text.clone());
            self.record_all(path, child, &origin.within(key.span, child.span));
            path.pop();
        }
        if let NodeValue::List(items) = &node.value {
            for (idx, item) in items.iter().enumerate() {
                path.push(idx.to_string());
                self.record_all(path, item, &origin.within(None, item.span));
                path.pop();
            }
        }
    }

    fn record(&mut self, path: &[String], node: &Node, origin: &Origin, replaces: bool) {
        let assignment = Assignment {
            order: self.layers_applied,
            origin: origin.clone(),
            value: node.to_value(),
            replaces,
        };
        self.assignments.entry(path.to_vec()).or_default().push(assignment);
    }

    /// Who wrote the mapping at a path, rather than typed one of its keys.
    fn holder(&self, path: &[String]) -> Option<&Assignment> {
        let wrote = |assignment: &&Assignment| {
            assignment.replaces || matches!(assignment.origin.place, Place::File { .. })
        };
        self.assignments.get(path)?.iter().rev().find(wrote)
    }

    /// The last assignment at the path, or a later one above it that replaced everything below.
    fn winner(&self, path: &[String]) -> Option<&Assignment> {
        let last = |len: usize| self.assignments.get(&path[..len]).and_then(|all| all.last());
        let above = (0..path.len()).filter_map(last).filter(|assignment| assignment.replaces);
        let own = last(path.len());
        let above = above.max_by_key(|assignment| assignment.order);
        match (own, above) {
            (Some(own), Some(above)) if above.order > own.order => Some(above),
            (None, Some(above)) if !above.value.is_object() => Some(above),
            (own, _) => own,
        }
    }
}

impl Origin {
    /// The origin of a part of what this origin set.
    pub(super) fn within(&self, key: Option<Span>, value: Option<Span>) -> Self {
        let place = match &self.place {
            Place::File { source, .. } => Place::File { source: Arc::clone(source), key, value },
            other => other.clone(),
        };
        Self { layer: self.layer, place }
    }
}

impl Origin {
    /// The layer's name, for tools.
    pub(super) fn layer_name(&self) -> &'static str {
        match self.layer {
            Layer::Extends => "extends",
            Layer::Legacy => "legacy",
            Layer::File => "file",
            Layer::Global => "global",
            Layer::Environment => "environment",
            Layer::Override => "override",
            Layer::Flag => "flag",
        }
    }

    /// The place with everything that was typed there.
    pub(super) fn in_full(&self) -> String {
        match self.place.pointer(Part::Key) {
            Pointer::File(at) => {
                format!("{}:{}:{}", self.in_words(&at.file), at.line, at.column)
            }
            Pointer::Input(name) if matches!(self.place, Place::File { .. }) => {
                self.in_words(&name)
            }
            Pointer::Input(typed) => typed,
        }
    }

    fn in_words(&self, source: &str) -> String {
        if self.layer == Layer::Extends { format!("base {source}") } else { file_in_words(source) }
    }
}

/// A source as an origin names it: `file run.toml`, `plugin NAME: PROFILE.toml`.
pub(super) fn file_in_words(source: &str) -> String {
    if source.starts_with("plugin ") { source.to_owned() } else { format!("file {source}") }
}

impl Place {
    /// The byte of a file at which it begins; 0 for what is in no file.
    pub(super) fn start(&self) -> usize {
        match self {
            Self::File { key, value, .. } => key.or(*value).map_or(0, |span| span.start),
            _ => 0,
        }
    }

    /// The place as an error shows it.
    pub(super) fn pointer(&self, part: Part) -> Pointer {
        match self {
            Self::File { source, key, value } => {
                let is_key = part == Part::Key || begins_below(source, *key, *value);
                let span = if is_key { key.or(*value) } else { value.or(*key) };
                span.map_or_else(
                    || Pointer::Input(source.name.clone()),
                    |span| Pointer::File(source.locate(span)),
                )
            }
            Self::Override { position, text } => {
                Pointer::Input(format!("override {position}: {text}"))
            }
            Self::Flag { name, text } => Pointer::Input(format!("flag {name} {text}")),
            Self::Environment { variable, text } => {
                Pointer::Input(format!("environment {variable}={text}"))
            }
        }
    }
}

/// Whether a value is a block below its key, of which only the first character has a place: the
/// key's name says more than that.
fn begins_below(source: &Source, key: Option<Span>, value: Option<Span>) -> bool {
    let (Some(key), Some(value)) = (key, value) else { return false };
    let between = Span { start: key.end, end: value.start };
    value.end - value.start <= 1 && source.slice(between).contains('\n')
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { source, key, value } => {
                f.write_str(&self.in_words(&source.name))?;
                match key.or(*value) {
                    Some(span) => write!(f, ":{}", source.line_of(span.start)),
                    None => Ok(()),
                }
            }
            Place::Override { position, .. } => write!(f, "override {position}"),
            Place::Flag { name, .. } => write!(f, "flag {name}"),
            Place::Environment { variable, .. } => write!(f, "environment {variable}"),
        }
    }
}
