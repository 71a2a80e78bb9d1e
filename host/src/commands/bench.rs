//! `host bench`: measures, and shows what was measured.

mod table;

use std::time::Duration;

use serde_json::Value;

use super::selection::discover;
use super::{INTERRUPTED, note, print, print_json};
use crate::bench::{Options, Report, bench, perform};
use crate::cli::Bench;
use crate::registry::Registry;
use crate::run::{Interrupt, RunError, compose};

pub(super) fn exec(args: &Bench) -> Result<u8, RunError> {
    let interrupt = Interrupt::install()?;
    let registry = discover();
    let request = args.selection.request();
    let composed = compose(&request, &registry, &interrupt)?;
    for warning in &composed.plan.warnings {
        note(&format!("warning: {warning}"));
    }
    let options = Options {
        only: args.only.clone(),
        steps: args.steps,
        seconds: args.seconds,
        trial_limit: Duration::from_secs_f64(args.trial_limit),
        memory_limit_bytes: args.memory_limit,
        effective_batch: args.effective_batch,
        searches: !args.no_search,
    };
    let Some(report) = bench(composed, &request, &options, &|said| note(said))? else {
        note("stopped; nothing is left running");
        return Ok(INTERRUPTED);
    };
    if args.json {
        print_json(&document(&report)?)?;
    } else {
        print(&table::text(&report, &options))?;
    }
    if let Some(busy) = busy(&report) {
        note(&format!("warning: {busy}\nhelp: measure again when the machine is quiet"));
    }
    Ok(0)
}

/// The process of one trial.
pub(super) fn exec_trial() -> Result<u8, RunError> {
    let reply = perform(Registry::discover)?;
    print(&format!("\n{reply}\n"))?;
    Ok(0)
}

fn document(report: &Report) -> Result<Value, RunError> {
    let mut document = serde_json::json!({ "schema": 1 });
    let report = serde_json::to_value(report).map_err(std::io::Error::from)?;
    if let (Some(document), Value::Object(report)) = (document.as_object_mut(), report) {
        document.extend(report);
    }
    Ok(document)
}

/// What was measured beside other work is less than what the machine reaches alone.
fn busy(report: &Report) -> Option<String> {
    let processors = report.machine.processors;
    let load = report.machine.load.filter(|load| *load > processors as f64 / 2.0)?;
    Some(format!("measured beside other work: a load of {load:.1} on {processors} processors"))
}
