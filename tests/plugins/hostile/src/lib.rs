//! Says and does what no plugin should: while it is loaded, as the variable `HOSTILE` tells it, and in a
//! run, as its section does.
//!
//! It has an allocator of its own, which is its right.

use std::alloc::{GlobalAlloc, Layout, System};
use std::time::Duration;

use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Error, Evaluation, Metrics, PhaseContext, Result, Schedule, StateVisitor,
    Stateful, StepReport, TensorHandle, Trainer,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Memory of this library's own: what another frees with its allocator would end the process.
struct Apart;

/// Bytes in front of each block, so that a foreign `free` would miss its beginning.
const MARGIN: usize = 64;

// SAFETY: blocks are the system's, a margin further on; each call takes the margin off again.
unsafe impl GlobalAlloc for Apart {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(outer) = outer(layout) else { return std::ptr::null_mut() };
        // SAFETY: the outer layout is not empty.
        let block = unsafe { System.alloc(outer) };
        // SAFETY: the margin lies within the block.
        if block.is_null() { block } else { unsafe { block.add(MARGIN) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(outer) = outer(layout) {
            // SAFETY: `alloc` gave this block with this layout.
            unsafe { System.dealloc(block.sub(MARGIN), outer) };
        }
    }
}

fn outer(layout: Layout) -> Option<Layout> {
    let align = layout.align().max(16);
    if align > MARGIN {
        return None;
    }
    Layout::from_size_align(layout.size().checked_add(MARGIN)?, align).ok()
}

#[global_allocator]
static ALLOCATOR: Apart = Apart;

/// Runs when the library is loaded, before anybody can ask it anything.
extern "C" fn on_load() {
    let Ok(what) = std::env::var("HOSTILE") else { return };
    match what.as_str() {
        "exit" => std::process::exit(7),
        // SAFETY: nobody handles it, so it ends the process.
        "terminated" => drop(unsafe { libc::raise(libc::SIGTERM) }),
        "abort" => std::process::abort(),
        "crash" => crash(),
        "slow" => std::thread::sleep(Duration::from_secs(2)),
        "hang" => std::thread::sleep(Duration::from_secs(3600)),
        "chdir" => std::env::set_current_dir("/").unwrap_or_default(),
        // SAFETY: no other thread of this process reads the environment now.
        "setenv" => unsafe { std::env::set_var("HOME", "/elsewhere") },
        "signal" => {
            // SAFETY: the handler does nothing.
            unsafe { libc::signal(libc::SIGINT, ignore as *const () as usize) };
        }
        "stdout" => println!("hello"),
        // SAFETY: a string that ends in zero, and no arguments.
        "printf" => drop(unsafe { libc::printf(c"hello".as_ptr()) }),
        "flood" => (0..200_000).for_each(|_| println!("all work and no play")),
        _ => {}
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;

extern "C" fn ignore(_: i32) {}

#[expect(clippy::zero_ptr, reason = "an address that nobody has")]
fn crash() {
    // SAFETY: none, which is the point.
    unsafe { (8 as *mut u8).write_volatile(1) };
}

/// What goes wrong in a run.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    None,
    /// A million events in one step.
    Events,
    /// A million log records in one step.
    Logs,
    /// A thread that goes on telling after the phase is gone.
    TellsAfterTheEnd,
    /// Tells and asks in every entry.
    Reenters,
    /// Changes the working directory in a step.
    Chdir,
    /// A megabyte that is never given back, in every phase.
    Leak,
    /// A number that differs from run to run.
    Random,
    /// A value that decides the result and is not in the state.
    Forgets,
    /// Evaluations that move the training.
    EvaluatesLoudly,
    /// Progress that goes back.
    BackwardProgress,
    /// Another artifact than promised.
    BreaksPromise,
    /// Ends the process in a step.
    Exit,
    /// A loss that is not a number.
    Nan,
    /// Takes no notice of unknown keys.
    Panics,
}

/// A trainer that nobody would want.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = blow_up)]
struct Config {
    /// What goes wrong.
    mode: Mode,
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    total_steps: u64,
}

/// Makes the schema as large as the variable `HOSTILE_DESCRIPTION_BYTES` tells.
fn blow_up(schema: &mut schemars::Schema) {
    let told = std::env::var("HOSTILE_DESCRIPTION_BYTES").ok();
    if let Some(n) = told.and_then(|text| text.parse().ok()) {
        schema.insert("x-air".to_owned(), "x".repeat(n).into());
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::None, total_steps: 24 }
    }
}

struct Hostile {
    config: Config,
    value: f64,
    hidden: f64,
    cx: PhaseContext,
}

impl Stateful for Hostile {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        if self.config.mode == Mode::Reenters {
            self.cx.progress("saving", 1, 1);
            let _ = self.cx.is_cancelled();
        }
        visitor.value("value", &mut self.value)
    }
}

impl Trainer for Hostile {
    type Config = Config;

    fn check(config: &Config, _: &Artifacts) -> Vec<Error> {
        assert!(config.mode != Mode::Panics, "it panics when it is asked");
        Vec::new()
    }

    fn promises(config: &Config, _: &Artifacts) -> Vec<Artifact> {
        let name = if config.mode == Mode::BreaksPromise { "nothing" } else { "value" };
        vec![Artifact::new(name, "hostile", json!({}))]
    }

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        match config.mode {
            Mode::Leak => std::mem::forget(vec![1u8; 1 << 20]),
            Mode::BackwardProgress => [3, 1].iter().for_each(|n| cx.progress("reading", *n, 9)),
            Mode::TellsAfterTheEnd => {
                let cx = cx.clone();
                std::thread::spawn(move || {
                    loop {
                        cx.progress("haunting", 1, 2);
                        std::thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            _ => {}
        }
        Ok(Self { config, value: 1.0, hidden: 1.0, cx: cx.clone() })
    }

    fn schedule(&self) -> Schedule {
        Schedule { log_every_steps: 1, ..Schedule::new(self.config.total_steps) }
    }

    fn step(&mut self, step: u64, cx: &PhaseContext) -> Result<StepReport> {
        match self.config.mode {
            Mode::Events if step == 0 => {
                (0..1_000_000).for_each(|n| cx.progress("counting", n, 1_000_000));
            }
            Mode::Logs if step == 0 => (0..1_000_000).for_each(|n| log(cx, n)),
            Mode::Reenters => {
                cx.progress("stepping", step, u64::MAX);
                let _ = cx.check_cancelled();
            }
            Mode::Chdir => std::env::set_current_dir("/")?,
            Mode::Exit => std::process::exit(3),
            Mode::Random => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                self.value += f64::from(now.map(|t| t.subsec_nanos()).unwrap_or(0));
            }
            Mode::Nan => return Ok(StepReport::new(f64::NAN, 1)),
            _ => {}
        }
        self.value = 0.9 * self.value + 0.01;
        if self.config.mode == Mode::Forgets {
            self.hidden *= 1.01;
            self.value *= self.hidden;
        }
        Ok(StepReport::new(self.value, 1))
    }

    fn evaluate(&mut self, _: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        if self.config.mode == Mode::EvaluatesLoudly {
            self.value += 1.0;
        }
        if self.config.mode == Mode::Reenters {
            cx.progress("measuring", 0, 1);
        }
        Ok([("value".to_owned(), self.value)].into())
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        let value = TensorHandle::from_vec(vec![self.value], &[1])?;
        Ok(vec![Artifact::new("value", "hostile", json!({})).tensor("value", value)])
    }
}

fn log(_: &PhaseContext, n: u64) {
    log::info!("record {n}");
}

sdk::register_trainer!("hostile", Hostile);
