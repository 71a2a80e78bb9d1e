//! Faults of files as a whole: syntax, duplicate keys, encodings, names.

use serde_json::json;

use super::Project;
use crate::config::{PluginProfile, list_profiles, resolve};

#[test]
fn duplicate_keys_are_refused_in_every_format() {
    Project::with("a.json", "{\"try\": {\"loss\": null,\n \"loss\": null}}").fails(
        "error: duplicate key `loss`
 --> a.json:2:2
  |
2 |  \"loss\": null}}
  |  ^^^^^^
  = key: try.loss
help: it is already set in line 1; keep one of the two",
    );
    Project::with("a.yaml", "try:\n  loss: null\n  loss: null\n").fails(
        "error: duplicate key `loss`
 --> a.yaml:3:3
  |
3 |   loss: null
  |   ^^^^
  = key: try.loss
help: it is already set in line 2; keep one of the two",
    );
    Project::with("a.toml", "[try.data]\nmix = {}\nmix = {}\n").fails(
        "error: duplicate key `mix`
 --> a.toml:3:1
  |
3 | mix = {}
  | ^^^
help: it is already set above; keep one of the two",
    );
}

#[test]
fn syntax_errors_show_the_place_in_every_format() {
    Project::with("a.json", "{\"try\": {\n  \"a\": 1,\n}}").fails(
        "error: `a.json` cannot be read: trailing comma
 --> a.json:3:1
  |
3 | }}
  | ^",
    );
    Project::with("a.yaml", "try:\n  a: [1\nb: 2\n").fails(
        r#"error: `a.yaml` cannot be read: illegal placement of ':' indicator
 --> a.yaml:3:2
  |
3 | b: 2
  |  ^"#,
    );
    Project::with("a.toml", "[try]\na = \n").fails(
        r#"error: `a.toml` cannot be read: string values must be quoted, expected literal string
 --> a.toml:2:5
  |
2 | a = 
  |     ^"#,
    );
}

#[test]
fn files_that_are_no_text_or_missing_are_refused() {
    Project::new().file("a.toml", b"[try]\n# \xff\n").config("a.toml").fails(
        "error: `a.toml` is not UTF-8 text: invalid byte in line 2\nhelp: save the file as UTF-8",
    );
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
fn a_parsers_own_words_do_not_reach_the_reader() {
    let nested = |open: &str, depth: usize, close: &str| open.repeat(depth) + &close.repeat(depth);
    let cases = [
        ("a.yaml", "~: 1\n".to_owned(), "a key cannot be null"),
        ("a.yaml", "[a]: 1\n".to_owned(), "a key must be a plain string"),
        ("a.yaml", "a: !!int x\n".to_owned(), "the value does not fit its tag"),
        ("a.yaml", "a: !x y\n".to_owned(), "unsupported tag `!x`"),
        ("a.yaml", "a: .nan\n".to_owned(), "the number is not finite"),
        ("a.yaml", "a: 1\n---\nb: 1\n".to_owned(), "it holds more than one document"),
        ("a.yaml", nested("[", 99, "]"), "it is nested too deeply, or its aliases expand too far"),
        ("a.json", nested("[", 999, "]"), "it is nested too deeply"),
        ("a.json", "{\"a\": tru}".to_owned(), "expected `true`, `false` or `null`"),
        ("a.json", "{\"a\": 1".to_owned(), "the text ends while parsing an object"),
        ("a.toml", format!("a = {}", nested("[", 999, "]")), "it is nested too deeply"),
        ("a.toml", "a = inf\n".to_owned(), "the number is not finite"),
        ("a.toml", "a = 99999999999999999999\n".to_owned(), "the integer is too large"),
    ];
    for (name, text, reason) in cases {
        let project = Project::with(name, &text);
        let errors = resolve(&project.request, &project.catalogue).unwrap_err();
        let message = project.without_dir(&errors.0[0].message);
        assert_eq!(message, format!("`{name}` cannot be read: {reason}"), "for {text}");
    }
}
