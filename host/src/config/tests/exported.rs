//! The exported schema against the host itself: one validator, and what resolving says, must agree
//! on every file.

use sdk::Change;
use serde_json::{Value, json};

use super::Project;
use crate::config::document::Document;
use crate::config::source::Source;
use crate::config::{KnownPhase, flat_schema, sectioned_schema};

fn phases(project: &Project) -> Vec<&KnownPhase> {
    project.catalogue.phases.iter().collect()
}

/// What a checker with the schema says about a file's text.
fn faults(schema: &Value, name: &str, text: &str) -> Vec<String> {
    let extension = name.rsplit('.').next().unwrap();
    let document = Document::parse(Source::new(name.to_owned(), text), extension).unwrap();
    let validator = jsonschema::draft202012::new(schema).unwrap();
    let value = document.root.to_value();
    validator.iter_errors(&value).map(|error| error.to_string()).collect()
}

/// Asserts that schema and host both accept the file.
#[track_caller]
fn accepted(project: &Project, schema: &Value, name: &str, text: &str) {
    let found = faults(schema, name, text);
    assert!(found.is_empty(), "the schema refuses\n{text}\n{}", found.join("\n"));
    project.plan();
}

/// Asserts that schema and host both refuse the file.
#[track_caller]
fn refused(project: &Project, schema: &Value, name: &str, text: &str) {
    assert!(!faults(schema, name, text).is_empty(), "the schema accepts\n{text}");
    let plan = crate::config::resolve(&project.request, &project.catalogue);
    assert!(plan.is_err(), "the host accepts\n{text}");
}

#[test]
fn a_sectioned_file_is_accepted_by_both_or_by_neither() {
    let good = [
        "[try]\n",
        "\"$schema\" = './host.schema.json'\n[try]\n",
        "[profile]\ndescription = 'a'\nformerly = ['b']\n[try]\n",
        "[global]\nseed = 3\ndtype = 'fp32'\ndevice = 'cuda_if_available'\n[try]\n",
        "[try]\nphase = 'try'\nschema_version = 1\n[try.training]\ntotal_steps = 1e3\n",
        "phases = ['try', 'again']\n[try]\n[again]\nphase = 'try'\n[again.training]\nkeep = 0.5\n",
        "phases = ['try', 'practise']\n[try]\n",
        "[try.data.mix]\nanything = 0.5\n",
        "[try.training]\noptimizer = 'sgd'\nbetas = [0.9, 0.95]\neval_batches = 3\n",
        "[try.loss]\nkind = 'focal'\ngamma = 2\n",
        "[try]\nextends = 'base'\n[try.loss]\ngamma = 3\n",
        "[try]\nextends = 'base'\n[try.tokenizer]\nvocab_size = 3\n",
    ];
    let bad = [
        "[try.training]\ntotal_step = 3\n",
        "[try]\ntotal_steps = 3\n",
        "[try.training]\ntotal_steps = '3'\n",
        "[try.training]\ntotal_steps = 0\n",
        "[try.training]\ntotal_steps = 1.5\n",
        "[try.training]\noptimizer = 'adam'\n",
        "[try.training]\nbetas = [0.9]\n",
        "[try.training]\nkeep = 0\n",
        "[try]\nseed = 3\n",
        "[try]\nextends = 3\n",
        "[try]\nphase = 'practise'\n",
        "[try]\nschema_version = 2\n",
        "[trie]\n",
        "[again]\nphase = 'trie'\n",
        "[again]\nphase = 'try'\ntotal_steps = 3\n",
        "['not a name']\nphase = 'try'\n",
        "phases = []\n[try]\n",
        "phases = ['try', 'try']\n[try]\n",
        "[global]\nseeds = 3\n[try]\n",
        "[global]\nseed = -1\n[try]\n",
        "[profile]\nabout = 'a'\n[try]\n",
        // Nothing that these sections extend could complete them.
        "[try.loss]\nkind = 'focal'\n",
        "[try.loss]\ngamma = 3\n",
        "[try.tokenizer]\nvocab_size = 3\n",
    ];
    let base = "[try.loss]\nkind = 'focal'\ngamma = 1\n[try.tokenizer]\npath = 'a'\n";
    for (texts, check) in
        [(&good[..], accepted as fn(&Project, &Value, &str, &str)), (&bad[..], refused)]
    {
        for text in texts {
            let project = Project::with("a.toml", text).file("base.toml", base);
            check(&project, &sectioned_schema(&phases(&project)), "a.toml", text);
        }
    }
}

#[test]
fn an_empty_block_of_yaml_is_accepted_by_both() {
    let text = "global:\nprofile:\ntry:\n";
    let project = Project::with("a.yaml", text);
    accepted(&project, &sectioned_schema(&phases(&project)), "a.yaml", text);
}

#[test]
fn a_flat_file_is_accepted_by_both_or_by_neither() {
    let good = [
        "{}",
        r#"{"$schema": "a.json", "training": {"total_steps": 3}, "global": {"seed": 3}}"#,
        r#"{"training": {"try": {"total_steps": 3, "seed": 7, "amp": false, "amp_dtype": "fp16"},
            "practise": {}}, "device": "cpu"}"#,
        r#"{"extends": "base", "loss": {"gamma": 3}}"#,
    ];
    let bad = [
        r#"{"training": {"try": {"total_step": 3}}}"#,
        r#"{"training": {"try": {"seed": "a"}}}"#,
        r#"{"training": {"amp": "yes"}}"#,
        r#"{"trainin": {}}"#,
        r#"{"loss": {"gamma": 3}}"#,
    ];
    let base = "[try.loss]\nkind = 'focal'\ngamma = 1\n";
    for (texts, check) in
        [(&good[..], accepted as fn(&Project, &Value, &str, &str)), (&bad[..], refused)]
    {
        for text in texts {
            let project = Project::with("a.json", text).file("base.toml", base).phase("try");
            let all = phases(&project);
            check(&project, &flat_schema(all[1], &all), "a.json", text);
        }
    }
}

#[test]
fn old_keys_are_accepted_and_say_what_they_are_today() {
    let text = "[try]\ntrain.steps = 3\nlegacy = 'on'\n[try.training]\noptimizer = 'AdamW'\n";
    let mut project = Project::with("a.toml", text);
    project.catalogue.phases[1].version = 2;
    project.catalogue.phases[1].changes = vec![
        Change::moved(1, "train.steps", "training.total_steps"),
        Change::respelled(1, "training.optimizer", "AdamW", "adamw"),
        Change::removed(2, "legacy", "nothing read it").accepting(["on"]),
        Change::moved(2, "loss.power", "loss.gamma"),
        Change::implied(2, "loss.power", "loss.kind", "focal"),
    ];
    let schema = sectioned_schema(&phases(&project));
    accepted(&project, &schema, "a.toml", text);
    let steps = &schema["$defs"]["try"]["properties"]["train"]["properties"]["steps"];
    assert_eq!(
        (&steps["deprecated"], &steps["deprecationMessage"], &steps["minimum"]),
        (&json!(true), &json!("now `training.total_steps`"), &json!(1))
    );
    // What an old key stands for completes the section.
    assert_eq!(faults(&schema, "a.toml", "[try.loss]\npower = 2\n"), Vec::<String>::new());
    for bad in ["[try]\ntrain.steps = 0\n", "[try]\nlegacy = 'off'\n", "[try]\ntrain.step = 1\n"] {
        assert!(!faults(&schema, "a.toml", bad).is_empty(), "{bad}");
    }
}

#[test]
fn every_default_is_the_one_that_holds_at_its_place() {
    let definition = json!({
        "type": "object",
        "properties": { "steps": { "type": "integer", "default": 1 } },
        "additionalProperties": false,
    });
    let schema = json!({
        "type": "object",
        "properties": {
            "one": { "$ref": "#/$defs/Block" },
            "two": { "$ref": "#/$defs/Block", "description": "The\nsecond.", "default": { "steps": 2 } },
            "off": { "anyOf": [{ "$ref": "#/$defs/Block" }, { "type": "null" }], "default": null },
            "on": { "anyOf": [{ "$ref": "#/$defs/Block" }, { "type": "null" }], "default": null },
        },
        "$defs": { "Block": definition },
    });
    let mut project = Project::new();
    let known = &mut project.catalogue.phases[0];
    known.schema = schema;
    known.defaults =
        json!({ "one": { "steps": 3 }, "two": { "steps": 4 }, "off": null, "on": { "steps": 5 } });
    project.catalogue.phases.truncate(1);
    let exported = sectioned_schema(&phases(&project));
    let section = &exported["$defs"]["practise"]["properties"];
    assert_eq!(section["one"]["properties"]["steps"]["default"], 3);
    let two = json!({
        "type": "object",
        "properties": { "steps": { "type": "integer", "default": 4 } },
        "additionalProperties": false,
        "description": "The second.",
    });
    assert_eq!(section["two"], two);
    let off = json!({
        "anyOf": [{ "$ref": "#/$defs/practise.Block" }, { "type": "null" }],
        "default": null,
    });
    assert_eq!(section["off"], off);
    assert_eq!(section["on"]["anyOf"][0]["properties"]["steps"]["default"], 5);
    assert_eq!(exported["$defs"]["practise.Block"]["properties"]["steps"]["default"], 1);
}

#[test]
fn phases_have_definitions_of_their_own_and_none_without_a_plugin() {
    let project = Project::new();
    let schema = sectioned_schema(&phases(&project));
    let names: Vec<&String> = schema["$defs"].as_object().unwrap().keys().collect();
    let of = |phase: &str| names.iter().filter(|name| name.starts_with(phase)).count();
    assert_eq!(of("practise"), of("try"));
    assert_eq!(names.len(), 2 * of("try"));
    let mut bare = Project::new();
    bare.catalogue.phases.clear();
    let schema = sectioned_schema(&phases(&bare));
    assert!(faults(&schema, "a.toml", "[global]\nseed = 1\n").is_empty());
    assert!(!faults(&schema, "a.toml", "[try]\n").is_empty());
}
