//! What a trainer says while it is watched: log records and progress.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Once;

use serde_json::Value;

use crate::context::Services;

thread_local! {
    /// How often each thing was said on this thread, while somebody listens.
    static SAID: RefCell<Option<BTreeMap<String, u64>>> = const { RefCell::new(None) };
}

/// Runs `work` and tells how often it said what. Records of other threads are not heard, so that
/// tests can run side by side; nor are any where a test has a logger of its own.
pub(super) fn listen<R>(work: impl FnOnce() -> R) -> (R, BTreeMap<String, u64>) {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        if log::set_logger(&Listener).is_ok() {
            log::set_max_level(log::LevelFilter::Debug);
        }
    });
    SAID.set(Some(BTreeMap::new()));
    let result = work();
    (result, SAID.take().unwrap_or_default())
}

fn hear(what: String) {
    SAID.with_borrow_mut(|said| {
        if let Some(said) = said {
            *said.entry(what).or_default() += 1;
        }
    });
}

struct Listener;

impl log::Log for Listener {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        hear(format!("{}: {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// The host's side of a context in a test: progress is heard, nothing cancels.
pub(super) struct Witness;

impl Services for Witness {
    fn emit(&self, kind: &str, payload: &Value) {
        // How much work there was, whatever was told on the way; text is in the reply.
        if kind == "progress" {
            hear(format!("progress: {} of {}", payload["what"], payload["total"]));
        }
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}
