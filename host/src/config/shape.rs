//! Which of its shapes a document has, and its sections in that shape.
//!
//! A *sectioned* document names its phases; a *flat* one belongs to a single phase that is named
//! elsewhere (`flat.rs`); a *pipeline* document points at one flat file per phase. Whatever comes
//! in, [`Shaped`] comes out: parts of `global` and an ordered list of sections, nothing left over.

use std::sync::Arc;

use super::document::{Document, Key, Node, NodeValue, pointer};
use super::error::{ConfigError, nearest_help};
use super::flat::{self, Lifted};
use super::layers::{Layer, Origin, Place};
use super::limits::SECTIONS_MAX;
use super::profile::{self, as_map};
use super::refusals::{
    missing_order, no_phase, not_listed, order_not_a_list, phase_twice, unknown_phase, wrong_type,
};
use super::schema::Schema;
use super::source::{Source, Span};
use super::upgrade::{self, Step};
use super::{Catalogue, global};

/// The key of a file with the order of its phases.
pub(super) const PHASES: &str = "phases";
/// The key of a section that says of which version of its plugin's schema it is.
pub const VERSION_KEY: &str = "schema_version";

/// A document taken apart.
#[derive(Debug, Default)]
pub(super) struct Shaped {
    pub(super) globals: Vec<(Node, Origin)>,
    pub(super) lifted: Vec<Lifted>,
    pub(super) sections: Vec<Section>,
    pub(super) warnings: Vec<String>,
    pub(super) errors: Vec<ConfigError>,
}

/// One phase instance as written in a document.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// The instance's name; the phase's own where there is only one of it.
    pub(super) name: String,
    /// The phase, spelled the catalogue's way.
    pub(super) phase: String,
    /// The settings, without the keys that the host reads itself.
    pub(super) node: Node,
    pub(super) source: Arc<Source>,
    /// Where the section's name stands; absent in a flat document.
    pub(super) key: Option<Span>,
    pub(super) extends: Option<(String, Option<Span>)>,
    /// The version that it states, until it is brought to today's.
    pub(super) version: Option<Version>,
    /// What it took to bring it to today's version.
    pub(super) steps: Vec<Step>,
}

/// The version of its schema that a section states.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) number: u32,
    pub(super) span: Option<Span>,
}

impl Section {
    /// The origin of the section as a whole.
    pub(super) fn origin(&self, layer: Layer) -> Origin {
        let value = self.key.and(self.node.span);
        Origin {
            layer,
            place: Place::File { source: Arc::clone(&self.source), key: self.key, value },
        }
    }

    /// Takes out the keys of a section that the host reads itself.
    pub(super) fn take_host_keys(&mut self, errors: &mut Vec<ConfigError>) {
        let mut refuse = |key: &str, node: &Node, expected: &str| {
            let error = wrong_type(&self.source, node, expected);
            errors.push(error.key(format!("{}.{key}", self.name)));
        };
        if let Some((key, node)) = self.node.take("extends") {
            match node.as_str() {
                Some(base) => self.extends = Some((base.to_owned(), node.span)),
                None => refuse(&key.text, &node, "a profile's name or a file"),
            }
        }
        if let Some((key, node)) = self.node.take(VERSION_KEY) {
            match node.to_value().as_u64().and_then(|number| u32::try_from(number).ok()) {
                Some(number) => self.version = Some(Version { number, span: node.span }),
                None => refuse(&key.text, &node, "the number of a version, as 1"),
            }
        }
    }

    /// A section of a document that has no name in it.
    pub(super) fn new(name: String, phase: String, node: Node, source: Arc<Source>) -> Self {
        let (key, extends, version, steps) = (None, None, None, Vec::new());
        Self { name, phase, node, source, key, extends, version, steps }
    }
}

/// Takes a document apart, and brings its sections to today's versions; `phase` is the one that a
/// flat document belongs to.
pub(super) fn shape(document: &Document, phase: Option<&str>, catalogue: &Catalogue) -> Shaped {
    let mut shaped = shape_part_or_whole(document, phase, catalogue, false);
    let Shaped { sections, errors, .. } = &mut shaped;
    sections.retain_mut(|section| {
        let Some(known) = catalogue.phase(&section.phase) else { return true };
        match upgrade::section(section, known) {
            Ok(more) => errors.extend(more),
            Err(error) => {
                errors.push(*error);
                return false;
            }
        }
        true
    });
    shaped
}

/// The same for a part of a pipeline, which is not a pipeline itself.
pub(super) fn shape_part_or_whole(
    document: &Document,
    phase: Option<&str>,
    catalogue: &Catalogue,
    is_part: bool,
) -> Shaped {
    let mut shaper = Shaper { source: &document.source, catalogue, shaped: Shaped::default() };
    let mut root = document.root.clone();
    root.take("$schema");
    root.take(profile::BLOCK);
    if let Some((key, node)) = root.take(global::NAME) {
        let place =
            Place::File { source: Arc::clone(shaper.source), key: key.span, value: node.span };
        shaper.shaped.globals.push((as_map(&node), Origin { layer: Layer::Global, place }));
    }
    if !is_part && shaper.is_pipeline(&root, phase) {
        shaper.pipeline(&root);
    } else if shaper.is_sectioned(&root, phase) {
        shaper.sectioned(root);
    } else {
        shaper.flat(root, phase);
    }
    shaper.shaped
}

/// A document on its way to being taken apart.
pub(super) struct Shaper<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) catalogue: &'a Catalogue,
    pub(super) shaped: Shaped,
}

impl Shaper<'_> {
    fn is_sectioned(&self, root: &Node, phase: Option<&str>) -> bool {
        let own_keys = self.own_keys(phase);
        root.get(PHASES).is_some_and(|_| !own_keys.contains(&PHASES))
            || root.entries().iter().any(|(key, node)| {
                let is_section =
                    self.catalogue.phase(&key.text).is_some() || node.get("phase").is_some();
                is_section && as_map(node).is_map() && !own_keys.contains(&key.text.as_str())
            })
    }

    /// The top-level keys of the phase that the document may belong to as a whole.
    pub(super) fn own_keys(&self, phase: Option<&str>) -> Vec<&str> {
        let known = phase.and_then(|phase| self.catalogue.phase(phase));
        known.map(|known| Schema::new(&known.schema).top().keys()).unwrap_or_default()
    }

    fn sectioned(&mut self, mut root: Node) {
        let order = root.take(PHASES);
        let keys = root.entries().iter().map(|(key, _)| key.text.clone());
        let names: Vec<String> = keys.filter(|key| key != VERSION_KEY).collect();
        let NodeValue::Map(entries) = root.value else {
            return;
        };
        let mut sections: Vec<Section> = entries
            .into_iter()
            .filter_map(|(key, node)| {
                let section = self.section(&key, &node);
                section.map_err(|error| self.shaped.errors.push(*error)).ok()
            })
            .collect();
        match order {
            Some((_, order)) => self.put_in_order(&order, &names, sections),
            None => {
                if sections.len() > 1 {
                    self.shaped.errors.push(missing_order(&sections));
                }
                self.shaped.sections.append(&mut sections);
            }
        }
    }

    fn section(&mut self, key: &Key, node: &Node) -> Result<Section, Box<ConfigError>> {
        let mut node = as_map(node);
        let at_key = pointer(self.source, key.span);
        if !node.is_map() {
            return Err(Box::new(match self.catalogue.phase(&key.text) {
                Some(_) => wrong_type(self.source, &node, "a mapping").key(&key.text),
                None => self.unknown_section(&key.text).at(at_key),
            }));
        }
        let phase = match node.take("phase") {
            None => self
                .catalogue
                .phase(&key.text)
                .ok_or_else(|| self.unknown_section(&key.text).at(at_key.clone()))?,
            Some((_, named)) => self.named_phase(key, &named)?,
        };
        if !is_file_name(&key.text) {
            return Err(Box::new(
                ConfigError::new(
                    "config::bad_name",
                    format!("`{}` cannot name a phase of a run", key.text),
                )
                .at(at_key)
                .key(&key.text)
                .expected("letters, digits, `-` and `_`"),
            ));
        }
        let (name, source) = (key.text.clone(), Arc::clone(self.source));
        let phase = phase.phase.clone();
        let mut section = Section::new(name, phase, node, source);
        section.key = key.span;
        section.take_host_keys(&mut self.shaped.errors);
        Ok(section)
    }

    /// The phase that a section says it is of.
    fn named_phase(&self, key: &Key, named: &Node) -> Result<&super::KnownPhase, Box<ConfigError>> {
        let dotted = format!("{}.phase", key.text);
        let Some(name) = named.as_str() else {
            return Err(Box::new(wrong_type(self.source, named, "a phase's name").key(dotted)));
        };
        let at = pointer(self.source, named.span);
        let phase = self
            .catalogue
            .phase(name)
            .ok_or_else(|| unknown_phase(self.catalogue, name).at(at.clone()).key(&dotted))?;
        match self.catalogue.phase(&key.text) {
            Some(other) if other.phase != phase.phase => Err(Box::new(
                ConfigError::new(
                    "config::contradiction",
                    format!(
                        "section `{}` has the name of another phase than its `phase: {name}`",
                        key.text
                    ),
                )
                .at(at)
                .key(dotted)
                .help("give the section a name of its own"),
            )),
            _ => Ok(phase),
        }
    }

    fn put_in_order(&mut self, order: &Node, names: &[String], mut sections: Vec<Section>) {
        let NodeValue::List(items) = &order.value else {
            self.shaped.errors.push(order_not_a_list(self.source, order).key(PHASES));
            self.shaped.sections = sections;
            return;
        };
        if items.len() > SECTIONS_MAX {
            let message = format!("`{PHASES}` names more than {SECTIONS_MAX} phases");
            let error = ConfigError::new("config::too_large", message);
            let at = pointer(self.source, order.span.map(Span::first_byte));
            return self.shaped.errors.push(error.at(at).key(PHASES));
        }
        let mut listed_names: Vec<&str> = Vec::new();
        for item in items {
            let at = pointer(self.source, item.span);
            let Some(name) = item.as_str() else {
                self.shaped
                    .errors
                    .push(wrong_type(self.source, item, "a phase's name").key(PHASES));
                continue;
            };
            if listed_names.contains(&name) {
                self.shaped.errors.push(phase_twice(name).at(at).key(PHASES));
                continue;
            }
            listed_names.push(name);
            if let Some(idx) = sections.iter().position(|section| section.name == name) {
                self.shaped.sections.push(sections.remove(idx));
            } else if !names.iter().any(|known| known == name) {
                self.without_section(name, item.span, names);
            }
        }
        if items.is_empty() {
            let at = pointer(self.source, order.span);
            self.shaped.errors.push(
                ConfigError::new("config::no_phases", "`phases` names no phase").at(at).key(PHASES),
            );
        }
        for section in sections {
            self.shaped.errors.push(not_listed(&section, &listed_names));
        }
    }

    /// A listed phase without a section runs with its plugin's defaults.
    fn without_section(&mut self, name: &str, span: Option<Span>, names: &[String]) {
        let Some(known) = self.catalogue.phase(name) else {
            let near = nearest_help(name, names.iter().map(String::as_str));
            let error =
                unknown_phase(self.catalogue, name).at(pointer(self.source, span)).key(PHASES);
            return self.shaped.errors.push(error.maybe_help(near));
        };
        let node = Node { value: NodeValue::Map(Vec::new()), span };
        let (source, phase) = (Arc::clone(self.source), known.phase.clone());
        let section = Section::new(name.to_owned(), phase, node, source);
        self.shaped.sections.push(Section { key: span, ..section });
    }

    fn flat(&mut self, root: Node, phase: Option<&str>) {
        let Some(phase) = phase else {
            return self.shaped.errors.push(no_phase(self.source, &root, self.catalogue));
        };
        let Some(known) = self.catalogue.phase(phase) else {
            return self.shaped.errors.push(unknown_phase(self.catalogue, phase));
        };
        flat::take_apart(root, self.source, known, self.catalogue, &mut self.shaped);
    }

    fn unknown_section(&self, name: &str) -> ConfigError {
        let error = unknown_phase(self.catalogue, name);
        if name == VERSION_KEY {
            let message = format!("`{VERSION_KEY}` is a key of a section, not of a file");
            return ConfigError { message, expected: None, help: None, ..error }.key(name);
        }
        ConfigError { message: format!("unknown section `{name}`: {}", error.message), ..error }
            .key(name)
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
