//! Per-trainer keys of old files: which value counts, and what is said.

use super::Project;

#[test]
fn what_counts_of_a_pipelines_parts_is_told_part_by_part() {
    let parts = Project::new()
        .file(
            "p.json",
            r#"{"training": {"practise": {"seed": 1, "amp": false, "amp_dtype": "fp16"}}}"#,
        )
        .file("t.json", r#"{"global": {"seed": 5, "amp_dtype": "bf16"}, "use_amp": false}"#)
        .file("all.json", r#"{"practise_config_path": "p.json", "try_config_path": "t.json"}"#)
        .config("all.json");
    let plan = parts.plan();
    assert_eq!((plan.global.seed, plan.global.amp_dtype), (5, None));
    parts.warns(&[
        "`training.practise.amp_dtype` in `p.json:1` has no effect: `training.practise.amp` is false in `p.json:1`",
        "`global.amp_dtype` in `t.json:1` has no effect: `use_amp` is false in `t.json:1`",
        "`training.practise.seed` in `p.json:1` is overruled: `global.seed` is 5 from file t.json:1",
        "`training.practise.amp` in `p.json:1` is read as `global.amp_dtype: null`; write it there",
    ]);
    // What the whole says counts before a switch in a part of it.
    let whole = r#"{"global": {"amp_dtype": "bf16"}, "practise_config_path": "p.json", "try_config_path": "t.json"}"#;
    let plan = parts.file("all.json", whole).plan();
    assert_eq!(plan.global.amp_dtype.as_deref(), Some("bfloat16"));
}

#[test]
fn a_type_that_a_phase_cannot_compute_in_is_left_out_for_all_of_them() {
    let file = r#"{"training": {"amp": true, "amp_dtype": "bf16"}}"#;
    let mut project = Project::new()
        .file("p.json", file)
        .file("t.json", file)
        .file("all.json", r#"{"practise_config_path": "p.json", "try_config_path": "t.json"}"#)
        .config("all.json");
    assert_eq!(project.plan().global.amp_dtype.as_deref(), Some("bfloat16"));
    project.catalogue.phases[1].amp_dtypes.clear();
    assert_eq!(project.plan().global.amp_dtype, None);
    project.warns(&[
        "`training.amp` in `p.json:1` is told by `global.amp_dtype` alone; remove it",
        "`training.amp` in `t.json:1` is told by `global.amp_dtype` alone; remove it",
        "`training.amp_dtype` in `p.json:1` has no effect: plugin `toy` can't compute in bfloat16; the run computes in float32, as `global.dtype` says",
        "`training.amp_dtype` in `t.json:1` has no effect: plugin `toy` can't compute in bfloat16; the run computes in float32, as `global.dtype` says",
    ]);
    // A type that is none is a mistake, in old files too.
    Project::with("a.yaml", "amp_dtype: fp8\n").phase("try").fails(
        "error: expected one of `bfloat16`, `float16` or null, found string `fp8`
 --> a.yaml:1:12
  |
1 | amp_dtype: fp8
  |            ^^^
  = key: global.amp_dtype",
    );
}

#[test]
fn a_block_of_another_phase_alone_is_a_file_for_another_run() {
    Project::with("a.json", r#"{"training": {"practise": {}}}"#).phase("try").fails(
        "error: `a.json` has settings of phase `practise`, but phase `try` is asked for
 --> a.json:1:15
  |
1 | {\"training\": {\"practise\": {}}}
  |               ^^^^^^^^^^
  = key: training.practise
help: `--phase practise` runs it",
    );
}
