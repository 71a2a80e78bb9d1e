//! `host profiles …`: which profiles there are, and whether each resolves.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::selection::discover;
use super::{print, print_json};
use crate::cli::{Profiles, SettingsFormat};
use crate::config::{ProfileEntry, Request, list_profiles};
use crate::run::{RunError, catalogue};

/// Groups in the order in which they are shown; all others come last.
const GROUPS: [&str; 5] = ["smoke", "dev", "prod", "minimal", "pipeline"];

pub(super) fn exec(command: Profiles) -> Result<u8, RunError> {
    match command {
        Profiles::List { phase, json } => list(phase.as_deref(), json),
        Profiles::Show { name } => {
            let request = Request { profile: Some(name), ..Request::default() };
            super::config::resolve::show(&request, SettingsFormat::Json)
        }
    }
}

fn list(phase: Option<&str>, as_json: bool) -> Result<u8, RunError> {
    let registry = discover();
    let mut entries = list_profiles(&catalogue(&registry));
    if let Some(phase) = phase {
        entries.retain(|entry| entry.phases.iter().any(|name| name == phase));
    }
    entries.sort_by_key(rank);
    if as_json {
        let profiles: Vec<Value> = entries.iter().map(entry_json).collect();
        print_json(&json!({ "schema": 1, "profiles": profiles }))?;
        return Ok(0);
    }
    if entries.is_empty() {
        super::note(
            "no profiles found; they lie in `configs/`, or in a directory of HOST_CONFIG_PATH",
        );
    }
    print(&table(&entries))?;
    Ok(0)
}

fn rank(entry: &ProfileEntry) -> usize {
    GROUPS.iter().position(|group| *group == entry.info.group).unwrap_or(GROUPS.len())
}

fn table(entries: &[ProfileEntry]) -> String {
    let mut text = String::new();
    let width = entries.iter().map(|entry| entry.info.name.len()).max().unwrap_or(0);
    let mut group = None;
    for entry in entries {
        if group != Some(entry.info.group.as_str()) {
            let gap = if group.is_some() { "\n" } else { "" };
            let _ = writeln!(text, "{gap}{}", entry.info.group);
            group = Some(entry.info.group.as_str());
        }
        let name = &entry.info.name;
        match &entry.status {
            Ok(()) => {
                let phases = entry.phases.join(" → ");
                let _ = writeln!(text, "  {name:<width$}  {} ({phases})", entry.info.description);
            }
            Err(errors) => {
                let first = errors.0.first().map(|e| e.message.clone()).unwrap_or_default();
                let _ =
                    writeln!(text, "  {name:<width$}  does not resolve: {first} ({})", entry.place);
            }
        }
    }
    text
}

fn entry_json(entry: &ProfileEntry) -> Value {
    let errors: Vec<String> =
        entry.status.as_ref().err().iter().flat_map(|e| &e.0).map(ToString::to_string).collect();
    json!({
        "name": entry.info.name,
        "group": entry.info.group,
        "description": entry.info.description,
        "notes": entry.info.notes,
        "phases": entry.phases,
        "place": entry.place,
        "hides": entry.hides,
        "resolves": entry.status.is_ok(),
        "errors": errors,
    })
}
