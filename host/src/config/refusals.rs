//! Refusals of phases and sections, each worded in one place.

use super::document::{Node, pointer};
use super::error::{ConfigError, listed, nearest, nearest_help};
use super::shape::Section;
use super::source::Source;
use super::syntax::Format;
use super::{Catalogue, describe};

/// The error for a phase that no plugin registers.
pub(super) fn unknown_phase(catalogue: &Catalogue, name: &str) -> ConfigError {
    let known: Vec<&str> = catalogue.phases.iter().map(|known| known.phase.as_str()).collect();
    let error =
        ConfigError::new("config::unknown_phase", format!("no plugin registers phase `{name}`"));
    let near = nearest_help(name, known.iter().copied());
    match known.as_slice() {
        [] => error
            .help("no plugin is loaded; `host plugins list` shows where plugins are looked for"),
        known => {
            error.expected(format!("one of {}", listed(known.iter().copied()))).maybe_help(near)
        }
    }
}

/// A flat document whose phase nobody named.
pub(super) fn no_phase(source: &Source, root: &Node, catalogue: &Catalogue) -> ConfigError {
    let known = || catalogue.phases.iter().map(|known| known.phase.as_str());
    let near = root.entries().iter().find_map(|(key, _)| Some((key, nearest(&key.text, known())?)));
    let message = format!("`{}` does not say which phase it belongs to", source.name);
    let error = ConfigError::new("config::no_phase", message);
    if let Some((key, node)) = root.get("phase")
        && let Some(phase) = node.as_str()
    {
        let error = error.at(pointer(source, key.span)).key(&key.text);
        return error.help(format!("write `phase` under `profile`, or use `--phase {phase}`"));
    }
    match near {
        Some((key, near)) => error
            .at(pointer(source, key.span))
            .key(&key.text)
            .help(format!("did you mean section `{near}`?")),
        None if catalogue.phases.is_empty() => error.help("name it with `--phase PHASE`"),
        None => error.help(format!(
            "name it with `--phase PHASE`, where PHASE is one of {}",
            listed(known())
        )),
    }
}

/// A section that would not run.
pub(super) fn not_listed(section: &Section, listed_names: &[&str]) -> ConfigError {
    let help = nearest(&section.name, listed_names.iter().copied());
    ConfigError::new(
        "config::unlisted_section",
        format!("section `{}` is not listed in `phases`", section.name),
    )
    .at(pointer(&section.source, section.key))
    .key(&section.name)
    .help(help.map_or_else(
        || format!("add `{}` to `phases`, or remove the section", section.name),
        |near| format!("`phases` lists `{near}`; spell the two alike"),
    ))
}

/// A name that stands twice in the order of phases.
pub(super) fn phase_twice(name: &str) -> ConfigError {
    ConfigError::new("config::duplicate_phase", format!("`{name}` stands twice in `phases`")).help(
        format!(
            "give the second a name and a section of its own: `second-{name}` with `phase: {name}`"
        ),
    )
}

/// Several sections without an order.
pub(super) fn missing_order(sections: &[Section]) -> ConfigError {
    let names: Vec<&str> = sections.iter().map(|section| section.name.as_str()).collect();
    let listing = listed(names.iter().copied());
    let second = sections.get(1);
    let source = second.map(|section| &section.source);
    let format = source.and_then(|source| Format::of(&source.name)).unwrap_or(Format::Json);
    ConfigError::new(
        "config::missing_key",
        format!("missing key `phases`: the order of {listing} is not stated"),
    )
    .at(second.and_then(|section| pointer(&section.source, section.key)))
    .key("phases")
    .help(format!(
        "write `{}` at the top, in the order to run",
        format.list_setting("phases", &names)
    ))
}

/// An order of phases that is no list.
pub(super) fn order_not_a_list(source: &Source, order: &Node) -> ConfigError {
    let error = wrong_type(source, order, "a list of phase names");
    let format = Format::of(&source.name).unwrap_or(Format::Json);
    let names = order.as_str().into_iter().flat_map(|text| text.split([',', ' ']));
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let setting = format.list_setting("phases", &names);
    error.maybe_help((!names.is_empty()).then(|| format!("write `{setting}`")))
}

/// A value of the wrong kind where the host itself expects something.
pub(super) fn wrong_type(source: &Source, node: &Node, expected: &str) -> ConfigError {
    let found = describe::found(&node.to_value());
    ConfigError::new("config::wrong_type", format!("expected {expected}, found {found}"))
        .at(pointer(source, node.span))
        .expected(expected)
        .found(found)
}
