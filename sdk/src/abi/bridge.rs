//! The way from a plugin library back to the host: events, log records, cancellation.
//!
//! Every library has its own copy of `log`'s globals, so each installs a logger of its own that
//! forwards to the host it was last given.

use std::sync::{Arc, Once, PoisonError, RwLock};

use serde_json::{Value, json};

use super::types::ServicesArc;
use crate::context;

pub(super) struct Bridge(ServicesArc);

static CURRENT: RwLock<Option<Arc<Bridge>>> = RwLock::new(None);

impl Bridge {
    /// Makes `services` the receiver of this library's log records.
    pub(super) fn install(services: ServicesArc) -> Arc<Self> {
        static LOGGER: Once = Once::new();
        let bridge = Arc::new(Self(services));
        *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&bridge));
        LOGGER.call_once(|| {
            // Another logger may be there when plugins are bundled: then records go to it.
            if log::set_logger(&Forward).is_ok() {
                log::set_max_level(log::LevelFilter::Debug);
            }
        });
        bridge
    }
}

impl context::Services for Bridge {
    fn emit(&self, kind: &str, payload: &Value) {
        self.0.emit(kind.into(), payload.to_string().as_str().into());
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

struct Forward;

impl log::Log for Forward {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Debug
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let bridge = CURRENT.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(bridge) = bridge {
            let level = record.level().as_str().to_lowercase();
            let payload = json!({ "level": level, "target": record.target(), "message": record.args().to_string() });
            context::Services::emit(&*bridge, "log", &payload);
        }
    }

    fn flush(&self) {}
}
