//! One execution of a plan: its phases in order, its directory, its end.

mod artifacts;
mod compose;
mod device;
mod directory;
mod dry_run;
mod environment;
mod gpus;
mod initial;
mod interrupt;
mod machine;
mod phase_loop;
mod pipeline;
mod resume;
mod services;
mod timing;

use sdk::Error;

use crate::config::ConfigErrors;

pub use artifacts::{PhaseRecord, read_finished};
pub use compose::{Composed, ComposedPhase, catalogue, compose, profile_dirs};
pub use directory::{PhaseDirectory, RunDirectory, find_run};
pub use dry_run::{Doubt, DryPhase, DryRun, Due, Estimate, Taken, Total, dry_run};
pub use interrupt::Interrupt;
pub use machine::{Machine, memory_peak, memory_peak_of};
pub use pipeline::{Outcome, PhaseSummary, Status, run};
pub use resume::{Resume, settings_today, stored_settings};
pub use services::{NoServices, StreamServices};
pub use timing::{TimedSteps, Timing};

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong; nothing was written.
    #[error("{0}")]
    Config(ConfigErrors),
    /// The request makes no sense; nothing was written.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// The way out.
        help: Option<String>,
    },
    /// A phase failed.
    #[error("phase `{phase}` (plugin `{plugin}`) failed {place}: {error}")]
    Phase {
        /// Its name.
        phase: String,
        /// Its plugin.
        plugin: String,
        /// `while preparing`, `at step 12`, ….
        place: String,
        /// What the plugin said.
        error: Box<Error>,
    },
    /// Files could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Something else of the run's record could not be kept.
    #[error("{0}")]
    Record(String),
}

impl RunError {
    /// A usage error with a way out.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: Some(help.into()) }
    }

    /// The way out, when one is known.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Usage { help, .. } => help.as_deref(),
            Self::Phase { error, .. } => error.help.as_deref(),
            Self::Io(e) if e.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some space; the last complete checkpoint stands, go on with `--resume`")
            }
            _ => None,
        }
    }

    /// Whether nothing was started: exit code 2 rather than 1.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Usage { .. })
    }
}
