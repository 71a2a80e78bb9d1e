//! One trial, in the process that is made for it: a phase is prepared on what earlier ones hand on,
//! and some of its steps are taken and timed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sdk::{Error, Forecast};
use serde::{Deserialize, Serialize};

use crate::config::Request;
use crate::events::{Event, EventStream};
use crate::registry::{Prepared, Registry};
use crate::run::{
    Composed, ComposedPhase, Interrupt, RunError, TimedSteps, Timing, compose, memory_peak,
};

/// What is to be tried. It crosses to the trial's process as a line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Trial {
    /// The configuration, with the overrides of this trial.
    pub(super) request: Request,
    /// The phase by its name in the pipeline.
    pub(super) phase: String,
    /// How much of it.
    pub(super) depth: Depth,
}

/// How far a trial goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Depth {
    /// Prepared, for what the phase forecasts.
    Forecast,
    /// Some steps.
    Steps {
        /// Not timed.
        warm_up: u64,
        /// Timed at least.
        min: u64,
        /// Timed at most.
        max: u64,
        /// Seconds after which no further one is timed.
        seconds: f64,
    },
}

/// What a trial found. It comes back as a line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It went to its end.
    Done(Box<Measured>),
    /// The phase failed.
    Phase {
        /// Its name, or that of an earlier one.
        phase: String,
        /// Its plugin.
        plugin: String,
        /// `while preparing`, `at step 3`.
        place: String,
        /// What it said.
        error: Error,
    },
    /// Something else went wrong.
    Other {
        /// What.
        message: String,
        /// The way out.
        help: Option<String>,
    },
}

/// What was measured of a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    /// What a step consumes: `tokens` or `samples`.
    pub(super) unit: String,
    /// Seconds that it took to prepare.
    pub(super) prepare_seconds: f64,
    /// What the phase forecasts.
    pub(super) forecast: Forecast,
    /// The most memory that the process held.
    pub(super) memory_peak_bytes: Option<u64>,
    /// Its steps; none when only the forecast was asked for.
    pub(super) timed: TimedSteps,
}

impl Measured {
    /// Tokens or samples a second, by the median of the steps.
    pub(super) fn units_per_second(&self) -> f64 {
        self.timed.units_per_step() / self.timed.quantile(0.5).max(1e-9)
    }
}

impl Trial {
    /// Does what the trial says.
    ///
    /// # Errors
    /// What a run would fail with.
    pub(super) fn perform(&self, registry: &Registry) -> Result<Measured, RunError> {
        let mut composed = compose(&self.request, registry, &Interrupt::default())?;
        let stream = Arc::new(EventStream::new("bench", 1, Vec::new()));
        let _ = composed.stream.set(Arc::clone(&stream));
        let mut given = composed.initial.clone();
        for mut phase in std::mem::take(&mut composed.phases) {
            let begin = Instant::now();
            let prepared = phase.client.prepare(&given);
            let prepared = prepared.map_err(|e| failed(&phase, "while preparing", e))?;
            if phase.name == self.phase {
                let seconds = begin.elapsed().as_secs_f64();
                return self.measure(&composed, &stream, &mut phase, prepared, seconds);
            }
            let artifacts = phase.client.artifacts();
            given.extend(artifacts.map_err(|e| failed(&phase, "while handing on", e))?);
        }
        let message = format!("there is no phase `{}` to measure", self.phase);
        Err(RunError::usage(message, "`host config resolve` shows the phases of a configuration"))
    }

    fn measure(
        &self,
        composed: &Composed,
        stream: &EventStream,
        phase: &mut ComposedPhase,
        prepared: Prepared,
        prepare_seconds: f64,
    ) -> Result<Measured, RunError> {
        let Prepared { schedule, forecast, .. } = prepared;
        let mut timed = TimedSteps::default();
        if let Depth::Steps { warm_up, min, max, seconds } = self.depth {
            let timing = Timing {
                scheduled: schedule.total_steps,
                repeats: true,
                warm_up,
                steps_min: min,
                steps_max: max,
                enough: Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
            };
            timed = timing.take(phase, |phase, report, done| {
                // As a run does after each step, so that it is measured too.
                stream.emit(Event::StepDone {
                    phase: phase.name.clone(),
                    steps_done: done,
                    loss: report.loss,
                    units_per_s: 0.0,
                });
                let is_stopped = composed.interrupt.is_set();
                if is_stopped { Err(stopped(phase)) } else { Ok(()) }
            })?;
        }
        let memory_peak_bytes = memory_peak();
        Ok(Measured { unit: schedule.unit, prepare_seconds, forecast, memory_peak_bytes, timed })
    }
}

fn stopped(phase: &ComposedPhase) -> RunError {
    failed(phase, "while timing", Error::new(sdk::CANCELLED, "stopped on request"))
}

fn failed(phase: &ComposedPhase, place: &str, error: Error) -> RunError {
    let (name, plugin) = (phase.name.clone(), phase.description.plugin.clone());
    RunError::Phase { phase: name, plugin, place: place.to_owned(), error: Box::new(error) }
}

impl Reply {
    /// What crosses of a result.
    pub(super) fn of(result: Result<Measured, RunError>) -> Self {
        match result {
            Ok(measured) => Self::Done(Box::new(measured)),
            Err(RunError::Phase { phase, plugin, place, error }) => {
                Self::Phase { phase, plugin, place, error: *error }
            }
            Err(RunError::Config(errors)) => {
                let first = errors.0.into_iter().next();
                Self::Other { message: first.map(|e| e.message).unwrap_or_default(), help: None }
            }
            Err(other) => {
                Self::Other { message: other.to_string(), help: other.help().map(str::to_owned) }
            }
        }
    }
}
