//! The settings in which two profiles, files or runs differ.

use insta::assert_snapshot;

use super::project;

#[test]
fn profiles_files_and_runs_are_compared() {
    let project = project();
    let run = ["run", "--config", "near.yaml", "--progress", "off", "--run-name", "it"];
    project.host(run).expect(0);
    let name = project.last_run().file_name().unwrap().to_string_lossy().into_owned();
    let diff = |a: &str, b: &str| project.host(["config", "diff", a, b]).expect(0);
    assert_snapshot!(diff("far.toml", "near.yaml"), @"
    exit: 0
    ----- stdout
    --- far.toml (file)
    +++ near.yaml (file)

    linreg.learning_rate
    - 0.01  file far.toml:3
    + 0.02  file near.yaml:3
    ");
    assert_snapshot!(diff("smoke-stress", "pipeline.toml"), @r#"
    exit: 0
    ----- stdout
    --- smoke-stress (profile: plugin stress: smoke-stress.toml)
    +++ pipeline.toml (file)

    global.seed
    - 42  default of the host
    + 7   file pipeline.toml:4

    global.run_name
    - null   default of the host
    + "try"  file pipeline.toml:5

    phases
    - ["stress"]                     plugin stress: smoke-stress.toml
    + ["stress", "first", "second"]  file pipeline.toml

    stress.mode
    - "none"  default of plugin stress
    + "talk"  file pipeline.toml:8

    first
    + 3 settings

    second
    + 3 settings
    "#);
    assert_snapshot!(diff("near.yaml", &name), @r#"
    exit: 0
    ----- stdout
    --- near.yaml (file)
    +++ it-[RUN] (run: runs/it-[RUN])

    global.run_name
    - null  default of the host
    + "it"  flag --run-name
    "#);
    assert_snapshot!(diff(&name, "last"), @"
    exit: 0
    ----- stdout
    no differences: `it-[RUN]` and `last` agree in 14 settings
    ");
    let by_path = diff(&name, &format!("runs/{name}")).stdout;
    assert!(by_path.starts_with("no differences"), "{by_path}");
    assert_snapshot!(diff("near.yaml", "near.yaml"), @"
    exit: 0
    ----- stdout
    no differences: `near.yaml` and `near.yaml` agree in 14 settings
    ");
}

#[test]
fn a_flat_file_has_the_phase_of_the_other_side() {
    let project = project();
    let diff = |args: &[&str]| project.host([&["config", "diff"], args].concat());
    assert_snapshot!(diff(&["flat.json", "far.toml"]).expect(0), @"
    exit: 0
    ----- stdout
    --- flat.json (file)
    +++ far.toml (file)

    global.seed
    - 4   file flat.json:4
    + 42  default of the host

    linreg.total_steps
    - 20  file flat.json:3
    + 10  file far.toml:2

    linreg.learning_rate
    - 0.1   default of plugin linreg
    + 0.01  file far.toml:3
    ");
    let swapped = diff(&["far.toml", "flat.json"]).expect(0).stdout;
    assert!(swapped.contains("linreg.total_steps\n- 10  file far.toml:2\n+ 20"), "{swapped}");
    let twice = diff(&["--phase", "linreg", "flat.json", "flat.json"]).expect(0).stdout;
    assert_eq!(twice, "no differences: `flat.json` and `flat.json` agree in 14 settings\n");
    assert_snapshot!(diff(&["flat.json", "pipeline.toml"]), @"
    exit: 2
    ----- stderr
    error: `flat.json` does not say which phase it belongs to
    help: name it with `--phase PHASE`, where PHASE is one of `linreg`, `stress`

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let project = project();
    let diff = |a: &str, b: &str| project.host(["config", "diff", a, b]).expect(2).stderr;
    assert_snapshot!(diff("smoke-strss", "far.toml"), @"
    error: `smoke-strss` is no profile, no file and no run
    help: did you mean `smoke-stress`?
    ");
    assert_snapshot!(diff("far.toml", "20260101-000000-12345678"), @"
    error: `20260101-000000-12345678` is no profile, no file and no run
    help: give a profile of `host profiles list`, a file with its extension, or a run's name
    ");
    assert_snapshot!(diff("none.toml", "nothing.toml"), @"
    error: no configuration file `none.toml`

    error: no configuration file `nothing.toml`

    error: 2 configuration errors; nothing was started
    ");
}

#[test]
fn a_comparison_is_there_as_json() {
    let output =
        project().host(["config", "diff", "--json", "far.toml", "pipeline.toml"]).expect(0);
    assert_snapshot!(serde_json::to_string_pretty(&output.json()).unwrap(), @r#"
    {
      "schema": 1,
      "a": {
        "name": "far.toml",
        "kind": "file",
        "place": "far.toml"
      },
      "b": {
        "name": "pipeline.toml",
        "kind": "file",
        "place": "pipeline.toml"
      },
      "same": false,
      "changed": [
        {
          "key": "global.seed",
          "a": {
            "value": 42,
            "origin": "default of the host"
          },
          "b": {
            "value": 7,
            "origin": "file pipeline.toml:4"
          }
        },
        {
          "key": "global.run_name",
          "a": {
            "value": null,
            "origin": "default of the host"
          },
          "b": {
            "value": "try",
            "origin": "file pipeline.toml:5"
          }
        },
        {
          "key": "phases",
          "a": {
            "value": [
              "linreg"
            ],
            "origin": "file far.toml"
          },
          "b": {
            "value": [
              "stress",
              "first",
              "second"
            ],
            "origin": "file pipeline.toml"
          }
        }
      ],
      "only_in_a": [
        {
          "key": "linreg.total_steps",
          "value": 10,
          "origin": "file far.toml:2"
        },
        {
          "key": "linreg.learning_rate",
          "value": 0.01,
          "origin": "file far.toml:3"
        }
      ],
      "only_in_b": [
        {
          "key": "stress.mode",
          "value": "talk",
          "origin": "file pipeline.toml:8"
        },
        {
          "key": "stress.at_step",
          "value": 2,
          "origin": "default of plugin stress"
        },
        {
          "key": "stress.total_steps",
          "value": 5,
          "origin": "default of plugin stress"
        },
        {
          "key": "stress.step_ms",
          "value": 0,
          "origin": "default of plugin stress"
        },
        {
          "key": "stress.state_values",
          "value": 3,
          "origin": "default of plugin stress"
        },
        {
          "key": "first.total_steps",
          "value": 10,
          "origin": "base far.toml:2"
        },
        {
          "key": "first.learning_rate",
          "value": 0.00003,
          "origin": "file pipeline.toml:13"
        },
        {
          "key": "first.phase",
          "value": "linreg",
          "origin": "file pipeline.toml"
        },
        {
          "key": "second.total_steps",
          "value": 100,
          "origin": "file pipeline.toml:17"
        },
        {
          "key": "second.learning_rate",
          "value": 0.1,
          "origin": "default of plugin linreg"
        },
        {
          "key": "second.phase",
          "value": "linreg",
          "origin": "file pipeline.toml"
        }
      ]
    }
    "#);
}
