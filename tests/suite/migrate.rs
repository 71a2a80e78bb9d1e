//! Old files in today's form, old names of files, and runs that outlive a plugin's version.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tests::{Installation, Output, Project, read_json};

const FLAT: &str = r#"{
  "lr": 0.250,
  "steps": 4,
  "momentum": 0.0,
  "seed": 7,
  "train": { "schedule": "none" }
}
"#;

fn project() -> Project {
    Project::new().plugins(&["elder"])
}

#[track_caller]
fn migrate(name: &str, text: &str, args: &[&str]) -> Output {
    let project = project().file(name, text);
    let output = project.host([&["config", "migrate", name], args].concat());
    assert_eq!(project.names(), [name], "something was written");
    output
}

#[test]
fn a_flat_json_file_becomes_a_sectioned_one() {
    assert_snapshot!(migrate("run.json", FLAT, &["--phase", "elder"]), @r#"
    exit: 0
    ----- stdout
    --- run.json
    +++ run.json (migrated)
    @@ -1,7 +1,12 @@
     {
    -  "lr": 0.250,
    -  "steps": 4,
    -  "momentum": 0.0,
    -  "seed": 7,
    -  "train": { "schedule": "none" }
    +  "global": {
    +    "seed": 7
    +  },
    +  "elder": {
    +    "learning": {
    +      "rate": 0.250,
    +      "steps": 4,
    +      "schedule": "constant"
    +    }
    +  }
     }
    ----- stderr
    run.json:
      all settings are in section `elder` now
      `lr` is now `elder.learning.rate`
      `steps` is now `elder.learning.steps`
      `train` is now `elder.learning`
      `train.schedule` is now written `constant` instead of `none`
      `seed` is now `global.seed`
      left out: `momentum` (0.0): nothing read it
    nothing was written; `host config migrate run.json --phase elder --write` writes it
    "#);
}

#[test]
fn comments_of_yaml_stay_where_they_belong() {
    let text = "\
# how far it falls

steps: 4     # few
lr: 2.50e-1  # much

# from where
start: 3     # high
momentum: 0  # of old
train:
  schedule: none
";
    assert_snapshot!(migrate("run.yaml", text, &["--phase", "elder"]), @"
    exit: 0
    ----- stdout
    --- run.yaml
    +++ run.yaml (migrated)
    @@ -1,10 +1,14 @@
     # how far it falls
     
    -steps: 4     # few
    -lr: 2.50e-1  # much
    +elder:
    +  begin:
    +    kind: at
     
    -# from where
    -start: 3     # high
    -momentum: 0  # of old
    -train:
    -  schedule: none
    +    # from where
    +    number: 3     # high
    +  # left out by `host config migrate`: `momentum`: nothing read it
    +  # momentum: 0  # of old
    +  learning:
    +    steps: 4     # few
    +    rate: 2.50e-1  # much
    +    schedule: constant
    ----- stderr
    run.yaml:
      all settings are in section `elder` now
      `steps` is now `elder.learning.steps`
      `lr` is now `elder.learning.rate`
      `start` is now `elder.begin.number`
      `train` is now `elder.learning`
      `train.schedule` is now written `constant` instead of `none`
      left out: `momentum` (0): nothing read it
    nothing was written; `host config migrate run.yaml --phase elder --write` writes it
    ");
}

#[test]
fn a_sectioned_toml_file_changes_only_where_it_must() {
    let text = "\
phases = ['elder', 'again']

[elder]
schema_version = 2
# how it learns
train = { rate = 0.5, steps = 4 } # all of it

[again]
phase = 'elder'
learning.steps = 0x04
begin.kind = 'one' # as ever
";
    assert_snapshot!(migrate("run.toml", text, &[]), @"
    exit: 0
    ----- stdout
    --- run.toml
    +++ run.toml (migrated)
    @@ -1,9 +1,9 @@
     phases = ['elder', 'again']
     
     [elder]
    -schema_version = 2
    +schema_version = 3
     # how it learns
    -train = { rate = 0.5, steps = 4 } # all of it
    +learning = { rate = 0.5, steps = 4 } # all of it
     
     [again]
     phase = 'elder'
    ----- stderr
    run.toml:
      `elder.train` is now `elder.learning`
      `elder.schema_version` is now 3 instead of 2
    nothing was written; `host config migrate run.toml --write` writes it
    ");
}

#[test]
fn a_pipeline_document_becomes_sections_that_extend_its_parts() {
    let project = Project::new()
        .plugins(&["elder", "linreg"])
        .file("configs/fall.json", "{\"steps\": 4, \"seed\": 3}")
        .file("configs/line.json", "{\"total_steps\": 5, \"seed\": 3}")
        .file(
            "configs/both.json",
            "{\n  \"elder_config_path\": \"configs/fall.json\",\n  \"linreg_config_path\": \"configs/line.json\"\n}\n",
        );
    assert_snapshot!(project.host(["config", "migrate", "configs/both.json"]), @r#"
    exit: 0
    ----- stdout
    --- configs/both.json
    +++ configs/both.json (migrated)
    @@ -1,4 +1,12 @@
     {
    -  "elder_config_path": "configs/fall.json",
    -  "linreg_config_path": "configs/line.json"
    +  "global": {
    +    "seed": 3
    +  },
    +  "phases": ["elder", "linreg"],
    +  "elder": {
    +    "extends": "fall.json"
    +  },
    +  "linreg": {
    +    "extends": "line.json"
    +  }
     }
    ----- stderr
    configs/both.json:
      `elder_config_path` is now `elder.extends`: `fall.json`
      `linreg_config_path` is now `linreg.extends`: `line.json`
      `seed` of `configs/fall.json` is now `global.seed`
      `seed` of `configs/line.json` is now `global.seed`
    note: `configs/fall.json` may be of an old form too: `host config migrate configs/fall.json --phase elder`
    note: `configs/line.json` may be of an old form too: `host config migrate configs/line.json --phase linreg`
    nothing was written; `host config migrate configs/both.json --write` writes it
    "#);
    project.host(["config", "migrate", "configs/both.json", "--write"]).expect(0);
    assert_snapshot!(project.host(["config", "validate", "--config", "configs/both.json"]), @"
    exit: 0
    ----- stdout
    configs/both.json: no errors; phases: elder, linreg
    ----- stderr
    warning: `seed` in `configs/fall.json` is not inherited: `extends` takes a section, not `global`
    warning: `seed` in `configs/line.json` is not inherited: `extends` takes a section, not `global`
    warning: `steps` in `configs/fall.json:1` is now `learning.steps`; `host config migrate configs/fall.json --phase elder --write` rewrites the file
    ");
}

#[test]
fn writing_keeps_every_old_file() {
    let project = project().file("run.json", FLAT).file("run.json.bak", "mine");
    let write = ["config", "migrate", "run.json", "--phase", "elder", "--write"];
    let output = project.host(write).expect(0);
    assert_eq!(
        output.stderr.lines().last(),
        Some("wrote `run.json`; the old file is `run.json.bak2`")
    );
    assert_eq!(project.names(), ["run.json", "run.json.bak", "run.json.bak2"]);
    let read = |name: &str| fs::read_to_string(project.path(name)).unwrap();
    assert_eq!((read("run.json.bak").as_str(), read("run.json.bak2").as_str()), ("mine", FLAT));
    project.host(["run", "--config", "run.json", "--progress", "off"]).expect(0);
    let stored = read_json(&project.last_run().join("resolved_settings.json"));
    assert_eq!(
        stored["settings"]["elder"],
        json!({
            "learning": {"steps": 4, "rate": 0.25, "schedule": "constant", "checkpoint_every": null},
            "begin": {"kind": "one"},
            "schema_version": 3
        })
    );
    let again = project.host(["config", "migrate", "run.json", "--write"]);
    assert_snapshot!(again, @"
    exit: 0
    ----- stderr
    `run.json` has today's form; there is nothing to do
    ");
}

#[test]
fn a_link_stays_a_link() {
    let project = project().file("real/run.json", FLAT);
    std::os::unix::fs::symlink("real/run.json", project.path("run.json")).unwrap();
    project.host(["config", "migrate", "run.json", "--phase", "elder", "--write"]).expect(0);
    assert!(project.path("run.json").is_symlink());
    assert!(fs::read_to_string(project.path("run.json")).unwrap().contains("\"elder\": {"));
    assert_eq!(fs::read_to_string(project.path("real/run.json.bak")).unwrap(), FLAT);
}

#[test]
fn what_cannot_be_migrated_is_refused_and_left_alone() {
    assert_snapshot!(migrate("run.json", FLAT, &[]), @"
    exit: 2
    ----- stderr
    error: `run.json` does not say which phase it belongs to
    help: name it with `--phase PHASE`, where PHASE is one of `elder`

    error: 1 configuration error; nothing was started
    ");
    let both = "[elder]\nlr = 1\nlearning.rate = 0.5\nmomentum = 0.9\nstep = 3\n";
    assert_snapshot!(migrate("run.toml", both, &["--write"]), @"
    exit: 2
    ----- stderr
    error: `momentum` is not a setting any more: nothing read it
     --> run.toml:4:12
      |
    4 | momentum = 0.9
      |            ^^^
      = key: elder.momentum
      = found: `0.9`
      = expected: no such key, or `0`, which changes nothing
    help: remove `momentum`

    error: `lr` in `run.toml:2` and `learning.rate` in `run.toml:3` are one setting
     --> run.toml:2:1
      |
    2 | lr = 1
      | ^^
      = key: elder.learning.rate
    help: remove `lr`: it is the earlier name of `learning.rate`

    error: unknown key `step` in `elder`
     --> run.toml:5:1
      |
    5 | step = 3
      | ^^^^
      = key: elder.step
    help: known keys: `learning`, `begin`

    error: 3 configuration errors; nothing was started
    ");
}

#[test]
fn a_run_of_an_old_file_says_what_to_do() {
    let project = project().file("run.json", FLAT);
    let args =
        ["run", "--config", "run.json", "--phase", "elder", "--progress", "plain", "train.steps=2"];
    let output = project.host(args).expect(0);
    let warnings: String = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_snapshot!(warnings, @"
    warning: `seed` in `run.json:5` is read as `global.seed`; write it there
    warning: `lr` in `run.json:2` is now `learning.rate`
    warning: `steps` in `run.json:3` is now `learning.steps`
    warning: `momentum` in `run.json:4` is not a setting any more: nothing read it
    warning: `train` in `run.json:6` is now `learning`
    warning: `train.schedule` in `run.json:6` is now written `constant` instead of `none`; `host config migrate run.json --phase elder --write` rewrites the file
    warning: `train.steps` in override 1 is now `learning.steps`
    ");
}

#[test]
fn a_section_of_a_newer_plugin_is_refused_with_both_versions() {
    let project = project().file("run.toml", "[elder]\nschema_version = 4\nlearning.bend = 2\n");
    assert_snapshot!(project.host(["config", "validate", "--config", "run.toml"]), @"
    exit: 2
    ----- stderr
    error: section `elder` is of version 4, and plugin `elder` knows version 3
     --> run.toml:2:18
      |
    2 | schema_version = 4
      |                  ^
      = key: elder.schema_version
    help: use a newer plugin `elder`, or write the section in its version 3

    error: 1 configuration error; nothing was started
    ");
}

/// A run of two steps of four, whose settings are then those of an older plugin.
fn run_of_an_older_plugin(section: &Value) -> Project {
    let project = project().file("run.toml", "[elder]\nlearning.steps = 4\n");
    let begin = ["run", "--config", "run.toml", "--max-steps", "2", "--progress", "off"];
    project.host(begin).expect(0);
    let path = project.last_run().join("resolved_settings.json");
    let mut stored = read_json(&path);
    stored["settings"]["elder"] = section.clone();
    fs::write(path, stored.to_string()).unwrap();
    project
}

#[test]
fn a_run_goes_on_with_a_newer_version_of_its_plugin() {
    let old = [
        json!({"schema_version": 1, "lr": 0.5, "steps": 4, "momentum": 0.0}),
        json!({"schema_version": 2, "train": {"rate": 0.5, "steps": 4, "schedule": "none"}}),
        json!({"lr": 0.5, "train": {"steps": 4}}),
    ];
    for section in old {
        for args in [&["--config", "run.toml"][..], &[]] {
            let project = run_of_an_older_plugin(&section);
            let resume = [&["run", "--resume=last", "--progress", "plain"], args].concat();
            let output = project.host(resume).expect(0);
            assert_eq!(output.stderr.matches("warning").count(), 0, "{output}");
            let state = last_state(&project);
            assert_eq!(state["number"], 0.0625, "{state}");
        }
    }
}

/// The state in the phase's last checkpoint.
fn last_state(project: &Project) -> Value {
    let checkpoints = project.last_run().join("phases/01-elder/checkpoints");
    let name = fs::read_to_string(checkpoints.join("last")).unwrap();
    read_json(&checkpoints.join(name.trim()).join("state.json"))
}

#[test]
fn a_run_whose_settings_are_of_a_newer_plugin_or_meant_something_that_is_gone_is_refused() {
    let newer = run_of_an_older_plugin(&json!({"schema_version": 9}));
    assert_snapshot!(newer.host(["run", "--resume=last"]), @"
    exit: 2
    ----- stderr
    error: section `elder` is of version 9, and plugin `elder` knows version 3
      --> the settings of the run
      = key: elder.schema_version
    help: use a newer plugin `elder`, or write the section in its version 3

    error: 1 configuration error; nothing was started
    ");
    let meant = run_of_an_older_plugin(&json!({"schema_version": 1, "momentum": 0.9}));
    assert_snapshot!(meant.host(["run", "--resume=last", "--config", "run.toml"]), @"
    exit: 2
    ----- stderr
    error: `momentum` is not a setting any more: nothing read it
      --> the settings of the run
      = key: elder.momentum
      = found: `0.9`
      = expected: no such key, or `0`, which changes nothing
    help: go on with the version of the plugin that the run was started with

    error: 1 configuration error; nothing was started
    ");
}

/// Every old file name, and the profile that its settings are in now.
const RENAMED: [(&str, &str); 7] = [
    ("pretrain_smoke", "smoke-pretrain"),
    ("sft_smoke", "smoke-sft"),
    ("train", "dev"),
    ("pretrain_overnight", "prod"),
    ("pretrain", "minimal"),
    ("sft", "minimal-sft"),
    ("smoke", "dev"),
];

#[test]
fn old_file_names_are_answered_with_the_new_ones_wherever_they_turn_up() {
    let project = Project::with(Installation::dynamic());
    for (old, new) in RENAMED {
        let phase = if new.ends_with("sft") { "sft" } else { "pretrain" };
        let file = format!("configs/{old}.json");
        let answer = format!("\nhelp: it is now profile `{new}`: `[INSTALL]/configs/{new}.toml`\n");
        project.write("pipeline.json", json!({format!("{phase}_config_path"): file}).to_string());
        project.write("base.json", json!({phase: {"extends": format!("{old}.json")}}).to_string());
        let asked: [&[&str]; 5] = [
            &["run", "--config", &file, "--phase", phase],
            &["config", "validate", "--config", "pipeline.json"],
            &["config", "validate", "--config", "base.json"],
            &["config", "migrate", &file, "--phase", phase],
            &["config", "resolve", "--config", &file],
        ];
        for args in asked {
            let output = project.host(args).expect(2);
            let text = output.stable(&output.stderr);
            assert!(text.contains(&answer), "{args:?}: {text}");
        }
        let by_name = project.host(["run", "--profile", old]).expect(2);
        assert!(by_name.stderr.contains(&format!("help: did you mean `{new}`?")), "{by_name}");
    }
    assert!(!project.names().contains(&"runs".to_owned()));
}
