//! Flat documents: the seed systems' files, unchanged.
//!
//! Such a file is one phase's section without a name. Two habits of the seed systems are undone
//! here: `training` keeps one block per phase, and every trainer has its own `seed`, `device`,
//! `dtype` and mixed-precision keys, which are lifted into `global` with a warning.

use std::sync::Arc;

use super::KnownPhase;
use super::document::{Key, Node, NodeValue, join, pointer};
use super::error::ConfigError;
use super::global::LEGACY_KEYS;
use super::layers::{Layer, Origin, Place};
use super::schema::{Alternatives, Schema};
use super::shape::{Section, Shaped};
use super::source::{Source, Span};

/// The mapping with the trainer's own settings.
const TRAINING: &str = "training";
/// Where legacy per-trainer keys stand: at the top, or in the trainer's block under either name.
const LEGACY_BLOCKS: [&str; 4] = ["", TRAINING, "train", "trainer"];
/// Switches mixed precision on or off beside `amp_dtype`.
const AMP: &str = "amp";

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
    shaped: &mut Shaped,
) {
    let schema = Schema::new(&known.schema);
    unwrap_training(&mut root, known, source, shaped);
    for block in LEGACY_BLOCKS {
        if block.is_empty() {
            lift(&mut root, block, &schema.top(), source, shaped);
        } else if let NodeValue::Map(entries) = &mut root.value
            && let Some((_, node)) = entries.iter_mut().find(|(key, _)| key.text == block)
        {
            lift(node, block, &schema.at(&[block]), source, shaped);
        }
    }
    let name = known.phase.clone();
    let (phase, source) = (name.clone(), Arc::clone(source));
    let mut section = Section { name, phase, node: root, source, key: None, extends: None };
    section.take_extends(&mut shaped.errors);
    shaped.sections.push(section);
}

/// `training: {PHASE: {…}}` is what `training: {…}` is elsewhere.
fn unwrap_training(root: &mut Node, known: &KnownPhase, source: &Source, shaped: &mut Shaped) {
    if Schema::new(&known.schema).at(&[TRAINING]).keys().contains(&known.phase.as_str()) {
        return;
    }
    let NodeValue::Map(entries) = &mut root.value else {
        return;
    };
    let Some((_, training)) = entries.iter_mut().find(|(key, _)| key.text == TRAINING) else {
        return;
    };
    let Some((_, inner)) = training.get(&known.phase).cloned() else {
        return;
    };
    if !inner.is_map() {
        return;
    }
    training.take(&known.phase);
    let NodeValue::Map(rest) = std::mem::replace(&mut training.value, inner.value) else {
        return;
    };
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
}

/// Moves the legacy keys of one mapping out of it, save those its owner's schema knows.
fn lift(
    block: &mut Node,
    block_name: &str,
    place: &Alternatives<'_>,
    source: &Arc<Source>,
    shaped: &mut Shaped,
) {
    let own = place.keys();
    let amp = (!own.contains(&AMP)).then(|| block.take(AMP)).flatten();
    for name in LEGACY_KEYS.into_iter().filter(|name| !own.contains(name)) {
        if let Some((key, node)) = block.take(name) {
            let is_off =
                matches!(&amp, Some((_, amp)) if matches!(amp.value, NodeValue::Bool(false)));
            if !(name == "amp_dtype" && is_off) {
                add(name, join(block_name, name), &key, node, source, shaped);
            } else if let Some((amp_key, _)) = &amp {
                let place = place_name(source, amp_key.span);
                shaped.warnings.push(format!(
                    "`{}` has no effect: `{}` is false in `{place}`",
                    join(block_name, name),
                    join(block_name, AMP)
                ));
            }
        }
    }
    if let Some((key, node)) = amp {
        lift_amp(&key, &node, block_name, source, shaped);
    }
}

fn lift_amp(key: &Key, node: &Node, block_name: &str, source: &Arc<Source>, shaped: &mut Shaped) {
    let from = join(block_name, AMP);
    match node.value {
        NodeValue::Bool(false) => {
            let off = Node { value: NodeValue::Null, span: node.span };
            add("amp_dtype", from, key, off, source, shaped);
        }
        NodeValue::Bool(true) => {
            let place = place_name(source, key.span);
            let with_dtype = shaped.lifted.iter().any(|lifted| lifted.key == "amp_dtype");
            shaped.warnings.push(if with_dtype {
                format!("`{from}` in `{place}` is told by `global.amp_dtype` alone; remove it")
            } else {
                format!("`{from}` in `{place}` switches nothing on: set `global.amp_dtype` instead")
            });
        }
        _ => {
            let found = super::describe::found(&node.to_value());
            let error = ConfigError::new(
                "config::wrong_type",
                format!("expected true or false, found {found}"),
            )
            .at(pointer(source, node.span))
            .key(from)
            .found(found)
            .expected("true or false");
            shaped.errors.push(error);
        }
    }
}

fn add(
    name: &'static str,
    from: String,
    key: &Key,
    node: Node,
    source: &Arc<Source>,
    shaped: &mut Shaped,
) {
    let place = Place::File { source: Arc::clone(source), key: key.span, value: node.span };
    let key = Key { text: name.to_owned(), span: key.span };
    let span = node.span;
    let node = Node { value: NodeValue::Map(vec![(key, node)]), span };
    shaped.lifted.push(Lifted {
        key: name,
        from,
        node,
        origin: Origin { layer: Layer::File, place },
    });
}

/// `FILE:LINE` of a span.
pub(super) fn place_name(source: &Source, span: Option<Span>) -> String {
    span.map_or_else(
        || source.name.clone(),
        |span| format!("{}:{}", source.name, source.line_of(span.start)),
    )
}
