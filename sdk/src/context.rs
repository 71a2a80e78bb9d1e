//! What the host lends a trainer while it works: device, seed, cancellation, progress.

use std::sync::Arc;

use serde_json::Value;

use crate::device::DeviceContext;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::stages::Stages;

/// The host's side of a [`PhaseContext`]; the boundary and the tests implement it.
pub(crate) trait Services: Send + Sync {
    fn emit(&self, kind: &str, payload: &Value);
    fn is_cancelled(&self) -> bool;
}

/// Lent to every call of a trainer. Cheap to clone.
#[derive(Clone)]
pub struct PhaseContext {
    phase: String,
    seed: u64,
    device: DeviceContext,
    stages: Stages,
    services: Arc<dyn Services>,
}

impl PhaseContext {
    pub(crate) fn new(
        phase: &str,
        seed: u64,
        device: DeviceContext,
        services: Arc<dyn Services>,
    ) -> Self {
        Self { phase: phase.to_owned(), seed, device, stages: Stages::default(), services }
    }

    /// A context without a host, for tests and examples: progress goes nowhere, nothing cancels.
    pub fn detached(phase: &str, seed: u64, device: DeviceContext) -> Self {
        Self::detached_with(phase, seed, device, || false)
    }

    /// As [`PhaseContext::detached`], with an answer of one's own to whether the run was asked to
    /// stop: for tests of long work that has to look.
    ///
    /// ```
    /// use sdk::PhaseContext;
    ///
    /// let cx = PhaseContext::detached_with("line", 42, Default::default(), || true);
    /// assert_eq!(cx.check_cancelled().unwrap_err().code, sdk::CANCELLED);
    /// ```
    pub fn detached_with(
        phase: &str,
        seed: u64,
        device: DeviceContext,
        is_cancelled: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        struct Nobody<F>(F);
        impl<F: Fn() -> bool + Send + Sync> Services for Nobody<F> {
            fn emit(&self, _: &str, _: &Value) {}
            fn is_cancelled(&self) -> bool {
                (self.0)()
            }
        }
        Self::new(phase, seed, device, Arc::new(Nobody(is_cancelled)))
    }

    /// Name of this phase in the pipeline.
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// The run's seed, for what all phases must agree on; for everything else take a
    /// [`PhaseContext::generator`].
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Where and how to compute.
    pub fn device(&self) -> &DeviceContext {
        &self.device
    }

    /// The random stream `name` of this phase, at its start.
    ///
    /// The stream depends on the run's seed, the phase and the name, so that two phases and two
    /// uses never share one. Keep the generator in the trainer and name it in its state.
    pub fn generator(&self, name: &str) -> Generator {
        Generator::new(self.seed, format!("{}/{name}", self.phase))
    }

    /// Whether the run was asked to stop. A step needn't look: the host looks after every step.
    /// Long work in `prepare` and `evaluate` should, and return [`PhaseContext::check_cancelled`].
    pub fn is_cancelled(&self) -> bool {
        self.services.is_cancelled()
    }

    /// For `?` inside long work.
    ///
    /// # Errors
    /// With code `cancelled` when the run was asked to stop.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::new(CANCELLED, "stopped on request")) } else { Ok(()) }
    }

    /// Tells how far long work is, such as tokenizing in `prepare`.
    pub fn progress(&self, what: &str, done: u64, total: u64) {
        self.emit("progress", &serde_json::json!({ "what": what, "done": done, "total": total }));
    }

    /// The clock of this phase's steps, to say which [stage](Stages::done) of one is done: `data`,
    /// `forward`, `backward`, `clip`, `update`, or what the trainer calls them. `host bench` shows
    /// where the time goes.
    pub fn stages(&self) -> &Stages {
        &self.stages
    }

    /// Emits a piece of generated text; only inside [`crate::TextGenerator::generate`].
    pub fn text(&self, piece: &str) {
        self.emit("text", &Value::from(piece));
    }

    pub(crate) fn emit(&self, kind: &str, payload: &Value) {
        self.services.emit(kind, payload);
    }
}

/// Code of the error that says that work stopped because the run was asked to.
pub const CANCELLED: &str = "cancelled";
