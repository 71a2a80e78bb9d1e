//! `host run --dry-run`: everything up to the first step, shown as a plan.

use std::fmt::Write as _;

use sdk::{DeviceContext, DeviceKind};
use serde_json::Value;

use super::selection::discover;
use super::{INTERRUPTED, note, print, print_json};
use crate::cli::Run;
use crate::progress::{self, Progress, bytes, duration, facts_line, with_commas};
use crate::run::{DryPhase, DryRun, Estimate, Interrupt, RunError, compose, dry_run};

pub(super) fn exec(args: &Run) -> Result<u8, RunError> {
    if args.progress == Progress::Json {
        let message = "`--progress json` shows a run, and `--dry-run` makes none";
        return Err(RunError::usage(message, "`--dry-run --json` prints the plan as JSON"));
    }
    let interrupt = Interrupt::install()?;
    let registry = discover();
    let composed = compose(&args.selection.request(), &registry, &interrupt)?;
    if let Some(said) = &composed.device_note {
        note(&format!("note: {said}"));
    }
    let readers = progress::reader(args.progress).into_iter().collect();
    let Some(plan) = dry_run(composed, args.estimate, readers)? else {
        note("stopped; no run was started");
        return Ok(INTERRUPTED);
    };
    if args.json {
        print_json(&document(&plan)?)?;
    } else {
        print(&text(&plan))?;
    }
    for warning in &plan.warnings {
        note(&format!("warning: {}\nhelp: {}", warning.message, warning.help));
    }
    Ok(0)
}

fn document(plan: &DryRun) -> Result<Value, RunError> {
    let mut document = serde_json::json!({ "schema": 1 });
    let plan = serde_json::to_value(plan).map_err(std::io::Error::from)?;
    if let (Some(document), Value::Object(plan)) = (document.as_object_mut(), plan) {
        document.extend(plan);
    }
    Ok(document)
}

/// A block for each phase and one for the whole.
fn text(plan: &DryRun) -> String {
    let mut text = String::new();
    let device = &plan.device;
    let amp = device.amp_dtype.map(|amp| format!(" with {amp}")).unwrap_or_default();
    let _ = writeln!(
        text,
        "{}: seed {}, {}, {}{amp}, {}",
        plan.profile,
        plan.seed,
        device_name(device),
        device.dtype,
        many(device.threads as u64, "thread")
    );
    for phase in &plan.phases {
        block(&mut text, &title(phase), &phase_lines(phase));
    }
    block(&mut text, "in all", &total_lines(plan));
    text
}

pub(super) fn device_name(device: &DeviceContext) -> String {
    match device.kind {
        DeviceKind::Cpu => "cpu".to_owned(),
        DeviceKind::Cuda => format!("cuda:{}", device.ordinal),
    }
}

/// A line of a block: what it is about, and what there is to say; empty ones are left out.
type Line = (&'static str, String);

fn block(text: &mut String, title: &str, lines: &[Line]) {
    let _ = writeln!(text, "\n{title}");
    for (name, said) in lines.iter().filter(|(_, said)| !said.is_empty()) {
        let _ = writeln!(text, "  {name:<10} {said}");
    }
}

fn title(phase: &DryPhase) -> String {
    let of = if phase.phase == phase.name { String::new() } else { format!("{}, ", phase.phase) };
    format!("{} ({of}plugin {} {})", phase.name, phase.plugin, phase.plugin_version)
}

fn phase_lines(phase: &DryPhase) -> Vec<Line> {
    let mut facts = phase.facts.clone();
    if phase.parameters.is_some() {
        facts.remove("parameters");
    }
    vec![
        ("takes", takes(phase)),
        ("steps", steps(phase)),
        ("model", phase.parameters.map(|n| format!("{} parameters", count(n))).unwrap_or_default()),
        ("data", data(phase, &facts_line(&facts))),
        ("due", due(phase)),
        ("memory", phase.memory_bytes.map(|n| format!("about {}", bytes(n))).unwrap_or_default()),
        ("disk", disk(phase)),
        ("time", phase.estimate.as_ref().map(|e| time(e, &phase.unit)).unwrap_or_default()),
    ]
}

/// The newest artifact of each kind: what a phase that asks for the kind is given.
fn takes(phase: &DryPhase) -> String {
    let is_newest = |i: usize| !phase.takes[i + 1..].iter().any(|t| t.kind == phase.takes[i].kind);
    let newest = phase.takes.iter().enumerate().filter(|(i, _)| is_newest(*i));
    let said: Vec<String> =
        newest.map(|(_, t)| format!("{} of {} ({})", t.name, t.phase, t.kind)).collect();
    said.join(" · ")
}

fn steps(phase: &DryPhase) -> String {
    let due = &phase.due;
    let cut = if due.is_cut_short() {
        format!(" of {}", count(due.scheduled_steps))
    } else {
        String::new()
    };
    let unit = phase.unit.trim_end_matches('s');
    match phase.units_per_step.zip(phase.units) {
        None => format!("{}{cut}", count(due.steps)),
        Some((each, all)) => {
            format!("{}{cut} of {} each: {}", count(due.steps), many(each, unit), count(all))
        }
    }
}

fn data(phase: &DryPhase, facts: &str) -> String {
    let passes = phase.passes.map(|passes| match passes {
        part if part < 0.1 => "less than 0.1 passes over it".to_owned(),
        few if few < 10.0 => format!("{few:.1} passes over it"),
        many => format!("{} passes over it", count(many.round() as u64)),
    });
    let facts = (!facts.is_empty()).then(|| facts.to_owned());
    facts.into_iter().chain(passes).collect::<Vec<_>>().join(" · ")
}

fn due(phase: &DryPhase) -> String {
    let due = &phase.due;
    let every = |steps: u64, times: u64| match steps {
        _ if times == 1 => "at the end".to_owned(),
        1 => "after every step".to_owned(),
        steps => format!("every {} steps", count(steps)),
    };
    format!(
        "{}, {}; {}, {}",
        many(due.evaluations(), "evaluation"),
        every(due.eval_every_steps, due.evaluations()),
        many(due.checkpoints, "checkpoint"),
        every(due.checkpoint_every_steps, due.checkpoints)
    )
}

fn disk(phase: &DryPhase) -> String {
    format!(
        "up to {}: checkpoints of {}, {} kept; {} handed on",
        bytes(phase.disk_bytes),
        bytes(phase.checkpoint_bytes),
        count(phase.checkpoints_kept),
        bytes(phase.artifact_bytes)
    )
}

fn time(estimate: &Estimate, unit: &str) -> String {
    format!(
        "about {}, from {} of {:.3} s ({} {unit}/s)",
        duration(estimate.seconds),
        many(estimate.timed_steps, "timed step"),
        estimate.step_seconds,
        count(estimate.units_per_second.round() as u64)
    )
}

fn total_lines(plan: &DryRun) -> Vec<Line> {
    let total = &plan.total;
    let units = total.units.iter().map(|(unit, n)| format!("{} {unit}", count(*n)));
    let steps = std::iter::once(count(total.steps));
    let steps: Vec<String> = steps.chain(units).collect();
    vec![
        ("steps", steps.join(" · ")),
        ("memory", memory(plan)),
        ("disk", against(total.disk_bytes, plan.machine.disk_free_bytes, "free")),
        ("time", total.seconds.map(|s| format!("about {}", duration(s))).unwrap_or_default()),
    ]
}

fn memory(plan: &DryRun) -> String {
    let (total, machine) = (&plan.total, &plan.machine);
    let available = machine.memory_available_bytes;
    let measured = total.memory_peak_bytes.map(|peak| format!("{} measured", bytes(peak)));
    let forecast = total.memory_bytes.map(|needed| against(needed, available, "available"));
    forecast.into_iter().chain(measured).collect::<Vec<_>>().join(", ")
}

fn against(needed: u64, there: Option<u64>, what: &str) -> String {
    let there = there.map(|there| format!(" of {} {what}", bytes(there))).unwrap_or_default();
    format!("about {}{there}", bytes(needed))
}

fn count(n: u64) -> String {
    with_commas(i64::try_from(n).unwrap_or(i64::MAX))
}

fn many(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}
