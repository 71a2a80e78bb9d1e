//! How long a phase will take, from a few of its steps, one evaluation of each kind and one
//! checkpoint, all timed. What is measured is a forecast: the machine may be busier later.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sdk::{Evaluation, Metrics, Schedule};
use serde::Serialize;

use super::due::Due;
use crate::atomic_write::at;
use crate::checkpoint::{self, Manifest, SCHEMA};
use crate::events::{Event, EventStream};
use crate::run::machine::existing;
use crate::run::phase_loop::{failed, not_finite};
use crate::run::timing::{TimedSteps, Timing};
use crate::run::{ComposedPhase, Interrupt, RunError};

/// Steps before the timed ones: the first ones ask the system for memory.
const WARM_UP_STEPS: u64 = 2;
/// Timed steps at least, as far as the phase has them.
const STEPS_MIN: u64 = 3;
/// Timed steps at most.
const STEPS_MAX: u64 = 200;
/// Time after which no further step is timed.
const ENOUGH: Duration = Duration::from_secs(3);
/// Time beyond which an evaluation is not measured a second time, as the last one.
const LONG: Duration = Duration::from_secs(15);

/// What was measured of a phase, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Steps that were timed.
    pub timed_steps: u64,
    /// Mean time of a step.
    pub step_seconds: f64,
    /// Tokens or samples of a timed step.
    pub units_per_step: f64,
    /// Tokens or samples a second while stepping.
    pub units_per_second: f64,
    /// Time of an evaluation on the way; that of the last one where there is none.
    pub evaluation_seconds: f64,
    /// Time of the evaluation after the last step.
    pub final_evaluation_seconds: f64,
    /// Time to write a checkpoint.
    pub checkpoint_seconds: f64,
    /// The most memory that the process was seen to hold in this phase, with what it keeps of
    /// earlier ones.
    pub memory_peak_bytes: Option<u64>,
    /// Time of the whole phase.
    pub seconds: f64,
}

/// What a measurement needs besides the phase.
pub(super) struct Measuring<'a> {
    pub(super) schedule: &'a Schedule,
    pub(super) due: Due,
    pub(super) output_dir: &'a Path,
    pub(super) interrupt: &'a Interrupt,
    pub(super) stream: &'a EventStream,
}

impl Measuring<'_> {
    /// Measures a prepared phase. The time to prepare it and to write its artifacts is the caller's
    /// to add.
    pub(super) fn measure(&self, phase: &mut ComposedPhase) -> Result<Estimate, RunError> {
        let steps = self.time_steps(phase)?;
        let checkpoint_seconds = self.time_checkpoint(phase, steps.steps())?;
        let (evaluation_seconds, final_evaluation_seconds) = self.time_evaluations(phase)?;
        let n = steps.steps().max(1) as f64;
        let step_seconds = steps.sum() / n;
        let due = &self.due;
        let seconds = step_seconds * due.steps as f64
            + evaluation_seconds * due.evaluations_on_the_way as f64
            + final_evaluation_seconds
            + checkpoint_seconds * due.checkpoints_max as f64;
        Ok(Estimate {
            timed_steps: steps.steps(),
            step_seconds,
            units_per_step: steps.units_per_step(),
            units_per_second: steps.units as f64 / steps.sum().max(1e-9),
            evaluation_seconds,
            final_evaluation_seconds,
            checkpoint_seconds,
            memory_peak_bytes: None,
            seconds,
        })
    }

    fn time_steps(&self, phase: &mut ComposedPhase) -> Result<TimedSteps, RunError> {
        self.look_for_a_stop(phase)?;
        let timing = Timing {
            scheduled: self.due.steps,
            repeats: false,
            warm_up: WARM_UP_STEPS,
            steps_min: STEPS_MIN,
            steps_max: STEPS_MAX,
            enough: ENOUGH,
        };
        timing.take(phase, |phase, report, done| {
            if !report.loss.is_finite() {
                let help = "lower the learning rate or look at the data of this step";
                return Err(failed(
                    phase,
                    &format!("at step {}", done - 1),
                    not_finite().help(help),
                ));
            }
            self.say(phase, "timing steps", done);
            self.look_for_a_stop(phase)
        })
    }

    /// Evaluations on the way and at the end. One that takes long stands for the other too.
    fn time_evaluations(&self, phase: &mut ComposedPhase) -> Result<(f64, f64), RunError> {
        let mut on_the_way = None;
        if self.due.evaluations_on_the_way > 0 {
            let seconds = self.time_evaluation(phase, Evaluation::Periodic)?;
            if seconds > LONG.as_secs_f64() {
                return Ok((seconds, seconds));
            }
            on_the_way = Some(seconds);
        }
        let last = self.time_evaluation(phase, Evaluation::Final)?;
        Ok((on_the_way.unwrap_or(last), last))
    }

    fn time_evaluation(
        &self,
        phase: &mut ComposedPhase,
        when: Evaluation,
    ) -> Result<f64, RunError> {
        self.look_for_a_stop(phase)?;
        self.say(phase, "timing an evaluation", 0);
        let begin = Instant::now();
        let measured =
            phase.client.evaluate(when).map_err(|e| failed(phase, "while evaluating", e))?;
        let seconds = begin.elapsed().as_secs_f64();
        self.check_best(phase, &measured);
        Ok(seconds)
    }

    /// A best checkpoint that is never chosen would be found out at the end.
    fn check_best(&self, phase: &ComposedPhase, measured: &Metrics) {
        let Some(best) = &self.schedule.best else { return };
        if !measured.contains_key(&best.metric) {
            let message = format!(
                "phase `{}` is to keep the best checkpoint by `val/{}`, which its evaluation does \
                 not measure",
                phase.name, best.metric
            );
            self.stream.emit(Event::Warning { message });
        }
    }

    /// Writes one checkpoint where the run's would lie, and removes it.
    fn time_checkpoint(&self, phase: &mut ComposedPhase, step: u64) -> Result<f64, RunError> {
        self.look_for_a_stop(phase)?;
        self.say(phase, "timing a checkpoint", 0);
        let scratch = Scratch::new(self.output_dir)?;
        let begin = Instant::now();
        let state = phase.client.save().map_err(|e| failed(phase, "while saving", e))?;
        let description = &phase.description;
        let manifest = Manifest {
            schema: SCHEMA,
            phase: phase.name.clone(),
            plugin: description.plugin.clone(),
            plugin_version: description.version.clone(),
            state_version: description.state_version,
            step,
            best: None,
            evaluation_due: false,
            files: BTreeMap::new(),
        };
        checkpoint::write(&scratch.0, &state, manifest, false)?;
        Ok(begin.elapsed().as_secs_f64())
    }

    fn look_for_a_stop(&self, phase: &ComposedPhase) -> Result<(), RunError> {
        if !self.interrupt.is_set() {
            return Ok(());
        }
        Err(failed(phase, "while timing", sdk::Error::new(sdk::CANCELLED, "stopped on request")))
    }

    fn say(&self, phase: &ComposedPhase, what: &str, done: u64) {
        let total = self.due.steps.min(WARM_UP_STEPS + STEPS_MAX);
        let (phase, what) = (phase.name.clone(), what.to_owned());
        self.stream.emit(Event::Progress { phase, what, done, total });
    }
}

/// A directory on the file system of the runs, removed at the end, also of an error.
struct Scratch(PathBuf);

impl Scratch {
    fn new(output_dir: &Path) -> Result<Self, RunError> {
        let path = existing(output_dir).join(format!(".dry-run-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(at("creating", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
