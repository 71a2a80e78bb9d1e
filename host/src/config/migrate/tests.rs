//! Whole files, before and after, and many small ones in every dress that the formats have.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::upgrade::tests::known;
use super::super::{Catalogue, ConfigErrors, Migration, Request, migrate, resolve};
use super::dresses;

struct Case {
    dir: TempDir,
    file: PathBuf,
    catalogue: Catalogue,
}

impl Case {
    fn new(name: &str, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        let catalogue = Catalogue { phases: vec![known()], ..Catalogue::default() };
        Self { dir, file, catalogue }
    }

    fn migrate(&self) -> Result<Option<Migration>, ConfigErrors> {
        migrate(&self.file, Some("toy"), &self.catalogue)
    }

    fn migrated(&self) -> Migration {
        let migration = self.migrate().unwrap_or_else(|errors| panic!("{errors}"));
        migration.expect("the file is of an old form")
    }

    fn refused(&self) -> String {
        let text = self.migrate().expect_err("it migrates").to_string();
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

#[track_caller]
fn becomes(name: &str, old: &str, new: &str) {
    let case = Case::new(name, old);
    let migration = case.migrated();
    assert_eq!(migration.new, new, "\n--- is:\n{}\n", migration.new);
    fs::write(&case.file, &migration.new).unwrap();
    let again = case.migrate().unwrap_or_else(|errors| panic!("{errors}"));
    assert!(again.is_none(), "not of today's form: {again:?}");
}

#[test]
fn json_keeps_order_numbers_and_lines() {
    becomes(
        "a.json",
        r#"{
    "$schema": "x.json",
    "training": {"toy": {"lr": 0.00003, "optimizer": "AdamW", "seed": 7}},

    "data": {
        "mix_toy": {"a": 0.50, "b": 5e-1},
        "source": "x"
    },
    "files": {"cache": "y"}
}"#,
        r#"{
    "$schema": "x.json",

    "global": {
        "seed": 7
    },

    "toy": {
        "training": {
            "base_lr": 0.00003,
            "optimizer": "adamw"
        },

        "data": {
            "mix": {"a": 0.50, "b": 5e-1},
            "source": "x"
        }
    }
}
"#,
    );
}

#[test]
fn yaml_keeps_comments_where_they_belong() {
    becomes(
        "a.yaml",
        "\
# the file

global:   # shared
  dtype: fp32   # as ever
train:
  # how fast
  lr: 1.0e-3   # measured
  optimizer: AdamW
  norm: rms   # only one

  note: |
    # no comment

    text
# where from
files: {path: 'a b', cache: x}   # disk
seed: 7   # luck
",
        "\
# the file

global:   # shared
  dtype: float32  # as ever
  seed: 7   # luck

toy:
  training:
    # how fast
    base_lr: 1.0e-3   # measured
    optimizer: adamw
    # left out by `host config migrate`: `train.norm`: only `rms` was ever honoured
    # norm: rms   # only one

    note: |
      # no comment

      text
  data:
    source: file
    # where from
    path: 'a b'  # disk
# left out by `host config migrate`: `files.cache`: nothing read it
# files.cache: \"x\"
",
    );
}

#[test]
fn toml_keeps_headers_comments_and_spelling() {
    becomes(
        "a.toml",
        "\
#:schema x.json
# flat
seed = 0x2A # luck

[train] # learning
lr = 3e-05 # small
# why
norm = 'rms'
'min_lr' = 1_0.0

[files]
path = '''
a#b''' # disk
# end
",
        "\
#:schema x.json

[global]
# flat
seed = 0x2A # luck

[toy.training]  # learning
base_lr = 3e-05 # small
# why
# left out by `host config migrate`: `train.norm`: only `rms` was ever honoured
# norm = 'rms'
'min_lr' = 1_0.0

[toy.data]
source = \"file\"
path = '''
a#b''' # disk
# end
",
    );
}

#[test]
fn aliases_are_written_out() {
    let old = "base: &b {lr: 1}\ntrain: *b\n";
    assert!(Case::new("a.yaml", old).refused().contains("unknown key `base`"));
    let old = "train: &t\n  lr: 1   # one\n  min_lr: &m 2\ndata: {mix_toy: {a: *m}}\n";
    let new =
        "toy:\n  training:\n    base_lr: 1   # one\n    min_lr: 2\n  data:\n    mix: {\"a\": 2}\n";
    becomes("a.yaml", old, new);
    let migration = Case::new("a.yaml", old).migrated();
    assert_eq!(migration.remarks, ["anchors, aliases and merge keys are written out"]);
}

#[test]
fn a_stated_version_is_kept_up_and_none_is_added() {
    becomes(
        "a.toml",
        "[toy]\nschema_version = 1 # old\ntrain.lr = 1\n",
        "[toy]\nschema_version = 3  # old\ntraining.base_lr = 1\n",
    );
    let case = Case::new("a.toml", "[toy]\nschema_version = 1\n");
    assert_eq!(case.migrated().done, ["`toy.schema_version` is now 3 instead of 1"]);
    assert!(Case::new("a.toml", "[toy]\nschema_version = 3\n").migrate().unwrap().is_none());
}

#[test]
fn what_is_done_and_left_out_is_told_key_by_key() {
    let text = "{\"training\": {\"toy\": {\"lr\": 1, \"amp\": false, \"amp_dtype\": \"fp16\"}, \"other\": {\"x\": 1}},
 \"global\": {\"seed\": 1}, \"seed\": 2, \"train\": {\"norm\": \"rms\"}}";
    let migration = Case::new("a.json", text).migrated();
    assert_eq!(
        migration.done,
        [
            "all settings are in section `toy` now",
            "`training.toy` is now `toy.training`",
            "`training.lr` is now `toy.training.base_lr`",
            "`training.toy.amp` is now `global.amp_dtype`: null",
        ]
    );
    assert_eq!(
        migration.gone,
        [
            "`training.toy.amp_dtype` (\"fp16\"): mixed precision is switched off beside it",
            "`training.other` ({\"x\": 1}): the file is of phase `toy` alone",
            "`seed` (2): `global.seed` is 1",
            "`train.norm` (\"rms\"): only `rms` was ever honoured",
        ]
    );
}

#[test]
fn a_switch_takes_the_place_of_the_type_that_it_switches_off() {
    becomes(
        "a.yaml",
        "global: {seed: 1, amp_dtype: bf16}\ntrain:\n  lr: 1\n  use_amp: false   # off\n  amp_dtype: fp16\n",
        "\
global:
  seed: 1
  amp_dtype: null  # off
toy:
  # left out by `host config migrate`: `global.amp_dtype`: `train.use_amp` switches it off
  # global.amp_dtype: \"bf16\"
  training:
    base_lr: 1
# left out by `host config migrate`: `train.amp_dtype`: mixed precision is switched off beside it
# amp_dtype: fp16
",
    );
}

#[test]
fn faulty_files_are_left_alone() {
    let faulty = [
        "{\"trainin\": 1}",
        "{\"training\": {\"lr\": 1, \"base_lr\": 2}}",
        "{\"train\": {\"norm\": \"layer\"}}",
        "{\"training\": {\"base_lr\": \"x\"}}",
    ];
    let firsts = faulty.map(|text| {
        Case::new("a.json", text).refused().lines().next().unwrap_or_default().to_owned()
    });
    assert_eq!(
        firsts,
        [
            "error: unknown key `trainin` in `toy`",
            "error: `training.lr` in `a.json:1` and `training.base_lr` in `a.json:1` are one setting",
            "error: `train.norm` is not a setting any more: only `rms` was ever honoured",
            "error: expected a number, found string `x`",
        ]
    );
}

/// What is wrong in none of them is checked by the migration itself: values, comments, what both
/// resolve to.
#[test]
fn files_in_every_dress_migrate_without_loss_and_only_once() {
    let mut migrated = 0;
    for (name, write) in dresses::WRITERS {
        for seed in 0..150 {
            let text = write(seed);
            let case = Case::new(name, &text);
            let migration = match case.migrate() {
                Ok(migration) => migration,
                Err(errors) => panic!("{name} {seed}: {errors}\n--- old\n{text}"),
            };
            let Some(migration) = migration else { continue };
            migrated += 1;
            fs::write(&case.file, &migration.new).unwrap();
            match case.migrate() {
                Ok(None) => {}
                Ok(Some(again)) => panic!(
                    "{name} {seed}: twice: {:?} {:?}\n--- old\n{text}\n--- new\n{}",
                    again.done, again.gone, migration.new
                ),
                Err(errors) => {
                    panic!("{name} {seed}: {errors}\n--- old\n{text}\n--- new\n{}", migration.new)
                }
            }
            let request = Request { file: Some(case.file.clone()), ..Request::default() };
            let plan =
                resolve(&request, &case.catalogue).unwrap_or_else(|errors| panic!("{errors}"));
            assert_eq!(plan.warnings, [""; 0], "{name} {seed}");
        }
    }
    assert!(migrated > 400, "only {migrated} files were of an old form");
}
