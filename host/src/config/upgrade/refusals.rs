//! Why a section can't be brought to today's version.

use std::sync::Arc;

use serde_json::Value;

use sdk::Change;

use super::super::KnownPhase;
use super::super::describe;
use super::super::document::{Key, Node, join, pointer};
use super::super::error::{ConfigError, Pointer, listed, nearest_help};
use super::super::flat::place_name;
use super::super::layers::{Part, Place};
use super::super::shape::{VERSION_KEY, Version};
use super::super::source::{Source, Span};
use super::Step;
use super::carry::Layer;

/// A section of a version that the plugin does not know yet.
pub(super) fn newer_plugin(
    name: &str,
    known: &KnownPhase,
    stated: &Version,
    source: &Arc<Source>,
) -> ConfigError {
    let (plugin, version) = (&known.plugin, known.version);
    ConfigError::new(
        "config::newer_section",
        format!(
            "section `{name}` is of version {}, and plugin `{plugin}` knows version {version}",
            stated.number
        ),
    )
    .at(pointer(source, stated.span).unwrap_or_else(|| Pointer::Input(source.name.clone())))
    .key(format!("{name}.{VERSION_KEY}"))
    .help(format!("use a newer plugin `{plugin}`, or write the section in its version {version}"))
}

/// A change whose kind this host does not know.
pub(super) fn newer_host(layer: &Layer<'_>, stated: u32, change: &Change) -> ConfigError {
    let (name, plugin) = (layer.name, &layer.known.plugin);
    ConfigError::new(
        "config::newer_change",
        format!(
            "section `{name}` is of version {stated}, and the way to version {} of plugin `{plugin}` needs a newer host",
            change.version
        ),
    )
    .at(layer.origin.place.pointer(Part::Key))
    .key(format!("{name}.{VERSION_KEY}"))
    .help(format!(
        "update the host, or write the section in version {} by hand",
        layer.known.version
    ))
}

/// An old key beside the one that took its place, which stands at `present`.
pub(super) fn both_set(
    layer: &Layer<'_>,
    old: &str,
    new: &str,
    step: &Step,
    present: Option<Span>,
) -> ConfigError {
    let here = place_of(&step.origin.place);
    let there = place_of(&layer.origin.within(present, None).place);
    ConfigError::new(
        "config::contradiction",
        format!("`{old}` in {here} and `{new}` in {there} are one setting"),
    )
    .at(step.origin.place.pointer(Part::Key))
    .key(join(layer.name, new))
    .help(format!("remove `{old}`: it is the earlier name of `{new}`"))
}

/// A removed key with a value that was meant to do something.
pub(super) fn meant_something(
    layer: &Layer<'_>,
    old: &str,
    step: &Step,
    found: &Value,
    accepts: &[Value],
) -> ConfigError {
    let super::Effect::Removed { why } = &step.effect else {
        return ConfigError::new("config::removed_key", format!("`{old}` is gone"));
    };
    let harmless: Vec<String> = accepts.iter().map(describe::literal).collect();
    let harmless = listed(harmless.iter().map(String::as_str));
    ConfigError::new("config::removed_key", format!("`{old}` is not a setting any more: {why}"))
        .at(step.origin.place.pointer(Part::Value))
        .key(join(layer.name, old))
        .found(describe::found(found))
        .expected(format!("no such key, or {harmless}, which changes nothing"))
        .help(format!("remove `{old}`"))
}

/// A key in a mapping of old keys that no version knew.
pub(super) fn never_known(
    layer: &Layer<'_>,
    block: &str,
    key: &Key,
    node: &Node,
    known: &[&str],
) -> ConfigError {
    let block = join(layer.name, block);
    let origin = layer.origin.within(key.span, node.span);
    ConfigError::new("config::unknown_key", format!("unknown key `{}` in `{block}`", key.text))
        .at(origin.place.pointer(Part::Key))
        .key(join(&block, &key.text))
        .maybe_help(nearest_help(&key.text, known.iter().copied()))
}

/// A place as it is named within a sentence.
pub(super) fn place_of(place: &Place) -> String {
    match place {
        Place::File { source, key, value } => format!("`{}`", place_name(source, key.or(*value))),
        Place::Override { position, .. } => format!("override {position}"),
        Place::Flag { name, .. } => format!("flag {name}"),
        Place::Environment { variable, .. } => format!("environment {variable}"),
    }
}
