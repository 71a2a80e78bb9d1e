//! `host config explain`: every layer that gave a setting a value, and which one counts.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::cli::Selection;
use crate::commands::selection::discover;
use crate::commands::{note, print, print_json};
use crate::config::{
    Catalogue, ConfigError, ConfigErrors, Explanation, KeyEntry, LayerValue, Plan, Request,
    escaped, explain, inline, survey, survey_text,
};
use crate::registry::Registry;
use crate::run::{Composed, Interrupt, RunError, catalogue, compose};

/// Where lines of text are broken.
const WIDTH: usize = 92;
/// How much of a value fits a table.
const VALUE_CHARS_MAX: usize = 40;

/// A plan, its settings, and what is wrong with it.
type Resolved = (Plan, Value, Vec<ConfigError>);

pub(super) fn exec(key: &str, selection: &Selection, as_json: bool) -> Result<u8, RunError> {
    let registry = discover();
    let (plan, settings, errors) = resolved(selection, &registry)?;
    let explanation = match explain(&plan, &catalogue(&registry), &settings, key) {
        Ok(explanation) => explanation,
        // The section may be one of those that are too faulty to be in the plan.
        Err(error) if error.code == "config::unknown_section" && !errors.is_empty() => {
            return Err(RunError::Config(ConfigErrors(errors)));
        }
        Err(error) => {
            warn_of_errors(errors.len());
            return Err(RunError::Usage { message: error.message, help: error.help });
        }
    };
    if as_json {
        print_json(&to_json(&explanation, &errors))?;
        return Ok(0);
    }
    warn_of_errors(errors.len());
    print(&to_text(&explanation))?;
    Ok(0)
}

fn warn_of_errors(count: usize) {
    if count > 0 {
        let plural = if count == 1 { "" } else { "s" };
        note(&format!("warning: the configuration has {count} error{plural}"));
        note("help: `host config validate` shows what is wrong");
    }
}

/// The plan, its settings, and what is wrong: a value that comes from the wrong place is looked for
/// in faulty configurations, too.
fn resolved(selection: &Selection, registry: &Registry) -> Result<Resolved, RunError> {
    let request = selection.request();
    let catalogue = catalogue(registry);
    if selection.is_empty() {
        return defaults(&request, &catalogue);
    }
    let errors = match compose(&request, registry, &Interrupt::default()) {
        Ok(composed) => {
            let settings = settings_of(&composed);
            return Ok((composed.plan, settings, Vec::new()));
        }
        Err(RunError::Config(errors)) => errors.0,
        Err(other) => return Err(other),
    };
    with_known_defaults(survey(&request, &catalogue).0, errors, &catalogue)
}

/// `global` and every section, without what only says which phase a section is of.
fn settings_of(composed: &Composed) -> Value {
    let global = serde_json::to_value(&composed.plan.global).unwrap_or_default();
    let sections = composed.phases.iter().map(|phase| (phase.name.clone(), phase.section.clone()));
    Value::Object([("global".to_owned(), global)].into_iter().chain(sections).collect())
}

/// Where no configuration is named: a plan of all phases, or of the one asked for, that says nothing.
fn defaults(request: &Request, catalogue: &Catalogue) -> Result<Resolved, RunError> {
    note("note: no configuration is named, so this is what holds without one");
    let all = catalogue.phases.iter().map(|known| known.phase.clone());
    let phases = request.phase.clone().map_or_else(|| all.collect(), |phase| vec![phase]);
    let text = Value::from(Map::from_iter([("phases".to_owned(), Value::from(phases))]));
    let (plan, errors) = survey_text(&text.to_string(), "json", request, catalogue);
    with_known_defaults(plan, errors, catalogue)
}

fn with_known_defaults(
    plan: Option<Plan>,
    errors: Vec<ConfigError>,
    catalogue: &Catalogue,
) -> Result<Resolved, RunError> {
    match plan {
        Some(plan) => {
            let settings = plan.with_defaults(catalogue);
            Ok((plan, settings, errors))
        }
        None => Err(RunError::Config(ConfigErrors(errors))),
    }
}

fn to_text(explanation: &Explanation) -> String {
    let mut text = match &explanation.value {
        _ if !explanation.settings.is_empty() => {
            format!("{}: {}\n", explanation.key, settings_count(explanation.settings.len()))
        }
        Some(value) => format!("{} = {}\n", explanation.key, inline(value)),
        None => format!("{} is not set\n", explanation.key),
    };
    if let Some(old) = &explanation.formerly {
        let _ = writeln!(text, "  `{old}` is an earlier name of it");
    }
    write_about(&mut text, &explanation.about);
    if !explanation.settings.is_empty() {
        text += "\n";
        write_settings(&mut text, explanation);
    } else if !explanation.layers.is_empty() {
        text += "\n";
        write_layers(&mut text, &explanation.layers, explanation.winner);
    }
    text
}

pub(super) fn settings_count(count: usize) -> String {
    format!("{count} setting{}", if count == 1 { "" } else { "s" })
}

fn write_about(text: &mut String, about: &KeyEntry) {
    wrapped(text, &about.about);
    if about.has_blocks {
        return;
    }
    let limits = if about.limits.is_empty() { "" } else { ", " };
    let unit = about.unit.as_deref().map(|unit| format!(" ({unit})")).unwrap_or_default();
    let _ = writeln!(text, "  takes: {}{limits}{}{unit}", about.takes, about.limits);
    if about.is_required {
        text.push_str("  has no default: it must be set\n");
    }
    let width = about.choices.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, meaning) in &about.choices {
        let _ = writeln!(text, "    {name:width$}  {meaning}");
    }
}

/// All layers, lowest first, with a mark at the one that counts.
fn write_layers(text: &mut String, layers: &[LayerValue], winner: Option<usize>) {
    let values: Vec<String> = layers
        .iter()
        .map(|layer| layer.value.as_ref().map_or_else(|| "left out".to_owned(), inline))
        .collect();
    let width = values.iter().map(|value| value.chars().count()).max().unwrap_or_default();
    for (idx, (layer, value)) in layers.iter().zip(&values).enumerate() {
        let mark = if winner == Some(idx) { '>' } else { ' ' };
        let _ = writeln!(text, "{mark} {value:width$}  {}", escaped(&layer.place));
    }
}

fn write_settings(text: &mut String, explanation: &Explanation) {
    let rows: Vec<(&str, String, &str)> = explanation
        .settings
        .iter()
        .map(|setting| (&*setting.key, clipped(&inline(&setting.value)), &*setting.origin))
        .collect();
    let keys = rows.iter().map(|(key, ..)| key.chars().count()).max().unwrap_or_default();
    let values = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or_default();
    for (key, value, origin) in rows {
        let _ = writeln!(text, "{key:keys$} = {value:values$}  {}", escaped(origin));
    }
}

/// A value that fits a table.
pub(super) fn clipped(value: &str) -> String {
    if value.chars().count() <= VALUE_CHARS_MAX {
        return value.to_owned();
    }
    value.chars().take(VALUE_CHARS_MAX - 1).chain(['…']).collect()
}

/// Writes paragraphs, indented and broken between words.
fn wrapped(text: &mut String, paragraphs: &str) {
    for paragraph in paragraphs.lines().filter(|paragraph| !paragraph.is_empty()) {
        let mut line = String::from(" ");
        for word in paragraph.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > WIDTH && line.len() > 1 {
                let _ = writeln!(text, "{line}");
                line = String::from(" ");
            }
            let _ = write!(line, " {word}");
        }
        let _ = writeln!(text, "{line}");
    }
}

fn to_json(explanation: &Explanation, errors: &[ConfigError]) -> Value {
    let about = &explanation.about;
    let layers = explanation.layers.iter().enumerate().map(|(idx, layer)| {
        json!({
            "layer": layer.layer,
            "place": layer.place,
            "value": layer.value,
            "left_out": layer.value.is_none(),
            "counts": explanation.winner == Some(idx),
        })
    });
    let settings = explanation.settings.iter().map(
        |setting| json!({ "key": setting.key, "value": setting.value, "origin": setting.origin }),
    );
    json!({
        "schema": 1,
        "key": explanation.key,
        "formerly": explanation.formerly,
        "is_set": explanation.value.is_some(),
        "value": explanation.value,
        "description": about.about,
        "takes": about.takes,
        "range": (!about.limits.is_empty()).then_some(&about.limits),
        "unit": about.unit,
        "required": about.is_required,
        "default": about.default,
        "layers": layers.collect::<Vec<_>>(),
        "settings": settings.collect::<Vec<_>>(),
        "errors": errors.iter().map(ConfigError::to_json).collect::<Vec<_>>(),
    })
}
