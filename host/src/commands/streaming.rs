//! Generated text on its way to standard output, piece by piece.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use sdk::PhaseDescription;
use serde_json::Value;

use crate::registry::HostServices;
use crate::run::Interrupt;

/// Whether a phase's plugin makes text.
pub(super) fn can_generate(description: &PhaseDescription) -> bool {
    description.capabilities.iter().any(|name| name == sdk::capability::GENERATE)
}

/// Prints pieces as they come; asks to stop on a signal, and when nobody reads any more.
pub(super) struct Streaming {
    interrupt: Interrupt,
    is_printed: bool,
    is_reader_gone: AtomicBool,
}

impl Streaming {
    pub(super) fn new(interrupt: Interrupt, is_printed: bool) -> Self {
        Self { interrupt, is_printed, is_reader_gone: AtomicBool::new(false) }
    }

    /// Whether standard output was closed at its other end.
    pub(super) fn is_reader_gone(&self) -> bool {
        self.is_reader_gone.load(Ordering::Relaxed)
    }
}

impl HostServices for Streaming {
    fn emit(&self, kind: &str, payload: Value) {
        let text = payload.as_str().filter(|_| kind == "text" && self.is_printed);
        let Some(text) = text else { return };
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if written.is_err_and(|e| e.kind() == ErrorKind::BrokenPipe) {
            self.is_reader_gone.store(true, Ordering::Relaxed);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.interrupt.is_set() || self.is_reader_gone()
    }
}
