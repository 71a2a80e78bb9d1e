//! The loop of one phase: step, log, evaluate, checkpoint, in that order.
//!
//! The trainer says how often each is due; the host decides when it happens and keeps the record.

use std::collections::BTreeMap;
use std::time::Instant;

use sdk::{Evaluation, Metrics, Schedule, StepReport};

use super::directory::PhaseDirectory;
use super::{ComposedPhase, Interrupt, RunError};
use crate::atomic_write::at;
use crate::checkpoint::{self, BestSoFar, Manifest, Restored, SCHEMA};
use crate::events::{Event, EventStream};
use crate::registry::{Prepared, SharedArtifact};

/// How a phase's loop ended.
pub(super) enum LoopEnd {
    /// After its last step; the last value of each metric.
    Done { steps: u64, values: BTreeMap<String, f64> },
    /// On request, after a checkpoint.
    Stopped,
}

/// What the loop needs of the run.
pub(super) struct LoopContext<'a> {
    pub(super) stream: &'a EventStream,
    pub(super) interrupt: &'a Interrupt,
    pub(super) directory: PhaseDirectory,
    pub(super) run: &'a std::path::Path,
    pub(super) max_steps: Option<u64>,
    pub(super) keep_checkpoints: usize,
}

/// One phase in its loop.
pub(super) struct PhaseLoop<'a> {
    phase: &'a mut ComposedPhase,
    cx: LoopContext<'a>,
    schedule: Schedule,
    total_steps: u64,
    steps_done: u64,
    best: Option<BestSoFar>,
    /// Whether the evaluation after the last step was stopped.
    evaluation_due: bool,
    values: BTreeMap<String, f64>,
    last_checkpoint: Option<u64>,
    pace: Pace,
}

/// Units and time since the last logged point.
struct Pace {
    since: Instant,
    steps: u64,
    units: u64,
}

impl Pace {
    fn start() -> Self {
        Self { since: Instant::now(), steps: 0, units: 0 }
    }

    fn units_per_s(&self) -> f64 {
        self.units as f64 / self.since.elapsed().as_secs_f64().max(1e-9)
    }

    fn step_ms(&self) -> f64 {
        self.since.elapsed().as_secs_f64() * 1e3 / self.steps.max(1) as f64
    }
}

impl<'a> PhaseLoop<'a> {
    /// Prepares the phase and, when there is a checkpoint, restores it.
    pub(super) fn prepare(
        phase: &'a mut ComposedPhase,
        given: &[SharedArtifact],
        restored: Option<Restored>,
        cx: LoopContext<'a>,
    ) -> Result<Self, RunError> {
        let prepared =
            phase.client.prepare(given).map_err(|e| failed(phase, "while preparing", e))?;
        let Prepared { schedule, facts, .. } = prepared;
        let total_steps =
            cx.max_steps.map_or(schedule.total_steps, |n| n.min(schedule.total_steps));
        let mut this = Self {
            phase,
            cx,
            total_steps,
            schedule,
            steps_done: 0,
            best: None,
            evaluation_due: false,
            values: BTreeMap::new(),
            last_checkpoint: None,
            pace: Pace::start(),
        };
        if let Some(restored) = restored {
            this.restore(restored)?;
        }
        this.cx.stream.emit(Event::PhasePrepared {
            phase: this.phase.name.clone(),
            total_steps: this.total_steps,
            steps_done: this.steps_done,
            unit: this.schedule.unit.clone(),
            facts,
        });
        Ok(this)
    }

    fn restore(&mut self, restored: Restored) -> Result<(), RunError> {
        let Restored { directory, manifest, state } = restored;
        let wanted = &self.phase.description;
        if manifest.plugin != wanted.plugin || manifest.state_version != wanted.state_version {
            let message = format!(
                "the checkpoint is of plugin `{}` with state version {}, the plugin here is `{}` with state version {}",
                manifest.plugin, manifest.state_version, wanted.plugin, wanted.state_version
            );
            let error = sdk::Error::new("checkpoint::version", message);
            return Err(failed(self.phase, "while restoring", error));
        }
        self.phase.client.restore(state).map_err(|e| failed(self.phase, "while restoring", e))?;
        self.steps_done = manifest.step;
        self.best = manifest.best;
        self.evaluation_due = manifest.evaluation_due;
        self.last_checkpoint = Some(manifest.step);
        let path = self.relative(&directory);
        let phase = self.phase.name.clone();
        self.cx.stream.emit(Event::CheckpointRestored { phase, step: manifest.step, path });
        Ok(())
    }

    /// Whether `max_steps` ends it before its schedule does.
    pub(super) fn is_cut_short(&self) -> bool {
        self.total_steps < self.schedule.total_steps
    }

    /// Runs to the last step, or to where the run is asked to stop.
    pub(super) fn run(mut self) -> Result<LoopEnd, RunError> {
        self.pace = Pace::start();
        if self.evaluation_due && self.steps_done < self.total_steps {
            self.measure()?;
        }
        while self.steps_done < self.total_steps {
            if self.cx.interrupt.is_set() {
                return self.stop();
            }
            let report = match self.phase.client.step(self.steps_done) {
                Err(e) if e.code == sdk::CANCELLED => return self.stop(),
                report => report.map_err(|e| self.failed_at_step(e))?,
            };
            self.steps_done += 1;
            self.after_step(report)?;
        }
        self.finish()
    }

    /// What is due after a step: log, then evaluate, then checkpoint.
    fn after_step(&mut self, report: StepReport) -> Result<(), RunError> {
        let n = self.steps_done;
        let is_last = n == self.total_steps;
        self.pace.steps += 1;
        self.pace.units += report.units;
        self.cx.stream.emit(Event::StepDone {
            phase: self.phase.name.clone(),
            steps_done: n,
            loss: report.loss,
            units_per_s: self.pace.units_per_s(),
        });
        let is_finite = report.loss.is_finite();
        if is_due(n, self.schedule.log_every_steps) || is_last || !is_finite {
            self.log(report);
        }
        if !is_finite {
            self.steps_done -= 1;
            return Err(self.failed_at_step(not_finite()));
        }
        self.evaluation_due = is_due(n, self.schedule.eval_every_steps) && !is_last;
        if self.evaluation_due {
            self.measure()?;
        }
        let is_saved = self.last_checkpoint == Some(n);
        if is_due(n, self.schedule.checkpoint_every_steps) && !is_last && !is_saved {
            self.checkpoint(false)?;
        }
        self.check_record()
    }

    /// The evaluation after a step, and a checkpoint where it is the best so far. One that is
    /// stopped stays due.
    fn measure(&mut self) -> Result<(), RunError> {
        match self.evaluate(Evaluation::Periodic) {
            Err(RunError::Phase { error, .. }) if error.code == sdk::CANCELLED => return Ok(()),
            is_best => {
                let is_best = is_best?;
                self.evaluation_due = false;
                if is_best {
                    self.checkpoint(true)?;
                }
            }
        }
        Ok(())
    }

    fn log(&mut self, report: StepReport) {
        let mut values: Metrics = [
            ("train/loss".to_owned(), report.loss),
            ("train/step_ms".to_owned(), self.pace.step_ms()),
            (format!("train/{}_per_s", self.schedule.unit), self.pace.units_per_s()),
        ]
        .into();
        values.extend(report.metrics.into_iter().map(|(name, v)| (format!("train/{name}"), v)));
        self.pace = Pace::start();
        self.emit_metrics(values);
    }

    /// Measures the held-out data; returns whether the model is the best so far.
    fn evaluate(&mut self, when: Evaluation) -> Result<bool, RunError> {
        let begin = Instant::now();
        let measured = self.phase.client.evaluate(when).map_err(|e| self.failed_at_step(e))?;
        let chosen = self
            .schedule
            .best
            .as_ref()
            .and_then(|best| measured.get(&best.metric).map(|value| (best.goal, *value)));
        let mut values: Metrics =
            measured.into_iter().map(|(name, value)| (format!("val/{name}"), value)).collect();
        let is_best = match chosen {
            None => false,
            Some((goal, value)) => {
                let old = self.best.as_ref().map(|best| best.value.unwrap_or(f64::NAN));
                let is_best = old.is_none_or(|old| goal.is_better(value, old));
                if is_best {
                    let value = value.is_finite().then_some(value);
                    self.best = Some(BestSoFar { step: self.steps_done, value });
                }
                let best = self.best.as_ref().and_then(|best| best.value);
                values.insert("val/best".to_owned(), best.unwrap_or(f64::NAN));
                is_best
            }
        };
        self.emit_metrics(values);
        // An evaluation is no part of the pace of training.
        self.pace.since += begin.elapsed();
        Ok(is_best)
    }

    fn emit_metrics(&mut self, values: Metrics) {
        if values.is_empty() {
            return;
        }
        self.values.extend(values.iter().map(|(name, value)| (name.clone(), *value)));
        let (phase, step) = (self.phase.name.clone(), self.steps_done);
        self.cx.stream.emit(Event::Metrics { phase, step, values });
    }

    fn checkpoint(&mut self, is_best: bool) -> Result<(), RunError> {
        let begin = Instant::now();
        let state = self.phase.client.save().map_err(|e| self.failed_at_step(e))?;
        let description = &self.phase.description;
        let manifest = Manifest {
            schema: SCHEMA,
            phase: self.phase.name.clone(),
            plugin: description.plugin.clone(),
            plugin_version: description.version.clone(),
            state_version: description.state_version,
            step: self.steps_done,
            best: self.best.clone(),
            evaluation_due: self.evaluation_due,
            files: BTreeMap::new(),
        };
        let checkpoints = self.cx.directory.checkpoints();
        let written = checkpoint::write(&checkpoints, &state, manifest, is_best)?;
        drop(state);
        checkpoint::retain(&checkpoints, self.cx.keep_checkpoints)?;
        self.last_checkpoint = Some(self.steps_done);
        self.cx.stream.emit(Event::CheckpointWritten {
            phase: self.phase.name.clone(),
            step: self.steps_done,
            path: self.relative(&written.directory),
            bytes: written.bytes,
            ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
            is_best,
        });
        self.pace.since += begin.elapsed();
        Ok(())
    }

    fn stop(mut self) -> Result<LoopEnd, RunError> {
        if self.last_checkpoint != Some(self.steps_done) {
            self.checkpoint(false)?;
        }
        Ok(LoopEnd::Stopped)
    }

    /// After the last step: the thorough evaluation, and a checkpoint.
    fn finish(mut self) -> Result<LoopEnd, RunError> {
        let is_best = match self.evaluate(Evaluation::Final) {
            Err(RunError::Phase { error, .. }) if error.code == sdk::CANCELLED => {
                return self.stop();
            }
            is_best => is_best?,
        };
        if self.last_checkpoint != Some(self.steps_done) || is_best {
            self.checkpoint(is_best)?;
        }
        self.check_record()?;
        if self.cx.interrupt.is_set() {
            return Ok(LoopEnd::Stopped);
        }
        Ok(LoopEnd::Done { steps: self.steps_done, values: self.values })
    }

    /// A record with a hole is worse than a run that ends: its checkpoint stands.
    fn check_record(&self) -> Result<(), RunError> {
        self.cx.stream.failure().map_or(Ok(()), |e| Err(RunError::Record(e)))
    }

    fn failed_at_step(&self, error: sdk::Error) -> RunError {
        failed(self.phase, &format!("at step {}", self.steps_done), error)
    }

    fn relative(&self, path: &std::path::Path) -> String {
        path.strip_prefix(self.cx.run).unwrap_or(path).display().to_string()
    }
}

/// What ends a phase whose loss is not finite.
pub(super) fn not_finite() -> sdk::Error {
    sdk::Error::new("train::not_finite", "the loss is not a finite number").help(
        "lower the learning rate or look at the data of this step; the last checkpoint stands",
    )
}

pub(super) fn failed(phase: &ComposedPhase, place: &str, error: sdk::Error) -> RunError {
    RunError::Phase {
        phase: phase.name.clone(),
        plugin: phase.description.plugin.clone(),
        place: place.to_owned(),
        error: Box::new(error),
    }
}

/// Whether something with this interval is due after `n` steps; 0 means never.
fn is_due(n: u64, every: u64) -> bool {
    every > 0 && n.is_multiple_of(every)
}

/// The newest whole checkpoint of a phase; a damaged newer one is worth a warning.
pub(super) fn find_checkpoint(
    directory: &PhaseDirectory,
    stream: &EventStream,
) -> Result<Option<Restored>, RunError> {
    let checkpoints = directory.checkpoints();
    checkpoint::recover(&checkpoints)?;
    let (restored, damaged) =
        checkpoint::newest(&checkpoints).map_err(at("resuming from", &checkpoints))?;
    for damage in damaged {
        let message = format!("{damage}; going on from the checkpoint before it");
        stream.emit(Event::Warning { message });
    }
    restored.as_ref().map_or(Ok(()), checkpoint::repoint)?;
    Ok(restored)
}
