//! Faults of keys and values: whole messages, in every format and from every place.

use serde_json::json;

use super::Project;
use crate::config::{Global, resolve};

const UNKNOWN: &str = "error: unknown key `wramup_steps` in `try.training`";

#[test]
fn unknown_key_in_toml() {
    Project::with("a.toml", "[try.training]\ntotal_steps = 5\nwramup_steps = 60\n").fails(
        &format!(
            "{UNKNOWN}
 --> a.toml:3:1
  |
3 | wramup_steps = 60
  | ^^^^^^^^^^^^
  = key: try.training.wramup_steps
help: did you mean `warmup_steps`?"
        ),
    );
}

#[test]
fn unknown_key_in_yaml() {
    Project::with("a.yaml", "try:\n  training:\n    wramup_steps: 60\n").fails(&format!(
        "{UNKNOWN}
 --> a.yaml:3:5
  |
3 |     wramup_steps: 60
  |     ^^^^^^^^^^^^
  = key: try.training.wramup_steps
help: did you mean `warmup_steps`?"
    ));
}

#[test]
fn unknown_key_in_json() {
    Project::with("a.json", "{\"try\": {\"training\":\n\t{\"ä\\\"\": 1, \"wramup_steps\": [60, {}]}}}").fails(
        &("error: unknown key `ä\"` in `try.training`
 --> a.json:2:3
  |
2 | \t{\"ä\\\"\": 1, \"wramup_steps\": [60, {}]}}}
  | \t ^^^^^
  = key: try.training.ä\"
help: known keys: `total_steps`, `warmup_steps`, `base_lr`, `betas`, `eval_batches`, `optimizer`, `keep`, `save_best`, `note`

"
        .to_owned()
            + UNKNOWN
            + "
 --> a.json:2:13
  |
2 | \t{\"ä\\\"\": 1, \"wramup_steps\": [60, {}]}}}
  | \t           ^^^^^^^^^^^^^^
  = key: try.training.wramup_steps
help: did you mean `warmup_steps`?"),
    );
}

#[test]
fn a_key_that_belongs_elsewhere_says_where() {
    Project::with("a.toml", "[try]\ntotal_steps = 5\nseed = 3\n").fails(
        "error: unknown key `total_steps` in `try`
 --> a.toml:2:1
  |
2 | total_steps = 5
  | ^^^^^^^^^^^
  = key: try.total_steps
help: `total_steps` belongs under `try.training`

error: unknown key `seed` in `try`
 --> a.toml:3:1
  |
3 | seed = 3
  | ^^^^
  = key: try.seed
help: `seed` belongs under `global`",
    );
}

#[test]
fn wrong_values_say_what_is_expected() {
    let text = "\
[try.training]
total_steps = 0
warmup_steps = 'many'
betas = [0.9]
eval_batches = 1.5
optimizer = 'adam'
keep = 0
save_best = 'yes'
note = 3
";
    Project::with("a.toml", text).fails(
        "error: expected at least 1, found 0
 --> a.toml:2:15
  |
2 | total_steps = 0
  |               ^
  = key: try.training.total_steps

error: expected an integer, found string `many`
 --> a.toml:3:16
  |
3 | warmup_steps = 'many'
  |                ^^^^^^
  = key: try.training.warmup_steps

error: expected a list of 2 items, found 1
 --> a.toml:4:9
  |
4 | betas = [0.9]
  |         ^^^^^
  = key: try.training.betas

error: expected an integer or null, found `1.5`
 --> a.toml:5:16
  |
5 | eval_batches = 1.5
  |                ^^^
  = key: try.training.eval_batches

error: expected one of `adamw`, `sgd`, found string `adam`
 --> a.toml:6:13
  |
6 | optimizer = 'adam'
  |             ^^^^^^
  = key: try.training.optimizer
help: did you mean `adamw`?

error: expected more than 0, found 0
 --> a.toml:7:8
  |
7 | keep = 0
  |        ^
  = key: try.training.keep

error: expected true or false, found string `yes`
 --> a.toml:8:13
  |
8 | save_best = 'yes'
  |             ^^^^^
  = key: try.training.save_best
help: write `true`, without quotes

error: expected a string, found `3`
 --> a.toml:9:8
  |
9 | note = 3
  |        ^
  = key: try.training.note",
    );
}

#[test]
fn faults_inside_optional_and_tagged_mappings_are_found() {
    let text = "\
try:
  tokenizer:
    vocab_size: x
    pfad: a
  loss: {kind: focl, gamma: 1}
";
    Project::with("a.yaml", text).fails(
        "error: missing key `path` in `try.tokenizer`
 --> a.yaml:2:3
  |
2 |   tokenizer:
  |   ^^^^^^^^^
  = key: try.tokenizer.path
  = expected: a string

error: expected an integer or null, found string `x`
 --> a.yaml:3:17
  |
3 |     vocab_size: x
  |                 ^
  = key: try.tokenizer.vocab_size

error: unknown key `pfad` in `try.tokenizer`
 --> a.yaml:4:5
  |
4 |     pfad: a
  |     ^^^^
  = key: try.tokenizer.pfad
help: known keys: `path`, `vocab_size`

error: expected one of `plain`, `focal`, found string `focl`
 --> a.yaml:5:16
  |
5 |   loss: {kind: focl, gamma: 1}
  |                ^^^^
  = key: try.loss.kind
help: did you mean `focal`?",
    );
    Project::with("a.yaml", "try:\n  loss: {kind: focal, scale: 1}\n").fails(
        "error: missing key `gamma` in `try.loss`
 --> a.yaml:2:3
  |
2 |   loss: {kind: focal, scale: 1}
  |   ^^^^
  = key: try.loss.gamma
  = expected: a number

error: unknown key `scale` in `try.loss`
 --> a.yaml:2:23
  |
2 |   loss: {kind: focal, scale: 1}
  |                       ^^^^^
  = key: try.loss.scale
help: known keys: `kind`, `gamma`",
    );
}

#[test]
fn a_misspelt_required_key_is_one_fault() {
    Project::with("a.toml", "[try.tokenizer]\npahts = 'x'\npaht = 'x'\n")
        .set("try.tokenizer.pahts=null")
        .fails(
            "error: unknown key `paht` in `try.tokenizer`
 --> a.toml:3:1
  |
3 | paht = 'x'
  | ^^^^
  = key: try.tokenizer.paht
help: did you mean `path`?

error: unknown key `pahts` in `try.tokenizer`
  --> override 1: try.tokenizer.pahts=null
  = key: try.tokenizer.pahts
help: known keys: `path`, `vocab_size`",
        );
}

#[test]
fn all_phases_and_inputs_are_checked_in_one_go() {
    let text = "phases = ['practise', 'try']\n[global]\ndtype = 'fp8'\n[practise.training]\nsteps = 1\n[try.training]\nbase_lr = '1e-4'\n";
    let project = Project::with("a.toml", text)
        .set("try.trainig.x=3")
        .set("tyr.training.note=1")
        .variable("HOST_DEVICE", "tpu");
    project.fails(
        "error: unknown phase `tyr` in an override's key
  --> override 2: tyr.training.note=1
  = key: tyr.training.note
  = expected: a key that begins with one of `practise`, `try`, `global`
help: did you mean `try`?

error: expected one of `float32`, `bfloat16`, `float16`, `float64`, found string `fp8`
 --> a.toml:3:9
  |
3 | dtype = 'fp8'
  |         ^^^^^
  = key: global.dtype

error: expected `auto`, `cpu`, `cuda` or `cuda:N`, found string `tpu`
  --> environment HOST_DEVICE=tpu
  = key: global.device

error: unknown key `steps` in `practise.training`
 --> a.toml:5:1
  |
5 | steps = 1
  | ^^^^^
  = key: practise.training.steps
help: known keys: `total_steps`, `warmup_steps`, `base_lr`, `betas`, `eval_batches`, `optimizer`, `keep`, `save_best`, `note`

error: expected a number, found string `1e-4`
 --> a.toml:7:11
  |
7 | base_lr = '1e-4'
  |           ^^^^^^
  = key: try.training.base_lr

error: unknown key `trainig` in `try`
  --> override 1: try.trainig.x=3
  = key: try.trainig
help: did you mean `training`?",
    );
    let errors = resolve(&project.request, &project.catalogue).unwrap_err();
    assert!(errors.to_string().ends_with("\n\nerror: 6 configuration errors; nothing was started"));
}

#[test]
fn global_values_are_checked_and_spelled_one_way() {
    let text = "[try]
[global]
run_name = 'a/b'
output_dir = ''
amp_dtype = 'fp8'
deterministic = 'false'
max_steps = 0
seed = 18446744073709551615
";
    Project::with("a.toml", text).flag("--device", "global.device", json!("cuda:x")).fails(
        "error: expected up to 100 letters, digits, `.`, `_` or `-`, found string `a/b`
 --> a.toml:3:12
  |
3 | run_name = 'a/b'
  |            ^^^^^
  = key: global.run_name

error: expected a string that is not empty, found string ``
 --> a.toml:4:14
  |
4 | output_dir = ''
  |              ^^
  = key: global.output_dir

error: expected one of `bfloat16`, `float16` or null, found string `fp8`
 --> a.toml:5:13
  |
5 | amp_dtype = 'fp8'
  |             ^^^^^
  = key: global.amp_dtype

error: expected true or false, found string `false`
 --> a.toml:6:17
  |
6 | deterministic = 'false'
  |                 ^^^^^^^
  = key: global.deterministic
help: write `false`, without quotes

error: expected at least 1, found 0
 --> a.toml:7:13
  |
7 | max_steps = 0
  |             ^
  = key: global.max_steps

error: expected `auto`, `cpu`, `cuda` or `cuda:N`, found string `cuda:x`
  --> flag --device cuda:x
  = key: global.device",
    );
    let plan = Project::with(
        "a.toml",
        "[try]\n[global]\ndtype = 'BF16'\namp_dtype = 'fp32'\ndevice = 'CUDA:1'\n",
    )
    .plan();
    assert_eq!(
        plan.global,
        Global { dtype: "bfloat16".into(), device: "cuda:1".into(), ..Global::default() }
    );
    let plan = Project::with("a.yaml", "try:\n").plan();
    assert_eq!(plan.global, Global::default());
}

#[test]
fn yaml_aliases_are_reported_where_they_are_used() {
    let text = "phases: [practise]\npractise: {training: &t {total_steps: 1}, data: *t}\n";
    Project::with("a.yaml", text).fails(
        "error: unknown key `total_steps` in `practise.data`
 --> a.yaml:2:49
  |
2 | practise: {training: &t {total_steps: 1}, data: *t}
  |                                                 ^^
  = key: practise.data.total_steps
help: `total_steps` belongs under `practise.training`",
    );
}
