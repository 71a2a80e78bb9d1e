//! What is counted: kernels by name, and the host with a trainer that does nothing.

use std::process::Command;

use tests::{Installation, Project, release_example};

use crate::callgrind::instructions;
use crate::figures::Counts;

/// The names that the example `counts` of the transformer knows.
const KERNELS: [&str; 9] = [
    "activation",
    "adamw",
    "cross_entropy",
    "dropout",
    "norm",
    "product",
    "rotation",
    "softmax",
    "step",
];

/// Steps of the shorter of the two runs whose difference is the cost of a step.
const STEPS: u64 = 100;

/// All of them.
pub(crate) fn count() -> Counts {
    let mut counts = Counts::new();
    let example = release_example("sdk-transformer", "counts");
    for kernel in KERNELS {
        let of = |repetitions: &str| {
            let mut command = Command::new(&example);
            instructions(command.args([kernel, repetitions]))
        };
        counts.insert(format!("kernel {kernel}"), of("2") - of("1"));
    }
    let host = Host::new();
    counts.insert("host plugins list".into(), host.count(&["plugins", "list"]));
    counts.insert("host config validate".into(), host.count(&["config", "validate", CONFIG, FILE]));
    counts.insert("host run of one step".into(), host.run(1, 1));
    for (name, log_every) in [("logged", 1), ("not logged", 0)] {
        let (once, twice) = (host.run(STEPS, log_every), host.run(2 * STEPS, log_every));
        counts.insert(format!("host step that is {name}"), (twice - once) / STEPS);
    }
    counts
}

const CONFIG: &str = "--config";
const FILE: &str = "idle.toml";

/// A host in a project of its own, with the trainer that does nothing.
struct Host(Project);

impl Host {
    fn new() -> Self {
        let project = Project::with(Installation::bare()).plugins(&["idle"]);
        let library = project.plugin_path().join("libidle.so");
        // A run hashes the library, and that of the places of lines is not of interest.
        let strip = Command::new("strip").arg("--strip-debug").arg(&library).status();
        assert!(strip.is_ok_and(|status| status.success()), "strip failed");
        // What is known of a plugin is found out once, by a process of its own.
        project.host(["plugins", "list"]).expect(0);
        Self(project.file(FILE, "phases = ['idle']\n"))
    }

    fn count(&self, args: &[&str]) -> u64 {
        instructions(&self.0.command(args))
    }

    fn run(&self, steps: u64, log_every: u64) -> u64 {
        let steps = format!("idle.total_steps={steps}");
        let log_every = format!("idle.log_every_steps={log_every}");
        let args = ["run", CONFIG, FILE, "--progress", "off", "--threads", "1"];
        self.count(&[&args[..], &[&steps, &log_every]].concat())
    }
}
