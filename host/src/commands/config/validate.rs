//! `host config validate`: everything that is wrong with a configuration, without running it.

use serde_json::{Value, json};

use crate::cli::Selection;
use crate::commands::selection::discover;
use crate::commands::{note, print, print_json};
use crate::config::{ConfigError, Plan, survey};
use crate::registry::Registry;
use crate::run::{Composed, Interrupt, RunError, catalogue, compose};

/// Exit code of a configuration that has errors, when they are told on standard output.
const INVALID: u8 = 2;

pub(super) fn exec(selection: &Selection, as_json: bool) -> Result<u8, RunError> {
    let registry = discover();
    let composed = compose(&selection.request(), &registry, &Interrupt::default());
    if as_json {
        return tell(selection, &registry, composed);
    }
    let plan = composed?.plan;
    for warning in &plan.warnings {
        note(&format!("warning: {warning}"));
    }
    print(&format!("{}: no errors; phases: {}\n", plan.source, names(&plan).join(", ")))?;
    Ok(0)
}

/// Prints what was found as JSON, whichever it is.
fn tell(
    selection: &Selection,
    registry: &Registry,
    composed: Result<Composed, RunError>,
) -> Result<u8, RunError> {
    let (plan, errors) = match composed {
        Ok(composed) => (Some(composed.plan), Vec::new()),
        // What can be said of a faulty configuration beside its errors.
        Err(RunError::Config(errors)) => {
            (survey(&selection.request(), &catalogue(registry)).0, errors.0)
        }
        Err(other) => return Err(other),
    };
    print_json(&report(selection, plan.as_ref(), &errors))?;
    Ok(if errors.is_empty() { 0 } else { INVALID })
}

fn report(selection: &Selection, plan: Option<&Plan>, errors: &[ConfigError]) -> Value {
    let asked = selection.config.as_ref().map(|path| path.display().to_string());
    json!({
        "schema": 1,
        "valid": errors.is_empty(),
        "source": plan.map(|plan| plan.source.clone()).or(asked),
        "phases": plan.map(names).unwrap_or_default(),
        "warnings": plan.map(|plan| plan.warnings.clone()).unwrap_or_default(),
        "errors": errors.iter().map(ConfigError::to_json).collect::<Vec<_>>(),
    })
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.phases.iter().map(|phase| phase.name.as_str()).collect()
}
