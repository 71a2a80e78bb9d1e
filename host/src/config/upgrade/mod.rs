//! Sections of older versions, brought to the version that their plugin has today.
//!
//! A plugin says what became of its keys ([`sdk::Change`]); here that is carried out on every layer
//! of a section before the layers are merged: files, bases, overrides, and the settings of a run
//! that goes on. Values keep their places, so that an error about a new key points at the old one
//! in the user's file.
//!
//! A section that states its `schema_version` gets all changes that came after it. One that does
//! not may be of any version: there a change is carried out when its old key is not one of today's.

mod carry;
mod refusals;
mod report;
mod tree;

use serde_json::Value;

use sdk::ChangeKind;

use self::carry::Layer;
use self::tree::segments;
use super::document::Node;
use super::error::{ConfigError, ConfigErrors, alike};
use super::layers::{self, Origin, Place};
use super::overrides::node_of;
use super::shape::{Section, VERSION_KEY, Version};
use super::source::Source;
use super::{KnownPhase, with_defaults};

pub(super) use self::report::{Log, told};

/// One change that was carried out.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The dotted key as it was written, relative to the section.
    pub(super) key: String,
    /// Where it was written.
    pub(super) origin: Origin,
    /// What became of it.
    pub(super) effect: Effect,
}

/// What became of a key.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// It has another name.
    Moved { to: String },
    /// Its value has another name.
    Respelled { from: Value, to: Value },
    /// It is gone, and its absence changes nothing.
    Removed { why: String },
}

/// What came of carrying changes out.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) steps: Vec<Step>,
    pub(super) errors: Vec<ConfigError>,
    /// Mappings that a move has made, where nobody wrote any.
    made: Vec<String>,
}

impl Carried {
    /// The key that was written for what now goes by a key.
    fn as_written(&self, key: &str) -> String {
        let moved = self.steps.iter().filter_map(|step| {
            let Effect::Moved { to } = &step.effect else { return None };
            Some((to.len(), format!("{}{}", step.key, rest(key, to)?)))
        });
        moved.max().map_or_else(|| key.to_owned(), |(_, written)| written)
    }

    /// Adds a move. What was moved before goes along, and what happened to one key at several
    /// versions is one step.
    fn add_move(&mut self, mut step: Step, from: &str, to: &str) {
        step.key = self.as_written(from);
        let is_new = !self.made.iter().any(|made| made == from);
        for made in &mut self.made {
            if let Some(rest) = rest(made, from) {
                *made = format!("{to}{rest}");
            }
        }
        let mut is_known = false;
        for earlier in &mut self.steps {
            if let Effect::Moved { to: place } = &mut earlier.effect
                && let Some(rest) = rest(place, from)
            {
                is_known |= rest.is_empty();
                *place = format!("{to}{rest}");
            }
        }
        if is_new && !is_known {
            self.steps.push(step);
        }
    }

    /// Adds a step that is no move.
    fn add(&mut self, mut step: Step) {
        step.key = self.as_written(&step.key);
        if matches!(step.effect, Effect::Removed { .. }) {
            self.steps.retain(|earlier| earlier.key != step.key);
        }
        self.steps.push(step);
    }
}

/// What a dotted key has behind another one that leads to it.
fn rest<'a>(key: &'a str, parent: &str) -> Option<&'a str> {
    key.strip_prefix(parent).filter(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Brings a section of a document to today's version.
///
/// # Errors
/// When that cannot be done; of a section whose version is not known nothing else can be said.
pub(super) fn section(
    section: &mut Section,
    known: &KnownPhase,
) -> Result<Vec<ConfigError>, Box<ConfigError>> {
    let stated = section.version.take();
    if let Some(stated) = &stated
        && stated.number > known.version
    {
        let error = refusals::newer_plugin(&section.name, known, stated, &section.source);
        return Err(Box::new(error));
    }
    let origin = section.origin(layers::Layer::File);
    let stated = stated.map(|stated| stated.number);
    let layer = Layer { known, name: &section.name, stated, origin: &origin };
    let carried = layer.carry_out(&mut section.node);
    section.steps = carried.steps;
    Ok(carried.errors)
}

/// An override's path with old keys spelled the way the plugin once spelled them.
pub(super) fn spell_old(path: &[String], known: &KnownPhase) -> Vec<String> {
    let keys = known.changes.iter().filter_map(|change| match &change.kind {
        ChangeKind::Moved { from: key, .. }
        | ChangeKind::Respelled { key, .. }
        | ChangeKind::Removed { key, .. } => Some(segments(key)),
        ChangeKind::Implied { .. } | ChangeKind::Unknown => None,
    });
    let mut spelled = path.to_vec();
    for old in keys.filter(|old| are_alike(path, old)) {
        let shared = old.len().min(path.len());
        spelled.splice(..shared, old[..shared].iter().cloned());
    }
    spelled
}

/// Whether one path leads to the other, or to something in it; `-` and `_` are alike.
fn are_alike(one: &[String], other: &[String]) -> bool {
    one.iter().zip(other).all(|(a, b)| alike(a) == alike(b))
}

/// Brings what an override sets to today's version.
pub(super) fn input(node: &mut Node, name: &str, known: &KnownPhase, origin: &Origin) -> Carried {
    Layer { known, name, stated: None, origin }.carry_out(node)
}

/// Brings a section that a run has stored to today's version: without the version that it states,
/// and with the defaults of keys that came later.
///
/// # Errors
/// When the section is of a newer version, or has a setting that is gone and was meant to do
/// something.
pub fn stored(section: &Value, name: &str, known: &KnownPhase) -> Result<Value, ConfigErrors> {
    let Value::Object(mut map) = section.clone() else {
        return Ok(section.clone());
    };
    let stated = map.remove(VERSION_KEY).and_then(|version| version.as_u64());
    let stated = stated.map(|version| u32::try_from(version).unwrap_or(u32::MAX));
    let source = Source::new("the settings of the run", "");
    if let Some(number) = stated.filter(|number| *number > known.version) {
        let stated = Version { number, span: None };
        return Err(refusals::newer_plugin(name, known, &stated, &source).into());
    }
    let phase = map.remove("phase");
    let place = Place::File { source, key: None, value: None };
    let origin = Origin { layer: layers::Layer::File, place };
    let mut node = node_of(&Value::Object(map));
    let carried = Layer { known, name, stated, origin: &origin }.carry_out(&mut node);
    if !carried.errors.is_empty() {
        let way_out = "go on with the version of the plugin that the run was started with";
        let errors = carried.errors.into_iter().map(|error| error.help(way_out));
        return Err(ConfigErrors(errors.collect()));
    }
    let mut section = with_defaults(node.to_value(), known);
    if let (Some(map), Some(phase)) = (section.as_object_mut(), phase) {
        map.insert("phase".to_owned(), phase);
    }
    Ok(section)
}

#[cfg(test)]
pub(super) mod tests;
