//! Every setting, resolved: printed as a file that resolves to the same, kept with its origin.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tests::{Installation, Project, read_json, repository};

use super::{project, resolved, resolves_to_itself};

#[test]
fn what_is_resolved_resolves_to_itself() {
    let project = project();
    for args in [
        &["--config", "pipeline.toml"][..],
        &["--config", "flat.json", "--phase", "linreg"],
        &["--config", "files.json"],
        &["--config", "near.yaml", "--seed", "18446744073709551615", "linreg.learning_rate=1e-9"],
        &["--profile", "smoke-stress", "--device", "cpu", "--run-name", "7"],
    ] {
        resolves_to_itself(&project, args);
    }
}

#[test]
fn every_profile_resolves_to_itself() {
    let project = Project::with(Installation::dynamic());
    let mut count = 0;
    for file in fs::read_dir(repository().join("configs")).unwrap().flatten() {
        let name = file.path().file_stem().unwrap().to_string_lossy().into_owned();
        resolves_to_itself(&project, &["--profile", &name]);
        count += 1;
    }
    assert!(count >= 14, "{count} profiles");
}

#[test]
fn settings_are_printed_as_one_would_write_them() {
    let project = project();
    assert_snapshot!(resolved(&project, &["--config", "pipeline.toml"], "json"), @r#"
    {
      "global": {
        "seed": 7,
        "device": "auto",
        "dtype": "float32",
        "amp_dtype": null,
        "deterministic": false,
        "threads": null,
        "output_dir": "runs",
        "run_name": "try",
        "max_steps": null,
        "keep_checkpoints": 3,
        "init_from": null
      },
      "phases": ["stress", "first", "second"],
      "stress": {
        "mode": "talk",
        "at_step": 2,
        "total_steps": 5,
        "step_ms": 0,
        "state_values": 3
      },
      "first": {
        "total_steps": 10,
        "learning_rate": 3e-5,
        "phase": "linreg"
      },
      "second": {
        "total_steps": 100,
        "learning_rate": 0.1,
        "phase": "linreg"
      }
    }
    "#);
    assert_snapshot!(resolved(&project, &["--config", "pipeline.toml"], "yaml"), @"
    global:
      seed: 7
      device: auto
      dtype: float32
      amp_dtype: null
      deterministic: false
      threads: null
      output_dir: runs
      run_name: try
      max_steps: null
      keep_checkpoints: 3
      init_from: null
    phases:
    - stress
    - first
    - second
    stress:
      mode: talk
      at_step: 2
      total_steps: 5
      step_ms: 0
      state_values: 3
    first:
      total_steps: 10
      learning_rate: 0.00003
      phase: linreg
    second:
      total_steps: 100
      learning_rate: 0.1
      phase: linreg
    ");
    assert_snapshot!(resolved(&project, &["--config", "pipeline.toml"], "toml"), @r#"
    phases = ["stress", "first", "second"]

    [global]
    seed = 7
    device = "auto"
    dtype = "float32"
    # amp_dtype = null
    deterministic = false
    # threads = null
    output_dir = "runs"
    run_name = "try"
    # max_steps = null
    keep_checkpoints = 3
    # init_from = null

    [stress]
    mode = "talk"
    at_step = 2
    total_steps = 5
    step_ms = 0
    state_values = 3

    [first]
    total_steps = 10
    learning_rate = 3e-5
    phase = "linreg"

    [second]
    total_steps = 100
    learning_rate = 0.1
    phase = "linreg"
    "#);
}

#[test]
fn a_profile_is_shown_as_it_is_resolved() {
    let project = Project::with(Installation::dynamic());
    let shown = project.host(["profiles", "show", "pipeline-smoke"]).expect(0).stdout;
    assert_eq!(shown, resolved(&project, &["--profile", "pipeline-smoke"], "json"));
}

#[test]
fn a_null_that_toml_cannot_say_is_told() {
    let project = Project::with(Installation::dynamic());
    let args = [
        "config",
        "resolve",
        "--format",
        "toml",
        "--profile",
        "smoke-sft",
        "generation.top_k=null",
    ];
    let output = project.host(args).expect(0);
    assert!(output.stdout.contains("\n# top_k = null\n"), "{output}");
    assert_snapshot!(output.stderr, @"
    warning: `sft.generation.top_k` is null, which TOML can't say: it reads as 50
    help: print it with `--format yaml` or `--format json`
    ");
}

#[test]
fn what_does_not_resolve_is_not_printed() {
    assert_snapshot!(project().host(["config", "resolve", "--config", "pipeline.toml", "second.total_steps=0"]), @"
    exit: 2
    ----- stderr
    error: expected at least 1, found 0
      --> override 1: second.total_steps=0
      = key: second.total_steps

    error: 1 configuration error; nothing was started
    ");
}

/// Every leaf of a tree of settings, by section and dotted key.
fn leaves(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                leaves(value, &key, found);
            }
        }
        _ => found.push(key.to_owned()),
    }
}

#[test]
fn every_value_of_a_run_has_an_origin() {
    let project = project();
    project.write("files.json", "{\"linreg_config_path\": \"flat.json\", \"stress_config_path\": \"stress.json\", \"global\": {\"threads\": 1}}");
    let mut command = project.command([
        "run",
        "--config",
        "files.json",
        "--progress",
        "off",
        "--device",
        "cpu",
        "linreg.total-steps=5",
        "--set",
        "global.run_name=x",
    ]);
    command.env("HOST_KEEP_CHECKPOINTS", "2");
    project.spawn(command).finish().expect(0);
    let stored = read_json(&project.last_run().join("resolved_settings.json"));
    let mut keys = Vec::new();
    leaves(&stored["settings"], "", &mut keys);
    let origin = |key: &String| match key.split_once('.') {
        Some((section, key)) => stored["origins"][section][key].as_str(),
        None => stored["origins"][key].as_str(),
    };
    let rows: Vec<String> = keys
        .iter()
        .map(|key| {
            format!("{key}: {}", origin(key).unwrap_or_else(|| panic!("{key} has no origin")))
        })
        .collect();
    assert_snapshot!(rows.join("\n"), @"
    global.seed: file flat.json:4
    global.device: flag --device
    global.dtype: file flat.json:4
    global.amp_dtype: default of the host
    global.deterministic: default of the host
    global.threads: file files.json:1
    global.output_dir: default of the host
    global.run_name: override 2
    global.max_steps: default of the host
    global.keep_checkpoints: environment HOST_KEEP_CHECKPOINTS
    global.init_from: default of the host
    phases: file files.json
    linreg.total_steps: override 1
    linreg.learning_rate: default of plugin linreg
    linreg.schema_version: default of plugin linreg
    stress.mode: default of plugin stress
    stress.at_step: default of plugin stress
    stress.total_steps: default of plugin stress
    stress.step_ms: file stress.json:1
    stress.state_values: default of plugin stress
    stress.schema_version: default of plugin stress
    ");
    assert_eq!(stored["settings"]["global"]["seed"], json!(4));
}
