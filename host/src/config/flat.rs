//! Flat documents: the seed systems' files, unchanged.
//!
//! Such a file is one phase's section without a name. Two habits of the seed systems are undone
//! here: `training` keeps one block per phase, and every trainer has its own `seed`, `device`,
//! `dtype` and mixed-precision keys, which are lifted into `global` (`lifted.rs` says what becomes
//! of them there).
//!
//! Mixed precision has a switch in those systems, `amp` or `use_amp`, and `amp_dtype` is the type
//! that it would have. Here the type is the switch, so a switch that is off takes the type away
//! wherever the same file says it, in `global` too.

use std::sync::Arc;

use super::document::{Key, Node, NodeValue, join, pointer};
use super::error::{ConfigError, alike};
use super::global::{self, LEGACY_KEYS};
use super::layers::{Layer, Origin, Place};
use super::schema::{Alternatives, Schema};
use super::shape::{Section, Shaped};
use super::source::{Source, Span};
use super::{Catalogue, KnownPhase};

/// The mapping with the trainer's own settings.
pub(super) const TRAINING: &str = "training";
/// Where legacy per-trainer keys stand: at the top, or in the trainer's block under either name.
pub(super) const LEGACY_BLOCKS: [&str; 4] = ["", TRAINING, "train", "trainer"];
/// Switch mixed precision on or off beside its type.
pub(super) const SWITCHES: [&str; 2] = ["amp", "use_amp"];
/// The type of mixed precision.
const AMP_DTYPE: &str = "amp_dtype";

/// A per-trainer key that now belongs to `global`.
#[derive(Clone, Debug)]
pub(super) struct Lifted {
    /// Its key in `global`.
    pub(super) key: &'static str,
    /// Its dotted key in the file.
    pub(super) from: String,
    /// The value, in a mapping with the one key.
    pub(super) node: Node,
    /// Where it stands.
    pub(super) origin: Origin,
}

/// Makes one section of a flat document.
pub(super) fn take_apart(
    mut root: Node,
    source: &Arc<Source>,
    known: &KnownPhase,
    catalogue: &Catalogue,
    shaped: &mut Shaped,
) {
    let schema = Schema::new(&known.schema);
    let training = unwrap_training(&mut root, known, catalogue, source, shaped);
    for name in LEGACY_BLOCKS {
        let written = if name == TRAINING { training.as_str() } else { name };
        let mut lifter = Lifter { block: written, source, shaped };
        if name.is_empty() {
            lifter.lift(&mut root, &schema.top());
        } else if let NodeValue::Map(entries) = &mut root.value
            && let Some((_, node)) = entries.iter_mut().find(|(key, _)| key.text == name)
        {
            lifter.lift(node, &schema.at(&[name]));
        }
    }
    let name = known.phase.clone();
    let (phase, source) = (name.clone(), Arc::clone(source));
    let mut section = Section::new(name, phase, root, source);
    section.take_host_keys(&mut shaped.errors);
    shaped.sections.push(section);
}

/// `training: {PHASE: {…}}` is what `training: {…}` is elsewhere; returns where the file has it.
fn unwrap_training(
    root: &mut Node,
    known: &KnownPhase,
    catalogue: &Catalogue,
    source: &Source,
    shaped: &mut Shaped,
) -> String {
    let usual = TRAINING.to_owned();
    if Schema::new(&known.schema).at(&[TRAINING]).keys().contains(&known.phase.as_str()) {
        return usual;
    }
    let NodeValue::Map(entries) = &mut root.value else { return usual };
    let Some((_, training)) = entries.iter_mut().find(|(key, _)| key.text == TRAINING) else {
        return usual;
    };
    let Some((_, inner)) = training.get(&known.phase).filter(|(_, inner)| inner.is_map()) else {
        refuse_other_phases(training, known, catalogue, source, shaped);
        return usual;
    };
    let inner = inner.value.clone();
    training.take(&known.phase);
    let NodeValue::Map(rest) = std::mem::replace(&mut training.value, inner) else { return usual };
    for (key, node) in rest {
        if node.is_map() {
            let place = place_name(source, key.span);
            shaped.warnings.push(format!(
                "`{TRAINING}.{}` in `{place}` is not used: the run has only phase `{}`",
                key.text, known.phase
            ));
        } else if let NodeValue::Map(entries) = &mut training.value {
            // Beside the phases' blocks nothing is known; the check names it.
            entries.push((key, node));
        }
    }
    join(TRAINING, &known.phase)
}

/// Settings of other phases alone are those of a run that nobody asked for.
fn refuse_other_phases(
    training: &mut Node,
    known: &KnownPhase,
    catalogue: &Catalogue,
    source: &Source,
    shaped: &mut Shaped,
) {
    let NodeValue::Map(entries) = &mut training.value else { return };
    let is_other = |key: &Key, node: &Node| {
        let other =
            catalogue.phase(&key.text).filter(|other| alike(&other.phase) != alike(&known.phase));
        node.is_map() && other.is_some()
    };
    for (key, _) in entries.extract_if(.., |(key, node)| is_other(key, node)) {
        let (name, file) = (&key.text, &source.name);
        let message = format!(
            "`{file}` has settings of phase `{name}`, but phase `{}` is asked for",
            known.phase
        );
        let error = ConfigError::new("config::contradiction", message);
        let error = error.at(pointer(source, key.span)).key(join(TRAINING, name));
        shaped.errors.push(error.help(format!("`--phase {name}` runs it")));
    }
}

/// Moves the legacy keys of one block out of it.
struct Lifter<'a> {
    /// The block's dotted name in the file.
    block: &'a str,
    source: &'a Arc<Source>,
    shaped: &'a mut Shaped,
}

impl Lifter<'_> {
    /// All of them, save those that the owner of the block knows himself.
    fn lift(&mut self, block: &mut Node, place: &Alternatives<'_>) {
        let own = place.keys();
        let mut others = SWITCHES.into_iter().filter(|name| !own.contains(name));
        let switch = others.find_map(|name| block.take(name));
        let is_off =
            switch.as_ref().is_some_and(|(_, node)| matches!(node.value, NodeValue::Bool(false)));
        for name in LEGACY_KEYS.into_iter().filter(|name| !own.contains(name)) {
            match (block.take(name), &switch) {
                (Some((key, _)), Some((switch, _))) if name == AMP_DTYPE && is_off => {
                    self.say_off(&join(self.block, name), key.span, switch);
                }
                (Some((key, node)), _) => self.add(name, &key, node),
                (None, _) => {}
            }
        }
        if let Some((key, node)) = switch {
            self.switch(&key, &node);
        }
    }

    fn switch(&mut self, key: &Key, node: &Node) {
        match node.value {
            NodeValue::Bool(false) => self.switch_off(key, node),
            NodeValue::Bool(true) => {
                let (from, place) =
                    (join(self.block, &key.text), place_name(self.source, key.span));
                let is_lifted = self.shaped.lifted.iter().any(|lifted| lifted.key == AMP_DTYPE);
                self.shaped.warnings.push(if is_lifted || self.type_in_global().is_some() {
                    format!("`{from}` in `{place}` is told by `global.amp_dtype` alone; remove it")
                } else {
                    format!(
                        "`{from}` in `{place}` switches nothing on: set `global.amp_dtype` instead"
                    )
                });
            }
            _ => self.refuse_switch(key, node),
        }
    }

    fn switch_off(&mut self, key: &Key, node: &Node) {
        let off = Node { value: NodeValue::Null, span: node.span };
        let Some(stated) = self.type_in_global() else {
            return self.add(AMP_DTYPE, key, off);
        };
        self.say_off(&join(global::NAME, AMP_DTYPE), stated.span, key);
        let place =
            Place::File { source: Arc::clone(self.source), key: key.span, value: node.span };
        let off = single(AMP_DTYPE, key.span, off);
        self.shaped.globals.push((off, Origin { layer: Layer::Global, place }));
    }

    /// Where the document's own `global` says a type.
    fn type_in_global(&self) -> Option<Key> {
        let mut stated = self.shaped.globals.iter().filter_map(|(block, _)| block.get(AMP_DTYPE));
        let (key, _) = stated.find(|(_, node)| !matches!(node.value, NodeValue::Null))?;
        Some(key.clone())
    }

    fn say_off(&mut self, key: &str, span: Option<Span>, switch: &Key) {
        let (here, there) = (place_name(self.source, span), place_name(self.source, switch.span));
        self.shaped.warnings.push(format!(
            "`{key}` in `{here}` has no effect: `{}` is false in `{there}`",
            join(self.block, &switch.text)
        ));
    }

    fn refuse_switch(&mut self, key: &Key, node: &Node) {
        let found = super::describe::found(&node.to_value());
        let message = format!("expected true or false, found {found}");
        let error = ConfigError::new("config::wrong_type", message)
            .at(pointer(self.source, node.span))
            .key(join(self.block, &key.text))
            .found(found)
            .expected("true or false");
        self.shaped.errors.push(error);
    }

    fn add(&mut self, name: &'static str, key: &Key, node: Node) {
        let place =
            Place::File { source: Arc::clone(self.source), key: key.span, value: node.span };
        self.shaped.lifted.push(Lifted {
            key: name,
            from: join(self.block, &key.text),
            node: single(name, key.span, node),
            origin: Origin { layer: Layer::Legacy, place },
        });
    }
}

/// A mapping with one key.
fn single(name: &str, key: Option<Span>, node: Node) -> Node {
    let span = node.span;
    Node { value: NodeValue::Map(vec![(Key { text: name.to_owned(), span: key }, node)]), span }
}

/// `FILE:LINE` of a span.
pub(super) fn place_name(source: &Source, span: Option<Span>) -> String {
    span.map_or_else(
        || source.name.clone(),
        |span| format!("{}:{}", source.name, source.line_of(span.start)),
    )
}
