//! `host plugins check`: what holds of a plugin, line by line, and the level that it reaches.

use std::path::{Path, PathBuf};

use sdk::testing::{Finding, Outcome};
use serde_json::{Value, json};

use super::{print, print_json};
use crate::check::{Check, Checked, perform};
use crate::config::Request;
use crate::registry::Registry;
use crate::run::{Interrupt, RunError};

/// The process in which a trainer is checked.
pub(super) fn exec_process() -> Result<u8, RunError> {
    perform()?;
    Ok(0)
}

/// Exit code 1 says that something doesn't hold.
pub(super) fn exec(
    file: &Path,
    request: &Request,
    threads: usize,
    as_json: bool,
) -> Result<u8, RunError> {
    let interrupt = Interrupt::install()?;
    let file = &library(file);
    let mut printed = Ok(());
    let mut last = String::new();
    let mut show = |phase: &str, finding: &Finding| {
        if as_json || printed.is_err() {
            return;
        }
        if phase != last {
            phase.clone_into(&mut last);
            printed = print(&format!("\nphase {phase}\n"));
        }
        if printed.is_ok() {
            printed = print(&line(finding));
        }
    };
    let check = Check { file, request, threads, interrupt: &interrupt };
    let checked = check.run(&mut show)?;
    printed?;
    if as_json {
        print_json(&document(file, &checked))?;
    } else {
        print(&summary(&checked))?;
    }
    Ok(u8::from(!checked.is_clean()))
}

/// The file, or that of a plugin of this name.
fn library(named: &Path) -> PathBuf {
    if named.is_file() || named.components().count() > 1 {
        return named.to_owned();
    }
    let registry = Registry::discover();
    let found = registry.plugins.iter().find(|plugin| Path::new(&plugin.name) == named);
    found.and_then(|plugin| plugin.source.path()).unwrap_or(named).to_owned()
}

fn line(finding: &Finding) -> String {
    let (mark, text) = match &finding.outcome {
        Outcome::Passed(None) => ("ok  ", finding.about.clone()),
        Outcome::Passed(Some(note)) => ("ok  ", format!("{} ({note})", finding.about)),
        Outcome::Failed(what) => ("FAIL", format!("{}: {what}", finding.about)),
        Outcome::Skipped(why) => ("-   ", format!("{} (not checked: {why})", finding.about)),
    };
    format!("  {mark} {:<20} {text}\n", finding.check)
}

fn summary(checked: &Checked) -> String {
    let count = |is: fn(&Outcome) -> bool| checked.findings().filter(|f| is(&f.outcome)).count();
    let passed = count(|outcome| matches!(outcome, Outcome::Passed(_)));
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let with: Vec<String> = checked
        .phases
        .iter()
        .map(|phase| format!("`{}` with {}", phase.phase, phase.section_from))
        .collect();
    let with =
        if with.is_empty() { String::new() } else { format!("checked: {}\n", with.join(", ")) };
    let level = checked.level.map_or_else(|| "none".to_owned(), |level| level.to_string());
    format!("\n{with}level: {level} ({passed} passed, {failed} failed, {skipped} not checked)\n")
}

fn document(file: &Path, checked: &Checked) -> Value {
    let phases: Vec<Value> = checked
        .phases
        .iter()
        .map(|phase| {
            json!({
                "phase": phase.phase,
                "section_from": phase.section_from,
                "findings": phase.findings,
            })
        })
        .collect();
    json!({
        "schema": 1,
        "path": file,
        "plugin": checked.plugin.as_ref().map(|(name, _)| name),
        "version": checked.plugin.as_ref().map(|(_, version)| version),
        "level": checked.level,
        "file": checked.file,
        "phases": phases,
    })
}
