//! The plan before a run: everything up to the first step, and nothing on disk.

use insta::assert_snapshot;
use regex::Regex;
use serde_json::{Value, json};
use tests::{Installation, Output, Project, read_lines};

/// A plan without the numbers that are the machine's.
fn plan(output: &Output) -> String {
    let filters = [
        (r"(----- stderr\n)?warning: the times were measured beside .*\nhelp: .*\n", ""),
        // Which instructions there are decides what products keep.
        (r"(?m)(  memory +about )[\d.,]+ [KMGT]?i?B", "$1[SIZE]"),
        (r"of \S+ \S+ available", "of [SIZE] available"),
        (r"\S+ \S+ measured", "[SIZE] measured"),
        (r"of \S+ \S+ free", "of [SIZE] free"),
        (r"about [\d.]+ \S+( \d+ s)?, from (\d+) timed", "about [TIME], from $2 timed"),
        (r"timed (steps?) of \S+ s \(\S+ ", "timed $1 of [TIME] ([PACE] "),
        (r"(?m)(  time +about )\d[^,\n]*$", "$1[TIME]"),
        (r"(plugin \w+ )\d+\.\d+\.\d+", "$1[VERSION]"),
    ];
    let text = output.to_string() + "\n";
    let replace = |text: String, (pattern, word): (&str, &str)| {
        Regex::new(pattern).unwrap().replace_all(&text, word).into_owned()
    };
    filters.into_iter().fold(text, replace)
}

fn dry(more: &[&str]) -> Vec<String> {
    ["run", "--dry-run"].iter().chain(more).map(|arg| (*arg).to_owned()).collect()
}

/// The directory of a project in which nothing may be left.
#[track_caller]
fn assert_nothing_written(project: &Project, there: &[&str]) {
    assert_eq!(project.names(), there);
    assert_eq!(project.temporary_files(), [""; 0]);
}

#[test]
fn a_pipeline_is_planned_and_nothing_is_written() {
    let project = Project::with(Installation::dynamic());
    let output = project.host(dry(&["--profile", "pipeline-smoke", "--threads", "2"]));
    assert_snapshot!(plan(&output), @"
    exit: 0
    ----- stdout
    pipeline-smoke: seed 42, cpu, float32, 2 threads

    pretrain (plugin pretrain [VERSION])
      steps      2 of 256 tokens each: 512
      model      99,264 parameters
      data       train tokens 67,958 · less than 0.1 passes over it
      due        1 evaluation, at the end; 1 checkpoint, at the end
      memory     about [SIZE]
      disk       up to 1.52 MiB: checkpoints of 1.14 MiB, 1 kept; 390 KiB handed on

    sft (plugin sft [VERSION])
      takes      model of pretrain (gpt)
      steps      2 of 256 tokens each: 512
      model      99,264 parameters
      data       conversations 500 · less than 0.1 passes over it
      due        1 evaluation, at the end; 1 checkpoint, at the end
      memory     about [SIZE]
      disk       up to 1.52 MiB: checkpoints of 1.14 MiB, 1 kept; 391 KiB handed on

    in all
      steps      4 · 1,024 tokens
      memory     about [SIZE] of [SIZE] available
      disk       about 3.05 MiB of [SIZE] free
    ----- stderr
    [pretrain] phase 1 of 2, plugin pretrain: preparing
    [pretrain] info: source `world`: 500 to train on (67958 tokens), 50 held back (6801 tokens)
    [sft] phase 2 of 2, plugin sft: preparing
    [sft] info: source `world`: 500 to train on (15685 tokens), 50 held back (1559 tokens)
    [sft] info: source `world`: 550 shortened to fit the context
    [sft] info: starting from the model handed on by `pretrain`
    ");
    assert_nothing_written(&project, &[]);
}

#[test]
fn an_estimate_times_steps_evaluations_and_a_checkpoint() {
    let project = Project::with(Installation::dynamic());
    let args = ["--profile", "pipeline-smoke", "--threads", "2", "--estimate", "--progress", "off"];
    assert_snapshot!(plan(&project.host(dry(&args))), @"
    exit: 0
    ----- stdout
    pipeline-smoke: seed 42, cpu, float32, 2 threads

    pretrain (plugin pretrain [VERSION])
      steps      2 of 256 tokens each: 512
      model      99,264 parameters
      data       train tokens 67,958 · less than 0.1 passes over it
      due        1 evaluation, at the end; 1 checkpoint, at the end
      memory     about [SIZE]
      disk       up to 1.52 MiB: checkpoints of 1.14 MiB, 1 kept; 390 KiB handed on
      time       about [TIME], from 1 timed step of [TIME] ([PACE] tokens/s)

    sft (plugin sft [VERSION])
      takes      model of pretrain (gpt)
      steps      2 of 256 tokens each: 512
      model      99,264 parameters
      data       conversations 500 · less than 0.1 passes over it
      due        1 evaluation, at the end; 1 checkpoint, at the end
      memory     about [SIZE]
      disk       up to 1.52 MiB: checkpoints of 1.14 MiB, 1 kept; 391 KiB handed on
      time       about [TIME], from 1 timed step of [TIME] ([PACE] tokens/s)

    in all
      steps      4 · 1,024 tokens
      memory     about [SIZE] of [SIZE] available, [SIZE] measured
      disk       about 3.05 MiB of [SIZE] free
      time       about [TIME]
    ");
    assert_nothing_written(&project, &[]);
}

#[test]
fn the_json_has_raw_numbers_with_units_in_their_names() {
    let project = Project::with(Installation::dynamic());
    let args = ["--profile", "pipeline-smoke", "--threads", "2", "--json", "--max-steps", "1"];
    let document = project.host(dry(&args)).expect(0).json();
    assert_eq!((&document["schema"], &document["seed"]), (&json!(1), &json!(42)));
    let sft = &document["phases"][1];
    assert_eq!(sft["takes"], json!([{"name": "model", "kind": "gpt", "phase": "pretrain"}]));
    let steps = ["steps", "scheduled_steps", "units_per_step", "units"].map(|key| &sft[key]);
    assert_eq!(steps, [1, 2, 256, 256]);
    assert_eq!([&sft["parameters"], &sft["estimate"]], [&json!(99264), &Value::Null]);
    project.host(["run", "--profile", "smoke-pretrain", "--progress", "off"]).expect(0);
    let events = read_lines(&project.last_run().join("events.jsonl"));
    let written = events.iter().rfind(|event| event["event"] == "checkpoint_written").unwrap();
    let (planned, found) = (&document["phases"][0]["checkpoint_bytes"], &written["bytes"]);
    let apart = planned.as_u64().unwrap().abs_diff(found.as_u64().unwrap());
    // The same files; only the positions of generators have more digits later.
    assert!(apart < 64, "{planned} {found}");
}

/// Forecast and measurement of the memory of one phase, in bytes.
fn memory(project: &Project, more: &[&str]) -> (f64, f64) {
    let args = ["--profile", "smoke-pretrain", "--estimate", "--json", "--threads", "2"];
    let document = project.host(dry(&[&args[..], more].concat())).expect(0).json();
    let number = |value: &Value| value.as_f64().unwrap();
    let held = number(&document["machine"]["memory_held_bytes"]);
    let total = &document["total"];
    (number(&total["memory_bytes"]) - held, number(&total["memory_peak_bytes"]) - held)
}

#[test]
fn the_memory_that_is_forecast_is_near_what_is_measured() {
    let project = Project::with(Installation::dynamic());
    let sizes = ["model.C=128", "model.L=4", "model.T=128", "model.d_ff=384"];
    for more in [["training.micro_B=16", "model.V=256"], ["training.micro_B=4", "model.V=8000"]] {
        for recomputed in ["false", "true"] {
            let recomputed = format!("training.activation_checkpointing={recomputed}");
            let all = [&sizes[..], &more[..], &[recomputed.as_str()]].concat();
            let (forecast, measured) = memory(&project, &all);
            let share = forecast / measured;
            assert!((0.8..1.25).contains(&share), "{all:?}: {forecast} of {measured}");
        }
    }
}

#[test]
fn plugins_that_forecast_nothing_are_planned_too() {
    let pipeline = "\
phases = ['stress', 'fit', 'again']

[stress]
total_steps = 3
state_values = 6

[fit]
phase = 'linreg'
total_steps = 100

[again]
phase = 'linreg'
total_steps = 50
";
    let project = Project::new().plugins(&["linreg", "stress"]).file("three.toml", pipeline);
    let args = ["--config", "three.toml", "--threads", "2", "--progress", "off"];
    assert_snapshot!(plan(&project.host(dry(&args))), @"
    exit: 0
    ----- stdout
    three: seed 42, cpu, float32, 2 threads

    stress (plugin stress [VERSION])
      steps      3
      due        1 evaluation, at the end; 3 checkpoints, after every step
      disk       up to 631 bytes: checkpoints of 177 bytes, 3 kept; 100 bytes handed on

    fit (linreg, plugin linreg [VERSION])
      takes      state of stress (stress)
      steps      100
      due        10 evaluations, every 10 steps; 10 checkpoints, every 10 steps
      disk       up to 1.00 KiB: checkpoints of 256 bytes, 3 kept; 163 bytes handed on

    again (linreg, plugin linreg [VERSION])
      takes      state of stress (stress) · line of fit (linreg)
      steps      50
      due        10 evaluations, every 5 steps; 10 checkpoints, every 5 steps
      disk       up to 1.01 KiB: checkpoints of 258 bytes, 3 kept; 187 bytes handed on

    in all
      steps      153
      disk       about 2.53 KiB of [SIZE] free
    ");
    let estimate = [&args[..], &["--estimate", "--max-steps", "10"]].concat();
    assert_snapshot!(plan(&project.host(dry(&estimate))), @"
    exit: 0
    ----- stdout
    three: seed 42, cpu, float32, 2 threads

    stress (plugin stress [VERSION])
      steps      3
      due        1 evaluation, at the end; 3 checkpoints, after every step
      disk       up to 631 bytes: checkpoints of 177 bytes, 3 kept; 100 bytes handed on
      time       about [TIME], from 1 timed step of [TIME] ([PACE] samples/s)

    fit (linreg, plugin linreg [VERSION])
      takes      state of stress (stress)
      steps      10 of 100
      due        1 evaluation, at the end; 1 checkpoint, at the end
      disk       up to 434 bytes: checkpoints of 256 bytes, 1 kept; 178 bytes handed on
      time       about [TIME], from 8 timed steps of [TIME] ([PACE] samples/s)

    again (linreg, plugin linreg [VERSION])
      takes      state of stress (stress) · line of fit (linreg)
      steps      10 of 50
      due        2 evaluations, every 5 steps; 2 checkpoints, every 5 steps
      disk       up to 734 bytes: checkpoints of 258 bytes, 2 kept; 218 bytes handed on
      time       about [TIME], from 8 timed steps of [TIME] ([PACE] samples/s)

    in all
      steps      23
      memory     [SIZE] measured
      disk       about 1.76 KiB of [SIZE] free
      time       about [TIME]
    ");
    assert_nothing_written(&project, &["three.toml"]);
}

/// The second phase's texts and sizes are looked at before hours of the first one.
#[test]
fn what_would_fail_later_fails_now() {
    let project = Project::with(Installation::dynamic()).file(
        "late.toml",
        "\
phases = ['pretrain', 'sft']
[pretrain]
extends = 'smoke-pretrain'
[sft]
extends = 'smoke-sft'
[sft.data.sources.talk]
kind = 'jsonl'
path = 'talk.jsonl'
form = 'messages'
[sft.data.mix]
talk = 1.0
",
    );
    let args = ["--config", "late.toml", "--threads", "2"];
    assert_snapshot!(project.host(dry(&args)), @"
    exit: 2
    ----- stderr
    error: no such file: `talk.jsonl`
     --> late.toml:8:8
      |
    8 | path = 'talk.jsonl'
      |        ^^^^^^^^^^^^
      = key: sft.data.sources.talk.path
    help: paths count from the directory that the run is started in

    error: 1 configuration error; nothing was started
    ");
    let other = [&args[..], &["sft.model.C=32"]].concat();
    assert_snapshot!(project.host(dry(&other)), @"
    exit: 2
    ----- stderr
    error: `C` is 32, but the model handed on by `pretrain` has 64
      --> override 1: sft.model.C=32
      = key: sft.model.C
    help: the sizes of the model must be those of what it starts from

    error: no such file: `talk.jsonl`
     --> late.toml:8:8
      |
    8 | path = 'talk.jsonl'
      |        ^^^^^^^^^^^^
      = key: sft.data.sources.talk.path
    help: paths count from the directory that the run is started in

    error: 2 configuration errors; nothing was started
    ");
    project.write("talk.jsonl", "{\"messages\": []}\nno JSON\n");
    assert_snapshot!(project.host(dry(&args)), @"
    exit: 1
    ----- stderr
    [pretrain] phase 1 of 2, plugin pretrain: preparing
    [pretrain] info: source `world`: 500 to train on (67958 tokens), 50 held back (6801 tokens)
    [sft] phase 2 of 2, plugin sft: preparing
    error: phase `sft` (plugin `sft`) failed while preparing: no usable record; the first of 2 bad ones is `[DIR]/talk.jsonl` at line 1: a conversation must be non-empty
    ");
    assert_nothing_written(&project, &["late.toml", "talk.jsonl"]);
}

#[test]
fn what_does_not_fit_is_told_with_the_plan() {
    let project = Project::with(Installation::dynamic());
    let sizes = ["model.T=4096", "model.L=64", "training.micro_B=256", "training.micro_B_eval=1"];
    let args = ["--profile", "smoke-pretrain", "--estimate", "--threads", "256"];
    let output = project.host(dry(&[&args[..], &sizes].concat())).expect(0);
    let size = Regex::new(r"[\d.]+ [KMGT]iB").unwrap();
    assert_snapshot!(size.replace_all(&output.stderr, "[SIZE]"), @"
    [pretrain] phase 1 of 1, plugin pretrain: preparing
    [pretrain] info: source `world`: 500 to train on (67958 tokens), 50 held back (6801 tokens)
    warning: phase `pretrain` is not timed: it needs too much memory
    warning: the run needs about [SIZE] of memory, and [SIZE] can be had
    help: take smaller micro-batches or a smaller model
    warning: phase `pretrain` goes over its data 62 times, and passes beyond 16 hardly help
    help: bring more data, or take fewer steps
    ");
    assert!(!output.stdout.contains("  time"), "{output}");
}

#[test]
fn a_step_that_fails_is_found_by_an_estimate() {
    let project = Project::new().plugins(&["stress"]);
    let of = |mode: &str, more: &[&str]| {
        let set = format!("stress.mode={mode}");
        let args = ["--profile", "smoke-stress", "--progress", "off", set.as_str()];
        project.host(dry(&[&args[..], more].concat()))
    };
    assert_snapshot!(of("nan_in_step", &["--estimate"]), @"
    exit: 1
    ----- stderr
    error: phase `stress` (plugin `stress`) failed at step 2: the loss is not a finite number
    help: lower the learning rate or look at the data of this step
    ");
    assert_snapshot!(of("panic_in_evaluate", &["--estimate"]), @"
    exit: 1
    ----- stderr
    error: phase `stress` (plugin `stress`) failed while evaluating: the plugin panicked in `evaluate`: asked to evaluate (stress/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
    assert_snapshot!(of("panic_in_artifacts", &[]), @"
    exit: 1
    ----- stderr
    error: phase `stress` (plugin `stress`) failed while handing on: the plugin panicked in `artifacts`: asked to hand on (stress/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
    assert_snapshot!(of("error_in_prepare", &[]), @"
    exit: 1
    ----- stderr
    error: phase `stress` (plugin `stress`) failed while preparing: no data
    help: bring some
    ");
    of("nan_in_step", &[]).expect(0);
    assert_nothing_written(&project, &[]);
}

/// What is said when a dry run is asked to stop once it has begun to prepare.
fn stopped(project: &Project, more: &str) -> Output {
    let args = ["--profile", "smoke-stress", "--estimate", more];
    let mut running = project.start(dry(&args));
    running.wait_for("preparing");
    running.signal("INT");
    running.finish()
}

#[test]
fn it_stops_on_request_while_it_prepares() {
    let project = Project::new().plugins(&["stress"]);
    assert_snapshot!(stopped(&project, "stress.mode=slow_prepare"), @"
    exit: 130
    ----- stderr
    [stress] phase 1 of 1, plugin stress: preparing
    stopped; no run was started
    ");
    assert_nothing_written(&project, &[]);
}

#[test]
fn it_stops_on_request_while_it_times() {
    let project = Project::new().plugins(&["stress"]);
    assert_snapshot!(stopped(&project, "stress.step_ms=400"), @"
    exit: 130
    ----- stderr
    [stress] phase 1 of 1, plugin stress: preparing
    stopped; no run was started
    ");
    assert_nothing_written(&project, &[]);
}

#[test]
fn a_plan_is_no_run_to_be_shown_as_events() {
    let project = Project::new().plugins(&["stress"]);
    let output = project.host(dry(&["--profile", "smoke-stress", "--progress", "json"]));
    assert_snapshot!(output, @"
    exit: 2
    ----- stderr
    error: `--progress json` shows a run, and `--dry-run` makes none
    help: `--dry-run --json` prints the plan as JSON
    ");
}
