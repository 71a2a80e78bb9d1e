//! Everything up to the first step, without a run: each phase is prepared on what the one before it
//! hands on, looked at, and dropped.
//!
//! Data is opened and models are built as in a run, so what a run would trip over at the start of
//! its last phase is found here. No run directory is made; caches of the plugins may be filled.

mod doubts;
mod due;
mod estimate;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sdk::DeviceContext;
use serde::Serialize;
use serde_json::{Map, Value};

use super::artifacts::check_name;
use super::machine::{self, Machine};
use super::phase_loop::failed;
use super::{Composed, ComposedPhase, RunError};
use crate::checkpoint::{state_bytes, tensors_bytes};
use crate::config::Global;
use crate::events::{Event, EventStream, Reader};
use crate::registry::{Prepared, SharedArtifact};

pub use doubts::Doubt;
pub use due::Due;
pub use estimate::Estimate;
use estimate::Measuring;

/// What a run would do and need.
#[derive(Clone, Debug, Serialize)]
pub struct DryRun {
    /// The profile's name, or the file's.
    pub profile: String,
    /// The file, or the plugin that carries the profile.
    pub source: String,
    /// The run's seed.
    pub seed: u64,
    /// Where it would compute.
    pub device: DeviceContext,
    /// The phases, in order.
    pub phases: Vec<DryPhase>,
    /// All phases together.
    pub total: Total,
    /// What there is.
    pub machine: Machine,
    /// What would go wrong hours into the run.
    pub warnings: Vec<Doubt>,
}

/// What one phase would do and need.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DryPhase {
    /// Its name in the pipeline.
    pub name: String,
    /// The phase as its plugin registered it.
    pub phase: String,
    /// The plugin.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// What it is given by earlier phases or by what the run starts from.
    pub takes: Vec<Taken>,
    /// How often things happen.
    #[serde(flatten)]
    pub due: Due,
    /// What a step consumes: `tokens` or `samples`.
    pub unit: String,
    /// How many of them a step consumes.
    pub units_per_step: Option<u64>,
    /// How many the phase consumes.
    pub units: Option<u64>,
    /// How often it goes over the data, or over the source that is gone through fastest.
    pub passes: Option<f64>,
    /// Trainable numbers of the model.
    pub parameters: Option<u64>,
    /// What the trainer says of itself.
    pub facts: Map<String, Value>,
    /// The most memory that the phase holds itself, as its plugin forecasts it.
    pub memory_bytes: Option<u64>,
    /// Size of a checkpoint.
    pub checkpoint_bytes: u64,
    /// Checkpoints that lie there at the end, at most.
    pub checkpoints_kept: u64,
    /// Size of what it hands on.
    pub artifact_bytes: u64,
    /// The most disk that it takes at one time.
    pub disk_bytes: u64,
    /// Time that it took to prepare.
    pub prepare_seconds: f64,
    /// What was measured, when that was asked for and there is memory for it.
    pub estimate: Option<Estimate>,
}

/// An artifact that a phase is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Its name.
    pub name: String,
    /// How to read it.
    pub kind: String,
    /// The phase that made it.
    pub phase: String,
}

/// All phases together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Total {
    /// Optimizer updates.
    pub steps: u64,
    /// Tokens and samples, as far as they are known.
    pub units: BTreeMap<String, u64>,
    /// The most memory that the process holds at one time, when every plugin forecasts its part.
    pub memory_bytes: Option<u64>,
    /// The most memory that the process was measured to hold.
    pub memory_peak_bytes: Option<u64>,
    /// The most disk that the run takes at one time.
    pub disk_bytes: u64,
    /// Time of the whole run, when it was estimated.
    pub seconds: Option<f64>,
}

/// Prepares every phase; with `is_timed` also takes some steps of each. `readers` hear what plugins
/// say meanwhile. `None` when it was asked to stop.
///
/// # Errors
/// What a run would fail with before its first step, or in the steps that are timed.
pub fn dry_run(
    mut composed: Composed,
    is_timed: bool,
    readers: Vec<Box<dyn Reader>>,
) -> Result<Option<DryRun>, RunError> {
    let stream = Arc::new(EventStream::new("dry-run", 1, readers));
    let _ = composed.stream.set(Arc::clone(&stream));
    for message in composed.plan.warnings.clone() {
        stream.emit(Event::Warning { message });
    }
    let phases = std::mem::take(&mut composed.phases);
    let looked = Look::new(&composed, &stream, is_timed).all(phases);
    let status = if looked.is_ok() { "done" } else { "failed" };
    // Readers clear the terminal of what is going on.
    stream.emit(Event::RunFinished { status: status.to_owned(), error: None });
    match looked {
        Err(RunError::Phase { error, .. }) if error.code == sdk::CANCELLED => Ok(None),
        looked => looked.map(Some),
    }
}

/// Looks at one phase after another.
struct Look<'a> {
    composed: &'a Composed,
    stream: &'a EventStream,
    is_timed: bool,
    output_dir: PathBuf,
    machine: Machine,
    given: Vec<SharedArtifact>,
    seen: Vec<DryPhase>,
}

impl<'a> Look<'a> {
    fn new(composed: &'a Composed, stream: &'a EventStream, is_timed: bool) -> Self {
        let output_dir = PathBuf::from(&composed.plan.global.output_dir);
        // What was needed to read the configuration is no part of what the run holds.
        machine::forget_peak();
        let machine = Machine::look(&output_dir);
        let given = composed.initial.clone();
        Self { composed, stream, is_timed, output_dir, machine, given, seen: Vec::new() }
    }

    fn all(mut self, phases: Vec<ComposedPhase>) -> Result<DryRun, RunError> {
        let of = phases.len();
        for (index, mut phase) in phases.into_iter().enumerate() {
            self.stream.emit(Event::PhaseStarted {
                phase: phase.name.clone(),
                number: index + 1,
                of,
                plugin: phase.description.plugin.clone(),
            });
            machine::forget_peak();
            let (seen, artifacts) = self.phase(&mut phase)?;
            if self.composed.interrupt.is_set() {
                let error = sdk::Error::new(sdk::CANCELLED, "stopped on request");
                return Err(failed(&phase, "while preparing", error));
            }
            self.given.extend(artifacts);
            self.seen.push(seen);
        }
        let total = Total::of(&self.seen, &self.machine);
        let plan = &self.composed.plan;
        Ok(DryRun {
            profile: plan.profile.name.clone(),
            source: plan.source.clone(),
            seed: plan.global.seed,
            device: self.composed.device.clone(),
            warnings: doubts::doubts(&self.seen, &total, &self.machine),
            phases: self.seen,
            total,
            machine: self.machine,
        })
    }

    fn phase(
        &self,
        phase: &mut ComposedPhase,
    ) -> Result<(DryPhase, Vec<SharedArtifact>), RunError> {
        let begin = Instant::now();
        let prepared =
            phase.client.prepare(&self.given).map_err(|e| failed(phase, "while preparing", e))?;
        let prepare_seconds = begin.elapsed().as_secs_f64();
        let global = &self.composed.plan.global;
        let mut seen = DryPhase::new(phase, &prepared, global);
        seen.takes = self.given.iter().map(Taken::of).collect();
        seen.prepare_seconds = prepare_seconds;
        let state = phase.client.save().map_err(|e| failed(phase, "while saving", e))?;
        seen.checkpoint_bytes = state_bytes(&state)?;
        drop(state);
        let mut estimate = self.estimate(phase, &seen, &prepared)?;
        let artifacts =
            phase.client.artifacts().map_err(|e| failed(phase, "while handing on", e))?;
        for artifact in &artifacts {
            check_name(&artifact.name).map_err(|e| failed(phase, "while handing on", e))?;
            seen.artifact_bytes += artifact_bytes(artifact)?;
        }
        if let Some(estimate) = &mut estimate {
            let pace = estimate.checkpoint_seconds / seen.checkpoint_bytes.max(1) as f64;
            estimate.seconds += prepare_seconds + pace * seen.artifact_bytes as f64;
            estimate.memory_peak_bytes = machine::memory_peak();
        }
        seen.estimate = estimate;
        seen.disk_bytes = seen.disk_bytes_max();
        Ok((seen, artifacts))
    }

    /// Times a phase, unless its steps would not fit the memory.
    fn estimate(
        &self,
        phase: &mut ComposedPhase,
        seen: &DryPhase,
        prepared: &Prepared,
    ) -> Result<Option<Estimate>, RunError> {
        let held = self.machine.memory_held_bytes.unwrap_or(0) + handed_on_bytes(&self.seen);
        let needed = held + seen.memory_bytes.unwrap_or(0);
        if !self.is_timed {
            return Ok(None);
        }
        if doubts::exceeds_memory(needed, &self.machine) {
            let message = format!("phase `{}` is not timed: it needs too much memory", phase.name);
            self.stream.emit(Event::Warning { message });
            return Ok(None);
        }
        let measuring = Measuring {
            schedule: &prepared.schedule,
            due: seen.due,
            output_dir: &self.output_dir,
            interrupt: &self.composed.interrupt,
            stream: self.stream,
        };
        measuring.measure(phase).map(Some)
    }
}

impl DryPhase {
    fn new(phase: &ComposedPhase, prepared: &Prepared, global: &Global) -> Self {
        let Prepared { schedule, facts, forecast } = prepared;
        let due = Due::of(schedule, global.max_steps);
        let units = forecast.units_per_step.map(|units| units * due.steps);
        let a_pass = forecast.units_per_pass.filter(|units| *units > 0);
        let best_apart =
            schedule.best.is_some() && due.checkpoints_max > global.keep_checkpoints as u64;
        let kept = due.checkpoints_max.min(global.keep_checkpoints as u64);
        Self {
            name: phase.name.clone(),
            phase: phase.description.phase.clone(),
            plugin: phase.description.plugin.clone(),
            plugin_version: phase.description.version.clone(),
            due,
            unit: schedule.unit.clone(),
            units_per_step: forecast.units_per_step,
            units,
            passes: units.zip(a_pass).map(|(units, pass)| units as f64 / pass as f64),
            parameters: forecast.parameters,
            facts: facts.clone(),
            memory_bytes: forecast.memory_bytes,
            checkpoints_kept: kept + u64::from(best_apart),
            ..Self::default()
        }
    }

    /// What lies on disk when the phase is finished.
    pub fn disk_bytes_left(&self) -> u64 {
        self.checkpoints_kept * self.checkpoint_bytes + self.artifact_bytes
    }

    /// A new checkpoint is whole before an old one goes; artifacts come after the last one.
    fn disk_bytes_max(&self) -> u64 {
        let is_one_more = self.due.checkpoints_max > self.checkpoints_kept;
        let written = (self.checkpoints_kept + u64::from(is_one_more)) * self.checkpoint_bytes;
        written.max(self.disk_bytes_left())
    }
}

impl Taken {
    fn of(artifact: &SharedArtifact) -> Self {
        Self {
            name: artifact.name.clone(),
            kind: artifact.kind.clone(),
            phase: artifact.phase.clone(),
        }
    }
}

impl Total {
    fn of(phases: &[DryPhase], machine: &Machine) -> Self {
        let held = machine.memory_held_bytes.unwrap_or(0);
        let mut total = Self { memory_bytes: Some(held), seconds: Some(0.0), ..Self::default() };
        let mut disk_bytes_left = 0;
        for (index, phase) in phases.iter().enumerate() {
            let needed = |own| held + handed_on_bytes(&phases[..index]) + own;
            total.steps += phase.due.steps;
            if let Some(units) = phase.units {
                *total.units.entry(phase.unit.clone()).or_default() += units;
            }
            let memory = total.memory_bytes.zip(phase.memory_bytes);
            total.memory_bytes = memory.map(|(most, own)| most.max(needed(own)));
            total.disk_bytes = total.disk_bytes.max(disk_bytes_left + phase.disk_bytes);
            disk_bytes_left += phase.disk_bytes_left();
            let seconds = total.seconds.zip(phase.estimate.as_ref());
            total.seconds = seconds.map(|(sum, estimate)| sum + estimate.seconds);
            let measured = phase.estimate.as_ref().and_then(|e| e.memory_peak_bytes);
            total.memory_peak_bytes = total.memory_peak_bytes.max(measured);
        }
        total
    }
}

/// What phases hand on stays in memory for those behind them.
fn handed_on_bytes(phases: &[DryPhase]) -> u64 {
    phases.iter().map(|phase| phase.artifact_bytes).sum()
}

/// Size of an artifact's files, but for the manifest.
fn artifact_bytes(artifact: &SharedArtifact) -> Result<u64, RunError> {
    let settings = serde_json::to_vec_pretty(&artifact.settings).map_err(std::io::Error::from)?;
    let tensors = artifact.tensors.iter().map(|(name, tensor)| (name.as_str(), &**tensor));
    let tensors = if artifact.tensors.is_empty() { 0 } else { tensors_bytes(tensors)? };
    Ok(settings.len() as u64 + tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(artifact_bytes: u64, memory_bytes: Option<u64>) -> DryPhase {
        let due = Due { steps: 10, checkpoints_max: 5, ..Due::default() };
        DryPhase {
            due,
            unit: "tokens".to_owned(),
            units: Some(100),
            artifact_bytes,
            memory_bytes,
            checkpoint_bytes: 30,
            checkpoints_kept: 4,
            disk_bytes: 150,
            ..DryPhase::default()
        }
    }

    #[test]
    fn totals_are_of_the_worst_moment_and_not_of_all_phases() {
        let machine = Machine { memory_held_bytes: Some(7), ..Machine::default() };
        let total = Total::of(&[phase(10, Some(1000)), phase(20, Some(995))], &machine);
        assert_eq!((total.steps, total.units["tokens"]), (20, 200));
        // The second one needs less itself, but what the first one handed on is still held.
        assert_eq!(total.memory_bytes, Some(7 + 10 + 995));
        // Four checkpoints and the artifacts of the first stay; the second then has five.
        assert_eq!(total.disk_bytes, 130 + 150);
        assert_eq!(Total::of(&[phase(10, None)], &machine).memory_bytes, None);
    }

    #[test]
    fn a_new_checkpoint_is_there_before_an_old_one_goes() {
        assert_eq!(
            (phase(10, None).disk_bytes_max(), phase(90, None).disk_bytes_max()),
            (150, 210)
        );
        let few = DryPhase { checkpoints_kept: 5, ..phase(0, None) };
        assert_eq!(few.disk_bytes_max(), 150);
    }
}
