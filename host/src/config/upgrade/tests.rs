//! Old sections, asserted by what they become and what the reader is told.

use std::fs;

use schemars::JsonSchema;
use sdk::Change;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::{Catalogue, KnownPhase, Plan, Request, resolve};
use super::stored;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Section {
    training: Training,
    data: Data,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Training {
    base_lr: f64,
    min_lr: f64,
    optimizer: Optimizer,
    note: String,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Optimizer {
    #[default]
    Adamw,
    Sgd,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Data {
    #[schemars(extend("x-replace" = true))]
    mix: std::collections::BTreeMap<String, f64>,
    source: String,
    path: Option<String>,
}

/// A phase with a history of every kind of change.
pub(in crate::config) fn known() -> KnownPhase {
    KnownPhase {
        phase: "toy".into(),
        plugin: "toys".into(),
        schema: schemars::schema_for!(Section).to_value(),
        defaults: serde_json::to_value(Section::default()).unwrap(),
        version: 3,
        amp_dtypes: Vec::new(),
        changes: vec![
            Change::moved(1, "lr", "train.lr"),
            Change::moved(2, "train", "training"),
            Change::moved(2, "training.lr", "training.base_lr"),
            Change::respelled(2, "training.optimizer", "AdamW", "adamw"),
            Change::removed(2, "training.norm", "only `rms` was ever honoured").accepting(["rms"]),
            Change::moved(3, "data.mix_toy", "data.mix"),
            Change::implied(3, "files.path", "data.source", "file"),
            Change::moved(3, "files.path", "data.path"),
            Change::removed(3, "files.cache", "nothing read it"),
        ],
    }
}

struct Case {
    dir: TempDir,
    catalogue: Catalogue,
    request: Request,
}

impl Case {
    /// A file with the one section, or with what `text` holds.
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("run.toml");
        fs::write(&file, text).unwrap();
        let catalogue = Catalogue { phases: vec![known()], ..Catalogue::default() };
        Self { dir, catalogue, request: Request { file: Some(file), ..Request::default() } }
    }

    fn set(mut self, text: &str) -> Self {
        self.request.overrides.push(text.to_owned());
        self
    }

    fn plan(&self) -> Plan {
        resolve(&self.request, &self.catalogue).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn section(&self) -> Value {
        self.plan().phases[0].section.clone()
    }

    fn warnings(&self) -> Vec<String> {
        self.plan().warnings.iter().map(|text| self.without_dir(text)).collect()
    }

    fn errors(&self) -> String {
        let errors = resolve(&self.request, &self.catalogue).expect_err("it resolves");
        let text = self.without_dir(&errors.to_string());
        text.rsplit_once("\n\n").unwrap().0.to_owned()
    }

    fn without_dir(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

#[test]
fn an_old_key_is_read_under_its_new_name_and_told_once() {
    let case = Case::new("[toy.training]\nlr = 3e-4\n");
    assert_eq!(case.section(), json!({"training": {"base_lr": 3e-4}}));
    assert_eq!(
        case.warnings(),
        ["`toy.training.lr` in `run.toml:2` is now `toy.training.base_lr`; \
          `host config migrate run.toml --write` rewrites the file"]
    );
    let origin = case.plan().origins("toy", &case.section());
    assert_eq!(
        case.without_dir(origin["training.base_lr"].as_str().unwrap()),
        "file run.toml:2, as `toy.training.lr`"
    );
}

#[test]
fn moves_of_several_versions_are_one_to_the_reader() {
    let case = Case::new("[toy]\nlr = 0.5\ntrain.optimizer = 'AdamW'\ntrain.norm = 'rms'\n");
    assert_eq!(case.section(), json!({"training": {"optimizer": "adamw", "base_lr": 0.5}}));
    assert_eq!(
        case.warnings(),
        [
            "`toy.lr` in `run.toml:2` is now `toy.training.base_lr`",
            "`toy.train` in `run.toml:3` is now `toy.training`",
            "`toy.train.optimizer` in `run.toml:3` is now written `adamw` instead of `AdamW`",
            "`toy.train.norm` in `run.toml:4` is not a setting any more: only `rms` was ever \
             honoured; `host config migrate run.toml --write` rewrites the file",
        ]
    );
}

#[test]
fn a_mapping_moves_whole_and_emptied_blocks_go() {
    let text = "[toy.data.mix_toy]\na = 0.5\nb = 0.5\n[toy.files]\npath = 'x'\ncache = 'y'\n";
    let section = json!({"data": {"mix": {"a": 0.5, "b": 0.5}, "source": "file", "path": "x"}});
    assert_eq!(Case::new(text).section(), section);
    let own = text.replace("[toy.files]", "[toy.data]\nsource = 'own'\n[toy.files]");
    assert_eq!(Case::new(&own).section()["data"]["source"], "own");
    assert_eq!(Case::new("[toy.files]\n").section(), json!({}));
}

#[test]
fn a_stated_version_says_which_changes_apply() {
    let case = Case::new("[toy]\nschema_version = 2\ntraining.optimizer = 'AdamW'\nlr = 1\n");
    reads(
        &case.errors(),
        "error: expected one of `adamw`, `sgd`, found string `AdamW`
 --> run.toml:3:22
  |
3 | training.optimizer = 'AdamW'
  |                      ^^^^^^^
  = key: toy.training.optimizer
help: did you mean `adamw`?

error: unknown key `lr` in `toy`
 --> run.toml:4:1
  |
4 | lr = 1
  | ^^
  = key: toy.lr
help: known keys: `training`, `data`",
    );
    let today = Case::new("[toy]\nschema_version = 3\ntraining.base_lr = 1\n");
    assert_eq!(today.section(), json!({"training": {"base_lr": 1}}));
    assert_eq!(today.warnings(), [""; 0]);
    reads(
        &Case::new("[toy]\nschema_version = 4\nnew = 1\n").errors(),
        "error: section `toy` is of version 4, and plugin `toys` knows version 3
 --> run.toml:2:18
  |
2 | schema_version = 4
  |                  ^
  = key: toy.schema_version
help: use a newer plugin `toys`, or write the section in its version 3",
    );
    reads(
        &Case::new("[toy]\nschema_version = 'one'\n").errors(),
        "error: expected the number of a version, as 1, found string `one`
 --> run.toml:2:18
  |
2 | schema_version = 'one'
  |                  ^^^^^
  = key: toy.schema_version",
    );
    reads(
        &Case::new("schema_version = 1\n[toy]\n").errors(),
        "error: `schema_version` is a key of a section, not of a file
 --> run.toml:1:1
  |
1 | schema_version = 1
  | ^^^^^^^^^^^^^^
  = key: schema_version",
    );
}

/// Compares word for word.
fn reads(text: &str, expected: &str) {
    assert_eq!(text, expected, "\n--- is:\n{text}\n");
}

#[test]
fn old_and_new_key_together_are_refused_with_both_places() {
    reads(&Case::new("[toy.training]\nbase_lr = 1\nlr = 2\n").errors(), "error: `training.lr` in `run.toml:3` and `training.base_lr` in `run.toml:2` are one setting
 --> run.toml:3:1
  |
3 | lr = 2
  | ^^
  = key: toy.training.base_lr
help: remove `training.lr`: it is the earlier name of `training.base_lr`");
    reads(&Case::new("[toy]\ntrain.min_lr = 1\ntraining.min_lr = 2\n").errors(), "error: `train.min_lr` in `run.toml:2` and `training.min_lr` in `run.toml:3` are one setting
 --> run.toml:2:7
  |
2 | train.min_lr = 1
  |       ^^^^^^
  = key: toy.training.min_lr
help: remove `train.min_lr`: it is the earlier name of `training.min_lr`");
}

#[test]
fn a_removed_key_that_meant_something_and_one_never_known_are_refused() {
    reads(
        &Case::new("[toy]\ntrain.norm = 'layer'\n[toy.files]\ncachee = 1\n").errors(),
        "error: `train.norm` is not a setting any more: only `rms` was ever honoured
 --> run.toml:2:14
  |
2 | train.norm = 'layer'
  |              ^^^^^^^
  = key: toy.train.norm
  = found: string `layer`
  = expected: no such key, or `rms`, which changes nothing
help: remove `train.norm`

error: unknown key `cachee` in `toy.files`
 --> run.toml:4:1
  |
4 | cachee = 1
  | ^^^^^^
  = key: toy.files.cachee
help: did you mean `cache`?",
    );
}

#[test]
fn overrides_take_old_keys_too() {
    let case = Case::new("[toy]\n")
        .set("training.lr=1e-3")
        .set("toy.train.optimizer=AdamW")
        .set("files.path=7")
        .set("files.cache=x")
        .set("data.mix-toy.a=1");
    assert_eq!(
        case.section(),
        json!({"training": {"base_lr": 1e-3, "optimizer": "adamw"},
               "data": {"source": "file", "path": "7", "mix": {"a": 1}}})
    );
    assert_eq!(
        case.warnings(),
        [
            "`training.lr` in override 1 is now `training.base_lr`",
            "`train.optimizer` in override 2 is now `training.optimizer`",
            "`train.optimizer` in override 2 is now written `adamw` instead of `AdamW`",
            "`files.path` in override 3 is now `data.path`",
            "`files.cache` in override 4 is not a setting any more, and changes nothing: nothing \
             read it",
            "`data.mix_toy.a` in override 5 is now `data.mix.a`",
        ]
    );
    reads(
        &Case::new("[toy]\n").set("training.norm=layer").errors(),
        "error: `training.norm` is not a setting any more: only `rms` was ever honoured
  --> override 1: training.norm=layer
  = key: toy.training.norm
  = found: string `layer`
  = expected: no such key, or `rms`, which changes nothing
help: remove `training.norm`",
    );
}

#[test]
fn a_base_is_brought_to_today_before_it_is_extended() {
    let case = Case::new("[toy]\nextends = 'base.toml'\ntraining.base_lr = 2\n");
    fs::write(case.dir.path().join("base.toml"), "[toy]\nlr = 1\ntrain.min_lr = 3\n").unwrap();
    assert_eq!(case.section(), json!({"training": {"min_lr": 3, "base_lr": 2}}));
    assert_eq!(case.warnings()[0], "`toy.lr` in `base.toml:2` is now `toy.training.base_lr`");
}

#[test]
fn many_old_keys_of_one_file_do_not_flood() {
    let mut case = Case::new("[toy]\na = 1\nb = 1\nc = 1\nd = 1\ne = 1\nf = 1\ng = 1\n");
    case.catalogue.phases[0].changes = ["a", "b", "c", "d", "e", "f", "g"]
        .map(|key| Change::removed(1, key, "nothing read it"))
        .into();
    let warnings = case.warnings();
    assert_eq!(warnings.len(), 6);
    assert_eq!(
        warnings[5],
        "`run.toml` has 2 more keys of an earlier version; `host config migrate run.toml` shows all"
    );
}

#[test]
fn a_change_that_only_a_newer_host_knows_stops_an_older_section() {
    let mut case = Case::new("[toy]\nschema_version = 1\n");
    let newer = json!({"version": 3, "change": "split"});
    case.catalogue.phases[0].changes.push(serde_json::from_value(newer).unwrap());
    reads(&case.errors(), "error: section `toy` is of version 1, and the way to version 3 of plugin `toys` needs a newer host
 --> run.toml:1:2
  |
1 | [toy]
  |  ^^^
  = key: toy.schema_version
help: update the host, or write the section in version 3 by hand");
    fs::write(case.dir.path().join("run.toml"), "[toy]\n").unwrap();
    assert_eq!(case.section(), json!({}));
}

#[test]
fn stored_sections_come_to_today_with_later_defaults() {
    let old = json!({"schema_version": 1, "train": {"lr": 1.0}, "phase": "toy"});
    assert_eq!(
        stored(&old, "mine", &known()).unwrap(),
        json!({
            "training": {"base_lr": 1.0, "min_lr": 0.0, "optimizer": "adamw", "note": ""},
            "data": {"mix": {}, "source": "", "path": null},
            "phase": "toy"
        })
    );
    let today = json!({"schema_version": 3, "training": {"base_lr": 2.0}});
    let section = stored(&today, "toy", &known()).unwrap();
    assert_eq!(
        (&section["training"]["base_lr"], &section["training"]["min_lr"]),
        (&json!(2.0), &json!(0.0))
    );
    let refused = |section| stored(&section, "toy", &known()).unwrap_err().0[0].message.clone();
    assert_eq!(
        refused(json!({"schema_version": 9})),
        "section `toy` is of version 9, and plugin `toys` knows version 3"
    );
    assert_eq!(
        refused(json!({"training": {"norm": "layer"}})),
        "`training.norm` is not a setting any more: only `rms` was ever honoured"
    );
}
