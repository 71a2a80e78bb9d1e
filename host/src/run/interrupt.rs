//! Signals: the first one asks the run to stop after the step, the second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the run was asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGUSR1 from now on. A second SIGINT or SIGTERM ends the
    /// process at once, with exit code 130 or 143.
    ///
    /// # Errors
    /// When a handler can't be installed.
    #[cfg(unix)]
    pub fn install() -> std::io::Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
        use signal_hook::flag;

        let interrupt = Self::default();
        let armed = Arc::new(AtomicBool::new(false));
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            // Order matters: this one looks at the flag before the next one sets it.
            flag::register_conditional_shutdown(signal, code, Arc::clone(&armed))?;
            flag::register(signal, Arc::clone(&armed))?;
            flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        flag::register(SIGUSR1, Arc::clone(&interrupt.0))?;
        Ok(interrupt)
    }

    /// On other platforms nothing is listened for yet.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn install() -> std::io::Result<Self> {
        Ok(Self::default())
    }

    /// Whether the run was asked to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
