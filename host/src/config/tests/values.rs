//! Faults from several places at once, and the shared settings. Those of single keys and values
//! stand in `cases/`.

use serde_json::json;

use super::Project;
use crate::config::{Global, resolve};

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
help: write `1e-4`, without quotes

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

error: expected a string that is not empty, found an empty string
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
