//! `host bench`: what it measures, what it finds, and that nothing is left of it.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use regex::Regex;
use serde_json::{Value, json};
use tests::{Installation, Output, Project};

/// A project in which samples cost what `keys` say.
fn ballast(keys: &str) -> Project {
    let text = format!("phases = ['ballast']\n[ballast]\n{keys}\n");
    Project::new().plugins(&["ballast"]).file("ballast.toml", &text)
}

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = ["bench", "--config", "ballast.toml", "--steps", "3"];
    // What the machine has is another number each time.
    let limit =
        if more.contains(&"--memory-limit") { &[][..] } else { &["--memory-limit", "1GiB"] };
    usual.iter().chain(limit).chain(more).copied().collect()
}

/// The one phase of a report.
#[track_caller]
fn measured(project: &Project, more: &[&str]) -> Value {
    let all = [&args(more)[..], &["--json"]].concat();
    project.host(all).expect(0).json()["phases"][0].take()
}

/// What is shown, without the numbers that are the machine's.
fn stable(output: &Output) -> String {
    let filters = [
        (r"warning: measured beside .*\nhelp: .*\n", ""),
        (r"\[ballast\] .*\n", ""),
        (r"----- stderr\n$", ""),
        (r"\d+ threads? that reach \S+ \S+ in", "[N] threads that reach [PEAK] in"),
        (r"measured in \S+ s", "measured in [TIME]"),
        (r"(speed +)\S+ samples/s", "$1[PACE] samples/s"),
        (r"(step +)\S+ ms \(half of (.*) within .*", "$1[TIME] (half of $2 within [TIMES])"),
        (r"(of peak +)[\d.]+ % .*", "$1[SHARE]"),
        (r"(?m)(memory +)[\d.]+ \S+ at most", "$1[SIZE] at most"),
        (r"prepared   in .*", "prepared   in [TIME]"),
        (r"(micro-batch \d+) in \S+ MiB", "$1 in [SIZE]"),
        (r"(?m)^(  (?:load|wait|other|host)\s).*", "$1 [TIME] [SHARE]"),
        (r"(?m)^(  \d+ × \d+(?: \(configured\))?\s).*", "$1 [PACE] [SIZE]"),
        (r"plugin ballast \S+\)", "plugin ballast [VERSION])"),
    ];
    let replace = |text: String, (pattern, word): (&str, &str)| {
        Regex::new(pattern).unwrap().replace_all(&text, word).into_owned()
    };
    filters.into_iter().fold(output.to_string() + "\n", replace).replace("----- stderr\n", "")
}

/// Every number as its kind, and of every list the first item.
fn without_numbers(value: &Value) -> Value {
    match value {
        Value::Number(_) => json!("number"),
        Value::Array(items) => items.iter().take(1).map(without_numbers).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), without_numbers(value))).collect()
        }
        other => other.clone(),
    }
}

#[test]
fn a_phase_is_measured_and_the_largest_and_fastest_micro_batches_are_found() {
    let keys = "forecasts = true\ndies_above = 21\nbatch.accumulation = 2\nmicro_batch_us = 10000";
    let project = ballast(keys);
    assert_snapshot!(stable(&project.host(args(&[]))), @"
    exit: 0
    ----- stdout
    ballast: cpu, float32, [N] threads that reach [PEAK] in float32; at most 1.00 GiB of memory; measured in [TIME]

    ballast (plugin ballast [VERSION])
      speed      [PACE] samples/s (8 samples a step, 4 × 2)
      step       [TIME] (half of 3 steps within [TIMES])
      of peak    [SHARE]
      memory     [SIZE] at most (forecast of the phase itself 4.00 KiB)
      prepared   in [TIME]
      largest    micro-batch 21 in [SIZE]; 22: it died of signal 6

      stage  ms a step   share
      load  [TIME] [SHARE]
      wait  [TIME] [SHARE]
      other  [TIME] [SHARE]
      host  [TIME] [SHARE]

      8 samples as        samples/s    memory
      8 × 1  [PACE] [SIZE]
      4 × 2 (configured)  [PACE] [SIZE]
      2 × 4  [PACE] [SIZE]
      1 × 8  [PACE] [SIZE]

      fastest    ballast.batch.size=8 ballast.batch.accumulation=1
    ");
    assert_eq!(project.names(), ["ballast.toml"]);
    assert_eq!(project.temporary_files(), [""; 0]);
}

#[test]
fn the_json_has_raw_numbers_with_units_in_their_names() {
    let project = ballast("forecasts = true\nfails_above = 5\nbatch.size = 2");
    let all = [&args(&[])[..], &["--json"]].concat();
    let mut document = project.host(all).expect(0).json();
    assert_eq!(document["schema"], 1);
    document["phases"][0]["plugin_version"].take();
    let text = serde_json::to_string_pretty(&without_numbers(&document)).unwrap();
    assert_snapshot!(text, @r#"
    {
      "schema": "number",
      "profile": "ballast",
      "source": "ballast.toml",
      "device": {
        "kind": "cpu",
        "ordinal": "number",
        "dtype": "f32",
        "amp_dtype": null,
        "deterministic": false,
        "threads": "number"
      },
      "machine": {
        "memory_available_bytes": "number",
        "memory_held_bytes": "number",
        "disk_free_bytes": "number",
        "processors": "number",
        "load": "number",
        "is_output_dir_writable": true
      },
      "peak": {
        "dtype": "f32",
        "flops_per_second": "number"
      },
      "memory_limit_bytes": "number",
      "phases": [
        {
          "name": "ballast",
          "phase": "ballast",
          "plugin": "ballast",
          "plugin_version": null,
          "cut": {
            "micro_batch": "number",
            "accumulation": "number"
          },
          "batching": {
            "micro_batch": "batch.size",
            "accumulation": "batch.accumulation"
          },
          "measured": {
            "unit": "samples",
            "timed_steps": "number",
            "step_seconds": "number",
            "step_seconds_min": "number",
            "step_seconds_p25": "number",
            "step_seconds_p75": "number",
            "step_seconds_max": "number",
            "units_per_step": "number",
            "units_per_second": "number",
            "flops_per_unit": "number",
            "flops_per_second": "number",
            "peak_share": "number",
            "memory_peak_bytes": "number",
            "memory_forecast_bytes": "number",
            "prepare_seconds": "number",
            "stages": [
              {
                "name": "load",
                "seconds": "number",
                "share": "number"
              }
            ]
          },
          "misfit": null,
          "search": {
            "largest": "number",
            "memory_peak_bytes": "number",
            "beyond": "number",
            "beyond_misfit": {
              "reason": "refused",
              "message": "out of device memory"
            },
            "trials": [
              {
                "micro_batch": "number",
                "accumulation": "number",
                "timed_steps": "number",
                "units_per_second": "number",
                "memory_peak_bytes": "number",
                "misfit": null
              }
            ]
          },
          "tuning": {
            "effective_batch": "number",
            "tried": [
              {
                "micro_batch": "number",
                "accumulation": "number",
                "timed_steps": "number",
                "units_per_second": "number",
                "memory_peak_bytes": "number",
                "misfit": null
              }
            ]
          }
        }
      ],
      "seconds": "number"
    }
    "#);
}

#[test]
fn the_largest_micro_batch_is_exact_however_the_next_one_ends() {
    for (how, reason) in [("dies", "died"), ("fails", "refused"), ("hangs", "time")] {
        let project = ballast(&format!("{how}_above = 13"));
        let more: &[&str] = if how == "hangs" { &["--trial-limit", "3"] } else { &[] };
        let found = &measured(&project, more)["search"];
        // What hangs is not tried again: nothing between the last and it either.
        let want = if how == "hangs" { json!([8, 16]) } else { json!([13, 14]) };
        assert_eq!(json!([found["largest"], found["beyond"]]), want, "{how}: {found}");
        assert_eq!(found["beyond_misfit"]["reason"], reason);
    }
    let bound = measured(&ballast("sample_kib = 0\nmicro_batch_us = 0"), &[]);
    assert_eq!([&bound["search"]["largest"], &bound["search"]["beyond"]], [4096, 4224]);
    let message = &bound["search"]["beyond_misfit"]["message"];
    assert_eq!(message, "expected at most 4096, found 4224");
}

#[test]
fn a_limit_of_memory_is_kept_with_and_without_a_forecast() {
    let mut trials = Vec::new();
    for forecasts in [false, true] {
        let project = ballast(&format!("sample_kib = 2048\nforecasts = {forecasts}"));
        let phase = measured(&project, &["--memory-limit", "400MiB"]);
        let search = &phase["search"];
        let largest = search["largest"].as_u64().unwrap();
        // The process itself takes a part of it.
        assert!((150..198).contains(&largest), "{search}");
        let held = search["memory_peak_bytes"].as_f64().unwrap() / f64::from(1 << 20);
        assert!(held <= 400.0 && held > 0.9 * 400.0, "{held} MiB");
        assert_eq!(search["beyond_misfit"]["reason"], "memory");
        trials.push(search["trials"].as_array().unwrap().len());
    }
    assert!(trials[1] < trials[0] && trials[1] <= 6, "{trials:?}");
}

#[test]
fn where_even_one_sample_is_too_much_it_says_so() {
    let project = ballast("sample_kib = 200000\nbatch.size = 3");
    let output = project.host(args(&["--memory-limit", "150MiB"]));
    let text = stable(&output);
    assert_eq!(output.code, Some(0));
    for said in ["speed      not measured: it needs", "largest    no micro-batch fits; 1: it needs"]
    {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn the_fastest_way_to_cut_a_step_comes_first() {
    let project = ballast("micro_batch_us = 20000\nsample_us = 200\nfails_above = 6");
    let tuning = &measured(&project, &["--effective-batch", "12"])["tuning"];
    let tried = tuning["tried"].as_array().unwrap();
    let cuts: Vec<String> = tried
        .iter()
        .map(|tried| format!("{} × {}", tried["micro_batch"], tried["accumulation"]))
        .collect();
    assert_eq!(cuts, ["6 × 2", "4 × 3", "3 × 4", "2 × 6", "1 × 12"]);
    // Two micro-batches of 20 ms and twelve samples of 0.2 ms, on a machine that may be busy.
    let pace = tried[0]["units_per_second"].as_f64().unwrap();
    assert!((100.0..283.1).contains(&pace), "{pace}");
    // Three steps the first time, and three more of the fastest three.
    let steps: Vec<&Value> = tried.iter().map(|tried| &tried["timed_steps"]).collect();
    assert_eq!(steps, [6, 6, 6, 3, 3]);
}

#[test]
fn a_plugin_that_tells_no_keys_is_measured_and_not_searched() {
    let line = "phases = ['linreg']\n[linreg]\n";
    let project = Project::new().plugins(&["linreg"]).file("line.toml", line);
    let output = project.host(["bench", "--config", "line.toml", "--steps", "300"]).expect(0);
    for said in [
        "of peak    not told: the trainer forecasts no operations of its samples",
        "batches    not searched: the plugin does not tell which keys set the micro-batch",
    ] {
        assert!(output.stdout.contains(said), "{output}");
    }
    assert!(output.stdout.contains("half of 300 steps"), "{output}");
    let quiet = project.host(["bench", "--config", "line.toml", "--steps", "2", "--no-search"]);
    assert!(!quiet.expect(0).stdout.contains("batches"));
}

#[test]
fn what_is_typed_wrong_is_a_usage_error() {
    let project = ballast("");
    for (wrong, said) in [
        (&["--memory-limit", "much"][..], "write a size such as `4GiB` or `512MiB`"),
        (&["--trial-limit", "-1"], "write a number of seconds above 0"),
        (&["--steps", "0"], "0 is not in 1.."),
        (&["--no-search", "--effective-batch", "4"], "cannot be used with"),
        (&["--only", "other"], "help: it has `ballast`"),
        (&["batch.size=0"], "ballast.batch.size"),
    ] {
        let all = [&["bench", "--config", "ballast.toml"][..], wrong].concat();
        let output = project.host(all).expect(2);
        assert!(output.stderr.contains(said), "{output}");
        assert_eq!(output.stdout, "");
    }
}

#[test]
fn a_phase_that_fails_as_it_is_configured_is_an_error() {
    let project = ballast("fails_above = 3");
    assert_snapshot!(project.host(args(&[])), @"
    exit: 1
    ----- stderr
    [ballast] measuring it as it is configured
    error: phase `ballast` (plugin `ballast`) failed at step 0: out of device memory
    ");
    let died = ballast("dies_above = 3").host(args(&["--no-search"]));
    assert!(died.clone().expect(1).stderr.contains("it died of signal 6"), "{died}");
    // It may have wanted too much memory: less is tried.
    let found = measured(&ballast("dies_above = 3"), &[]);
    assert_eq!(json!([found["measured"], found["search"]["largest"]]), json!([null, 3]));
    let slow = ballast("hangs_above = 3").host(args(&["--trial-limit", "1"]));
    assert!(slow.clone().expect(1).stderr.contains("is not measured after 1 s"), "{slow}");
}

/// Processes whose working directory is this one.
fn processes_in(directory: &Path) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let places = entries.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
    places.filter(|place| place == directory).count()
}

#[test]
fn a_signal_ends_it_with_all_that_it_started() {
    for (signal, code) in [("INT", Some(130)), ("KILL", None)] {
        let project = ballast("hangs_above = 4");
        let directory = fs::canonicalize(project.path("")).unwrap();
        let mut running = project.start(args(&[]));
        running.wait_for("looking for the largest");
        while processes_in(&directory) < 2 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        running.signal(signal);
        assert_eq!(running.finish().code, code);
        for _ in 0..2000 {
            if processes_in(&directory) > 0 {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        assert_eq!(processes_in(&directory), 0, "{signal}");
        assert_eq!(project.names(), ["ballast.toml"]);
    }
}

/// The stages that the trainer names are nearly all of a step.
#[test]
fn the_stages_of_a_language_model_add_up_to_its_step() {
    let project = Project::with(Installation::dynamic());
    let args = ["bench", "--profile", "pipeline-smoke", "--only", "sft", "--threads", "2"];
    let args = [&args[..], &["--no-search", "--steps", "20", "--json"]].concat();
    let document = project.host(args).expect(0).json();
    let speed = &document["phases"][0]["measured"];
    let stages: Vec<(&str, f64)> = speed["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| (stage["name"].as_str().unwrap(), stage["share"].as_f64().unwrap()))
        .collect();
    let names: Vec<&str> = stages.iter().map(|(name, _)| *name).collect();
    let own = ["data", "zero", "forward and backward", "clip", "update"];
    assert_eq!(names, [&own[..], &["other", "host"]].concat());
    let sum: f64 = stages.iter().map(|(_, share)| share).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{stages:?}");
    let named: f64 = stages.iter().take(own.len()).map(|(_, share)| share).sum();
    assert!(named > 0.9 && stages[2].1 > 0.5, "{stages:?}");
    assert_eq!([&speed["unit"], &speed["units_per_step"]], [&json!("tokens"), &json!(256.0)]);
    assert!(speed["peak_share"].as_f64().unwrap() > 0.01, "{speed}");
    assert_eq!(project.names(), [""; 0]);
}
