//! Everything that happens in a run, as one stream.
//!
//! The engine emits events and does nothing else about telling anybody: progress bars, lines,
//! `events.jsonl` and `metrics.jsonl` are readers. An event is data that can cross a process
//! boundary as a line of JSON.

mod files;
mod record;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use files::{EventsFile, MetricsFile};
pub use record::Record;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins, or goes on.
    RunStarted {
        /// Version of the host.
        host: String,
        /// Names of the phases, in order.
        phases: Vec<String>,
        /// The run's directory.
        directory: String,
        /// Whether it goes on from an earlier attempt.
        is_resumed: bool,
    },
    /// A phase was finished in an earlier attempt.
    PhaseSkipped {
        /// Its name.
        phase: String,
        /// Steps it took.
        steps: u64,
    },
    /// A phase begins: model and data are being built.
    PhaseStarted {
        /// Its name.
        phase: String,
        /// Its place in the pipeline, from 1.
        number: usize,
        /// Phases in the pipeline.
        of: usize,
        /// Who trains it.
        plugin: String,
    },
    /// Model and data are there.
    PhasePrepared {
        /// Its name.
        phase: String,
        /// Steps this phase will have taken at its end.
        total_steps: u64,
        /// Steps taken already.
        steps_done: u64,
        /// What a step consumes.
        unit: String,
        /// What the trainer says of itself.
        facts: Map<String, Value>,
    },
    /// A step was taken. Of these, readers in the process hear; the file keeps none.
    StepDone {
        /// The phase.
        phase: String,
        /// Steps taken.
        steps_done: u64,
        /// Mean loss of the step.
        loss: f64,
        /// Tokens or samples a second, over the last steps.
        units_per_s: f64,
    },
    /// A logged point.
    Metrics {
        /// The phase.
        phase: String,
        /// Steps taken.
        step: u64,
        /// Values by name; the names begin with `train/` or `val/`.
        #[serde(with = "record::finite_or_named")]
        values: BTreeMap<String, f64>,
    },
    /// A checkpoint is complete on disk.
    CheckpointWritten {
        /// The phase.
        phase: String,
        /// Steps taken.
        step: u64,
        /// Its directory, relative to the run's.
        path: String,
        /// Bytes of all its files.
        bytes: u64,
        /// Milliseconds it took.
        ms: u64,
        /// Whether it is the best so far.
        is_best: bool,
    },
    /// A checkpoint was read and the phase goes on from it.
    CheckpointRestored {
        /// The phase.
        phase: String,
        /// Steps taken.
        step: u64,
        /// Its directory, relative to the run's.
        path: String,
    },
    /// An artifact is complete on disk.
    ArtifactWritten {
        /// The phase.
        phase: String,
        /// Its name.
        name: String,
        /// How to read it.
        kind: String,
        /// Its file, relative to the run's directory.
        path: String,
        /// BLAKE3 of its content.
        blake3: String,
    },
    /// Long work of a plugin.
    Progress {
        /// The phase.
        phase: String,
        /// What is being done.
        what: String,
        /// How much is done.
        done: u64,
        /// Of how much.
        total: u64,
    },
    /// A log record of a plugin.
    Log {
        /// The phase.
        phase: String,
        /// `error`, `warn`, `info` or `debug`.
        level: String,
        /// The module it came from.
        target: String,
        /// Its text.
        message: String,
    },
    /// Something the user should know.
    Warning {
        /// Its text.
        message: String,
    },
    /// A phase is finished and its artifacts are there.
    PhaseFinished {
        /// Its name.
        phase: String,
        /// Steps it took.
        steps: u64,
        /// The last value of each metric.
        #[serde(with = "record::finite_or_named")]
        values: BTreeMap<String, f64>,
        /// Seconds in this attempt.
        seconds: f64,
    },
    /// The run ends.
    RunFinished {
        /// `done`, `stopped` or `failed`.
        status: String,
        /// What went wrong, when it failed.
        error: Option<String>,
    },
}

/// Hears every event, in order.
pub trait Reader: Send {
    /// One event.
    ///
    /// # Errors
    /// When it can't be written; the run then fails, since its record would have a hole.
    fn read(&mut self, record: &Record) -> Result<(), String>;
}

/// The stream: hands each event to every reader.
pub struct EventStream {
    inner: Mutex<Inner>,
}

struct Inner {
    run: String,
    attempt: u32,
    seq: u64,
    readers: Vec<Box<dyn Reader>>,
    failure: Option<String>,
}

impl EventStream {
    /// A stream for one attempt of a run.
    pub fn new(run: &str, attempt: u32, readers: Vec<Box<dyn Reader>>) -> Self {
        let inner = Inner { run: run.to_owned(), attempt, seq: 0, readers, failure: None };
        Self { inner: Mutex::new(inner) }
    }

    /// Emits one event. A reader that fails is remembered: see [`EventStream::failure`].
    pub fn emit(&self, event: Event) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Record::now(&inner.run, inner.attempt, inner.seq, event);
        inner.seq += 1;
        let Inner { readers, failure, .. } = &mut *inner;
        for reader in readers {
            if let Err(e) = reader.read(&record) {
                failure.get_or_insert(e);
            }
        }
    }

    /// What the first failing reader said.
    pub fn failure(&self) -> Option<String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }
}
