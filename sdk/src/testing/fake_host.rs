//! A host that isn't one: it remembers what a trainer tells it, and asks to stop when it is told to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::abi::HostServices;
use crate::context::{PhaseContext, Services};
use crate::device::DeviceContext;

/// Cancels nothing.
const NEVER: u64 = u64::MAX;

/// The host's side in a test: hand its [`context`](Self::context) to a trainer, then look at what it said.
///
/// Clones are the same host.
///
/// ```
/// use sdk::testing::FakeHost;
///
/// let host = FakeHost::default().cancel_after(2);
/// let cx = host.context("line", 42);
/// cx.progress("reading", 1, 3);
/// assert!(!cx.is_cancelled() && !cx.is_cancelled() && cx.is_cancelled());
/// assert_eq!(host.events()[0].0, "progress");
/// assert_eq!(host.progress(), [("reading".to_owned(), 1, 3)]);
/// ```
#[derive(Clone, Default)]
pub struct FakeHost(Arc<Inner>);

#[derive(Default)]
struct Inner {
    events: Mutex<Vec<(String, Value)>>,
    /// How often it was asked whether to stop.
    asked: AtomicU64,
    /// From which time on the answer is yes, plus one; 0 is never.
    cancels_from: AtomicU64,
    /// Microseconds that each answer takes.
    delay_us: AtomicU64,
}

impl FakeHost {
    /// Asks to stop from the `n`th time on that the trainer looks, counting from 0.
    #[must_use]
    pub fn cancel_after(self, n: u64) -> Self {
        self.0.cancels_from.store(n.saturating_add(1), Ordering::SeqCst);
        self
    }

    /// Asks to stop from now on.
    pub fn cancel(&self) {
        self.0.cancels_from.store(1, Ordering::SeqCst);
    }

    /// Goes on as if nobody had asked to stop.
    pub fn go_on(&self) {
        self.0.cancels_from.store(0, Ordering::SeqCst);
    }

    /// Takes this long for each event and each answer.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        let us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.0.delay_us.store(us, Ordering::SeqCst);
        self
    }

    /// Everything that was told, in order: `progress`, `log` or `text`, and its content.
    pub fn events(&self) -> Vec<(String, Value)> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far the trainer said that it was: what, done, total.
    pub fn progress(&self) -> Vec<(String, u64, u64)> {
        let of = |payload: &Value| {
            let what = payload["what"].as_str().unwrap_or_default().to_owned();
            (what, payload["done"].as_u64().unwrap_or(0), payload["total"].as_u64().unwrap_or(0))
        };
        self.events().iter().filter(|(kind, _)| kind == "progress").map(|(_, p)| of(p)).collect()
    }

    /// How often the trainer looked whether it was to stop.
    pub fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// What a trainer is given, on the CPU with one thread.
    pub fn context(&self, phase: &str, seed: u64) -> PhaseContext {
        self.context_on(phase, seed, DeviceContext::default())
    }

    /// What a trainer is given.
    pub fn context_on(&self, phase: &str, seed: u64, device: DeviceContext) -> PhaseContext {
        PhaseContext::new(phase, seed, device, Arc::new(self.clone()))
    }

    fn take(&self, kind: &str, payload: Value) {
        self.wait();
        let mut events = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push((kind.to_owned(), payload));
    }

    fn answer(&self) -> bool {
        self.wait();
        let asked = self.0.asked.fetch_add(1, Ordering::SeqCst);
        asked >= self.0.cancels_from.load(Ordering::SeqCst).checked_sub(1).unwrap_or(NEVER)
    }

    fn wait(&self) {
        match self.0.delay_us.load(Ordering::SeqCst) {
            0 => {}
            us => std::thread::sleep(Duration::from_micros(us)),
        }
    }
}

impl Services for FakeHost {
    fn emit(&self, kind: &str, payload: &Value) {
        self.take(kind, payload.clone());
    }

    fn is_cancelled(&self) -> bool {
        self.answer()
    }
}

impl HostServices for FakeHost {
    fn emit(&self, kind: &str, payload: Value) {
        self.take(kind, payload);
    }

    fn is_cancelled(&self) -> bool {
        self.answer()
    }
}
