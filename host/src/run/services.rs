//! What a plugin tells the host while it works, as events.
//!
//! A plugin that tells a million things a second must not fill the disk: progress is for eyes, and log
//! records beyond a thousand a second are counted instead of kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Interrupt;
use crate::events::{Event, EventStream};
use crate::registry::HostServices;

/// Log records of a second that are kept.
const LOGS_A_SECOND: u64 = 1000;
/// Time between two reports of progress on the same thing.
const PROGRESS_EVERY: Duration = Duration::from_millis(10);
/// Things whose progress is remembered.
const PROGRESS_MAX: usize = 64;

/// Turns what one phase's plugin says into events of the run.
pub struct StreamServices {
    phase: String,
    stream: Arc<std::sync::OnceLock<Arc<EventStream>>>,
    interrupt: Interrupt,
    pace: Mutex<Pace>,
}

/// What was told in the last second.
struct Pace {
    second: Instant,
    logs: u64,
    /// What was last told of each thing: how much was done, and when.
    progress: BTreeMap<String, (Option<u64>, Instant)>,
}

impl Pace {
    /// Whether a log record is kept, and how many were not in the second that has just ended.
    fn takes_log(&mut self) -> (bool, u64) {
        let mut left_out = 0;
        if self.second.elapsed() >= Duration::from_secs(1) {
            left_out = self.left_out();
            (self.second, self.logs) = (Instant::now(), 0);
        }
        self.logs += 1;
        (self.logs <= LOGS_A_SECOND, left_out)
    }

    fn left_out(&self) -> u64 {
        self.logs.saturating_sub(LOGS_A_SECOND)
    }

    fn takes_progress(&mut self, what: &str, done: Option<u64>, total: Option<u64>) -> bool {
        if let Some((last, when)) = self.progress.get(what) {
            let is_end = done.is_some() && done == total && *last != done;
            if !is_end && when.elapsed() < PROGRESS_EVERY {
                return false;
            }
        } else if self.progress.len() == PROGRESS_MAX {
            self.progress.clear();
        }
        self.progress.insert(what.to_owned(), (done, Instant::now()));
        true
    }
}

impl StreamServices {
    /// The services of one phase. The run's stream may be set later; until then nothing is told.
    pub fn new(
        phase: &str,
        stream: &Arc<std::sync::OnceLock<Arc<EventStream>>>,
        interrupt: &Interrupt,
    ) -> Self {
        let pace = Pace { second: Instant::now(), logs: 0, progress: BTreeMap::new() };
        let (phase, stream) = (phase.to_owned(), Arc::clone(stream));
        Self { phase, stream, interrupt: interrupt.clone(), pace: Mutex::new(pace) }
    }

    /// Whether there is room for it.
    fn takes(&self, kind: &str, payload: &Value) -> bool {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            "log" => {
                let (takes, left_out) = pace.takes_log();
                drop(pace);
                self.say_left_out(left_out);
                takes
            }
            "progress" => {
                let what = payload["what"].as_str().unwrap_or_default();
                pace.takes_progress(what, payload["done"].as_u64(), payload["total"].as_u64())
            }
            _ => true,
        }
    }

    /// Tells of the records that were left out since the last time that it was told.
    pub fn tell_left_out(&self) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = pace.left_out();
        pace.logs = pace.logs.min(LOGS_A_SECOND);
        drop(pace);
        self.say_left_out(left_out);
    }

    fn say_left_out(&self, n: u64) {
        if let (Some(stream), 1..) = (self.stream.get(), n) {
            stream.emit(Event::Log {
                phase: self.phase.clone(),
                level: "warn".to_owned(),
                target: "host".to_owned(),
                message: format!(
                    "{n} log records left out: more than {LOGS_A_SECOND} came in a second"
                ),
            });
        }
    }
}

impl HostServices for StreamServices {
    fn emit(&self, kind: &str, payload: Value) {
        let Some(stream) = self.stream.get() else { return };
        if !self.takes(kind, &payload) {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_its_end_is_kept() {
        let mut pace = Pace { second: Instant::now(), logs: 0, progress: BTreeMap::new() };
        let kept = (0..5000).filter(|_| pace.takes_log().0).count();
        assert_eq!((kept, pace.left_out()), (1000, 4000));
        pace.second -= Duration::from_secs(1);
        assert_eq!(pace.takes_log(), (true, 4000));
        assert_eq!(pace.left_out(), 0);

        let mut takes = |what: &str, done| pace.takes_progress(what, Some(done), Some(9));
        assert!(takes("a", 1) && !takes("a", 2) && takes("b", 1) && !takes("a", 3));
        assert!(takes("a", 9) && !takes("a", 9));
    }
}
