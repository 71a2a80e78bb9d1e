//! Settings that come from outside the document, and the section each of them is for.

use super::describe;
use super::error::{ConfigError, alike, listed, nearest_help};
use super::global;
use super::layers::{Layer, Layered, Origin, Part, Place};
use super::overrides::{self, Typed};
use super::schema::Schema;
use super::shape::Section;
use super::upgrade::{self, Log};
use super::{KnownPhase, Request};

/// One setting on its way to a section.
#[derive(Clone, Debug)]
pub(super) struct Input {
    path: Vec<String>,
    value: Typed,
    origin: Origin,
}

impl Input {
    /// Puts the setting on top of the other layers of `global`.
    pub(super) fn apply(&self, settings: &mut Layered, schema: Schema<'_>) {
        settings.apply(&self.value.at_path(&self.path, schema), &self.origin, schema);
    }

    /// Puts the setting on top of a section's other layers, under today's names; returns what is
    /// wrong with its old ones.
    pub(super) fn apply_to(
        &self,
        settings: &mut Layered,
        name: &str,
        known: &KnownPhase,
        log: &mut Log,
    ) -> Vec<ConfigError> {
        let schema = Schema::new(&known.schema);
        let path = upgrade::spell_old(&self.path, known);
        let mut node = self.value.at_path(&path, schema);
        let carried = upgrade::input(&mut node, name, known, &self.origin);
        self.value.refit(&mut node, &schema.top());
        settings.apply(&node, &self.origin, schema);
        log.add_input(&carried.steps, &path.join("."));
        carried.errors
    }
}

/// What a setting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Global,
    /// The n-th section of the document.
    Section(usize),
}

/// The variables, overrides and flags of a request, lowest layer first.
pub(super) fn gather(request: &Request, errors: &mut Vec<ConfigError>) -> Vec<Input> {
    let mut inputs = from_environment(&request.environment);
    for (idx, text) in request.overrides.iter().enumerate() {
        match overrides::parse(idx + 1, text) {
            Ok(parsed) => {
                let place = Place::Override { position: parsed.position, text: parsed.text };
                let origin = Origin { layer: Layer::Override, place };
                inputs.push(Input { path: parsed.path, value: parsed.value, origin });
            }
            Err(error) => errors.push(*error),
        }
    }
    for flag in &request.flags {
        let text = describe::literal(&flag.value);
        let place = Place::Flag { name: flag.name.clone(), text };
        let path = flag.key.split('.').map(str::to_owned).collect();
        let origin = Origin { layer: Layer::Flag, place };
        inputs.push(Input { path, value: Typed::given(&flag.value), origin });
    }
    inputs
}

fn from_environment(environment: &[(String, String)]) -> Vec<Input> {
    let set = global::from_environment(environment).into_iter();
    set.map(|(key, variable, text)| {
        // A device or a name may begin like a list; here nothing needs to be one.
        let value = Typed::read(text).unwrap_or_else(|_| Typed::given(&text.into()));
        let place = Place::Environment { variable: variable.to_owned(), text: text.to_owned() };
        let origin = Origin { layer: Layer::Environment, place };
        Input { path: vec![global::NAME.to_owned(), key], value, origin }
    })
    .collect()
}

/// Sends every input to `global` or to a section; the paths lose the segment that said so.
///
/// `is_whole` tells that the document had no faults: a section that could not be made sense of is
/// not an override's fault.
pub(super) fn route(
    inputs: Vec<Input>,
    sections: &[Section],
    is_whole: bool,
    errors: &mut Vec<ConfigError>,
) -> Vec<(Target, Input)> {
    let mut routed = Vec::new();
    let names: Vec<(&str, &str)> =
        sections.iter().map(|section| (&*section.name, &*section.phase)).collect();
    for mut input in inputs {
        let first = input.path.first().cloned().unwrap_or_default();
        match target(&first, &names) {
            Some(_) if input.path.len() == 1 && !input.value.is_map() => {
                errors.push(not_a_setting(&first, &input));
            }
            Some(target) => {
                input.path.remove(0);
                routed.push((target, input));
            }
            None if sections.len() == 1 => routed.push((Target::Section(0), input)),
            None if is_whole => errors.push(unknown_target(&first, &input, sections)),
            None => {}
        }
    }
    routed
}

/// The addressee of a path's first segment: `global`, an instance, or the only one of a phase.
/// `sections` are the names of the instances and of their phases.
pub(super) fn target(first: &str, sections: &[(&str, &str)]) -> Option<Target> {
    if alike(first) == global::NAME {
        return Some(Target::Global);
    }
    if let Some(idx) = sections.iter().position(|(name, _)| alike(name) == alike(first)) {
        return Some(Target::Section(idx));
    }
    let mut of_phase = (0..sections.len()).filter(|idx| alike(sections[*idx].1) == alike(first));
    of_phase.next().filter(|_| of_phase.next().is_none()).map(Target::Section)
}

fn not_a_setting(section: &str, input: &Input) -> ConfigError {
    ConfigError::new("config::wrong_type", format!("`{section}` is a section, not a setting"))
        .at(input.origin.place.pointer(Part::Value))
        .key(section)
        .expected(format!("a key in it, as `{section}.KEY=VALUE`, or a mapping"))
}

fn unknown_target(first: &str, input: &Input, sections: &[Section]) -> ConfigError {
    let known = || sections.iter().map(|section| section.name.as_str()).chain([global::NAME]);
    let near = nearest_help(first, known());
    ConfigError::new("config::unknown_key", format!("unknown phase `{first}` in an override's key"))
        .at(input.origin.place.pointer(Part::Key))
        .key(input.path.join("."))
        .expected(format!("a key that begins with one of {}", listed(known())))
        .maybe_help(near)
}
