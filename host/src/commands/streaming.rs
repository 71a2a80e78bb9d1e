//! Generated text on its way to standard output, piece by piece.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
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
        let text = if out.is_terminal() { harmless(text) } else { Cow::Borrowed(text) };
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if written.is_err_and(|e| e.kind() == ErrorKind::BrokenPipe) {
            self.is_reader_gone.store(true, Ordering::Relaxed);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.interrupt.is_set() || self.is_reader_gone()
    }
}

/// A text that can't move a terminal's cursor or change its colours, whatever a model says.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(is_harmful) {
        text.replace(is_harmful, "\u{FFFD}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn a_model_cant_command_the_terminal() {
        assert_eq!(harmless("a\tb\n"), "a\tb\n");
        assert_eq!(harmless("a\u{1b}[2J\r\u{9b}b"), "a\u{FFFD}[2J\u{FFFD}\u{FFFD}b");
    }
}
