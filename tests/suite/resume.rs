//! Stopping and going on: the same bits as without the stop.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use insta::assert_snapshot;
use tests::{Project, contents, read_lines};

const SLOW: &str = "[stress]\ntotal_steps = 25\nstep_ms = 40\nstate_values = 1000\n";

fn project(text: &str) -> Project {
    Project::new().plugins(&["linreg", "stress"]).file("run.toml", text)
}

/// Everything of a run that must not depend on how often it was stopped: artifacts, and the last
/// checkpoint.
fn results(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut results = BTreeMap::new();
    for entry in fs::read_dir(run.join("phases")).unwrap().flatten() {
        let phase = entry.path();
        let mut add = |directory: &Path| {
            for (name, bytes) in contents(directory) {
                let name = format!("{}/{name}", directory.strip_prefix(run).unwrap().display());
                // Values of a phase hold paces: the manifest differs by them.
                if !name.ends_with("artifacts/manifest.json") {
                    results.insert(name, bytes);
                }
            }
        };
        add(&phase.join("artifacts"));
        let checkpoints = phase.join("checkpoints");
        let last = fs::read_to_string(checkpoints.join("last")).unwrap();
        add(&checkpoints.join(last.trim()));
    }
    results
}

/// What comes out without any stop.
fn straight(text: &str) -> BTreeMap<String, Vec<u8>> {
    let project = project(text);
    project.host(["run", "--config", "run.toml", "--progress", "off"]).expect(0);
    let results = results(&project.last_run());
    assert!(!results.is_empty());
    results
}

#[track_caller]
fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "`{name}` differs from that of the run without a stop");
    }
}

/// Whichever of its evaluations is stopped, it comes first when the run goes on.
#[test]
fn an_evaluation_that_is_stopped_is_made_up_for() {
    const SLOW: &str = "[stress]\nmode = 'slow_evaluate'\ntotal_steps = 5\n";
    let expected = straight(SLOW);
    let project = project(SLOW);
    let mut running = project.start(["run", "--config", "run.toml"]);
    for _ in 0..3 {
        running.wait_for("measuring");
        running.signal("INT");
        running.finish().expect(75);
        running = project.start(["run", "--config", "run.toml", "--resume"]);
    }
    running.finish().expect(0);
    let run = project.last_run();
    assert_same(&results(&run), &expected);
    let metrics = read_lines(&run.join("metrics.jsonl"));
    let sizes = metrics.iter().filter(|line| line.get("val/size").is_some());
    let steps: Vec<u64> = sizes.filter_map(|line| line["step"].as_u64()).collect();
    assert_eq!(steps, [2, 4, 5]);
}

#[test]
fn a_signal_stops_after_a_checkpoint_and_resume_goes_on() {
    let expected = straight(SLOW);
    for signal in ["INT", "TERM", "USR1"] {
        let project = project(SLOW);
        let mut running = project.start(["run", "--config", "run.toml"]);
        running.wait_for("step 4/25");
        running.signal(signal);
        let output = running.finish().expect(75);
        assert_eq!(output.stdout, "");
        let last = output.stable(&output.stderr);
        let last: Vec<&str> = last.lines().rev().take(2).collect();
        assert_eq!(
            last,
            [
                "help: run the same command with `--resume` to go on",
                "stopped; what is done is in runs/[RUN]",
            ]
        );
        let events = read_lines(&project.last_run().join("events.jsonl"));
        assert_eq!(events.last().unwrap()["status"], "stopped");
        let output = project.host(["run", "--config", "run.toml", "--resume"]).expect(0);
        assert!(output.stderr.contains("going on from phases/01-stress/checkpoints/step-0000"));
        assert_same(&results(&project.last_run()), &expected);
    }
}

#[test]
fn what_is_shown_of_a_run_that_goes_on() {
    let text = "[stress]\ntotal_steps = 3\n";
    let project = project(text);
    assert_snapshot!(project.host(["run", "--config", "run.toml", "--max-steps", "2"]), @"
    exit: 0
    ----- stdout
    stress  2 steps · train/loss 0.0624
    run: runs/[RUN]
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 2 steps
    [stress] step 1/2 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    [stress] step 2/2 · train/loss 0.0624 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000002
    [stress] finished in [TIME]
    ");
    assert_snapshot!(project.host(["run", "--config", "run.toml", "--resume"]), @"
    exit: 0
    ----- stdout
    stress  3 steps · train/loss 1.2137
    run: runs/[RUN]
    ----- stderr
    resuming runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] going on from phases/01-stress/checkpoints/step-00000002
    [stress] 3 steps from 2
    [stress] step 3/3 · train/loss 1.2137 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000003
    [stress] finished in [TIME]
    ");
    assert_snapshot!(project.host(["run", "--config", "run.toml", "--resume"]), @"
    exit: 0
    ----- stdout
    stress  3 steps · train/loss 1.2137
    run: runs/[RUN]
    ----- stderr
    resuming runs/[RUN]
    [stress] finished before, after 3 steps
    ");
    let lines = read_lines(&project.last_run().join("metrics.jsonl"));
    let points: Vec<_> = lines
        .iter()
        .map(|line| (line["attempt"].as_u64().unwrap(), line["step"].as_u64().unwrap()))
        .collect();
    assert_eq!(points, [(1, 1), (1, 2), (2, 3)]);
}

#[test]
fn a_second_signal_ends_at_once() {
    for (first, second, code) in [("INT", "INT", 130), ("TERM", "TERM", 143), ("INT", "TERM", 143)]
    {
        let text = "[stress]\ntotal_steps = 5\nat_step = 1\n";
        let project = project(text);
        let args = ["run", "--config", "run.toml"];
        project.host([&args[..], &["--max-steps", "2"]].concat()).expect(0);
        let slow = ["--resume", "stress.step_ms=60000"];
        let mut running = project.start([&args[..], &slow].concat());
        running.wait_for("from 2");
        running.signal(first);
        sleep(Duration::from_millis(200));
        assert!(running.is_running(), "the first signal waits for the step");
        running.signal(second);
        let output = running.finish();
        assert_eq!(output.code, Some(code), "{output}");
        project.host([&args[..], &["--resume"]].concat()).expect(0);
        assert_same(&results(&project.last_run()), &straight(text));
    }
}

#[test]
fn a_signal_while_preparing_ends_the_preparation() {
    let text = "[stress]\nmode = 'slow_prepare'\n";
    let project = project(text);
    let mut running = project.start(["run", "--config", "run.toml"]);
    running.wait_for("preparing");
    sleep(Duration::from_millis(100));
    running.signal("INT");
    assert_snapshot!(running.finish(), @"
    exit: 75
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    stopped; what is done is in runs/[RUN]
    help: run the same command with `--resume` to go on
    ");
    let output = project.host(["run", "--config", "run.toml", "--resume", "stress.mode=none"]);
    assert_snapshot!(output, @"
    exit: 0
    ----- stdout
    stress  5 steps · train/loss 1.3953
    run: runs/[RUN]
    ----- stderr
    resuming runs/[RUN]
    warning: resuming with other settings than the run was started with: `stress.mode`
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 5 steps
    [stress] step 1/5 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    [stress] step 2/5 · train/loss 0.0624 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000002
    [stress] step 3/5 · train/loss 1.2137 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000003
    [stress] step 4/5 · train/loss 0.0331 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000004
    [stress] step 5/5 · train/loss 1.3953 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000005
    [stress] finished in [TIME]
    ");
}

#[test]
fn a_run_cut_short_goes_on_to_its_end() {
    let expected = straight("phases = ['stress', 'linreg']\n[linreg]\ntotal_steps = 20\n");
    let project = project("phases = ['stress', 'linreg']\n[linreg]\ntotal_steps = 20\n");
    let args = ["run", "--config", "run.toml"];
    project.host([&args[..], &["--max-steps", "3"]].concat()).expect(0);
    let output = project.host([&args[..], &["--resume"]].concat()).expect(0);
    assert!(output.stdout.starts_with("stress  5 steps"), "{output}");
    let mut found = results(&project.last_run());
    // The second phase had been trained on what the shorter first one had handed on.
    found.retain(|name, _| !name.contains("superseded"));
    assert_same(&found, &expected);
}

/// Whatever moment the process ends at, what is on disk is enough to come to the same end.
#[test]
fn killed_at_ten_random_moments() {
    let text = "phases = ['stress', 'again']\n\
        [stress]\ntotal_steps = 30\nstep_ms = 10\nstate_values = 1000\n\
        [again]\nphase = 'stress'\ntotal_steps = 30\nstep_ms = 10\n";
    let expected = straight(text);
    let project = project(text);
    let mut draw = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    let mut attempts = 0;
    for _ in 0..10 {
        let mut args = vec!["run", "--config", "run.toml"];
        args.extend((attempts > 0).then_some("--resume"));
        let mut running = project.start(args);
        if attempts == 0 {
            running.wait_for("preparing");
        }
        attempts += 1;
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        sleep(Duration::from_millis(30 + draw % 170));
        if !running.is_running() {
            break;
        }
        running.signal("KILL");
        let _ = running.finish();
    }
    assert!(attempts >= 4, "the run is too short to be killed often");
    project.host(["run", "--config", "run.toml", "--resume"]).expect(0);
    assert_same(&results(&project.last_run()), &expected);
    // Every line but one that a kill has torn can be read.
    let text = fs::read_to_string(project.last_run().join("events.jsonl")).unwrap();
    let torn = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err());
    assert!(torn.count() <= attempts);
}

#[test]
fn there_must_be_a_run_to_go_on_with() {
    let project = project(SLOW);
    let resume = |target: &str| project.host(["run", "--config", "run.toml", target]);
    assert_snapshot!(resume("--resume"), @"
    exit: 2
    ----- stderr
    error: no run to be found: `runs/last` is missing
    help: start one without `--resume`, or name its directory
    ");
    assert_snapshot!(resume("--resume=nosuch"), @"
    exit: 2
    ----- stderr
    error: no run to be found: `nosuch`
    help: name a directory below `runs/`, or `last` for the newest run
    ");
    assert_snapshot!(project.host(["run", "--resume"]), @"
    exit: 2
    ----- stderr
    error: no run to be found: `runs/last` is missing
    help: start one without `--resume`, or name its directory
    ");
    assert_eq!(project.names(), ["run.toml"]);
}

#[test]
fn auto_starts_or_goes_on() {
    let text = "[stress]\ntotal_steps = 5\n";
    let project = project(text);
    let args = ["run", "--config", "run.toml", "--resume=auto"];
    let slow = [&args[..], &["stress.step_ms=200"]].concat();
    let mut running = project.start(slow);
    running.wait_for("step 2/5");
    running.signal("INT");
    running.finish().expect(75);
    let first = project.last_run();
    let output = project.host(args).expect(0);
    assert!(output.stderr.starts_with("resuming"), "{output}");
    assert_eq!(project.last_run(), first);
    assert_same(&results(&first), &straight(text));
    // That one is finished: there is nothing to go on with.
    let output = project.host(args).expect(0);
    assert!(output.stderr.starts_with("run "), "{output}");
    assert_ne!(project.last_run(), first);
}

#[test]
fn a_run_may_be_named_in_three_ways() {
    let text = "[stress]\ntotal_steps = 5\n";
    let project = project(text);
    let args = ["run", "--config", "run.toml", "--max-steps", "2"];
    project.host(args).expect(0);
    let run = project.last_run();
    project.host(args).expect(0);
    assert_ne!(project.last_run(), run);
    for (n, name) in
        [("3", run.file_name().unwrap().to_str().unwrap()), ("4", run.to_str().unwrap())]
    {
        let resume = format!("--resume={name}");
        let output = project.host(["run", "--config", "run.toml", &resume, "--max-steps", n]);
        assert!(output.expect(0).stderr.contains("going on from"));
    }
    assert!(run.join("phases/01-stress/checkpoints/step-00000004").is_dir());
}

#[test]
fn a_damaged_checkpoint_yields_to_the_one_before() {
    let text = "[stress]\ntotal_steps = 5\n";
    let expected = straight(text);
    let project = project(text);
    project.host(["run", "--config", "run.toml", "--max-steps", "3"]).expect(0);
    let checkpoints = project.last_run().join("phases/01-stress/checkpoints");
    let file = checkpoints.join("step-00000003/tensors.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_snapshot!(project.host(["run", "--config", "run.toml", "--resume"]), @"
    exit: 0
    ----- stdout
    stress  5 steps · train/loss 1.3953
    run: runs/[RUN]
    ----- stderr
    resuming runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    warning: `runs/[RUN]/phases/01-stress/checkpoints/step-00000003/tensors.safetensors` is damaged: its content has changed since it was written; going on from the checkpoint before it
    [stress] going on from phases/01-stress/checkpoints/step-00000002
    [stress] 5 steps from 2
    [stress] step 3/5 · train/loss 1.2137 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000003
    [stress] step 4/5 · train/loss 0.0331 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000004
    [stress] step 5/5 · train/loss 1.3953 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000005
    [stress] finished in [TIME]
    ");
    assert_same(&results(&project.last_run()), &expected);
}

#[test]
fn no_whole_checkpoint_is_an_error_and_not_a_fresh_start() {
    let project = project("[stress]\ntotal_steps = 5\n");
    project.host(["run", "--config", "run.toml", "--max-steps", "1"]).expect(0);
    let checkpoint = project.last_run().join("phases/01-stress/checkpoints/step-00000001");
    fs::write(checkpoint.join("state.json"), "{").unwrap();
    assert_snapshot!(project.host(["run", "--config", "run.toml", "--resume"]), @"
    exit: 1
    ----- stderr
    resuming runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    error: resuming from `runs/[RUN]/phases/01-stress/checkpoints`: `runs/[RUN]/phases/01-stress/checkpoints/step-00000001/state.json` is damaged: it has 1 bytes, the manifest says 81
    ");
}

#[test]
fn without_a_profile_the_stored_settings_count() {
    let text = "[stress]\ntotal_steps = 6\nstep_ms = 100\n";
    let expected = straight(text);
    let project = project(text);
    let mut running = project.start(["run", "--config", "run.toml"]);
    running.wait_for("step 2/6");
    running.signal("INT");
    running.finish().expect(75);
    fs::remove_file(project.path("run.toml")).unwrap();
    let output = project.host(["run", "--resume"]).expect(0);
    assert!(!output.stderr.contains("warning"), "{output}");
    assert_eq!(project.temporary_files(), Vec::<String>::new());
    assert_same(&results(&project.last_run()), &expected);
}

#[test]
fn other_settings_are_worth_a_warning_and_other_phases_an_error() {
    let project = project("[stress]\ntotal_steps = 5\n").file("other.toml", "[linreg]\n");
    project.host(["run", "--config", "run.toml", "--max-steps", "2"]).expect(0);
    let resume = ["run", "--config", "run.toml", "--resume", "stress.total_steps=4", "--seed", "7"];
    assert_snapshot!(project.host(resume), @"
    exit: 0
    ----- stdout
    stress  4 steps · train/loss 0.0331
    run: runs/[RUN]
    ----- stderr
    resuming runs/[RUN]
    warning: resuming with other settings than the run was started with: `global.seed`, `stress.total_steps`
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] going on from phases/01-stress/checkpoints/step-00000002
    [stress] 4 steps from 2
    [stress] step 3/4 · train/loss 1.2137 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000003
    [stress] step 4/4 · train/loss 0.0331 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000004
    [stress] finished in [TIME]
    ");
    assert_snapshot!(project.host(["run", "--config", "other.toml", "--resume"]), @r#"
    exit: 2
    ----- stderr
    error: the run has other phases: ["stress"], asked for: ["linreg"]
    help: resume with the profile that the run was started with
    "#);
}

#[test]
fn without_a_profile_the_environment_counts_too() {
    let project = project("[stress]\n");
    let host = |args: &[&str]| {
        let mut command = project.command(args);
        command.env("HOST_OUTPUT_DIR", "out");
        project.spawn(command).finish()
    };
    host(&["run", "--config", "run.toml", "--max-steps", "2"]).expect(0);
    host(&["run", "--config", "run.toml", "--resume", "--max-steps", "3"]).expect(0);
    let output = host(&["run", "--resume"]).expect(0);
    assert!(output.stdout.starts_with("stress  5 steps"), "{output}");
}

/// `max_steps` says how far an attempt goes, not what the run is.
#[test]
fn without_a_profile_a_run_cut_short_goes_to_its_end() {
    let project = project("[stress]\n");
    project.host(["run", "--config", "run.toml", "--max-steps", "2"]).expect(0);
    let output = project.host(["run", "--resume"]).expect(0);
    assert!(output.stdout.starts_with("stress  5 steps"), "{output}");
}

/// A process that ends between making a directory and writing the settings leaves no run there.
/// `last` is written after the settings, so only a hand can make it name such a directory.
#[test]
fn a_directory_without_settings_is_no_run() {
    let project = project("[stress]\n");
    project.host(["run", "--config", "run.toml", "stress.mode=error_in_step"]).expect(1);
    let run = project.last_run();
    project.write("runs/20990101-000000-00000000/.lock", "");
    project.write("runs/last", "20990101-000000-00000000\n");
    let args = ["run", "--config", "run.toml"];
    assert_snapshot!(project.host([&args[..], &["--resume"]].concat()), @"
    exit: 2
    ----- stderr
    error: no run to be found: `runs/[RUN]`
    help: name a directory below `runs/`, or `last` for the newest run
    ");
    // `auto` looks at what is there.
    let output = project.host([&args[..], &["--resume=auto"]].concat()).expect(0);
    assert!(output.stderr.starts_with("resuming"), "{output}");
    assert!(run.join("phases/01-stress/checkpoints/step-00000005").is_dir());
}
