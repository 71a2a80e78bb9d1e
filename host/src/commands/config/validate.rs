//! `host config …`: what is wrong with a configuration, without running it.

use super::print;
use super::selection::discover;
use crate::cli::Config;
use crate::run::{Interrupt, RunError, compose};

pub(super) fn exec(command: &Config) -> Result<u8, RunError> {
    let Config::Validate(selection) = command;
    let registry = discover();
    let composed = compose(&selection.request(), &registry, &Interrupt::default())?;
    for warning in &composed.plan.warnings {
        super::note(&format!("warning: {warning}"));
    }
    let names: Vec<&str> = composed.phases.iter().map(|phase| phase.name.as_str()).collect();
    print(&format!("{}: no errors; phases: {}\n", composed.plan.source, names.join(", ")))?;
    Ok(0)
}
