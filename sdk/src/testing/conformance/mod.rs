//! Whether a trainer keeps what the host relies on: some forty checks, through the boundary itself.
//!
//! `host plugins check` runs the same checks on a library, in a process of its own.

mod resources;
mod resume;
mod scenarios;
mod section;
mod training;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fake_host::FakeHost;
use crate::abi::{PhaseClient, PhaseSpec, PluginRoot_Ref, Prepared, SharedArtifact, root_module};
use crate::artifact::Artifact;
use crate::describe::PhaseDescription;
use crate::device::DeviceContext;
use crate::error::Error;
use crate::state::StateDict;
use crate::trainer::{Metrics, StepReport};

/// Most steps that a phase is driven for at a time.
const HORIZON: u64 = 20;

/// What a plugin has shown; each level needs those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The library can be loaded and says what it is.
    Loads,
    /// Its sections, steps, metrics, artifacts and errors are as the host expects them.
    Conformant,
    /// Training goes on from a checkpoint to the same bits.
    Resumable,
    /// Training with the same seed ends in the same bits.
    Deterministic,
}

impl Level {
    /// All of them, the lowest first.
    pub const ALL: [Self; 4] =
        [Self::Loads, Self::Conformant, Self::Resumable, Self::Deterministic];

    /// The highest level whose checks, and those of the levels below, all passed; none when not even
    /// loading did.
    pub fn reached(findings: &[Finding]) -> Option<Self> {
        let fails = |level: Self| {
            findings.iter().any(|f| f.level == level && matches!(f.outcome, Outcome::Failed(_)))
        };
        let has_any = |level: &Self| findings.iter().any(|f| f.level == *level);
        Self::ALL.into_iter().take_while(|level| has_any(level) && !fails(*level)).last()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loads => "loads",
            Self::Conformant => "conformant",
            Self::Resumable => "resumable",
            Self::Deterministic => "deterministic",
        })
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "outcome", content = "detail")]
pub enum Outcome {
    /// It holds; what was seen, where that is worth a word.
    Passed(Option<String>),
    /// It doesn't, and how.
    Failed(String),
    /// It says nothing about this trainer, and why.
    Skipped(String),
}

/// A check and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the check, such as `exact-resume`.
    pub check: String,
    /// Which level needs it.
    pub level: Level,
    /// What it holds the trainer to.
    pub about: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a check ended otherwise than well.
#[derive(Debug)]
enum Failure {
    Failed(String),
    Skipped(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(said(&error))
    }
}

/// A note about a check that passed.
type Verdict = Result<Option<String>, Failure>;

fn failed<T>(what: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Failed(what.into()))
}

fn skipped<T>(why: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Skipped(why.into()))
}

/// Fails with a message unless something holds.
fn hold(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { failed(what()) }
}

fn said(error: &Error) -> String {
    let at = error.path.as_ref().map(|path| format!(" (at `{path}`)")).unwrap_or_default();
    format!("{}{at}", error.message)
}

struct Check {
    name: &'static str,
    level: Level,
    about: &'static str,
    run: fn(&Conformance) -> Verdict,
}

/// The checks of one phase with one section.
///
/// The phase is found among the trainers that this program has registered, so a test in the plugin's
/// crate that uses anything of it will do.
///
/// ```
/// # use schemars::JsonSchema;
/// # use sdk::{Artifacts, Generator, PhaseContext, Result, Schedule, StateVisitor, Stateful};
/// # use sdk::{StepReport, Trainer};
/// # use serde::{Deserialize, Serialize};
/// use sdk::testing::{Conformance, Level};
///
/// # /// Fits a line.
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # #[serde(deny_unknown_fields, default)]
/// # struct Config {
/// #     /// Optimizer updates.
/// #     #[schemars(range(min = 1))]
/// #     total_steps: u64,
/// # }
/// # impl Default for Config {
/// #     fn default() -> Self { Self { total_steps: 30 } }
/// # }
/// # struct Line { total_steps: u64, slope: f32, points: Generator }
/// # impl Stateful for Line {
/// #     fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
/// #         let mut slope = vec![self.slope];
/// #         visitor.vec("slope", &mut slope)?;
/// #         self.slope = slope[0];
/// #         visitor.generator("points", &mut self.points)
/// #     }
/// # }
/// # impl Trainer for Line {
/// #     type Config = Config;
/// #     fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
/// #         let points = cx.generator("points");
/// #         Ok(Self { total_steps: config.total_steps, slope: 0.0, points })
/// #     }
/// #     fn schedule(&self) -> Schedule { Schedule::new(self.total_steps) }
/// #     fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
/// #         let x = self.points.normal() as f32;
/// #         let error = (self.slope - 3.0) * x;
/// #         self.slope -= 0.1 * error * x;
/// #         Ok(StepReport::new(0.5 * f64::from(error * error), 1))
/// #     }
/// # }
/// sdk::register_trainer!("line", Line);
///
/// let findings = Conformance::new("line", serde_json::json!({})).run();
/// assert_eq!(Level::reached(&findings), Some(Level::Deterministic));
/// Conformance::new("line", serde_json::json!({})).assert(); // panics, and lists what doesn't hold
/// ```
pub struct Conformance {
    root: PluginRoot_Ref,
    plugin: String,
    phase: String,
    section: Value,
    given: Vec<SharedArtifact>,
    device: DeviceContext,
    seed: u64,
    is_alone: bool,
    description: Result<PhaseDescription, String>,
}

impl Conformance {
    /// The phase of this name, with this section: a small one, whose steps take milliseconds.
    pub fn new(phase: &str, section: Value) -> Self {
        Self::of_library(root_module(), None, phase, section)
    }

    /// A phase of a library, through its root.
    #[doc(hidden)]
    pub fn of_library(
        root: PluginRoot_Ref,
        plugin: Option<&str>,
        phase: &str,
        section: Value,
    ) -> Self {
        let described = describe(root).and_then(|phases| {
            let is_it = |p: &PhaseDescription| {
                p.phase == phase && plugin.is_none_or(|plugin| p.plugin == plugin)
            };
            let found = phases.into_iter().find(is_it);
            found.ok_or_else(|| format!("no trainer is registered as `{phase}` in this program"))
        });
        Self {
            root,
            plugin: described.as_ref().map(|d| d.plugin.clone()).unwrap_or_default(),
            phase: phase.to_owned(),
            section,
            given: Vec::new(),
            device: DeviceContext::default(),
            seed: 42,
            is_alone: false,
            description: described,
        }
    }

    /// Hands the phase what an earlier one would have handed on.
    #[must_use]
    pub fn given(mut self, phase: &str, artifact: Artifact) -> Self {
        self.given.push(SharedArtifact::new(phase.to_owned(), artifact));
        self
    }

    /// Computes with so many threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.device.threads = threads;
        self
    }

    /// Says that nothing else runs in this process, so that its memory and threads are the phase's.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    /// Runs every check.
    pub fn run(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.run_with(&mut |_| {}, &mut |finding| findings.push(finding));
        findings
    }

    /// Runs every check, telling the name of each before and what was found behind it.
    #[doc(hidden)]
    pub fn run_with(&self, begin: &mut dyn FnMut(&str), end: &mut dyn FnMut(Finding)) {
        for check in Self::checks() {
            begin(check.name);
            let outcome = match (check.run)(self) {
                Ok(note) => Outcome::Passed(note),
                Err(Failure::Failed(what)) => Outcome::Failed(what),
                Err(Failure::Skipped(why)) => Outcome::Skipped(why),
            };
            let (check, level, about) =
                (check.name.to_owned(), check.level, check.about.to_owned());
            end(Finding { check, level, about, outcome });
        }
    }

    /// Names of the checks, in their order.
    #[doc(hidden)]
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::checks().map(|check| check.name)
    }

    fn checks() -> impl Iterator<Item = &'static Check> {
        let groups = [section::CHECKS, training::CHECKS, resources::CHECKS, resume::CHECKS];
        groups.into_iter().flatten()
    }

    /// Runs every check.
    ///
    /// # Panics
    /// When one doesn't hold; with all that don't.
    #[track_caller]
    pub fn assert(&self) {
        let findings = self.run();
        let failed: Vec<String> = findings
            .iter()
            .filter_map(|finding| match &finding.outcome {
                Outcome::Failed(what) => Some(format!("  {}: {what}", finding.check)),
                _ => None,
            })
            .collect();
        assert!(failed.is_empty(), "`{}` does not conform:\n{}", self.phase, failed.join("\n"));
    }

    fn description(&self) -> Result<&PhaseDescription, Failure> {
        self.description.as_ref().map_err(|what| Failure::Failed(what.clone()))
    }

    fn create_of(&self, section: &Value, seed: u64, host: &FakeHost) -> Result<PhaseClient, Error> {
        let spec = PhaseSpec {
            name: &self.phase,
            section,
            seed,
            device: &self.device,
            services: Arc::new(host.clone()),
        };
        PhaseClient::create(self.root, &self.plugin, &self.phase, &spec)
    }

    fn create(&self, section: &Value) -> Result<PhaseClient, Error> {
        self.create_of(section, self.seed, &FakeHost::default())
    }

    fn prepare(&self, host: &FakeHost) -> Result<(PhaseClient, Prepared), Error> {
        let mut client = self.create_of(&self.section, self.seed, host)?;
        let prepared = client.prepare(&self.given)?;
        Ok((client, prepared))
    }

    fn prepared(&self) -> Result<(PhaseClient, Prepared), Error> {
        self.prepare(&FakeHost::default())
    }

    /// How many steps this phase is driven for.
    fn horizon(prepared: &Prepared) -> u64 {
        prepared.schedule.total_steps.clamp(1, HORIZON)
    }
}

fn describe(root: PluginRoot_Ref) -> Result<Vec<PhaseDescription>, String> {
    let json = root.describe()().into_result().map_err(|fault| fault.into_error().message)?;
    let description: crate::describe::PluginDescription =
        serde_json::from_str(&json).map_err(|e| format!("its description can't be read: {e}"))?;
    Ok(description.phases)
}

/// Whether an error is a panic's.
fn is_panic(error: &Error) -> bool {
    error.code == "plugin::panic" || error.code == "phase::poisoned"
}

/// An error that is no panic, or a failure.
fn refused<T>(result: Result<T, Error>, what: &str) -> Result<Option<Error>, Failure> {
    match result {
        Err(error) if is_panic(&error) => failed(format!("{what}: {}", error.message)),
        Err(error) => Ok(Some(error)),
        Ok(_) => Ok(None),
    }
}

/// A state as bytes by path: what has to be equal.
fn bits(state: &StateDict) -> BTreeMap<String, Vec<u8>> {
    let tensors = state.tensors.iter().map(|(path, tensor)| {
        let mut bytes = format!("{} {:?} ", tensor.dtype(), tensor.shape()).into_bytes();
        bytes.extend(tensor.to_bytes());
        (path.clone(), bytes)
    });
    let values = state.values.iter().map(|(path, v)| (path.clone(), v.to_string().into_bytes()));
    tensors.chain(values).collect()
}

/// The first path in which two states differ.
fn difference(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    a.keys().chain(b.keys()).find(|path| a.get(*path) != b.get(*path)).cloned()
}

/// Whether a metric is a measurement of time, which differs from run to run.
fn is_timed(name: &str) -> bool {
    name == "mfu" || name.ends_with("_per_s") || name.ends_with("_ms")
}

/// The first metric, but for measurements of time, that two evaluations don't have alike.
fn differing_metric<'a>(a: &'a Metrics, b: &'a Metrics) -> Option<&'a str> {
    let names = a.keys().chain(b.keys()).filter(|name| !is_timed(name));
    let bits = |metrics: &Metrics, name: &str| metrics.get(name).map(|value| value.to_bits());
    names.map(String::as_str).find(|name| bits(a, name) != bits(b, name))
}

/// A report's numbers as bits, but for measurements of time.
fn numbers(report: &StepReport) -> Value {
    let metrics = report.metrics.iter().filter(|(name, _)| !is_timed(name));
    let metrics: BTreeMap<&str, u64> =
        metrics.map(|(name, value)| (name.as_str(), value.to_bits())).collect();
    json!({ "loss": report.loss.to_bits(), "units": report.units, "metrics": metrics })
}

/// A copy of a state that outlives the phase.
fn copy(state: &StateDict) -> Result<StateDict, Error> {
    let tensors = state.tensors.iter().map(|(path, t)| {
        let copy = crate::TensorHandle::from_bytes(&t.to_bytes(), t.dtype(), t.shape())?;
        Ok((path.clone(), copy))
    });
    Ok(StateDict { tensors: tensors.collect::<Result<_, Error>>()?, values: state.values.clone() })
}

/// What a check about time allows on top: a busy machine is no defect of a trainer.
const GRACE: Duration = Duration::from_secs(2);
