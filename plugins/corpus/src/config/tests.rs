//! Defaults, and every fault that a section can have.

use serde_json::{Value, json};

use super::*;
use sdk::Error;

fn pretrain(data: Value) -> PretrainDataConfig {
    serde_json::from_value(data).unwrap()
}

fn only(faults: Vec<Error>) -> Error {
    let [fault] = <[Error; 1]>::try_from(faults).unwrap();
    fault
}

#[test]
fn the_default_is_the_world_alone() {
    let config = pretrain(json!({}));
    assert_eq!(config, PretrainDataConfig::default());
    assert_eq!(config.check(), []);
    assert_eq!(
        serde_json::to_value(&config).unwrap(),
        json!({
            "sources": {"world": {"kind": "world", "documents": 20000}},
            "mix": {"world": 1.0},
            "val_source": null,
            "cache_dir": null,
        })
    );
    assert_eq!(SftDataConfig::default().check(), []);
}

#[test]
fn faults_of_a_mix_are_told() {
    let fault = |mix: Value| only(pretrain(json!({"mix": mix})).check());
    assert_eq!(fault(json!({})).message, "the mix names no source");
    let unknown = fault(json!({"wold": 1.0}));
    assert_eq!(unknown.message, "the mix names `wold`, which is no source");
    assert_eq!(unknown.path.unwrap(), "data.mix.wold");
    assert_eq!(unknown.help.unwrap(), "did you mean `world`? if not, add `wold` to `data.sources`");
    assert_eq!(
        fault(json!({"xyz": 1.0})).help.unwrap(),
        "known sources: `world`, `fineweb_edu`, `gutenberg`, `roam`, `wikitext`; add it to \
         `data.sources`"
    );
    for weight in [0.0, -1.0, 1.5] {
        assert_eq!(fault(json!({"world": weight})).code, "data::mix_weight");
    }
    assert_eq!(
        fault(json!({"world": 0.5})).message,
        "the parts of the mix must sum to 1, but sum to 0.5"
    );
}

#[test]
#[cfg(feature = "hub")]
fn a_preset_needs_no_entry_and_its_short_names_are_none() {
    let fault = |mix: Value| pretrain(json!({"mix": mix})).check();
    assert_eq!(fault(json!({"wikitext": 0.25, "fineweb_edu": 0.75})), []);
    let wiki = only(fault(json!({"wiki": 1.0})));
    assert_eq!(wiki.help.unwrap(), "did you mean `wikitext`? if not, add `wiki` to `data.sources`");
    let sft: SftDataConfig = serde_json::from_value(json!({"mix": {"dolly": 1.0}})).unwrap();
    let dolly = only(sft.check());
    assert_eq!(
        dolly.help.unwrap(),
        "did you mean `dolly15k`? if not, add `dolly` to `data.sources`"
    );
    let roam = only(fault(json!({"roam": 1.0})));
    assert_eq!(roam.message, "`.roam-data/**/*.md` matches no file");
    assert_eq!(roam.path.unwrap(), "data.mix.roam");
}

#[test]
#[cfg(feature = "hub")]
fn all_faults_come_out_together() {
    let config = pretrain(json!({
        "sources": {
            "notes": {"kind": "text", "path": ["/no/such/a.txt", "/no/such/b.txt"], "val_fraction": 0.95},
            "rows": {"kind": "parquet", "path": "/no/such/c.parquet"},
            "web": {"kind": "hub", "dataset": "../x", "max_tokens": 9, "val_split_by": "tail"},
            "unused": {"kind": "text", "path": "/no/such/d.txt"},
        },
        "mix": {"notes": 0.5, "rows": 0.25, "web": 0.25},
        "val_source": "row",
    }));
    let faults = config.check();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_deref().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "data.val_source",
            "data.sources.notes.val_fraction",
            "data.sources.notes.path",
            "data.sources.rows.path",
            "data.sources.web.val_split_by",
            "data.sources.web.dataset",
        ]
    );
    assert_eq!(faults[2].message, "no such file: `/no/such/a.txt`, `/no/such/b.txt`");
}

/// The reference builds the caches of its defaults whatever is asked for, and tells of a primer that
/// is not there when the others are done.
#[test]
fn only_what_is_named_is_looked_for_and_the_primer_is_told_by_its_file() {
    let told = |mix: Value| {
        let sft: SftDataConfig = serde_json::from_value(json!({"mix": mix})).unwrap();
        sft.check()
    };
    let fault = only(told(json!({"primer": 1.0})));
    assert_eq!(fault.message, "no such file: `data/primer.jsonl`");
    assert_eq!(fault.path.unwrap(), "data.mix.primer");
    assert_eq!(told(json!({"world": 1.0})), []);
}

#[test]
fn texts_measured_while_fine_tuning_are_checked_under_their_key() {
    let sft = json!({"pretrain_val": {"mix": {"world": 0.5}}});
    let sft: SftDataConfig = serde_json::from_value(sft).unwrap();
    assert_eq!(only(sft.check()).path.unwrap(), "data.pretrain_val.mix");
}

#[test]
fn unknown_keys_are_refused_at_every_depth() {
    let refused = |text: &str| serde_json::from_str::<PretrainDataConfig>(text).is_err();
    assert!(refused(r#"{"sorces": {}}"#));
    assert!(refused(r#"{"sources": {"a": {"kind": "world", "path": "x"}}}"#));
    assert!(refused(r#"{"sources": {"a": {"kind": "text", "path": "x", "field": "y"}}}"#));
    assert!(refused(r#"{"sources": {"a": {"kind": "text"}}}"#));
    assert!(refused(r#"{"sources": {"a": {"kind": "hub", "dataset": "a/b", "val_path": "x"}}}"#));
    assert!(!refused(r#"{"sources": {"a": {"kind": "hub", "dataset": "a/b"}}}"#));
}

#[test]
fn the_schema_marks_what_is_replaced_whole() {
    let schema = schemars::schema_for!(SftDataConfig).to_value();
    for key in ["mix", "sources"] {
        assert_eq!(schema["properties"][key]["x-replace"], true);
    }
    let weight = &schema["properties"]["mix"]["additionalProperties"];
    assert_eq!(weight["exclusiveMinimum"], 0);
    assert_eq!(schema["properties"]["pack"]["default"], true);
}

#[test]
fn the_schema_of_a_source_is_closed_and_knows_its_kind() {
    let schema = schemars::schema_for!(PretrainDataConfig).to_value();
    let kinds = schema["$defs"]["TextSource"]["oneOf"].as_array().unwrap();
    let names: Vec<&Value> =
        kinds.iter().map(|kind| &kind["properties"]["kind"]["const"]).collect();
    assert_eq!(names, ["world", "text", "jsonl", "parquet", "hub"]);
    assert!(kinds.iter().all(|kind| kind["additionalProperties"] == false), "{kinds:#?}");
}
