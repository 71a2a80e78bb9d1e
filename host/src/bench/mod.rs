//! What training reaches on this machine: speed, memory, where the time of a step goes, the largest
//! micro-batch that fits, and how to cut a step so that it is fastest. Measured, for any plugin.
//!
//! Each measurement is a trial in a process of its own (`trial`, started and watched by `process`):
//! what one holds is known exactly, and one that dies takes nothing else with it. The order of the
//! trials is that of `phase`, `fitting` and `tuning`; `search` and `cuts` choose what to try. No run
//! is made.

mod cuts;
mod fitting;
mod phase;
mod process;
mod report;
mod search;
mod trial;
mod tuning;

use std::path::Path;
use std::time::{Duration, Instant};

use sdk::{DType, DeviceContext, DeviceKind};
use serde::Serialize;
use serde_json::Value;

pub use cuts::Cut;
pub use process::{COMMAND, perform};
pub use report::{Benched, Misfit, Search, Speed, Stage, Tried, Tuning};

use crate::config::Request;
use crate::run::{Composed, Machine, RunError};
use phase::Bench;

/// What is asked for besides the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only this phase, by its name in the pipeline.
    pub only: Option<String>,
    /// So many steps are timed in a measurement, and not as many as `seconds` allow.
    pub steps: Option<u64>,
    /// Time for the steps of a measurement.
    pub seconds: f64,
    /// Time of a trial in all.
    pub trial_limit: Duration,
    /// The most memory that a trial may hold; what can be had if not given.
    pub memory_limit_bytes: Option<u64>,
    /// Samples of a step to find the fastest cut of; the configuration's if not given.
    pub effective_batch: Option<u64>,
    /// Whether other micro-batches than the configuration's are tried.
    pub searches: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The profile's name, or the file's.
    pub profile: String,
    /// The file, or the plugin that carries the profile.
    pub source: String,
    /// Where it computes.
    pub device: DeviceContext,
    /// What there is.
    pub machine: Machine,
    /// What the threads reach in products of this type when they do nothing else; none where that is
    /// not measured.
    pub peak: Option<Peak>,
    /// The most memory that a trial was allowed.
    pub memory_limit_bytes: Option<u64>,
    /// The phases, in order.
    pub phases: Vec<Benched>,
    /// Time that all of it took.
    pub seconds: f64,
}

/// The yardstick of speed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Peak {
    /// The type that is multiplied.
    pub dtype: DType,
    /// Floating-point operations a second.
    pub flops_per_second: f64,
}

/// Measures the phases of a configuration, which is `composed` already: so it is known to be sound.
/// `say` hears of every trial. `None` when it was asked to stop.
///
/// # Errors
/// What the phases fail with as they are configured; a phase that is not there.
pub fn bench(
    composed: Composed,
    request: &Request,
    options: &Options,
    say: &dyn Fn(&str),
) -> Result<Option<Report>, RunError> {
    let begin = Instant::now();
    let Composed { plan, device, phases, interrupt, .. } = composed;
    let subjects: Vec<phase::Subject> = phases.iter().map(phase::Subject::of).collect();
    // The trials make phases of their own.
    drop(phases);
    let subjects = chosen(subjects, options.only.as_deref())?;
    let machine = Machine::look(Path::new(&plan.global.output_dir));
    let memory_limit_bytes = options.memory_limit_bytes.or(machine.memory_available_bytes);
    let peak = peak(&device);
    let mut benched = Vec::new();
    for subject in subjects {
        let cx = Bench { request, options, memory_limit_bytes, peak, interrupt: &interrupt, say };
        match cx.phase(&subject) {
            Err(RunError::Phase { error, .. }) if error.code == sdk::CANCELLED => return Ok(None),
            phase => benched.push(phase?),
        }
    }
    Ok(Some(Report {
        profile: plan.profile.name,
        source: plan.source,
        device,
        machine,
        peak,
        memory_limit_bytes,
        phases: benched,
        seconds: begin.elapsed().as_secs_f64(),
    }))
}

fn chosen(
    subjects: Vec<phase::Subject>,
    only: Option<&str>,
) -> Result<Vec<phase::Subject>, RunError> {
    let Some(only) = only else { return Ok(subjects) };
    let names: Vec<String> = subjects.iter().map(|s| format!("`{}`", s.name)).collect();
    let found: Vec<_> = subjects.into_iter().filter(|subject| subject.name == only).collect();
    if found.is_empty() {
        let message = format!("no phase `{only}` in this configuration");
        return Err(RunError::usage(message, format!("it has {}", names.join(", "))));
    }
    Ok(found)
}

/// The peak of the processors; of other devices none is measured.
fn peak(device: &DeviceContext) -> Option<Peak> {
    if device.kind != DeviceKind::Cpu {
        return None;
    }
    let of = |dtype| {
        let flops_per_second = sdk::peak::flops(dtype, device.threads)?;
        Some(Peak { dtype, flops_per_second })
    };
    device.amp_dtype.and_then(of).or_else(|| of(device.dtype))
}

/// The whole number at a dotted path of a section.
fn number_at(section: &Value, path: &str) -> Option<u64> {
    path.split('.').try_fold(section, |value, key| value.get(key))?.as_u64()
}
