//! What an author implements.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::artifact::{Artifact, Artifacts};
use crate::context::PhaseContext;
use crate::device::{DType, DeviceKind};
use crate::error::{Error, Result};
use crate::generate::{ExportRequest, TextGenerator};
use crate::section::Change;
use crate::state::Stateful;

/// Named numbers. The host puts `train/` or `val/` in front of the names.
pub type Metrics = BTreeMap<String, f64>;

/// Trains one phase: it owns model, data, loss and step, and the host owns all the rest.
///
/// The calls come in this order, all from one thread:
///
/// 1. [`check`](Self::check) and [`promises`](Self::promises), for every phase of the pipeline
///    before the first one starts;
/// 2. [`prepare`](Self::prepare) once, then [`schedule`](Self::schedule) once, then, on resume,
///    [`Stateful::state`] to restore;
/// 3. [`step`](Self::step) for each step of the schedule, [`evaluate`](Self::evaluate) and
///    [`Stateful::state`] (to save) whenever they are due;
/// 4. [`artifacts`](Self::artifacts) once, after the last step.
///
/// A panic in any of them ends the phase with an error, not the process.
pub trait Trainer: Stateful + Sized + Send + 'static {
    /// The phase's section of the configuration.
    ///
    /// Give every field a default and a doc comment (it becomes the schema's description), and
    /// say `#[serde(deny_unknown_fields)]`. Fields named `seed`, `device`, `dtype`, `amp_dtype`
    /// or `deterministic` are the host's and refused.
    type Config: DeserializeOwned + Serialize + JsonSchema;

    /// Raise it when a key of the section is renamed, moved, dropped or gets another meaning, and
    /// say in [`changes`](Self::changes) what becomes of the old one.
    const SECTION_VERSION: u32 = 1;

    /// Raise it when the meaning of the saved state changes; a checkpoint of another version is
    /// refused.
    const STATE_VERSION: u32 = 1;

    /// What else this trainer can do, from [`crate::capability`].
    const CAPABILITIES: &'static [&'static str] = &[];

    /// Kinds of device it runs on; a run on another is refused before it starts.
    const DEVICES: &'static [DeviceKind] = &[DeviceKind::Cpu];

    /// Types of weights it trains in; `global.dtype` must be one of them.
    const DTYPES: &'static [DType] = &[DType::F32];

    /// Types of mixed precision it can compute in; `global.amp_dtype` must be one of them.
    const AMP_DTYPES: &'static [DType] = &[];

    /// Facts about the build worth recording, such as the version of the tensor library.
    const BUILD_FACTS: &'static [(&'static str, &'static str)] = &[];

    /// How sections of older versions become one of [`SECTION_VERSION`](Self::SECTION_VERSION), in
    /// the order in which it is to be done.
    fn changes() -> Vec<Change> {
        Vec::new()
    }

    /// Which keys of the section say how many samples a step takes at once, for `host bench` to find
    /// the largest number that fits and the fastest. `None` keeps it from trying.
    fn batching() -> Option<Batching> {
        None
    }

    /// Cross-field checks, before anything starts. `upstream` holds what earlier phases promise,
    /// without tensors. Returns all findings; each should point [`at`](Error::at) a field.
    fn check(config: &Self::Config, upstream: &Artifacts) -> Vec<Error> {
        let _ = (config, upstream);
        Vec::new()
    }

    /// What this phase will hand on, known from its configuration alone: kinds and settings of
    /// its artifacts, without tensors. Later phases check against it before anything starts.
    fn promises(config: &Self::Config, upstream: &Artifacts) -> Vec<Artifact> {
        let _ = (config, upstream);
        Vec::new()
    }

    /// Builds model, data and optimizer. `given` holds what earlier phases handed on.
    ///
    /// # Errors
    /// When data or artifacts are missing or don't fit; the phase then fails before its first
    /// step.
    fn prepare(config: Self::Config, given: &Artifacts, cx: &PhaseContext) -> Result<Self>;

    /// How many steps, and what is due how often.
    fn schedule(&self) -> Schedule;

    /// Facts worth showing at the start: parameters, tokens, samples, ….
    fn facts(&self) -> Map<String, Value> {
        Map::new()
    }

    /// What the phase will need, for the plan that a user sees before a run.
    fn forecast(&self) -> Forecast {
        Forecast::default()
    }

    /// One optimizer update, all its micro-batches included. `step` counts from 0.
    ///
    /// # Errors
    /// Whatever makes going on pointless. A loss that is not finite needs no error: the host
    /// stops on it.
    fn step(&mut self, step: u64, cx: &PhaseContext) -> Result<StepReport>;

    /// Measures the held-out data; must leave what [`step`](Self::step) uses as it was.
    ///
    /// # Errors
    /// Whatever makes the measurement impossible.
    fn evaluate(&mut self, when: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        let _ = (when, cx);
        Ok(Metrics::new())
    }

    /// What the phase hands on, and what a user takes from the run.
    ///
    /// # Errors
    /// When a tensor can't be exported.
    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        Ok(Vec::new())
    }

    /// What makes text from the artifacts of a finished phase; for trainers that declare
    /// [`crate::capability::GENERATE`]. Opened once, then asked as often as the user likes.
    ///
    /// # Errors
    /// When the artifacts don't hold a model.
    fn text_generator(
        config: &Self::Config,
        given: &Artifacts,
        cx: &PhaseContext,
    ) -> Result<Box<dyn TextGenerator>> {
        let _ = (config, given, cx);
        Err(Error::new("capability::missing", "this trainer can't generate text"))
    }

    /// Writes the artifacts of a finished phase in a format of other tools; for trainers that
    /// declare it as [`crate::capability::EXPORT`] and its name, as in `export/hf`.
    ///
    /// The host hands an empty directory, and puts it in its place when the call has succeeded.
    ///
    /// # Errors
    /// When the artifacts can't be said in that format.
    fn export(
        config: &Self::Config,
        given: &Artifacts,
        request: &ExportRequest,
        cx: &PhaseContext,
    ) -> Result<()> {
        let _ = (config, given, cx);
        let message = format!("this trainer can't export as `{}`", request.format);
        Err(Error::new("capability::missing", message))
    }
}

/// How long a phase runs, and what is due how often.
///
/// Something is due after step `n` (counting from 1) when `n` is a multiple of its interval, and
/// logging and evaluation also after the last step. An interval of 0 means never, save at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Optimizer updates in all.
    pub total_steps: u64,
    /// Steps between logged points.
    pub log_every_steps: u64,
    /// Steps between evaluations.
    pub eval_every_steps: u64,
    /// Steps between checkpoints.
    pub checkpoint_every_steps: u64,
    /// Which metric chooses the best checkpoint.
    pub best: Option<Best>,
    /// What a step consumes: `tokens` or `samples`.
    pub unit: String,
}

impl Schedule {
    /// `total_steps` steps of samples, logged a hundred times, evaluated and saved ten times.
    pub fn new(total_steps: u64) -> Self {
        Self {
            total_steps,
            log_every_steps: (total_steps / 100).max(1),
            eval_every_steps: (total_steps / 10).max(1),
            checkpoint_every_steps: (total_steps / 10).max(1),
            best: None,
            unit: "samples".to_owned(),
        }
    }
}

/// What a prepared phase will need; what is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Forecast {
    /// Trainable numbers of the model.
    pub parameters: Option<u64>,
    /// Tokens or samples (as [`Schedule::unit`] says) that one step consumes.
    pub units_per_step: Option<u64>,
    /// Tokens or samples after which the data, or the source of it that is gone through fastest, has
    /// been seen once.
    pub units_per_pass: Option<u64>,
    /// The most bytes of memory that the phase holds at one time while it steps: weights,
    /// gradients, optimizer, activations and data.
    pub memory_bytes: Option<u64>,
    /// Floating-point operations that one of these units costs in a step, forward and backward, by
    /// the model's formula: what is computed again to save memory doesn't count.
    pub flops_per_unit: Option<u64>,
}

/// Keys that say how a step is cut: it takes `micro_batch` samples at once, `accumulation` times, and
/// both together decide what it computes, not how.
///
/// ```
/// let keys = sdk::Batching::new("training.batch_size").accumulation("training.grad_accum_steps");
/// assert_eq!(keys.micro_batch, "training.batch_size");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batching {
    /// Dotted path of the key with the samples of a micro-batch, in the section.
    pub micro_batch: String,
    /// Dotted path of the key with the micro-batches of a step; none where a step is one.
    pub accumulation: Option<String>,
}

impl Batching {
    /// A step is one micro-batch, of as many samples as this key says.
    pub fn new(micro_batch: impl Into<String>) -> Self {
        Self { micro_batch: micro_batch.into(), accumulation: None }
    }

    /// A step is as many micro-batches as this key says.
    #[must_use]
    pub fn accumulation(self, key: impl Into<String>) -> Self {
        Self { accumulation: Some(key.into()), ..self }
    }
}

/// A metric of [`Trainer::evaluate`] and which end of it is better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Best {
    /// Name as `evaluate` gives it, such as `loss`.
    pub metric: String,
    /// Whether smaller or larger is better.
    pub goal: Goal,
}

/// Which end of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Smaller is better.
    Min,
    /// Larger is better.
    Max,
}

impl Goal {
    /// Whether `new` is strictly better than `old`. NaN is never better, and anything beats NaN.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            _ if new.is_nan() => false,
            _ if old.is_nan() => true,
            Self::Min => new < old,
            Self::Max => new > old,
        }
    }
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Mean loss of the whole step, over all its micro-batches.
    pub loss: f64,
    /// Tokens or samples consumed.
    pub units: u64,
    /// Further numbers under `train/`: `lr`, `grad_norm` (before clipping), parts of the loss.
    pub metrics: Vec<(String, f64)>,
}

impl StepReport {
    /// A report with the step's mean loss and what it consumed.
    pub fn new(loss: f64, units: u64) -> Self {
        Self { loss, units, metrics: Vec::new() }
    }

    /// Adds a number. One that measures time is called `mfu` or ends in `_per_s` or `_ms`: all others
    /// have to be the same in a run with the same seed.
    #[must_use]
    pub fn metric(mut self, name: impl Into<String>, value: f64) -> Self {
        self.metrics.push((name.into(), value));
        self
    }
}

/// When an evaluation takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evaluation {
    /// On the way; should be quick.
    Periodic,
    /// After the last step; the place for thorough measurements.
    Final,
}

#[cfg(test)]
mod tests {
    use super::Goal;

    #[test]
    fn nan_never_becomes_best_and_never_stays() {
        assert!(Goal::Min.is_better(1.0, 2.0) && !Goal::Min.is_better(2.0, 2.0));
        assert!(Goal::Max.is_better(3.0, 2.0) && !Goal::Max.is_better(1.0, 2.0));
        for goal in [Goal::Min, Goal::Max] {
            assert!(!goal.is_better(f64::NAN, 1.0) && !goal.is_better(f64::NAN, f64::NAN));
            assert!(goal.is_better(1.0, f64::NAN));
        }
    }
}
