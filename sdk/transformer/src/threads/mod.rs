//! Threads that stay: made at the first use, asleep between uses, joined at the end.
//!
//! A piece of work falls into parts ([`Parts`]); the caller and the helpers take one part after the
//! other, in order, until none is left. Which thread takes which is left to chance, so a part must
//! depend on its index only, and then the result does not depend on the threads at all. A helper
//! that wakes up too late finds nothing to do, and nobody waits for it.
//!
//! ```
//! use sdk_transformer::threads::{Chunks, Threads};
//!
//! let threads = Threads::new(2);
//! let mut values = vec![1.0f32; 1000];
//! threads.each(Chunks::new(&mut values, 64), |i, chunk| chunk.fill(i as f32));
//! assert_eq!((values[63], values[64], values[999]), (0.0, 1.0, 15.0));
//! ```

mod parts;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

pub use parts::{Chunks, Items, Parts, Ranges};

/// How often a thread looks before it goes to sleep: some microseconds.
const LOOKS: usize = 100;

/// Some threads, the caller's among them. A clone is a handle of the same ones.
#[derive(Clone)]
pub struct Threads(Arc<Pool>);

struct Pool {
    count: usize,
    shared: Arc<Shared>,
    helpers: OnceLock<Vec<JoinHandle<()>>>,
}

/// What the caller and the helpers both see.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Helpers that may still begin on the work at hand.
    wanted: AtomicUsize,
    /// Helpers that are at it.
    inside: AtomicUsize,
    /// There is work, or the end has come.
    called: Condvar,
    /// A helper is up, or the last one has left.
    left: Condvar,
}

#[derive(Default)]
struct State {
    /// Helpers that have begun to live.
    up: usize,
    work: Option<Work>,
    is_closing: bool,
}

/// What a helper runs. Not really static: see [`Shared::open`].
type Work = &'static (dyn Fn() + Sync);

impl Threads {
    /// `count` threads, the caller's being one of them; 0 counts as 1. The others are made at the
    /// first use that has something for them.
    pub fn new(count: usize) -> Self {
        let (shared, helpers) = (Arc::default(), OnceLock::new());
        Self(Arc::new(Pool { count: count.max(1), shared, helpers }))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count
    }

    /// Runs `work` on every part with its index, on the threads that are free, and returns when all
    /// parts are done. It takes no memory. While the threads are at work for somebody else, a part
    /// of whose work may be this call, the caller does everything itself.
    ///
    /// # Panics
    /// When `work` panics: with the payload of the first part that did, after all others are done.
    /// The threads stay usable.
    #[expect(clippy::needless_pass_by_value, reason = "parts are used up: each may be had once")]
    pub fn each<P: Parts>(&self, parts: P, work: impl Fn(usize, P::Part) + Sync) {
        let (n, next) = (parts.count(), AtomicUsize::new(0));
        let panicked: Mutex<Option<(usize, Box<dyn Any + Send>)>> = Mutex::new(None);
        let take = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= n {
                    return;
                }
                // SAFETY: the counter gives each index below `n` once.
                let part = unsafe { parts.part(i) };
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| work(i, part))) {
                    keep_first(&mut lock(&panicked), i, payload);
                }
            }
        };
        match self.0.count.min(n) {
            0 | 1 => take(),
            threads => self.with_helpers(threads - 1, &take),
        }
        let panicked = panicked.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, payload)) = panicked {
            resume_unwind(payload);
        }
    }

    /// Runs `take` here and on up to `n` helpers, as many as come in time.
    fn with_helpers(&self, n: usize, take: &(dyn Fn() + Sync)) {
        let helpers = self.0.helpers.get_or_init(|| spawn(self.0.count - 1, &self.0.shared));
        let open = self.0.shared.open(n.min(helpers.len()), take);
        take();
        drop(open);
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Threads").field(&self.0.count).finish()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.state).is_closing = true;
        self.shared.called.notify_all();
        for helper in self.helpers.take().into_iter().flatten() {
            // A helper catches all panics of its work.
            let _ = helper.join();
        }
    }
}

/// As many helpers as the system gives; with fewer than `n` the others have more to do. Waits until
/// they are up, so that what they take at their start is not taken in the middle of later work.
fn spawn(n: usize, shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    let helper = |i| {
        let shared = Arc::clone(shared);
        std::thread::Builder::new().name(format!("worker-{i}")).spawn(move || shared.help())
    };
    let helpers: Vec<_> = (1..=n).map_while(|i| helper(i).ok()).collect();
    let state = lock(&shared.state);
    let up = shared.left.wait_while(state, |state| state.up < helpers.len());
    drop(up.unwrap_or_else(PoisonError::into_inner));
    helpers
}

/// Work that helpers may take part in, until this is dropped.
struct Open<'a>(&'a Shared);

impl Shared {
    /// Calls up to `n` helpers to `work`; none while there is other work.
    fn open<'a>(&'a self, n: usize, work: &'a (dyn Fn() + Sync)) -> Option<Open<'a>> {
        let mut state = lock(&self.state);
        if state.work.is_some() || n == 0 {
            return None;
        }
        // SAFETY: only the lifetime changes. A helper reads `work` under the lock and counts itself
        // as inside; dropping `Open` takes `work` away and waits until none is inside, and `Open`
        // does not outlive it.
        let work = unsafe { std::mem::transmute::<&'a (dyn Fn() + Sync), Work>(work) };
        state.work = Some(work);
        self.wanted.store(n, Ordering::Relaxed);
        drop(state);
        (0..n).for_each(|_| self.called.notify_one());
        Some(Open(self))
    }

    /// A helper's life.
    fn help(&self) {
        let mut state = lock(&self.state);
        state.up += 1;
        self.left.notify_one();
        while !state.is_closing {
            let wanted = self.wanted.load(Ordering::Relaxed);
            let Some(work) = state.work.filter(|_| wanted > 0) else {
                state = self.rest(state);
                continue;
            };
            self.wanted.store(wanted - 1, Ordering::Relaxed);
            self.inside.fetch_add(1, Ordering::Relaxed);
            drop(state);
            work();
            state = lock(&self.state);
            if self.inside.fetch_sub(1, Ordering::Release) == 1 {
                self.left.notify_one();
            }
        }
    }

    /// Looks a while for work, then sleeps until there is some.
    fn rest<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        drop(state);
        look(|| self.wanted.load(Ordering::Relaxed) > 0);
        let state = lock(&self.state);
        if state.is_closing || self.wanted.load(Ordering::Relaxed) > 0 {
            return state;
        }
        self.called.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        self.0.wanted.store(0, Ordering::Relaxed);
        if self.0.inside.load(Ordering::Acquire) > 0 {
            drop(state);
            look(|| self.0.inside.load(Ordering::Relaxed) == 0);
            state = lock(&self.0.state);
        }
        while self.0.inside.load(Ordering::Acquire) > 0 {
            state = self.0.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.work = None;
    }
}

/// Waits a few microseconds for something to happen.
fn look(has_happened: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if has_happened() {
            return;
        }
        std::hint::spin_loop();
    }
}

/// Nothing panics while it holds a lock of this module.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the payload of the lowest index; others are not dropped, which may panic again.
fn keep_first(
    kept: &mut Option<(usize, Box<dyn Any + Send>)>,
    i: usize,
    payload: Box<dyn Any + Send>,
) {
    let other = match kept {
        Some((first, _)) if *first < i => Some(payload),
        _ => kept.replace((i, payload)).map(|(_, payload)| payload),
    };
    std::mem::forget(other);
}

#[cfg(test)]
mod tests;
