//! A run from its start to its end, and every way in which it may fail.

use std::fs;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tests::{Output, Project, read_json, read_lines, read_tensors, third_party, tree};

const PIPELINE: &str = "\
phases = ['stress', 'first', 'second']

[profile]
description = 'three phases of two plugins'

[global]
seed = 7

[stress]
total_steps = 3
state_values = 6

[first]
phase = 'linreg'
total_steps = 100

[second]
phase = 'linreg'
total_steps = 50
";

fn pipeline() -> Project {
    Project::new().plugins(&["linreg", "stress"]).file("configs/pipeline-three.toml", PIPELINE)
}

fn names_of(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_pipeline_of_three_phases() {
    let project = pipeline();
    let output = project.host(["run", "--profile", "pipeline-three"]);
    assert_snapshot!(output, @"
    exit: 0
    ----- stdout
    stress  3 steps · train/loss 1.9983
    first   100 steps · train/loss 1.0e-7 · val/distance_max 5.0e-4 · val/tensors_received 1.0000
    second  50 steps · train/loss 1.5e-4 · val/distance_max 0.0236 · val/tensors_received 2.0000
    run: runs/[RUN]
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 3, plugin stress: preparing
    [stress] 3 steps
    [stress] step 1/3 · train/loss 2.6485 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    [stress] step 2/3 · train/loss 0.7279 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000002
    [stress] step 3/3 · train/loss 1.9983 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000003
    [stress] finished in [TIME]
    [first] phase 2 of 3, plugin linreg: preparing
    [first] 100 steps
    [first] step 10/100 · val/distance_max 0.9441 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000010
    [first] step 20/100 · val/distance_max 0.6488 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000020
    [first] step 30/100 · val/distance_max 0.0670 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000030
    [first] step 40/100 · val/distance_max 0.0392 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000040
    [first] step 50/100 · train/loss 3.1e-5 · train/samples_per_s [PACE] · train/step_ms [MS]
    [first] step 50/100 · val/distance_max 0.0333 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000050
    [first] step 60/100 · val/distance_max 0.0280 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000060
    [first] step 70/100 · val/distance_max 0.0123 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000070
    [first] step 80/100 · val/distance_max 3.4e-3 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000080
    [first] step 90/100 · val/distance_max 2.0e-3 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000090
    [first] step 100/100 · train/loss 1.0e-7 · train/samples_per_s [PACE] · train/step_ms [MS]
    [first] step 100/100 · val/distance_max 5.0e-4 · val/tensors_received 1.0000
    [first] checkpoint phases/02-first/checkpoints/step-00000100
    [first] finished in [TIME]
    [second] phase 3 of 3, plugin linreg: preparing
    [second] 50 steps
    [second] step 5/50 · val/distance_max 1.3230 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000005
    [second] step 10/50 · val/distance_max 1.2640 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000010
    [second] step 15/50 · val/distance_max 0.8136 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000015
    [second] step 20/50 · val/distance_max 0.4875 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000020
    [second] step 25/50 · val/distance_max 0.2866 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000025
    [second] step 30/50 · val/distance_max 0.1767 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000030
    [second] step 35/50 · val/distance_max 0.0926 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000035
    [second] step 40/50 · val/distance_max 0.0479 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000040
    [second] step 45/50 · val/distance_max 0.0360 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000045
    [second] step 50/50 · train/loss 1.5e-4 · train/samples_per_s [PACE] · train/step_ms [MS]
    [second] step 50/50 · val/distance_max 0.0236 · val/tensors_received 2.0000
    [second] checkpoint phases/03-second/checkpoints/step-00000050
    [second] finished in [TIME]
    ");
    assert_snapshot!(tree(&project.last_run()), @"
    .lock
    environment.json
    events.jsonl
    metrics.jsonl
    phases/01-stress/artifacts/manifest.json
    phases/01-stress/artifacts/state.json
    phases/01-stress/artifacts/state.safetensors
    phases/01-stress/checkpoints/last
    phases/01-stress/checkpoints/step-00000001/manifest.json
    phases/01-stress/checkpoints/step-00000001/state.json
    phases/01-stress/checkpoints/step-00000001/tensors.safetensors
    phases/01-stress/checkpoints/step-00000002/manifest.json
    phases/01-stress/checkpoints/step-00000002/state.json
    phases/01-stress/checkpoints/step-00000002/tensors.safetensors
    phases/01-stress/checkpoints/step-00000003/manifest.json
    phases/01-stress/checkpoints/step-00000003/state.json
    phases/01-stress/checkpoints/step-00000003/tensors.safetensors
    phases/02-first/artifacts/line.json
    phases/02-first/artifacts/line.safetensors
    phases/02-first/artifacts/manifest.json
    phases/02-first/checkpoints/last
    phases/02-first/checkpoints/step-00000080/data.safetensors
    phases/02-first/checkpoints/step-00000080/manifest.json
    phases/02-first/checkpoints/step-00000080/model.safetensors
    phases/02-first/checkpoints/step-00000080/state.json
    phases/02-first/checkpoints/step-00000090/data.safetensors
    phases/02-first/checkpoints/step-00000090/manifest.json
    phases/02-first/checkpoints/step-00000090/model.safetensors
    phases/02-first/checkpoints/step-00000090/state.json
    phases/02-first/checkpoints/step-00000100/data.safetensors
    phases/02-first/checkpoints/step-00000100/manifest.json
    phases/02-first/checkpoints/step-00000100/model.safetensors
    phases/02-first/checkpoints/step-00000100/state.json
    phases/03-second/artifacts/line.json
    phases/03-second/artifacts/line.safetensors
    phases/03-second/artifacts/manifest.json
    phases/03-second/checkpoints/last
    phases/03-second/checkpoints/step-00000040/data.safetensors
    phases/03-second/checkpoints/step-00000040/manifest.json
    phases/03-second/checkpoints/step-00000040/model.safetensors
    phases/03-second/checkpoints/step-00000040/state.json
    phases/03-second/checkpoints/step-00000045/data.safetensors
    phases/03-second/checkpoints/step-00000045/manifest.json
    phases/03-second/checkpoints/step-00000045/model.safetensors
    phases/03-second/checkpoints/step-00000045/state.json
    phases/03-second/checkpoints/step-00000050/data.safetensors
    phases/03-second/checkpoints/step-00000050/manifest.json
    phases/03-second/checkpoints/step-00000050/model.safetensors
    phases/03-second/checkpoints/step-00000050/state.json
    resolved_settings.json
    ");
    assert_eq!(project.names(), ["configs", "runs"]);
    let last = fs::read_to_string(project.path("runs/last")).unwrap();
    assert!(project.path("runs").join(last.trim()).is_dir());
}

#[test]
fn metrics_have_names_and_places() {
    let project = pipeline();
    project.host(["run", "--profile", "pipeline-three"]).expect(0);
    let run = project.last_run();
    let lines = read_lines(&run.join("metrics.jsonl"));
    let shown: Vec<String> = lines
        .iter()
        .map(|line| {
            let names: Vec<&str> = names_of(line).into_iter().skip(5).collect();
            let (phase, step) = (line["phase"].as_str().unwrap(), &line["step"]);
            format!("{phase} {step}: {}", names.join(" "))
        })
        .collect();
    assert_snapshot!(shown.join("\n"), @"
    stress 1: train/loss train/samples_per_s train/step_ms
    stress 2: train/loss train/samples_per_s train/step_ms
    stress 3: train/loss train/samples_per_s train/step_ms
    first 10: val/distance_max val/tensors_received
    first 20: val/distance_max val/tensors_received
    first 30: val/distance_max val/tensors_received
    first 40: val/distance_max val/tensors_received
    first 50: train/loss train/samples_per_s train/step_ms
    first 50: val/distance_max val/tensors_received
    first 60: val/distance_max val/tensors_received
    first 70: val/distance_max val/tensors_received
    first 80: val/distance_max val/tensors_received
    first 90: val/distance_max val/tensors_received
    first 100: train/loss train/samples_per_s train/step_ms
    first 100: val/distance_max val/tensors_received
    second 5: val/distance_max val/tensors_received
    second 10: val/distance_max val/tensors_received
    second 15: val/distance_max val/tensors_received
    second 20: val/distance_max val/tensors_received
    second 25: val/distance_max val/tensors_received
    second 30: val/distance_max val/tensors_received
    second 35: val/distance_max val/tensors_received
    second 40: val/distance_max val/tensors_received
    second 45: val/distance_max val/tensors_received
    second 50: train/loss train/samples_per_s train/step_ms
    second 50: val/distance_max val/tensors_received
    ");
    for line in &lines {
        assert_eq!(names_of(line)[..5], ["run", "phase", "attempt", "step", "time"]);
        assert_eq!(line["run"].as_str(), run.file_name().unwrap().to_str());
        assert_eq!(line["attempt"], 1);
    }
}

#[test]
fn events_are_numbered_and_tell_the_whole_story() {
    let project = pipeline();
    project.host(["run", "--profile", "pipeline-three"]).expect(0);
    let events = read_lines(&project.last_run().join("events.jsonl"));
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    // Single steps and progress have numbers and are not kept: the numbers rise, with gaps.
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("run_started", "run_finished"));
    assert_eq!(numbers[0], 0);
    let count = |kind| kinds.iter().filter(|other| **other == kind).count();
    for (kind, n) in [("phase_started", 3), ("phase_finished", 3), ("artifact_written", 3)] {
        assert_eq!(count(kind), n, "{kind}");
    }
    assert_eq!(count("step_done") + count("progress"), 0);
    assert_eq!(events.last().unwrap()["status"], "done");
}

#[test]
fn settings_are_kept_with_their_origins() {
    let project = pipeline();
    let mut command = project.command([
        "run",
        "--profile",
        "pipeline-three",
        "first.learning_rate=0.2",
        "--max-steps",
        "20",
        "--threads",
        "2",
    ]);
    command.env("HOST_KEEP_CHECKPOINTS", "1");
    project.spawn(command).finish().expect(0);
    let stored = read_json(&project.last_run().join("resolved_settings.json"));
    let shown = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    assert_snapshot!(shown(&stored["settings"]), @r#"
    {
      "global": {
        "seed": 7,
        "device": "auto",
        "dtype": "float32",
        "amp_dtype": null,
        "deterministic": false,
        "threads": 2,
        "output_dir": "runs",
        "run_name": null,
        "max_steps": 20,
        "keep_checkpoints": 1,
        "init_from": null
      },
      "phases": [
        "stress",
        "first",
        "second"
      ],
      "stress": {
        "mode": "none",
        "at_step": 2,
        "total_steps": 3,
        "step_ms": 0,
        "state_values": 6,
        "schema_version": 1
      },
      "first": {
        "total_steps": 100,
        "learning_rate": 0.2,
        "phase": "linreg",
        "schema_version": 1
      },
      "second": {
        "total_steps": 50,
        "learning_rate": 0.1,
        "phase": "linreg",
        "schema_version": 1
      }
    }
    "#);
    assert_snapshot!(shown(&stored["origins"]), @r#"
    {
      "global": {
        "seed": "file configs/pipeline-three.toml:7",
        "device": "default of the host",
        "dtype": "default of the host",
        "amp_dtype": "default of the host",
        "deterministic": "default of the host",
        "threads": "flag --threads",
        "output_dir": "default of the host",
        "run_name": "default of the host",
        "max_steps": "flag --max-steps",
        "keep_checkpoints": "environment HOST_KEEP_CHECKPOINTS",
        "init_from": "default of the host"
      },
      "phases": "file configs/pipeline-three.toml",
      "stress": {
        "mode": "default of plugin stress",
        "at_step": "default of plugin stress",
        "total_steps": "file configs/pipeline-three.toml:10",
        "step_ms": "default of plugin stress",
        "state_values": "file configs/pipeline-three.toml:11",
        "schema_version": "default of plugin stress"
      },
      "first": {
        "total_steps": "file configs/pipeline-three.toml:15",
        "learning_rate": "override 1",
        "phase": "file configs/pipeline-three.toml",
        "schema_version": "default of plugin linreg"
      },
      "second": {
        "total_steps": "file configs/pipeline-three.toml:19",
        "learning_rate": "default of plugin linreg",
        "phase": "file configs/pipeline-three.toml",
        "schema_version": "default of plugin linreg"
      }
    }
    "#);
    assert_eq!(stored["schema"], 1);
    assert_eq!(stored["profile"], "pipeline-three");
}

#[test]
fn the_environment_is_kept_with_hashes() {
    let project = pipeline();
    project.host(["run", "--profile", "pipeline-three"]).expect(0);
    let environment = read_json(&project.last_run().join("environment.json"));
    assert_eq!(environment["schema"], 1);
    let hashes: Vec<_> = environment["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["blake3"].as_str().unwrap()))
        .collect();
    let listed = project.host(["plugins", "list", "--json"]).json();
    let expected: Vec<_> = listed["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["blake3"].as_str().unwrap()))
        .collect();
    assert_eq!(hashes, expected);
    assert_eq!(environment["device"]["kind"], "cpu");
    let command: Vec<_> = environment["command"].as_array().unwrap()[1..].to_vec();
    assert_eq!(command, ["run", "--profile", "pipeline-three"]);
}

/// What an earlier phase hands on is what lies on disk, and it arrives.
#[test]
fn tensors_are_handed_on() {
    let project = pipeline();
    project.host(["run", "--profile", "pipeline-three"]).expect(0);
    let run = project.last_run();
    let artifact =
        |phase: &str, file: &str| run.join("phases").join(phase).join("artifacts").join(file);

    let state = &read_tensors(&artifact("01-stress", "state.safetensors"))["state"];
    let first = &read_tensors(&artifact("02-first", "line.safetensors"))["weights"];
    assert_eq!((&*state.shape, &*first.shape), (&[6][..], &[4][..]));

    let settings = |phase| read_json(&artifact(phase, "line.json"))["settings"].clone();
    assert_eq!(settings("02-first")["source"], "stress.state");
    assert_eq!(settings("02-first")["received"], json!({ "stress.state": state.sum() }));
    let received = json!({ "first.weights": first.sum(), "stress.state": state.sum() });
    assert_eq!(settings("03-second")["received"], received);

    let lines = read_lines(&run.join("metrics.jsonl"));
    let seen = |phase| {
        lines.iter().rfind(|line| line["phase"] == phase).unwrap()["val/tensors_received"].clone()
    };
    assert_eq!((seen("first"), seen("second")), (json!(1.0), json!(2.0)));
}

#[test]
fn progress_as_json_is_the_event_stream() {
    let project = pipeline();
    let args = ["run", "--profile", "pipeline-three", "--progress", "json"];
    let output = project.host(args).expect(0);
    assert_eq!(output.stderr, "");
    let lines: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..lines.len() as u64).collect::<Vec<_>>());
    let steps = lines.iter().filter(|line| line["event"] == "step_done").count();
    assert_eq!(steps, 3 + 100 + 50);
    let kept = read_lines(&project.last_run().join("events.jsonl"));
    assert!(kept.iter().all(|event| lines.contains(event)));
}

#[test]
fn progress_may_be_off() {
    let project = pipeline();
    let args = ["run", "--profile", "pipeline-three", "--progress", "off"];
    assert_snapshot!(project.host(args), @"
    exit: 0
    ----- stdout
    stress  3 steps · train/loss 1.9983
    first   100 steps · train/loss 1.0e-7 · val/distance_max 5.0e-4 · val/tensors_received 1.0000
    second  50 steps · train/loss 1.5e-4 · val/distance_max 0.0236 · val/tensors_received 2.0000
    run: runs/[RUN]
    ");
}

#[test]
fn a_run_may_have_a_name_and_a_place() {
    let project = pipeline();
    let args =
        ["run", "--profile", "pipeline-three", "--run-name", "try", "--output-dir", "out/deep"];
    let output = project.host(args).expect(0);
    assert!(output.stable(&output.stdout).contains("run: out/deep/try-[RUN]"), "{output}");
    assert!(fs::read_to_string(project.path("out/deep/last")).unwrap().starts_with("try-"));
}

/// Runs `stress` in a mode, with a step at which it goes wrong, and looks whether what is on disk
/// is whole.
#[track_caller]
fn stress(mode: &str) -> Output {
    let project = Project::new()
        .plugins(&["stress"])
        .file("run.toml", &format!("[stress]\nmode = '{mode}'\nat_step = 1\ntotal_steps = 2\n"));
    let output = project.host(["run", "--config", "run.toml"]);
    assert_intact(&project.last_run(), if output.code == Some(0) { "done" } else { "failed" });
    output
}

/// A run directory that holds only whole things: settings, events with an end, checkpoints.
#[track_caller]
fn assert_intact(run: &Path, status: &str) {
    for name in ["resolved_settings.json", "environment.json"] {
        read_json(&run.join(name));
    }
    let events = read_lines(&run.join("events.jsonl"));
    assert_eq!(events.last().unwrap()["status"], status);
    read_lines(&run.join("metrics.jsonl"));
    for name in tree(run).lines() {
        assert!(!name.contains(".tmp-"), "left behind: {name}");
        let path = run.join(name);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => drop(read_json(&path)),
            Some("safetensors") => drop(read_tensors(&path)),
            _ => {}
        }
    }
}

#[test]
fn panics_end_the_run_and_not_the_host() {
    assert_snapshot!(stress("panic_in_prepare"), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    error: phase `stress` (plugin `stress`) failed while preparing: the plugin panicked in `prepare`: asked to prepare (stress/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
    assert_snapshot!(stress("panic_in_schedule"), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    error: phase `stress` (plugin `stress`) failed while preparing: the plugin panicked in `prepare`: asked for the schedule (stress/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
    assert_snapshot!(stress("panic_in_step"), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 2 steps
    [stress] step 1/2 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    error: phase `stress` (plugin `stress`) failed at step 1: the plugin panicked in `step`: the step went wrong (stress/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
    assert_snapshot!(stress("panic_in_evaluate"), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 2 steps
    [stress] step 1/2 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    [stress] step 2/2 · train/loss 0.0624 · train/samples_per_s [PACE] · train/step_ms [MS]
    error: phase `stress` (plugin `stress`) failed at step 2: the plugin panicked in `evaluate`: asked to evaluate (stress/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
    assert_snapshot!(stress("panic_in_state"), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 2 steps
    [stress] step 1/2 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    error: phase `stress` (plugin `stress`) failed at step 1: the plugin panicked in `save`: asked for the state (stress/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
    assert_snapshot!(stress("panic_in_artifacts"), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 2 steps
    [stress] step 1/2 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    [stress] step 2/2 · train/loss 0.0624 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000002
    error: phase `stress` (plugin `stress`) failed while handing on: the plugin panicked in `artifacts`: asked to hand on (stress/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
}

#[test]
fn a_panic_at_the_very_end_changes_nothing() {
    assert_snapshot!(stress("panic_in_drop"), @"
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
}

#[test]
fn errors_of_a_plugin_are_passed_on() {
    assert_snapshot!(stress("error_in_prepare"), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    error: phase `stress` (plugin `stress`) failed while preparing: no data
    help: bring some
    ");
    assert_snapshot!(stress("error_in_step"), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 2 steps
    [stress] step 1/2 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    error: phase `stress` (plugin `stress`) failed at step 1: asked to fail
    help: ask for less
    ");
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    assert_snapshot!(stress("nan_in_step"), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 2 steps
    [stress] step 1/2 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    [stress] step 2/2 · train/loss NaN · train/samples_per_s [PACE] · train/step_ms [MS]
    error: phase `stress` (plugin `stress`) failed at step 1: the loss is not a finite number
    help: lower the learning rate or look at the data of this step; the last checkpoint stands
    ");
    let project = Project::new()
        .plugins(&["stress"])
        .file("run.toml", "[stress]\nmode = 'nan_in_step'\nat_step = 1\n");
    project.host(["run", "--config", "run.toml"]).expect(1);
    let lines = read_lines(&project.last_run().join("metrics.jsonl"));
    assert_eq!(lines.last().unwrap()["train/loss"], "NaN");
    let last = project.last_run().join("phases/01-stress/checkpoints/last");
    assert_eq!(fs::read_to_string(last).unwrap(), "step-00000001\n");
}

#[test]
fn what_a_plugin_logs_is_kept() {
    let project = Project::new().plugins(&["stress"]).file("run.toml", "[stress]\nmode = 'talk'\n");
    let output = project.host(["run", "--config", "run.toml", "--max-steps", "1"]);
    assert_snapshot!(output, @"
    exit: 0
    ----- stdout
    stress  1 steps · train/loss 1.1044
    run: runs/[RUN]
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] warn: a warning of the plugin
    [stress] 1 steps
    [stress] step 1/1 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    [stress] finished in [TIME]
    ");
    let events = read_lines(&project.last_run().join("events.jsonl"));
    let logged: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "log")
        .map(|event| (event["level"].as_str().unwrap(), event["message"].as_str().unwrap()))
        .collect();
    assert_eq!(logged, [("warn", "a warning of the plugin"), ("debug", "a detail of the plugin")]);
}

#[test]
fn a_backtrace_is_there_for_those_who_ask() {
    let project =
        Project::new().plugins(&["stress"]).file("run.toml", "[stress]\nmode = 'panic_in_step'\n");
    let mut command = project.command(["run", "--config", "run.toml"]);
    command.env("RUST_BACKTRACE", "1");
    let output = project.spawn(command).finish().expect(1);
    assert!(output.stderr.contains("with a second line"), "{output}");
    assert!(output.stderr.contains("stack backtrace"), "{output}");
}

#[test]
fn a_run_has_one_writer() {
    let project =
        Project::new().plugins(&["stress"]).file("run.toml", "[stress]\nstep_ms = 60000\n");
    let mut first = project.start(["run", "--config", "run.toml"]);
    first.wait_for("5 steps");
    assert_snapshot!(project.host(["run", "--config", "run.toml", "--resume"]), @"
    exit: 2
    ----- stderr
    error: another process is writing to the run `runs/[RUN]`
    help: wait for it, or stop it first
    ");
    let events = read_lines(&project.last_run().join("events.jsonl"));
    assert_eq!(events.iter().filter(|event| event["event"] == "run_started").count(), 1);
    // The lock goes with its holder, however that ends.
    first.signal("KILL");
    assert_eq!(first.finish().signal, Some(9));
    let args = ["run", "--config", "run.toml", "--resume", "stress.step_ms=0"];
    project.host(args).expect(0);
}

#[test]
fn a_place_that_can_not_be_written() {
    let project =
        Project::new().plugins(&["stress"]).file("run.toml", "[stress]\n").file("runs", "");
    assert_snapshot!(project.host(["run", "--config", "run.toml"]), @"
    exit: 1
    ----- stderr
    error: creating `runs/[RUN]`: not a directory
    ");
}

/// A small file system for `runs/`, where one may be mounted.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(path))
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let status = Command::new("mount").args(["-o", &options]).arg(self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_ends_the_run_with_its_last_checkpoint() {
    let project = Project::new()
        .plugins(&["stress"])
        .file("run.toml", "[stress]\nstate_values = 100000\ntotal_steps = 6\n");
    let runs = project.path("runs");
    let Some(disk) = SmallDisk::mount(&runs, "1m") else {
        println!("skipped: no file system may be mounted here");
        return;
    };
    let args = ["run", "--config", "run.toml"];
    let output = project.host(args);
    assert_snapshot!(output, @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 6 steps
    [stress] step 1/6 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    [stress] step 2/6 · train/loss 0.0624 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000002
    [stress] step 3/6 · train/loss 1.2137 · train/samples_per_s [PACE] · train/step_ms [MS]
    error: writing `runs/[RUN]/phases/01-stress/checkpoints/.tmp-step-00000003/tensors.safetensors`: no space left on device
    help: free some space; the last complete checkpoint stands, go on with `--resume`
    ");
    assert_intact(&project.last_run(), "failed");
    let last = project.last_run().join("phases/01-stress/checkpoints/last");
    assert_eq!(fs::read_to_string(last).unwrap(), "step-00000002\n");

    disk.resize("16m");
    let output = project.host([&args[..], &["--resume"]].concat()).expect(0);
    assert!(output.stderr.contains("going on from phases/01-stress/checkpoints/step-00000002"));
    let straight = Project::new().plugins(&["stress"]);
    fs::copy(project.path("run.toml"), straight.path("run.toml")).unwrap();
    straight.host(args).expect(0);
    let weights = "phases/01-stress/artifacts/state.safetensors";
    let read = |project: &Project| fs::read(project.last_run().join(weights)).unwrap();
    assert!(read(&project) == read(&straight));
}

/// Whichever write is the first to fail, the run says so, and what is on disk is enough to go on.
#[test]
fn a_disk_that_is_full_at_any_write() {
    const PAGES_MAX: usize = 48;
    let text = "phases = ['stress', 'linreg']\n[linreg]\ntotal_steps = 2\n";
    let project = || Project::new().plugins(&["linreg", "stress"]).file("run.toml", text);
    let run = ["run", "--config", "run.toml", "--progress", "off", "--resume=auto"];
    let results = |project: &Project| {
        let phases = project.last_run().join("phases");
        let read = |file: &str| fs::read(phases.join(file)).unwrap();
        (
            read("01-stress/artifacts/state.safetensors"),
            read("02-linreg/artifacts/line.safetensors"),
        )
    };
    let straight = project();
    straight.host(run).expect(0);
    let expected = results(&straight);
    let mut n_failed = 0;
    for pages in 1..=PAGES_MAX {
        let project = project();
        let runs = project.path("runs");
        let Some(disk) = SmallDisk::mount(&runs, &format!("{}k", 4 * pages)) else {
            println!("skipped: no file system may be mounted here");
            return;
        };
        let output = project.host(run);
        if output.code != Some(0) {
            n_failed += 1;
            assert_eq!(output.code, Some(1), "{pages} pages: {output}");
            assert!(output.stderr.contains("no space left"), "{pages} pages: {output}");
            assert!(output.stderr.contains("help: free some space"), "{pages} pages: {output}");
        }
        disk.resize("16m");
        project.host(run).expect(0);
        assert!(results(&project) == expected, "{pages} pages: another result");
    }
    assert!((20..PAGES_MAX).contains(&n_failed), "{n_failed} runs failed");
}

#[test]
fn a_plugin_that_comes_from_nowhere_else_is_enough() {
    // The host alone in a directory, the plugin beside it: no build directory, no environment.
    let project = Project::new();
    let beside = tests::Installation::bare().host();
    fs::copy(beside, project.path("host")).unwrap();
    fs::copy(third_party("stress"), project.path("libstress.so")).unwrap();
    let output = Command::new(project.path("host"))
        .args(["run", "--profile", "smoke-stress"])
        .current_dir(project.path(""))
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
