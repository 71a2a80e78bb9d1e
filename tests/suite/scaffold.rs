//! `host plugins new`: what a newcomer does, and what is refused.

use std::fs;
use std::time::Instant;

use insta::assert_snapshot;
use tests::{Installation, Project, author, repository};

fn project() -> Project {
    Project::with(Installation::dynamic())
}

/// From nothing to a phase of its own in a pipeline, in a directory outside of the workspace: what a
/// newcomer types, and how long each takes.
#[test]
fn a_newcomers_path() {
    let project = project();
    let sdk = repository().join("sdk").display().to_string();
    let mut times = Vec::new();
    let mut timed =
        |what: &str, begun: Instant| times.push(format!("{what} {:.2?}", begun.elapsed()));

    let begun = Instant::now();
    assert_snapshot!(project.host(["plugins", "new", "my-line", "--sdk", &sdk]), @"
    exit: 0
    ----- stderr
    made the plugin `my-line` in `my-line`; build it, install it, run it:
      cargo build --release --manifest-path my-line/Cargo.toml
      host plugins add my-line/target/release/libmy_line.so
      host run --config my-line/run.toml
    ");
    timed("new", begun);
    let (library, [tests, build]) = author(&project.path("my-line"), "my-line");
    let library = library.display().to_string();

    let begun = Instant::now();
    let checked = project.host(["plugins", "check", &library]).expect(0);
    timed("check", begun);
    let last: Vec<&str> = checked.stdout.lines().rev().take(2).collect();
    assert_eq!(last[1], "checked: `my-line` with its defaults");
    assert!(last[0].starts_with("level: deterministic ("), "{checked}");

    let begun = Instant::now();
    assert_snapshot!(project.host(["plugins", "add", &library]), @"
    exit: 0
    ----- stderr
    installed `my-line` 0.1.0
      library: [ROOT]/home/.local/share/host/plugins/[HASH]/libmy_line.so
      blake3: [HASH]
    ");
    timed("add", begun);
    let begun = Instant::now();
    let listed = project.host(["plugins", "list"]).expect(0);
    timed("list", begun);
    let line = "my-line    0.1.0  phases: my-line  level: deterministic  ";
    assert!(listed.stdout.contains(line), "{listed}");

    let begun = Instant::now();
    let output =
        project.host(["run", "--config", "my-line/run.toml", "--progress", "off"]).expect(0);
    timed("run", begun);
    assert!(output.stdout.contains("my-line  200 steps"), "{output}");
    let pipeline = "phases = ['pretrain', 'my-line']\n[pretrain]\nextends = 'smoke-pretrain'\n\
                    [my-line]\ntotal_steps = 50\n";
    let project = project.file("both.toml", pipeline);
    let begun = Instant::now();
    let output = project.host(["run", "--config", "both.toml", "--progress", "off"]).expect(0);
    timed("pipeline", begun);
    assert!(output.stdout.contains("my-line   50 steps"), "{output}");
    println!("tests {tests:.1?}, build {build:.1?}, {}", times.join(", "));
}

/// The templates on candle pass their own tests, among them that they conform, resume exactly, and
/// survive a thousand hosts.
#[test]
fn the_other_templates_build_and_conform() {
    for template in ["candle", "gpt"] {
        let project = project();
        let sdk = repository().join("sdk").display().to_string();
        let name = format!("my-{template}");
        let args = ["plugins", "new", &name, "--template", template, "--sdk", &sdk];
        project.host(args).expect(0);
        let (library, took) = author(&project.path(&name), &name);
        println!("{template}: tests and build {took:.1?}");
        project.host(["plugins", "add", &library.display().to_string()]).expect(0);
        let config = format!("{name}/run.toml");
        let output = project.host(["run", "--config", &config, "--progress", "off"]).expect(0);
        assert!(output.stdout.contains("200 steps"), "{output}");
    }
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
