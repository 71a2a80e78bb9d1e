//! Which layer wins, and what an override's text means.

use serde_json::{Value, json};

use super::Project;

#[test]
fn every_layer_overrules_the_ones_below() {
    let project = Project::new()
        .file("base.toml", "[try.training]\nnote = 'base'\ntotal_steps = 1\nwarmup_steps = 1\n[try.data.mix]\na = 1\n[try.data.paths]\na = 'x'\n")
        .file("a.toml", "[global]\nseed = 1\ndevice = 'CPU'\nthreads = 2\n[try]\nextends = 'base'\n[try.training]\ntotal_steps = 2\nwarmup_steps = 2\n[try.data.mix]\nb = 1\n[try.data.paths]\nb = 'y'\n")
        .config("a.toml")
        .variable("HOST_SEED", "2")
        .variable("HOST_THREADS", "3")
        .variable("HOST_PLUGIN_PATH", "x")
        .set("warmup_steps=9")
        .set("training.warmup-steps=3")
        .set("global.seed=3")
        .flag("--seed", "global.seed", json!(4));
    project.fails(
        "error: unknown key `warmup_steps` in `try`
  --> override 1: warmup_steps=9
  = key: try.warmup_steps
help: `warmup_steps` belongs under `try.training`",
    );
    let mut project = project;
    project.request.overrides.remove(0);
    let plan = project.plan();
    assert_eq!(
        (plan.global.seed, plan.global.threads, plan.global.device.as_str()),
        (4, Some(3), "cpu")
    );
    assert_eq!(
        plan.phases[0].section,
        json!({
            "training": {"note": "base", "total_steps": 2, "warmup_steps": 3},
            "data": {"mix": {"b": 1}, "paths": {"a": "x", "b": "y"}},
        })
    );
    let seeds: Vec<String> = plan
        .layers_of("global.seed")
        .into_iter()
        .map(|(origin, value)| project.without_dir(&format!("{origin} = {value}")))
        .collect();
    assert_eq!(
        seeds,
        ["file a.toml:2 = 1", "environment HOST_SEED = 2", "override 2 = 3", "flag --seed = 4"]
    );
    let resolved = json!({"training": {"note": "base", "total_steps": 2, "base_lr": 0.1}, "data": {"mix": {"b": 1}}});
    let origins = project.without_dir(&Value::Object(plan.origins("try", &resolved)).to_string());
    assert_eq!(
        origins,
        r#"{"training.note":"base base.toml:2","training.total_steps":"file a.toml:8","training.base_lr":"default of plugin toy","data.mix.b":"file a.toml:11"}"#
    );
    let error = plan.section_error(
        "try",
        "training.warmup_steps",
        "warmup is longer than the run",
        Some("lower it"),
    );
    assert_eq!(
        error.to_string(),
        "error: warmup is longer than the run\n  --> override 1: training.warmup-steps=3\n  = key: try.training.warmup_steps\nhelp: lower it"
    );
}

#[test]
fn override_values_are_read_by_kind() {
    let project = Project::with("a.toml", "[try]\ntraining.eval_batches = 3\n")
        .set("training.base_lr=1e-5")
        .set("try.training.eval_batches=null")
        .set("training.total_steps=1e3")
        .set("training.note=2024")
        .set("training.betas=[0.9, 0.99]")
        .set("training.save_best=true")
        .set("tokenizer={\"path\": \"a=b\"}")
        .set("global.run-name=7");
    let plan = project.plan();
    assert_eq!(plan.global.run_name.as_deref(), Some("7"));
    assert_eq!(
        plan.phases[0].section,
        json!({
            "training": {"eval_batches": null, "base_lr": 1e-5, "total_steps": 1000, "note": "2024", "betas": [0.9, 0.99], "save_best": true},
            "tokenizer": {"path": "a=b"},
        })
    );
    Project::with("a.toml", "[try]\n")
        .set("training.betas=[1,")
        .set("seed")
        .set("a..b=1")
        .set("training.betas.0=1")
        .fails(
            r#"error: the value of override `training.betas` is not JSON: a `[` is not closed
  --> override 1: training.betas=[1,
help: write lists, mappings and quoted texts as JSON, for example `[0.9, 0.95]`

error: `seed` is not an override: no `=` in it
  --> override 2: seed
help: write it as `KEY=VALUE`, for example `global.seed=7`

error: `a..b=1` is not an override: its key `a..b` has an empty part
  --> override 3: a..b=1
help: write it as `KEY=VALUE`, for example `global.seed=7`

error: expected a list of 2 items, found a mapping
  --> override 4: training.betas.0=1
  = key: try.training.betas
help: lists are replaced whole: write `try.training.betas=[…]`"#,
        );
}

#[test]
fn a_key_that_nobody_wrote_is_shown_where_its_mapping_was_written() {
    let project = Project::with("a.toml", "[try.training]\nnote = 'x'\n").set("training.keep=0.5");
    let error = project.plan().section_error("try", "training.warmup_steps", "too long", None);
    assert_eq!(
        project.without_dir(&error.to_string()),
        "error: too long
 --> a.toml:1:6
  |
1 | [try.training]
  |      ^^^^^^^^
  = key: try.training.warmup_steps"
    );
    let project = Project::with("a.toml", "[try]\n").set("training.keep=0.5");
    let error = project.plan().section_error("try", "training.warmup_steps", "too long", None);
    assert_eq!(
        error.to_string(),
        "error: too long\n  --> override 1: training.keep=0.5\n  = key: try.training.warmup_steps"
    );
}
