//! Faults of files as a whole: syntax, duplicate keys, encodings, names.

use serde_json::json;

use super::Project;
use crate::config::{PluginProfile, check_text, list_profiles};

#[test]
fn files_that_are_missing_are_refused_and_byte_order_marks_are_not() {
    Project::new().config("train.json").fails("error: no configuration file `train.json`");
    Project::new().config("a.ini").fails(
        "error: cannot tell the format of `a.ini`\n  = expected: a name ending in `.toml`, `.yaml`, `.yml` or `.json`",
    );
    let marked = Project::with("a.json", "\u{feff}{\"try\": {\"trainin\": {}}}");
    marked.fails(
        "error: unknown key `trainin` in `try`
 --> a.json:1:10
  |
1 | {\"try\": {\"trainin\": {}}}
  |          ^^^^^^^^^
  = key: try.trainin
help: did you mean `training`?",
    );
    for (name, text) in [("b.toml", "\u{feff}[try]\n"), ("b.yaml", "\u{feff}try: {}\n")] {
        assert_eq!(Project::with(name, text).section(), json!({}));
    }
}

#[test]
fn old_names_are_answered_with_the_new_ones() {
    let old = "[profile]\nformerly = ['train']\nphase = 'practise'\n";
    let project = || Project::new().file("dev.toml", old);
    project().config("train.json").fails(
        "error: no configuration file `train.json`\nhelp: it is now profile `dev`: `dev.toml`",
    );
    project().profile("train").fails(
        "error: unknown profile `train`\n  = expected: one of `dev`\nhelp: did you mean `dev`?",
    );
    let points = "{\"practise_config_path\": \"configs/train.json\"}";
    let text = project().file("all.json", points).config("all.json");
    text.fails(
        "error: no configuration file `configs/train.json`
 --> all.json:1:26
  |
1 | {\"practise_config_path\": \"configs/train.json\"}
  |                          ^^^^^^^^^^^^^^^^^^^^
  = key: practise_config_path
help: it is now profile `dev`: `dev.toml`",
    );
}

#[test]
fn documents_of_the_wrong_form_are_refused() {
    for name in ["a.toml", "a.yaml"] {
        Project::with(name, "").fails(&format!("error: `{name}` does not say which phase it belongs to\nhelp: name it with `--phase PHASE`, where PHASE is one of `practise`, `try`"));
    }
    Project::with("a.yaml", "- 1\n").fails(
        "error: `a.yaml` is not a configuration: expected a mapping, found a list
 --> a.yaml:1:1
  |
1 | - 1
  | ^",
    );
    Project::with("a.toml", "try = 5\nphases = 'try'\n").set("global=5").fails(
        "error: expected a mapping, found `5`
 --> a.toml:1:7
  |
1 | try = 5
  |       ^
  = key: try

error: expected a list of phase names, found string `try`
 --> a.toml:2:10
  |
2 | phases = 'try'
  |          ^^^^^
  = key: phases
help: write `phases = [\"try\"]`

error: `global` is a section, not a setting
  --> override 1: global=5
  = key: global
  = expected: a key in it, as `global.KEY=VALUE`, or a mapping",
    );
    Project::with("a.json", "{\"model\": 1}").phase("tyr").fails(
        "error: no plugin registers phase `tyr`
  --> flag --phase tyr
  = expected: one of `practise`, `try`
help: did you mean `try`?",
    );
    Project::with("a.yaml", "profile: {phase: tyr}\n").fails(
        "error: no plugin registers phase `tyr`
 --> a.yaml:1:18
  |
1 | profile: {phase: tyr}
  |                  ^^^
  = expected: one of `practise`, `try`
help: did you mean `try`?",
    );
    Project::with("a.toml", "[profile]\nnam = 'x'\n[try]\n").fails(
        "error: unknown key `nam` in `profile`
 --> a.toml:2:1
  |
2 | nam = 'x'
  | ^^^
  = key: profile.nam
help: did you mean `name`?",
    );
}

#[test]
fn profiles_are_found_hidden_and_missed_by_name() {
    let mut project = Project::new().file("dev.toml", "[try]\n").file("broken.json", "{");
    let carried = |name: &str| {
        PluginProfile { plugin: "toy".into(), name: name.into(), text: "[profile]\ndescription = '{try.training.total_steps} steps of {x}'\n[try.training]\ntotal_steps = 5\n".into() }
    };
    project.catalogue.plugin_profiles = vec![carried("dev"), carried("smoke-try")];
    let project = project.profile("dve");
    project.fails("error: unknown profile `dve`\n  = expected: one of `broken`, `dev`, `smoke-try`\nhelp: did you mean `dev`?");
    let project = project.profile("dev");
    project.warns(&["profile `dev` from `dev.toml` hides the one from `plugin toy: dev.toml`"]);
    let entries = list_profiles(&project.catalogue);
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.info.name.as_str(),
                entry.info.group.as_str(),
                entry.info.description.as_str(),
                entry.status.is_ok(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("broken", "other", "", false),
            ("dev", "dev", "", true),
            ("smoke-try", "smoke", "5 steps of {x}", true)
        ]
    );
    Project::new().fails("error: neither `--profile` nor `--config` says what to run\nhelp: `host profiles list` shows the profiles");
    Project::with("a.toml", "[try]").profile("a").fails("error: `--profile` and `--config` exclude each other\nhelp: give one of them; a file can build on a profile with `extends`");
}

#[test]
fn a_text_at_hand_is_checked_like_a_file() {
    let project = Project::new().file("text.toml", "[practise]\n").set("training.keep=1");
    let check = |text: &str, format: &str| {
        check_text(text, format, &project.request, &project.catalogue)
            .map(|plan| plan.phases[0].section.clone())
            .map_err(|errors| errors.0[0].to_string())
    };
    let section = json!({"training": {"total_steps": 5, "keep": 1}});
    assert_eq!(check("[try.training]\ntotal_steps = 5\n", "toml"), Ok(section.clone()));
    assert_eq!(check("try: {training: {total_steps: 5}}", "yaml"), Ok(section.clone()));
    assert_eq!(check(r#"{"try": {"training": {"total_steps": 5}}}"#, "json"), Ok(section));
    let error = "error: unknown key `keep` in `try`
 --> text:1:7
  |
1 | try: {keep: 1}
  |       ^^^^
  = key: try.keep
help: `keep` belongs under `try.training`";
    assert_eq!(check("try: {keep: 1}", "yaml"), Err(error.to_owned()));
}
