//! The trials of one phase, in order: as it is configured, then ever larger micro-batches
//! (`fitting`), then the ways to cut a step (`tuning`).

use sdk::{Batching, Error};

use super::process::{self, Bounds, Outcome};
use super::report::{Benched, Misfit, Speed, Tried};
use super::trial::{Depth, Measured, Reply, Trial};
use super::{Cut, Options, Peak, number_at};
use crate::config::Request;
use crate::progress::{bytes, number};
use crate::run::{ComposedPhase, Interrupt, RunError};

/// Steps before the timed ones of a measurement.
const WARM_UP_STEPS: u64 = 2;
/// Timed steps of a measurement at least: a median needs them.
const STEPS_MIN: u64 = 3;
/// Timed steps of a measurement at most.
const STEPS_MAX: u64 = 10_000;

/// A phase as its plugin and the configuration describe it.
pub(super) struct Subject {
    pub(super) name: String,
    phase: String,
    plugin: String,
    plugin_version: String,
    pub(super) batching: Option<Batching>,
    cut: Option<Cut>,
}

impl Subject {
    pub(super) fn of(phase: &ComposedPhase) -> Self {
        let description = &phase.description;
        let batching = description.batching.clone();
        let cut = batching.as_ref().and_then(|keys| {
            let times = keys.accumulation.as_deref();
            let accumulation = times.map_or(Some(1), |key| number_at(&phase.section, key))?;
            Some(Cut { micro_batch: number_at(&phase.section, &keys.micro_batch)?, accumulation })
        });
        Self {
            name: phase.name.clone(),
            phase: description.phase.clone(),
            plugin: description.plugin.clone(),
            plugin_version: description.version.clone(),
            batching: cut.and(batching),
            cut,
        }
    }

    /// The overrides of a cut.
    fn overrides(&self, cut: Cut) -> Vec<String> {
        let Some(keys) = &self.batching else { return Vec::new() };
        let one = |key: &str, n| format!("{}.{key}={n}", self.name);
        let times = keys.accumulation.as_deref().map(|key| one(key, cut.accumulation));
        std::iter::once(one(&keys.micro_batch, cut.micro_batch)).chain(times).collect()
    }
}

/// A measurement, or why there is none.
pub(super) type Fit = Result<Box<Measured>, Misfit>;

/// What the trials need besides the phase.
pub(super) struct Bench<'a> {
    pub(super) request: &'a Request,
    pub(super) options: &'a Options,
    pub(super) memory_limit_bytes: Option<u64>,
    pub(super) peak: Option<Peak>,
    pub(super) interrupt: &'a Interrupt,
    pub(super) say: &'a dyn Fn(&str),
}

impl Bench<'_> {
    /// All trials of a phase.
    pub(super) fn phase(&self, subject: &Subject) -> Result<Benched, RunError> {
        let mut benched = Benched {
            name: subject.name.clone(),
            phase: subject.phase.clone(),
            plugin: subject.plugin.clone(),
            plugin_version: subject.plugin_version.clone(),
            cut: subject.cut,
            batching: subject.batching.clone(),
            measured: None,
            misfit: None,
            search: None,
            tuning: None,
        };
        (self.say)(&format!("[{}] measuring it as it is configured", subject.name));
        let seconds = self.options.seconds;
        let own = self.as_configured(subject, self.depth(seconds, STEPS_MIN))?;
        match &own {
            Ok(measured) => benched.measured = Some(Speed::of(measured, self.peak)),
            Err(misfit) => benched.misfit = Some(misfit.clone()),
        }
        if let Some(cut) = subject.cut.filter(|_| self.searches(subject)) {
            let search = self.search(subject, cut, own.as_ref().ok().map(|own| &**own))?;
            let effective = self.options.effective_batch.unwrap_or(cut.effective_batch());
            benched.tuning = self.tune(subject, cut, effective, search.largest.unwrap_or(0))?;
            benched.search = Some(search);
        }
        Ok(benched)
    }

    /// Whether other micro-batches are tried.
    fn searches(&self, subject: &Subject) -> bool {
        self.options.searches && subject.cut.is_some()
    }

    /// A measurement of so many seconds, or of as many steps as were asked for.
    pub(super) fn depth(&self, seconds: f64, min: u64) -> Depth {
        let (min, max, seconds) = match self.options.steps {
            Some(steps) => (steps, steps, f64::MAX),
            None => (min, STEPS_MAX, seconds),
        };
        Depth::Steps { warm_up: WARM_UP_STEPS, min, max, seconds }
    }

    /// The configuration as it is. What is wrong with it other than its size is an error; a process
    /// that dies may have wanted too much memory, which smaller micro-batches show.
    fn as_configured(&self, subject: &Subject, depth: Depth) -> Result<Fit, RunError> {
        match self.run(subject, None, depth)? {
            Outcome::Failed(reply) => Err(into_error(reply)),
            Outcome::Died(how) if !self.searches(subject) => {
                let message = format!("phase `{}` took its process with it: {how}", subject.name);
                Err(RunError::Record(message))
            }
            Outcome::TooSlow => {
                let seconds = self.options.trial_limit.as_secs();
                let message = format!("phase `{}` is not measured after {seconds} s", subject.name);
                Err(RunError::Record(message + ": `--trial-limit` allows more"))
            }
            outcome => Ok(self.fits(outcome)),
        }
    }

    /// Runs a trial; without a cut, of the configuration as it is.
    pub(super) fn run(
        &self,
        subject: &Subject,
        cut: Option<Cut>,
        depth: Depth,
    ) -> Result<Outcome, RunError> {
        let mut request = self.request.clone();
        request.overrides.extend(cut.into_iter().flat_map(|cut| subject.overrides(cut)));
        let trial = Trial { request, phase: subject.name.clone(), depth };
        let bounds =
            Bounds { memory_bytes: self.memory_limit_bytes, time: self.options.trial_limit };
        match process::run(&trial, bounds, self.interrupt)? {
            Outcome::Stopped => Err(stopped(subject)),
            outcome => Ok(outcome),
        }
    }

    /// Whether a trial fits, and why not.
    pub(super) fn fits(&self, outcome: Outcome) -> Fit {
        let (reason, message) = match outcome {
            Outcome::Done(measured) | Outcome::Failed(Reply::Done(measured)) => {
                return Ok(measured);
            }
            Outcome::Stopped => ("time", "stopped on request".to_owned()),
            Outcome::TooLarge(held) => {
                let limit = bytes(self.memory_limit_bytes.unwrap_or(held));
                ("memory", format!("it needs {} or more, and the limit is {limit}", bytes(held)))
            }
            Outcome::TooSlow => {
                let seconds = self.options.trial_limit.as_secs();
                ("time", format!("it took longer than {seconds} s"))
            }
            Outcome::Died(how) => ("died", how),
            Outcome::Failed(Reply::Phase { error, .. }) => ("refused", error.message),
            Outcome::Failed(Reply::Other { message, .. }) => ("refused", message),
        };
        Err(Misfit { reason, message })
    }

    /// Tells of a trial, and keeps what is reported of it.
    pub(super) fn tried(&self, subject: &Subject, cut: Cut, tried: &Fit) -> Tried {
        let said = match tried {
            Ok(measured) => {
                let held = measured.memory_peak_bytes.map(|held| format!(", {}", bytes(held)));
                let pace = number(measured.units_per_second());
                format!("{pace} {}/s{}", measured.unit, held.unwrap_or_default())
            }
            Err(misfit) => misfit.message.clone(),
        };
        let Cut { micro_batch, accumulation } = cut;
        (self.say)(&format!("[{}] {micro_batch} × {accumulation}: {said}", subject.name));
        match tried {
            Ok(measured) => Tried::fits(cut, measured),
            Err(misfit) => Tried::misfit(cut, misfit.clone()),
        }
    }
}

fn stopped(subject: &Subject) -> RunError {
    RunError::Phase {
        phase: subject.name.clone(),
        plugin: subject.plugin.clone(),
        place: "while it was measured".to_owned(),
        error: Box::new(Error::new(sdk::CANCELLED, "stopped on request")),
    }
}

/// What a trial failed with, as if it had failed here.
fn into_error(reply: Reply) -> RunError {
    match reply {
        Reply::Phase { phase, plugin, place, error } => {
            RunError::Phase { phase, plugin, place, error: Box::new(error) }
        }
        Reply::Other { message, help: Some(help) } => RunError::usage(message, help),
        Reply::Other { message, .. } => RunError::Record(message),
        Reply::Done(_) => RunError::Record("a trial said nothing".to_owned()),
    }
}
