//! Sectioned, flat and pipeline documents, and what sections extend.

use serde_json::json;

use super::Project;

#[test]
fn flat_files_become_one_section() {
    let text = "{\"training\": {\"sft\": {\"total_steps\": 3, \"seed\": 7, \"amp\": false, \"amp_dtype\": \"fp16\"},\n \"pretrain\": {}},\n \"device\": \"cpu\"}";
    let project = Project::with("a.json", text).phase("sft");
    project.warns(&[
        "`training.pretrain` in `a.json:2` is not used: the run has only phase `sft`",
        "`training.amp_dtype` has no effect: `training.amp` is false in `a.json:1`",
        "`device` in `a.json:3` is read as `global.device`; write it there",
        "`training.seed` in `a.json:1` is read as `global.seed`; write it there",
        "`training.amp` in `a.json:1` is read as `global.amp_dtype`; write it there",
    ]);
    let plan = project.plan();
    assert_eq!(
        (plan.global.seed, plan.global.device.as_str(), plan.global.amp_dtype),
        (7, "cpu", None)
    );
    assert_eq!(plan.phases[0].section, json!({"training": {"total_steps": 3}}));

    let overruled = Project::with(
        "a.yaml",
        "global: {seed: 9}\nprofile: {phase: sft}\nseed: 7\ntraining: {amp: true, amp_dtype: bf16}\n",
    );
    overruled.warns(&[
        "`training.amp` in `a.yaml:4` is told by `global.amp_dtype` alone; remove it",
        "`seed` in `a.yaml:3` is overruled: `global.seed` is 9 from file a.yaml:1",
        "`training.amp_dtype` in `a.yaml:4` is read as `global.amp_dtype`; write it there",
    ]);
    assert_eq!(overruled.plan().global.amp_dtype.as_deref(), Some("bfloat16"));
    Project::with("a.json", "{\"training\": {}}").fails("error: `a.json` does not say which phase it belongs to\nhelp: name it with `--phase PHASE`, where PHASE is one of `pretrain`, `sft`");
    Project::with("a.yaml", "profile: {phase: sft}\n").phase("pretrain").fails("error: `a.yaml` is for phase `sft`, not `pretrain`\n  --> flag --phase pretrain\nhelp: leave `--phase` out, or choose a profile of that phase");
}

#[test]
fn pipeline_files_point_at_flat_files() {
    let project = Project::new()
        .file("p.json", "{\"seed\": 1, \"training\": {\"pretrain\": {\"total_steps\": 1}}}")
        .file("s.json", "{\"seed\": 2, \"training\": {\"sft\": {\"total_steps\": 2}}}")
        .file(
            "all.json",
            "{\"pretrain_config_path\": \"p.json\",\n\"sft_config_path\": \"s.json\"}",
        )
        .config("all.json")
        .phase("pipeline");
    project.fails(
        "error: `seed` in `p.json:1` and `seed` in `s.json:1` disagree
 --> s.json:1:10
  |
1 | {\"seed\": 2, \"training\": {\"sft\": {\"total_steps\": 2}}}
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
            ("pretrain", json!({"training": {"total_steps": 1}})),
            ("sft", json!({"training": {"total_steps": 2}}))
        ]
    );
    Project::with(
        "all.json",
        "{\"sft_config_path\": \"sft.json\", \"rl_config_path\": \"x\", \"b\": 1}",
    )
    .fails(
        r#"error: no configuration file `sft.json`
 --> all.json:1:21
  |
1 | {"sft_config_path": "sft.json", "rl_config_path": "x", "b": 1}
  |                     ^^^^^^^^^^
  = key: sft_config_path

error: no plugin registers phase `rl`
 --> all.json:1:33
  |
1 | {"sft_config_path": "sft.json", "rl_config_path": "x", "b": 1}
  |                                 ^^^^^^^^^^^^^^^^
  = key: rl_config_path
  = expected: one of `pretrain`, `sft`

error: unknown key `b` beside `…_config_path`
 --> all.json:1:56
  |
1 | {"sft_config_path": "sft.json", "rl_config_path": "x", "b": 1}
  |                                                        ^^^
  = key: b
  = expected: `global`, `pretrain_config_path`, `sft_config_path`"#,
    );
}

#[test]
fn extends_builds_on_the_same_phase_and_refuses_circles() {
    let project = Project::new()
        .file("a.toml", "[sft]\nextends = 'b.toml'\n")
        .file("b.toml", "[sft]\nextends = 'a'\n")
        .config("a.toml");
    project.fails(
        "error: `extends` goes in a circle: a.toml -> b.toml -> a.toml
 --> b.toml:2:11
  |
2 | extends = 'a'
  |           ^^^
  = key: sft.extends",
    );
    Project::with("a.toml", "[sft]\nextends = 'x.toml'\n").fails(
        "error: no configuration file `x.toml`
 --> a.toml:2:11
  |
2 | extends = 'x.toml'
  |           ^^^^^^^^
  = key: sft.extends",
    );
    Project::new()
        .file("b.toml", "[pretrain]\n")
        .file("a.toml", "[sft]\nextends = 'b'\n")
        .config("a.toml")
        .fails(
            "error: `b.toml` has no section of phase `sft` to extend
 --> a.toml:2:11
  |
2 | extends = 'b'
  |           ^^^
  = key: sft.extends",
        );
}

#[test]
fn sections_are_named_listed_and_known() {
    let twice = Project::with("a.toml", "phases = ['pretrain', 'second-pretrain']\n[pretrain]\n[second-pretrain]\nphase = 'pretrain'\ntraining.note = 'again'\n").set("second_pretrain.training.total_steps=2");
    let plan = twice.plan();
    assert_eq!(
        (plan.phases[1].name.as_str(), plan.phases[1].phase.as_str()),
        ("second-pretrain", "pretrain")
    );
    assert_eq!(plan.phases[1].section, json!({"training": {"note": "again", "total_steps": 2}}));
    Project::with("a.toml", "phases = ['pretrian', 'rl']\n[pretrain]\n[stf]\n[x]\nphase = 'rl'\n")
        .fails(
            r#"error: unknown section `stf`: no plugin registers phase `stf`
 --> a.toml:3:2
  |
3 | [stf]
  |  ^^^
  = key: stf
  = expected: one of `pretrain`, `sft`
help: did you mean `sft`?

error: no plugin registers phase `rl`
 --> a.toml:5:9
  |
5 | phase = 'rl'
  |         ^^^^
  = key: x.phase
  = expected: one of `pretrain`, `sft`

error: no plugin registers phase `pretrian`
 --> a.toml:1:11
  |
1 | phases = ['pretrian', 'rl']
  |           ^^^^^^^^^^
  = key: phases
  = expected: one of `pretrain`, `sft`
help: did you mean `pretrain`?

error: no plugin registers phase `rl`
 --> a.toml:1:23
  |
1 | phases = ['pretrian', 'rl']
  |                       ^^^^
  = key: phases
  = expected: one of `pretrain`, `sft`

error: section `pretrain` is not listed in `phases`
 --> a.toml:2:2
  |
2 | [pretrain]
  |  ^^^^^^^^
  = key: pretrain
help: `phases` lists `pretrian`; spell the two alike"#,
        );
    Project::with("a.toml", "[sft]\n[pretrain]\n").fails(
        "error: missing key `phases`: the order of `sft`, `pretrain` is not stated
  --> a.toml
  = key: phases
help: add the list `phases` with the order, for example [\"sft\", \"pretrain\"]",
    );
    let mut bare = Project::with("a.toml", "[sft]\n").phase("sft");
    bare.catalogue.phases.clear();
    bare.fails("error: no plugin registers phase `sft`\n  --> flag --phase sft\nhelp: no plugin is loaded; `host plugins list` shows where plugins are looked for");
    Project::with("a.toml", "phases = ['sft', 'pretrain']\n[sft]\n[pretrain]\n")
        .phase("sft")
        .fails(
            "error: phase `sft` is asked for, but `a.toml` runs `sft`, `pretrain`
  --> flag --phase sft
help: name no phase for a file with sections; `--from` and `--until` choose a part of them",
        );
}
