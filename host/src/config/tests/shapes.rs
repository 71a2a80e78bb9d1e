//! Sectioned, flat and pipeline documents, and what sections extend.

use serde_json::json;

use super::Project;

#[test]
fn flat_files_become_one_section() {
    let text = "{\"training\": {\"try\": {\"total_steps\": 3, \"seed\": 7, \"amp\": false, \"amp_dtype\": \"fp16\"},\n \"practise\": {}},\n \"device\": \"cpu\"}";
    let project = Project::with("a.json", text).phase("try");
    project.warns(&[
        "`training.practise` in `a.json:2` is not used: the run has only phase `try`",
        "`training.try.amp_dtype` in `a.json:1` has no effect: `training.try.amp` is false in `a.json:1`",
        "`device` in `a.json:3` is read as `global.device`; write it there",
        "`training.try.seed` in `a.json:1` is read as `global.seed`; write it there",
        "`training.try.amp` in `a.json:1` is read as `global.amp_dtype: null`; write it there",
    ]);
    let plan = project.plan();
    assert_eq!(
        (plan.global.seed, plan.global.device.as_str(), plan.global.amp_dtype),
        (7, "cpu", None)
    );
    assert_eq!(plan.phases[0].section, json!({"training": {"total_steps": 3}}));

    let overruled = Project::with(
        "a.yaml",
        "global: {seed: 9}\nprofile: {phase: try}\nseed: 7\ntraining: {amp: true, amp_dtype: bf16}\n",
    );
    overruled.warns(&[
        "`training.amp` in `a.yaml:4` is told by `global.amp_dtype` alone; remove it",
        "`seed` in `a.yaml:3` is overruled: `global.seed` is 9 from file a.yaml:1",
        "`training.amp_dtype` in `a.yaml:4` is read as `global.amp_dtype`; write it there",
    ]);
    assert_eq!(overruled.plan().global.amp_dtype.as_deref(), Some("bfloat16"));
    Project::with("a.json", "{\"training\": {}}").fails("error: `a.json` does not say which phase it belongs to\nhelp: name it with `--phase PHASE`, where PHASE is one of `practise`, `try`");
    Project::with("a.yaml", "profile: {phase: try}\n").phase("practise").fails("error: `a.yaml` is for phase `try`, not `practise`\n  --> flag --phase practise\nhelp: leave `--phase` out, or choose a profile of that phase");
}

#[test]
fn pipeline_files_point_at_flat_files() {
    let project = Project::new()
        .file("p.json", "{\"seed\": 1, \"training\": {\"practise\": {\"total_steps\": 1}}}")
        .file("s.json", "{\"seed\": 2, \"training\": {\"try\": {\"total_steps\": 2}}}")
        .file(
            "all.json",
            "{\"practise_config_path\": \"p.json\",\n\"try_config_path\": \"s.json\"}",
        )
        .config("all.json")
        .phase("pipeline");
    project.fails(
        "error: `seed` in `p.json:1` and `seed` in `s.json:1` disagree
 --> s.json:1:10
  |
1 | {\"seed\": 2, \"training\": {\"try\": {\"total_steps\": 2}}}
  |          ^
  = key: global.seed
help: all phases share one value: set `global.seed`",
    );
    let project = project.set("global.seed=3");
    let plan = project.plan();
    let phases: Vec<_> =
        plan.phases.iter().map(|phase| (phase.name.as_str(), phase.section.clone())).collect();
    assert_eq!(
        phases,
        [
            ("practise", json!({"training": {"total_steps": 1}})),
            ("try", json!({"training": {"total_steps": 2}}))
        ]
    );
    Project::with(
        "all.json",
        "{\"try_config_path\": \"try.json\", \"rl_config_path\": \"x\", \"b\": 1}",
    )
    .fails(
        r#"error: no configuration file `try.json`
 --> all.json:1:21
  |
1 | {"try_config_path": "try.json", "rl_config_path": "x", "b": 1}
  |                     ^^^^^^^^^^
  = key: try_config_path

error: no plugin registers phase `rl`
 --> all.json:1:33
  |
1 | {"try_config_path": "try.json", "rl_config_path": "x", "b": 1}
  |                                 ^^^^^^^^^^^^^^^^
  = key: rl_config_path
  = expected: one of `practise`, `try`

error: unknown key `b` beside `…_config_path`
 --> all.json:1:56
  |
1 | {"try_config_path": "try.json", "rl_config_path": "x", "b": 1}
  |                                                        ^^^
  = key: b
  = expected: `global`, `practise_config_path`, `try_config_path`"#,
    );
}

#[test]
fn extends_builds_on_the_same_phase_and_refuses_circles() {
    let project = Project::new()
        .file("a.toml", "[try]\nextends = 'b.toml'\n")
        .file("b.toml", "[try]\nextends = 'a'\n")
        .config("a.toml");
    project.fails(
        "error: `extends` goes in a circle: a.toml -> b.toml -> a.toml
 --> b.toml:2:11
  |
2 | extends = 'a'
  |           ^^^
  = key: try.extends",
    );
    Project::with("a.toml", "[try]\nextends = 'x.toml'\n").fails(
        "error: no configuration file `x.toml`
 --> a.toml:2:11
  |
2 | extends = 'x.toml'
  |           ^^^^^^^^
  = key: try.extends",
    );
    Project::new()
        .file("b.toml", "[practise]\n")
        .file("a.toml", "[try]\nextends = 'b'\n")
        .config("a.toml")
        .fails(
            "error: `b.toml` has no section of phase `try` to extend
 --> a.toml:2:11
  |
2 | extends = 'b'
  |           ^^^
  = key: try.extends",
        );
}

#[test]
fn sections_are_named_listed_and_known() {
    let twice = Project::with("a.toml", "phases = ['practise', 'second-practise']\n[practise]\n[second-practise]\nphase = 'practise'\ntraining.note = 'again'\n").set("second_practise.training.total_steps=2");
    let plan = twice.plan();
    assert_eq!(
        (plan.phases[1].name.as_str(), plan.phases[1].phase.as_str()),
        ("second-practise", "practise")
    );
    assert_eq!(plan.phases[1].section, json!({"training": {"note": "again", "total_steps": 2}}));
    Project::with("a.toml", "phases = ['practies', 'rl']\n[practise]\n[tyr]\n[x]\nphase = 'rl'\n")
        .fails(
            r#"error: unknown section `tyr`: no plugin registers phase `tyr`
 --> a.toml:3:2
  |
3 | [tyr]
  |  ^^^
  = key: tyr
  = expected: one of `practise`, `try`
help: did you mean `try`?

error: no plugin registers phase `rl`
 --> a.toml:5:9
  |
5 | phase = 'rl'
  |         ^^^^
  = key: x.phase
  = expected: one of `practise`, `try`

error: no plugin registers phase `practies`
 --> a.toml:1:11
  |
1 | phases = ['practies', 'rl']
  |           ^^^^^^^^^^
  = key: phases
  = expected: one of `practise`, `try`
help: did you mean `practise`?

error: no plugin registers phase `rl`
 --> a.toml:1:23
  |
1 | phases = ['practies', 'rl']
  |                       ^^^^
  = key: phases
  = expected: one of `practise`, `try`

error: section `practise` is not listed in `phases`
 --> a.toml:2:2
  |
2 | [practise]
  |  ^^^^^^^^
  = key: practise
help: `phases` lists `practies`; spell the two alike"#,
        );
    Project::with("a.toml", "[try]\n[practise]\n").fails(
        "error: missing key `phases`: the order of `try`, `practise` is not stated
 --> a.toml:2:2
  |
2 | [practise]
  |  ^^^^^^^^
  = key: phases
help: write `phases = [\"try\", \"practise\"]` at the top, in the order to run",
    );
    let mut bare = Project::with("a.toml", "[try]\n").phase("try");
    bare.catalogue.phases.clear();
    bare.fails("error: no plugin registers phase `try`\n  --> flag --phase try\nhelp: no plugin is loaded; `host plugins list` shows where plugins are looked for");
    Project::with("a.toml", "phases = ['try', 'practise']\n[try]\n[practise]\n")
        .phase("try")
        .fails(
            "error: phase `try` is asked for, but `a.toml` runs `try`, `practise`
  --> flag --phase try
help: name no phase for a file with sections; `--from` and `--until` choose a part of them",
        );
}
