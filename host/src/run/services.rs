//! What a plugin tells the host while it works, as events.

use std::sync::Arc;

use serde_json::Value;

use super::Interrupt;
use crate::events::{Event, EventStream};
use crate::registry::HostServices;

/// Turns what one phase's plugin says into events of the run.
pub struct StreamServices {
    /// The phase.
    pub phase: String,
    /// The run's stream; none before the run has started.
    pub stream: Arc<std::sync::OnceLock<Arc<EventStream>>>,
    /// Whether the run was asked to stop.
    pub interrupt: Interrupt,
}

impl HostServices for StreamServices {
    fn emit(&self, kind: &str, payload: Value) {
        let Some(stream) = self.stream.get() else { return };
        let text = |key: &str| payload[key].as_str().unwrap_or_default().to_owned();
        let phase = self.phase.clone();
        let event = match kind {
            "progress" => Event::Progress {
                phase,
                what: text("what"),
                done: payload["done"].as_u64().unwrap_or_default(),
                total: payload["total"].as_u64().unwrap_or_default(),
            },
            "log" => Event::Log {
                phase,
                level: text("level"),
                target: text("target"),
                message: text("message"),
            },
            // A kind of a newer SDK, or text outside `generate`: nothing that a run knows.
            _ => return,
        };
        stream.emit(event);
    }

    fn is_cancelled(&self) -> bool {
        self.interrupt.is_set()
    }
}

/// For phases that are only asked about, not run.
pub struct NoServices;

impl HostServices for NoServices {
    fn emit(&self, _: &str, _: Value) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}
