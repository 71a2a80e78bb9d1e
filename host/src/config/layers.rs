//! Layers of settings merged into one value, with the memory of who set what.
//!
//! Layers are applied lowest first. Mappings merge key by key, everything else is replaced whole,
//! and so is a mapping that the schema marks `x-replace`. Every assignment is kept, including the
//! overruled ones, so that a later question "where does this come from" has its whole answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::document::{Node, NodeValue};
use super::error::Pointer;
use super::schema::{Alternatives, Schema};
use super::source::{Source, Span};

/// The layers a setting may come from, lowest first; a plugin's own defaults lie below them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// The section that a section `extends`.
    Extends,
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
        Self { value: Value::Object(Map::new()), assignments: BTreeMap::new(), layers_applied: 0 }
    }
}

impl Layered {
    /// Puts one more layer on top.
    pub(super) fn apply(&mut self, node: &Node, origin: &Origin, schema: Schema<'_>) {
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

    /// Every layer that gave a value for exactly this path, lowest first.
    pub(super) fn history(&self, path: &[String]) -> Vec<(&Origin, &Value)> {
        let all = self.assignments.get(path).into_iter().flatten();
        all.map(|assignment| (&assignment.origin, &assignment.value)).collect()
    }

    /// The place that an error about a path points at.
    pub(super) fn pointer(&self, path: &[String], part: Part) -> Option<Pointer> {
        let nearest =
            (0..=path.len()).rev().find_map(|len| self.winner(&path[..len]).map(|hit| (len, hit)));
        let (len, assignment) = nearest?;
        // Of a mapping that lacks the key, its name says more than its whole extent.
        let part = if len < path.len() { Part::Key } else { part };
        Some(assignment.origin.place.pointer(part))
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
                self.record(path, item, &origin.within(None, item.span), true);
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

    fn record(&mut self, path: &[String], node: &Node, origin: &Origin, replaces: bool) {
        let assignment = Assignment {
            order: self.layers_applied,
            origin: origin.clone(),
            value: node.to_value(),
            replaces,
        };
        self.assignments.entry(path.to_vec()).or_default().push(assignment);
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
    fn within(&self, key: Option<Span>, value: Option<Span>) -> Self {
        let place = match &self.place {
            Place::File { source, .. } => Place::File { source: Arc::clone(source), key, value },
            other => other.clone(),
        };
        Self { layer: self.layer, place }
    }
}

impl Place {
    /// The place as an error shows it.
    pub(super) fn pointer(&self, part: Part) -> Pointer {
        match self {
            Self::File { source, key, value } => {
                let span = if part == Part::Key { key.or(*value) } else { value.or(*key) };
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

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { source, key, value } => {
                let word = if self.layer == Layer::Extends { "base" } else { "file" };
                write!(f, "{word} {}", source.name)?;
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
