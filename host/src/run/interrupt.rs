//! Signals: the first one asks the run to stop after the step, the second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the run was asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    is_set: Arc<AtomicBool>,
    /// Whether the next signal ends the process.
    is_armed: Arc<AtomicBool>,
}

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
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            // Order matters: this one looks at the flag before the next one sets it.
            flag::register_conditional_shutdown(signal, code, Arc::clone(&interrupt.is_armed))?;
            flag::register(signal, Arc::clone(&interrupt.is_armed))?;
            flag::register(signal, Arc::clone(&interrupt.is_set))?;
        }
        flag::register(SIGUSR1, Arc::clone(&interrupt.is_set))?;
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
        self.is_set.load(Ordering::Relaxed)
    }

    /// Forgets that it was, when what was asked to stop was a part of the whole only.
    pub fn clear(&self) {
        self.is_set.store(false, Ordering::Relaxed);
        self.is_armed.store(false, Ordering::Relaxed);
    }
}
