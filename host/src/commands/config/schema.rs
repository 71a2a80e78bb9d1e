//! `host config schema`: all keys with types, defaults and ranges.

use super::reference_page;
use crate::cli::{SchemaFormat, Selection};
use crate::commands::selection::discover;
use crate::commands::{note, print, print_json};
use crate::config::{Catalogue, KnownPhase, flat_schema, resolve, sectioned_schema};
use crate::run::{RunError, catalogue};

/// `--phase` alone asks for the flat form of that phase's files; a profile or a file for the
/// sectioned form with its phases only; nothing at all for everything that is known.
pub(super) fn exec(selection: &Selection, format: SchemaFormat) -> Result<u8, RunError> {
    let catalogue = catalogue(&discover());
    if catalogue.phases.is_empty() {
        note("note: no plugin is loaded: only the host's own keys are listed");
        note("help: `host plugins list` shows where plugins are looked for");
    }
    let all: Vec<&KnownPhase> = catalogue.phases.iter().collect();
    let chosen = chosen(selection, &catalogue)?;
    match format {
        SchemaFormat::Markdown => print(&reference_page::page(chosen.as_ref().unwrap_or(&all)))?,
        SchemaFormat::Json => print_json(&match chosen.as_deref() {
            Some([known]) if selection.is_empty() => flat_schema(known, &all),
            Some(phases) => sectioned_schema(phases),
            None => sectioned_schema(&all),
        })?,
    }
    Ok(0)
}

/// The phases that the command line asks for; nothing where it asks for all.
fn chosen<'c>(
    selection: &Selection,
    catalogue: &'c Catalogue,
) -> Result<Option<Vec<&'c KnownPhase>>, RunError> {
    if !selection.is_empty() {
        let plan = resolve(&selection.request(), catalogue).map_err(RunError::Config)?;
        let is_in = |known: &&KnownPhase| plan.phases.iter().any(|p| p.phase == known.phase);
        return Ok(Some(catalogue.phases.iter().filter(is_in).collect()));
    }
    let Some(phase) = &selection.phase else { return Ok(None) };
    match catalogue.phase(phase) {
        Some(known) => Ok(Some(vec![known])),
        None => Err(unknown_phase(phase, catalogue)),
    }
}

fn unknown_phase(phase: &str, catalogue: &Catalogue) -> RunError {
    let known: Vec<String> =
        catalogue.phases.iter().map(|known| format!("`{}`", known.phase)).collect();
    let help = match known.as_slice() {
        [] => "`host plugins list` shows where plugins are looked for".to_owned(),
        known => format!("phases are: {}", known.join(", ")),
    };
    RunError::usage(format!("no plugin registers phase `{phase}`"), help)
}
