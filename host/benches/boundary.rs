//! What the boundary costs: loading a plugin, and one call of a step through it.
//!
//! ```sh
//! cargo build --release --manifest-path tests/plugins/Cargo.toml --target-dir target/plugins
//! cargo bench -p host --bench boundary [PLUGIN]
//! ```
//!
//! A load is timed in a process of its own, since a library is never unloaded; it holds reading and
//! checking the file, `dlopen`, the comparison of layouts and the description. The
//! direct call is the same source, compiled into this benchmark. Medians are printed.

#![expect(clippy::print_stdout, reason = "the result of a benchmark")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use host::registry::{PhaseClient, PhaseSpec, load_root};
use host::run::NoServices;
use linreg::{Config, Regression};
use sdk::{Artifacts, DeviceContext, PhaseContext, Trainer};

#[expect(unreachable_pub, reason = "a plugin's source, as it is")]
#[path = "../../tests/plugins/linreg/src/lib.rs"]
mod linreg;

const LOADS: usize = 50;
const BATCHES: usize = 50;
const STEPS: u64 = 20_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.as_slice() {
        [flag, plugin] if flag == "--load" => println!("{}", time_of_load(Path::new(plugin))),
        [plugin] => measure(Path::new(plugin)),
        _ => measure(&default_plugin()),
    }
}

fn default_plugin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins/release/liblinreg.so")
}

fn measure(plugin: &Path) {
    if !plugin.is_file() {
        println!("no plugin `{}`: build it first, see the head of this file", plugin.display());
        return;
    }
    println!("loading {}: {:.2} ms", plugin.display(), load_ms(plugin));
    let (through, direct) = (step_ns_through(plugin), step_ns_direct());
    println!("one step through the boundary: {through:.1} ns");
    println!("one step called directly: {direct:.1} ns");
    println!("the boundary: {:.1} ns a call", through - direct);
}

/// Milliseconds of a load, each in a fresh process.
fn load_ms(plugin: &Path) -> f64 {
    let program = std::env::current_exe().expect("a benchmark knows where it lies");
    let times = (0..LOADS).map(|_| {
        let output = Command::new(&program).arg("--load").arg(plugin).output();
        let output = output.expect("the benchmark can start itself");
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse::<f64>().expect("a process that loads says how long it took") / 1e6
    });
    median(times.collect())
}

/// Nanoseconds of one load in this process.
fn time_of_load(plugin: &Path) -> u128 {
    let begin = Instant::now();
    let root = load_root(plugin).expect("the plugin loads");
    let elapsed = begin.elapsed().as_nanos();
    std::hint::black_box(root);
    elapsed
}

fn step_ns_through(plugin: &Path) -> f64 {
    let root = load_root(plugin).expect("the plugin loads");
    let section = serde_json::json!({});
    let spec = PhaseSpec {
        name: "linreg",
        section: &section,
        seed: 42,
        device: &DeviceContext::default(),
        services: Arc::new(NoServices),
    };
    let client = PhaseClient::create(root, "linreg", "linreg", &spec);
    let mut client = client.expect("the plugin has its phase");
    client.prepare(&[]).expect("the phase prepares");
    ns_per_call(|step| client.step(step).expect("a step succeeds").loss)
}

fn step_ns_direct() -> f64 {
    let cx = PhaseContext::detached("linreg", 42, DeviceContext::default());
    let mut trainer = Regression::prepare(Config::default(), &Artifacts::default(), &cx)
        .expect("the phase prepares");
    ns_per_call(|step| trainer.step(step, &cx).expect("a step succeeds").loss)
}

fn ns_per_call(mut call: impl FnMut(u64) -> f64) -> f64 {
    let times = (0..BATCHES).map(|_| {
        let begin = Instant::now();
        for step in 0..STEPS {
            std::hint::black_box(call(std::hint::black_box(step)));
        }
        begin.elapsed().as_nanos() as f64 / STEPS as f64
    });
    median(times.collect())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
