//! `host plugins new`: what a newcomer does, and what is refused.

use std::fs;
use std::time::Instant;

use insta::assert_snapshot;
use tests::{Installation, Project, author, repository};

fn project() -> Project {
    Project::with(Installation::dynamic())
}

/// From nothing to a phase of its own in a pipeline, in a directory outside of the workspace.
#[test]
fn a_new_plugin_builds_passes_its_tests_and_runs_in_a_pipeline() {
    let project = project().plugins(&["linreg"]);
    let sdk = repository().join("sdk").display().to_string();
    assert_snapshot!(project.host(["plugins", "new", "my-line", "--sdk", &sdk]), @"
    exit: 0
    ----- stderr
    made the plugin `my-line` in `my-line`; build it, then run it:
      cargo build --release --manifest-path my-line/Cargo.toml
      HOST_PLUGIN_PATH=my-line/target/release host run --config my-line/run.toml
    ");
    let start = Instant::now();
    let library = author(&project.path("my-line"), "my-line");
    println!("tested and built in {:.1?}", start.elapsed());

    fs::copy(&library, project.plugin_path().join("libmy_line.so")).unwrap();
    let listed = project.host(["plugins", "list"]).expect(0);
    assert!(listed.stdout.contains("my-line    0.1.0  phases: my-line"), "{listed}");
    project.host(["config", "validate", "--config", "my-line/run.toml"]).expect(0);
    let output =
        project.host(["run", "--config", "my-line/run.toml", "--progress", "off"]).expect(0);
    assert!(output.stdout.contains("my-line  200 steps"), "{output}");

    let pipeline = "phases = ['pretrain', 'my-line']\n[pretrain]\nextends = 'smoke-pretrain'\n\
                    [my-line]\ntotal_steps = 50\n";
    let project = project.file("both.toml", pipeline);
    let output = project.host(["run", "--config", "both.toml", "--progress", "off"]).expect(0);
    assert!(output.stdout.contains("my-line   50 steps"), "{output}");
}

#[test]
fn names_that_are_none_are_refused_and_nothing_is_written() {
    let project = project();
    let said: Vec<String> = ["My Trainer", "9lives", "a--b", "global", "match"]
        .iter()
        .map(|name| project.host(["plugins", "new", name]).expect(2).stderr)
        .collect();
    assert_snapshot!(said.join("\n"), @"
    error: `My Trainer` is no name for a plugin
    help: take lower-case letters, digits and single `-`, a letter first, at most 64: `my-trainer`

    error: `9lives` is no name for a plugin
    help: take lower-case letters, digits and single `-`, a letter first, at most 64: `my-trainer`

    error: `a--b` is no name for a plugin
    help: take lower-case letters, digits and single `-`, a letter first, at most 64: `my-trainer`

    error: `global` is the name of something else in a configuration, in cargo or in Rust
    help: take another one, such as `global-trainer`

    error: `match` is the name of something else in a configuration, in cargo or in Rust
    help: take another one, such as `match-trainer`
    ");
    for name in ["", "../evil", "ü", &"x".repeat(65)] {
        project.host(["plugins", "new", name]).expect(2);
    }
    assert_eq!(project.temporary_files(), [""; 0]);
    assert!(!project.path("global").exists() && !project.path("a--b").exists());
}

#[test]
fn what_is_there_stays_and_another_crate_is_not_the_sdk() {
    let project = project().file("mine/notes.txt", "mine");
    assert_snapshot!(project.host(["plugins", "new", "mine"]), @"
    exit: 2
    ----- stderr
    error: `mine` is there already
    help: name another directory with `--out`
    ");
    assert_eq!(fs::read_to_string(project.path("mine/notes.txt")).unwrap(), "mine");
    assert_snapshot!(project.host(["plugins", "new", "other", "--sdk", "mine"]), @"
    exit: 2
    ----- stderr
    error: `mine` is not the SDK's crate
    help: name the directory of the SDK, in which its `Cargo.toml` lies
    ");
    assert!(!project.path("other").exists());
    project.host(["plugins", "new", "other", "--out", "deep/down/there"]).expect(0);
    assert!(project.path("deep/down/there/src/lib.rs").is_file());
}
