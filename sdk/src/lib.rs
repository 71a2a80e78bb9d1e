//! What a trainer plugin for `host` imports.
//!
//! A plugin is a `cdylib` crate that depends on this one, implements [`Trainer`] and registers
//! it. The host owns the loop, the cadence of logging, evaluation and checkpoints, signals and
//! the run directory; a trainer owns model, data, loss and step. Here is a whole plugin: a line
//! fitted to points by gradient descent.
//!
//! ```
//! use schemars::JsonSchema;
//! use sdk::{Artifact, Artifacts, Generator, PhaseContext, Result, Schedule, StateVisitor};
//! use sdk::{Stateful, StepReport, TensorHandle, Trainer};
//! use serde::{Deserialize, Serialize};
//!
//! /// Fits a line to noisy points.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields, default)]
//! struct Config {
//!     /// Optimizer updates.
//!     #[schemars(range(min = 1))]
//!     total_steps: u64,
//!     /// Learning rate.
//!     #[schemars(range(min = 0.0))]
//!     learning_rate: f64,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { total_steps: 100, learning_rate: 0.1 }
//!     }
//! }
//!
//! struct Line {
//!     config: Config,
//!     slope: f64,
//!     points: Generator,
//! }
//!
//! impl Stateful for Line {
//!     // Named once; the SDK saves and restores from it.
//!     fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
//!         visitor.value("slope", &mut self.slope)?;
//!         visitor.generator("points", &mut self.points)
//!     }
//! }
//!
//! impl Trainer for Line {
//!     type Config = Config;
//!
//!     fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
//!         Ok(Self { config, slope: 0.0, points: cx.generator("points") })
//!     }
//!
//!     fn schedule(&self) -> Schedule {
//!         Schedule::new(self.config.total_steps)
//!     }
//!
//!     fn step(&mut self, _step: u64, _cx: &PhaseContext) -> Result<StepReport> {
//!         let x = self.points.normal();
//!         let error = self.slope * x - 3.0 * x;
//!         self.slope -= self.config.learning_rate * error * x;
//!         Ok(StepReport::new(0.5 * error * error, 1))
//!     }
//!
//!     fn artifacts(&mut self) -> Result<Vec<Artifact>> {
//!         let slope = TensorHandle::from_vec(vec![self.slope], &[1])?;
//!         Ok(vec![Artifact::new("line", "line", ().into()).tensor("slope", slope)])
//!     }
//! }
//!
//! sdk::register_trainer!("line", Line);
//!
//! // What the host does with it, in short:
//! let cx = PhaseContext::detached("line", 42, Default::default());
//! let mut line = Line::prepare(Config::default(), &Artifacts::default(), &cx)?;
//! for step in 0..line.schedule().total_steps {
//!     line.step(step, &cx)?;
//! }
//! assert!((line.slope - 3.0).abs() < 0.01);
//! # Ok::<(), sdk::Error>(())
//! ```
//!
//! Log with the macros of the `log` crate: records reach the host's event stream. For tensors,
//! optimizers and schedules on candle there is the crate `sdk-numerics`; this one knows no tensor
//! library, so that a plugin may bring the one it likes.

mod artifact;
mod context;
mod describe;
mod device;
mod error;
mod generate;
mod generator;
pub mod metadata;
pub mod peak;
mod registration;
mod section;
mod stages;
mod state;
mod tensor;
#[cfg(feature = "testing")]
pub mod testing;
mod trainer;

#[doc(hidden)]
pub mod abi;

pub use artifact::{Artifact, Artifacts, EXAMPLE_PROMPT};
pub use context::{CANCELLED, PhaseContext};
pub use describe::{CarriedProfile, PhaseDescription, PluginDescription};
pub use device::{DType, DeviceContext, DeviceKind};
pub use error::{Error, Result};
pub use generate::{
    BAD_REQUEST, ChatMessage, ChatRole, ExportRequest, GenerateReply, GenerateRequest,
    GeneratedToken, StopReason, TextGenerator,
};
pub use generator::{Generator, Position};
pub use section::{Change, ChangeKind};
pub use stages::{StageTime, StageTimes, Stages};
pub use state::{StateDict, StateVisitor, Stateful};
pub use tensor::{Element, TensorHandle, contiguous_strides};
pub use trainer::{
    Batching, Best, Evaluation, Forecast, Goal, Metrics, Schedule, StepReport, Trainer,
};

/// What a trainer may be able to do beyond training. Names are stable; new ones may come.
pub mod capability {
    /// [`Trainer::text_generator`](crate::Trainer::text_generator) makes text from the artifacts.
    pub const GENERATE: &str = "generate";

    /// [`Trainer::export`](crate::Trainer::export) writes the artifacts in the format whose name
    /// follows this: `export/hf`.
    pub const EXPORT: &str = "export/";

    /// Every trainer tells the times of its [`Stages`](crate::Stages); it is not declared.
    pub const STAGES: &str = "stages";
}

/// Keys that belong to the host's `global` block; a section that holds one is refused.
pub const RESERVED_KEYS: [&str; 5] = ["seed", "device", "dtype", "amp_dtype", "deterministic"];

#[doc(hidden)]
pub mod __private {
    pub use inventory;

    pub use crate::metadata::RecordSource;
    pub use crate::registration::{Registration, create_phase, describe_phase};
}
