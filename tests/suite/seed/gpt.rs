//! Every configuration of the language models' system, in its own shape.

use insta::assert_snapshot;
use serde_json::{Value, json};
use tests::{Installation, Output, Project, read_json};

use super::files::{GUIDE, HEAD};
use super::tree::{Age, in_todays_names, resolved, tree};
use super::{leaves, same};

/// A project with all files of a commit where that system had them.
fn project(age: Age) -> Project {
    let project = Project::with(Installation::dynamic());
    for (name, text) in files(age) {
        project.write(&format!("configs/{name}.json"), text);
    }
    project
}

fn files(age: Age) -> &'static [(&'static str, &'static str)] {
    match age {
        Age::Guide => &GUIDE,
        Age::Head => &HEAD,
    }
}

fn text(age: Age, name: &str) -> Value {
    let found = files(age).iter().find(|(known, _)| *known == name);
    serde_json::from_str(found.expect("the file is there").1).expect("the files are JSON")
}

fn phase_of(name: &str) -> &'static str {
    match name {
        _ if name.starts_with("pipeline") => "pipeline",
        _ if name.contains("sft") => "sft",
        _ => "pretrain",
    }
}

fn config(project: &Project, what: &[&str], name: &str, more: &[&str]) -> Output {
    let file = format!("configs/{name}.json");
    let selection = ["--config", &file, "--phase", phase_of(name)];
    project.host([&["config"], what, &selection[..], more].concat())
}

/// Dotted keys of all errors.
fn refused(project: &Project, name: &str) -> Vec<String> {
    let output = config(project, &["validate", "--json"], name, &[]).expect(2).json();
    let errors = output["errors"].as_array().expect("errors are a list").iter();
    errors.map(|error| error["key"].as_str().unwrap_or("").to_owned()).collect()
}

/// Settings that are others today on purpose, and only where a file says nothing of them: the key,
/// what it was, what it is. `_` stands for no such key.
///
/// * The default mixes held somebody's private notes, and needed the network; today's default is the
///   built-in world, evaluated on itself. Without a tokenizer's file the tokens are bytes.
/// * The end of an answer is learned, as that system did at last whatever the key said.
/// * `best_metric` was never read; `null` chooses by the phase's own loss, which its default named.
/// * Fine-tuning measured a text corpus too, whether or not one was there; now if `pretrain_val` says.
/// * The defaults of fine-tuning are those of the last commit.
/// * The last ones are keys of today with nothing in their place.
const ON_PURPOSE: &str = r#"
pretrain.data.cache_dir: "data/cache/pretrain" -> null
pretrain.data.mix: {"fineweb_edu":0.7,"roam":0.1,"wikitext":0.2} -> {"world":1.0}
pretrain.data.sources: _ -> {"world":{"documents":20000,"kind":"world"}}
pretrain.data.val_source: "wikitext" -> null
pretrain.tokenizer: {"path":"artifacts/tokenizer/v2/spm.model"} -> {"kind":"byte"}
pretrain.training.best_metric: "pretrain_val_loss" -> null
sft.data.cache_dir: "data/cache/sft" -> null
sft.data.include_eot_in_loss: false -> true
sft.data.val_source: "sft" -> null
sft.data.val_source: "wikitext" -> null
sft.tokenizer: {"path":"artifacts/tokenizer/v2/spm.model"} -> null
sft.training.best_metric: "sft_val_loss" -> null
sft.training.total_steps: 6000 -> 1889
sft.training.warmup_steps: 120 -> 189
sft.data.pack: _ -> true
sft.data.pretrain_val: _ -> null
sft.data.sources: _ -> {"world":{"documents":20000,"kind":"world"}}
sft.data.chat_template: _ -> null
sft.data.system: _ -> null
"#;

/// Values that are compared as they stand.
const WHOLE: [&str; 6] = [
    "pretrain.data.mix",
    "pretrain.data.sources",
    "pretrain.tokenizer",
    "sft.data.mix",
    "sft.data.sources",
    "sft.tokenizer",
];

/// `key: then -> now` for each setting that is another one.
fn differences(then: &Value, now: &Value) -> Vec<String> {
    let (then, now) = (leaves(then, &WHOLE), leaves(now, &WHOLE));
    let of = |all: &[(String, Value)], key: &str| {
        all.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = then.iter().chain(&now).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    let line = |key: &String| {
        let (then, now) = (of(&then, key), of(&now, key));
        let is_same = matches!((&then, &now), (Some(then), Some(now)) if same(then, now));
        (!is_same).then(|| format!("{key}: {} -> {}", shown(then), shown(now)))
    };
    keys.into_iter().filter_map(line).collect()
}

/// A value with the keys of mappings in alphabetical order.
fn shown(value: Option<Value>) -> String {
    let Some(mut value) = value else { return "_".to_owned() };
    value.sort_all_objects();
    value.to_string()
}

/// Of the resolved settings those that the file's system had.
fn now(output: &Output, phase: &str) -> Value {
    let settings = output.json();
    let global = &settings["global"];
    let global = json!({"seed": global["seed"], "amp_dtype": global["amp_dtype"]});
    json!({"global": global, phase: settings[phase]})
}

/// Every difference is one on purpose, and each of those shows where the file says nothing of it.
#[track_caller]
fn assert_as_then(age: Age, phase: &str, file: &Value, output: &Output) {
    let then = in_todays_names(&resolved(age, file), phase);
    let stated = leaves(&in_todays_names(file, phase), &WHOLE);
    let is_open = |line: &&str| {
        let (key, change) = line.split_once(": ").unwrap();
        let was = change.split_once(" -> ").unwrap().0;
        let then = leaves(&then, &WHOLE).into_iter().find(|(known, _)| known == key);
        let then = shown(then.map(|(_, value)| value));
        key.starts_with(phase)
            && was == then
            && !stated.iter().any(|(known, value)| known == key && !value.is_null())
    };
    let mut expected: Vec<&str> = ON_PURPOSE.trim().lines().filter(is_open).collect();
    expected.sort_unstable();
    assert_eq!(differences(&then, &now(output, phase)), expected, "{age:?}: {file}");
}

#[test]
fn values_are_those_that_the_files_always_had() {
    let resolving = [
        (Age::Guide, "dev-sft minimal-pretrain prod-pretrain prod-sft smoke-pretrain"),
        (
            Age::Head,
            "debug-pretrain-noamp debug-pretrain-safe dev-sft exp-t1024-nocp exp-t512-cp \
             exp-t512-nocp minimal-pretrain prod-pretrain prod-sft smoke-debug-fp16 smoke-debug \
             smoke-pretrain",
        ),
    ];
    for (age, names) in resolving {
        let project = project(age);
        for name in names.split_whitespace() {
            let output = config(&project, &["resolve", "--format", "json"], name, &[]).expect(0);
            assert_as_then(age, phase_of(name), &text(age, name), &output);
        }
    }
}

#[test]
fn both_parts_of_a_pipeline_have_the_values_that_they_have_alone() {
    for age in [Age::Guide, Age::Head] {
        let project = project(age);
        let resolve = ["resolve", "--format", "json"];
        let output = config(&project, &resolve, "pipeline-prod", &[]).expect(0);
        assert_eq!(output.json()["phases"], json!(["pretrain", "sft"]));
        assert_as_then(age, "pretrain", &text(age, "prod-pretrain"), &output);
        assert_as_then(age, "sft", &text(age, "prod-sft"), &output);
    }
}

/// The mixes of two files name what never was a source; the others are wrong in ways that showed late.
#[test]
fn what_is_refused_is_refused_for_the_key_that_is_wrong() {
    let mix = ["primer", "wiki", "roam"].map(|source| format!("pretrain.data.mix.{source}"));
    let sizes = ["T", "C", "L", "H", "d_ff"].map(|size| format!("sft.model.{size}"));
    for age in [Age::Guide, Age::Head] {
        let project = project(age);
        assert_eq!(refused(&project, "dev-pretrain"), mix);
        assert_eq!(refused(&project, "pipeline-dev"), [&mix[..], &sizes].concat());
        for name in ["minimal-sft", "pipeline"] {
            assert_eq!(refused(&project, name), ["sft.data.mix.dolly"]);
        }
        assert_eq!(refused(&project, "smoke-sft"), ["sft.training.warmup_steps"]);
    }
}

/// With its mix mended a file has the values that it always had.
#[test]
fn a_mended_mix_is_all_that_was_wrong() {
    let resolve = ["resolve", "--format", "json"];
    for age in [Age::Guide, Age::Head] {
        let project = project(age);
        let mended = text(age, "minimal-sft").to_string().replace("dolly", "dolly15k");
        project.write("configs/mended-sft.json", &mended);
        let output = config(&project, &resolve, "mended-sft", &[]).expect(0);
        assert_as_then(age, "sft", &serde_json::from_str(&mended).unwrap(), &output);

        let mut mended = text(age, "dev-pretrain");
        mended["data"]["mix_pretrain"] = json!({"wikitext": 1.0});
        project.write("configs/mended-pretrain.json", mended.to_string());
        let output = config(&project, &resolve, "mended-pretrain", &[]).expect(0);
        assert_as_then(age, "pretrain", &mended, &output);
    }
}

#[test]
fn a_mix_of_unknown_sources_is_shown_with_the_names_that_were_meant() {
    let project = project(Age::Head);
    // The notes are somebody's own; with them there is one fault less.
    project.write(".roam-data/note.md", "a note");
    assert_snapshot!(config(&project, &["validate"], "dev-pretrain", &[]), @r#"
    exit: 2
    ----- stderr
    error: the mix names `primer`, which is no source
     --> configs/dev-pretrain.json:7:71
      |
    7 |       "data": {"mix_pretrain": {"wiki": 0.72, "roam": 0.18, "primer": 0.10}}}
      |                                                                       ^^^^
      = key: pretrain.data.mix.primer
    help: known sources: `world`, `fineweb_edu`, `gutenberg`, `roam`, `wikitext`; add it to `data.sources`

    error: the mix names `wiki`, which is no source
     --> configs/dev-pretrain.json:7:41
      |
    7 |       "data": {"mix_pretrain": {"wiki": 0.72, "roam": 0.18, "primer": 0.10}}}
      |                                         ^^^^
      = key: pretrain.data.mix.wiki
    help: did you mean `wikitext`? if not, add `wiki` to `data.sources`

    error: 2 configuration errors; nothing was started
    "#);
    assert_snapshot!(config(&project, &["validate"], "minimal-sft", &[]), @r#"
    exit: 2
    ----- stderr
    error: the mix names `dolly`, which is no source
     --> configs/minimal-sft.json:4:37
      |
    4 |       "data": {"mix_sft": {"dolly": 0.6, "oasst1": 0.4}}}
      |                                     ^^^
      = key: sft.data.mix.dolly
    help: did you mean `dolly15k`? if not, add `dolly` to `data.sources`

    error: 1 configuration error; nothing was started
    "#);
}

#[test]
fn smoke_pretrain_runs_in_its_own_shape() {
    let project = project(Age::Guide);
    let args = ["run", "--config", "configs/smoke-pretrain.json", "--phase", "pretrain"];
    let output = project.host([&args[..], &["--progress", "plain"]].concat()).expect(0);
    assert!(output.stderr.contains("source `world`: 20000 to train on"), "{output}");
    assert!(output.stderr.contains("step 2/2"), "{output}");
    let settings = read_json(&project.last_run().join("resolved_settings.json"));
    let origin = |section: &str, key: &str| settings["origins"][section][key].clone();
    let line_2 = |key: &str| format!("file configs/smoke-pretrain.json:2, as `{key}`");
    assert_eq!(origin("global", "seed"), line_2("training.pretrain.seed"));
    let steps = origin("pretrain", "training.total_steps");
    assert_eq!(steps, line_2("training.pretrain.total_steps"));
    assert_eq!(origin("pretrain", "data.mix.world"), "default of plugin pretrain");
}

/// The part leaves the model out: it is that of the pretraining before it.
#[test]
fn a_pipeline_of_two_smoke_files_runs() {
    let project = project(Age::Head);
    project.write(
        "configs/both.json",
        r#"{"pretrain_config_path": "configs/smoke-pretrain.json",
            "sft_config_path": "configs/smoke-sft.json"}"#,
    );
    let args = ["run", "--config", "configs/both.json", "--phase", "pipeline"];
    let output = project.host([&args[..], &["sft.training.warmup_steps=1"]].concat()).expect(0);
    assert!(output.stdout.contains("sft       2 steps"), "{output}");
}

/// That system left half precision out on a CPU without a word.
#[test]
fn mixed_precision_of_an_old_file_is_left_out_where_it_cannot_be_had() {
    let project = project(Age::Guide);
    let amp = |output: &Output| output.json()["global"]["amp_dtype"].clone();
    for name in ["prod-pretrain", "pipeline-prod"] {
        let output = config(&project, &["resolve", "--format", "json"], name, &[]).expect(0);
        assert_eq!(amp(&output), Value::Null);
        let told = "has no effect: plugin `pretrain` can't compute in float16; \
                    the run computes in float32, as `global.dtype` says";
        assert!(output.stderr.contains(told), "{output}");
    }
    // A type that the trainers can compute in is taken.
    let set = ["--set", "global.amp_dtype=bf16"];
    let output = config(&project, &["resolve", "--format", "json"], "prod-pretrain", &set);
    assert_eq!(amp(&output.expect(0)), "bfloat16");
    let old = text(Age::Guide, "prod-pretrain").to_string().replace("fp16", "bf16");
    project.write("configs/bf16-pretrain.json", old);
    let output = config(&project, &["resolve", "--format", "json"], "bf16-pretrain", &[]);
    assert_eq!(amp(&output.expect(0)), "bfloat16");
}

/// What is asked for today is not left out silently, nor with a warning.
#[test]
fn mixed_precision_that_is_asked_for_today_is_refused_where_it_cannot_be_had() {
    let project = project(Age::Guide);
    let set = ["--set", "global.amp_dtype=fp16"];
    assert_snapshot!(config(&project, &["validate"], "prod-pretrain", &set), @"
    exit: 2
    ----- stderr
    error: plugin `pretrain` can't compute in mixed precision `float16`
      --> override 1: global.amp_dtype=fp16
      = key: global.amp_dtype
    help: it can compute in `bfloat16`; null switches mixed precision off

    error: 1 configuration error; nothing was started
    ");
    let stated = text(Age::Guide, "prod-pretrain").to_string();
    let stated = stated.replacen('{', r#"{"global": {"amp_dtype": "fp16"}, "#, 1);
    project.write("configs/stated-pretrain.json", stated);
    assert_eq!(refused(&project, "stated-pretrain"), ["global.amp_dtype"]);
    let args = ["config", "validate", "--config", "configs/prod-pretrain.json", "--phase"];
    let mut command = project.command([&args[..], &["pretrain"]].concat());
    command.env("HOST_AMP_DTYPE", "fp16");
    project.spawn(command).finish().expect(2);
}

#[test]
fn a_file_of_another_phase_is_refused() {
    let project = project(Age::Head);
    let args = ["run", "--config", "configs/smoke-sft.json", "--phase", "pretrain"];
    assert_snapshot!(project.host(args), @r#"
    exit: 2
    ----- stderr
    error: `configs/smoke-sft.json` has settings of phase `sft`, but phase `pretrain` is asked for
     --> configs/smoke-sft.json:1:15
      |
    1 | {"training": {"sft": {"seed": 42, "micro_B": 16, "total_steps": 2, "eval_every": 2,
      |               ^^^^^
      = key: training.sft
    help: `--phase sft` runs it

    error: 1 configuration error; nothing was started
    "#);
}

/// Where a key of an old file may also be written, it may be written in its old spelling.
#[test]
fn overrides_and_variables_go_over_what_an_old_file_says() {
    let project = project(Age::Head);
    let args = ["config", "resolve", "--format", "json", "--phase", "pretrain", "--config"];
    let args = [&args[..], &["configs/smoke-pretrain.json"]].concat();
    let sets = [
        "training.pretrain.total_steps=5",
        "training.accum_steps=3",
        r#"data.mix_pretrain={"roam": 0.5, "world": 0.5}"#,
        r#"data.mix={"world": 1}"#,
        "sft_format.ban_role_tokens_during_generation=false",
    ];
    let mut command = project.command([&args[..], &sets].concat());
    command.env("HOST_SEED", "7");
    let output = project.spawn(command).finish().expect(0);
    let settings = output.json();
    let training = &settings["pretrain"]["training"];
    assert_eq!((&training["total_steps"], &training["accum_steps"]), (&json!(5), &json!(3)));
    assert_eq!(settings["pretrain"]["data"]["mix"], json!({"world": 1.0}));
    assert_eq!(settings["pretrain"]["generation"]["ban_role_tokens"], json!(false));
    assert_eq!(settings["global"]["seed"], json!(7));
    assert_snapshot!(output.stderr.trim_end(), @"
    warning: `training.pretrain.amp_dtype` in `configs/smoke-pretrain.json:5` has no effect: `training.pretrain.amp` is false in `configs/smoke-pretrain.json:5`
    warning: `training.pretrain.seed` in `configs/smoke-pretrain.json:2` is overruled: `global.seed` is 7 from environment HOST_SEED
    warning: `training.pretrain.amp` in `configs/smoke-pretrain.json:5` is read as `global.amp_dtype: null`; write it there
    warning: `training.pretrain.total_steps` in override 1 is now `training.total_steps`
    warning: `data.mix_pretrain` in override 3 is now `data.mix`
    warning: `sft_format.ban_role_tokens_during_generation` in override 5 is now `generation.ban_role_tokens`
    ");
}

#[test]
fn reserved_keys_are_lifted_from_files_only() {
    let project = project(Age::Head);
    let sets = ["--set", "training.pretrain.seed=7", "training.amp_dtype=bf16", "amp=true"];
    assert_snapshot!(config(&project, &["validate"], "smoke-pretrain", &sets), @"
    exit: 2
    ----- stderr
    error: unknown key `seed` in `pretrain.training`
      --> override 1: training.pretrain.seed=7
      = key: pretrain.training.seed
    help: `seed` belongs under `global`

    error: unknown key `amp_dtype` in `pretrain.training`
      --> override 2: training.amp_dtype=bf16
      = key: pretrain.training.amp_dtype
    help: `amp_dtype` belongs under `global`

    error: unknown key `amp` in `pretrain`
      --> override 3: amp=true
      = key: pretrain.amp
    help: known keys: `model`, `training`, `data`, `tokenizer`, `generation`

    error: 3 configuration errors; nothing was started
    ");
}

/// All keys of that tree are read in both phases: kept, renamed, or left out with a word.
#[test]
fn a_file_that_states_the_whole_tree_resolves() {
    for (age, phase) in [(Age::Guide, "pretrain"), (Age::Head, "pretrain"), (Age::Head, "sft")] {
        let mut file = tree(age);
        // The tokenizer's file and the public data sets are not here.
        file.as_object_mut().unwrap().remove("tokenizer");
        file["data"]["mix_pretrain"] = json!({"wikitext": 1.0});
        file["data"]["mix_sft"] = json!({"oasst1": 1.0});
        let project = Project::with(Installation::dynamic()).file("all.json", &file.to_string());
        let args = ["config", "resolve", "--config", "all.json", "--phase", phase];
        let output = project.host([&args[..], &["--format", "json"]].concat()).expect(0);
        let then = in_todays_names(&file, phase);
        let missing = |line: &String| !line.contains(": _ -> ");
        let mut changed = differences(&then, &now(&output, phase));
        changed.retain(missing);
        let expected: &[&str] =
            if phase == "sft" { &[r#"sft.data.val_source: "sft" -> null"#] } else { &[] };
        assert_eq!(changed, expected, "{age:?} {phase}");
    }
}

#[test]
fn a_tokenizer_of_that_system_is_a_sentencepiece_file() {
    let tokenizer = tree(Age::Head)["tokenizer"].clone();
    let file = json!({"schema_version": 0, "tokenizer": tokenizer});
    let project = Project::with(Installation::dynamic()).file("t.json", &file.to_string());
    let args = ["config", "validate", "--config", "t.json", "--phase", "pretrain"];
    assert_snapshot!(project.host(args), @r#"
    exit: 2
    ----- stderr
    error: can't read the tokenizer `artifacts/tokenizer/v2/spm.model`: No such file or directory (os error 2)
     --> t.json:1:70
      |
    1 | {"schema_version":0,"tokenizer":{"tokenizer_type":"bpe","model_path":"artifacts/tokenizer/v2/spm.model","vocab_size":16000,"normalization":"nfkc","byte_fallback
      |                                                                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = key: pretrain.tokenizer.path

    error: 1 configuration error; nothing was started
    "#);
    // With nothing in it that was ever read, it says nothing.
    project.write("t.json", r#"{"tokenizer": {"tokenizer_type": "bpe", "normalization": "nfkc"}}"#);
    project.host(args).expect(0);
}

/// Settings that were accepted and ignored, with values that asked for something.
#[test]
fn a_wish_that_was_never_granted_is_refused() {
    let file = r#"{"model": {"norm_type": "layernorm", "mlp_type": "gelu",
           "attention": {"attn_type": "gqa", "kv_cache_dtype": "fp32"}},
 "training": {"sft": {"optimizer": "sgd"}},
 "tokenizer": {"tokenizer_sha256": "a7ccda70"},
 "sft_format": {"packing_policy": "pack", "require_eot": false, "allow_truncate_mid_turn": false},
 "data": {"val_sft_source": "wikitext", "allow_missing_idx": true, "chunk": {}},
 "reproducibility": {"torch_num_threads": 4, "torch_matmul_precision": "high"},
 "benchmark": {"seed": 1}}"#;
    let project = Project::with(Installation::dynamic()).file("wishes.json", file);
    let args = ["config", "validate", "--config", "wishes.json", "--phase", "sft"];
    assert_snapshot!(project.host(args), @r#"
    exit: 2
    ----- stderr
    error: `training.optimizer` is not a setting any more: AdamW is the only optimizer
     --> wishes.json:3:36
      |
    3 |  "training": {"sft": {"optimizer": "sgd"}},
      |                                    ^^^^^
      = key: sft.training.optimizer
      = found: string `sgd`
      = expected: no such key, or `adamw`, which changes nothing
    help: remove `training.optimizer`

    error: `model.norm_type` is not a setting any more: the norms are always RMSNorm
     --> wishes.json:1:25
      |
    1 | {"model": {"norm_type": "layernorm", "mlp_type": "gelu",
      |                         ^^^^^^^^^^^
      = key: sft.model.norm_type
      = found: string `layernorm`
      = expected: no such key, or `rmsnorm`, which changes nothing
    help: remove `model.norm_type`

    error: `model.mlp_type` is not a setting any more: the MLP is always SwiGLU
     --> wishes.json:1:50
      |
    1 | {"model": {"norm_type": "layernorm", "mlp_type": "gelu",
      |                                                  ^^^^^^
      = key: sft.model.mlp_type
      = found: string `gelu`
      = expected: no such key, or `swiglu`, which changes nothing
    help: remove `model.mlp_type`

    error: `model.attention.attn_type` is not a setting any more: each head always has its own keys and values
     --> wishes.json:2:39
      |
    2 |            "attention": {"attn_type": "gqa", "kv_cache_dtype": "fp32"}},
      |                                       ^^^^^
      = key: sft.model.attention.attn_type
      = found: string `gqa`
      = expected: no such key, or `mha`, which changes nothing
    help: remove `model.attention.attn_type`

    error: `tokenizer.tokenizer_sha256` is not a setting any more: no file is pinned by its hash; a model keeps its tokenizer and refuses another
     --> wishes.json:4:36
      |
    4 |  "tokenizer": {"tokenizer_sha256": "a7ccda70"},
      |                                    ^^^^^^^^^^
      = key: sft.tokenizer.tokenizer_sha256
      = found: string `a7ccda70`
      = expected: no such key, or `null`, which changes nothing
    help: remove `tokenizer.tokenizer_sha256`

    error: `reproducibility.torch_num_threads` is not a setting any more: `global.threads` says how many threads
     --> wishes.json:7:43
      |
    7 |  "reproducibility": {"torch_num_threads": 4, "torch_matmul_precision": "high"},
      |                                           ^
      = key: sft.reproducibility.torch_num_threads
      = found: `4`
      = expected: no such key, or `null`, which changes nothing
    help: remove `reproducibility.torch_num_threads`

    error: `sft_format.packing_policy` is not a setting any more: the oldest exchanges of a long conversation go first
     --> wishes.json:5:35
      |
    5 |  "sft_format": {"packing_policy": "pack", "require_eot": false, "allow_truncate_mid_turn": false},
      |                                   ^^^^^^
      = key: sft.sft_format.packing_policy
      = found: string `pack`
      = expected: no such key, or `prefer_boundary_allow_truncate`, which changes nothing
    help: remove `sft_format.packing_policy`

    error: `sft_format.require_eot` is not a setting any more: every message ends with its end of turn
     --> wishes.json:5:58
      |
    5 |  "sft_format": {"packing_policy": "pack", "require_eot": false, "allow_truncate_mid_turn": false},
      |                                                          ^^^^^
      = key: sft.sft_format.require_eot
      = found: `false`
      = expected: no such key, or `true`, which changes nothing
    help: remove `sft_format.require_eot`

    error: `sft_format.allow_truncate_mid_turn` is not a setting any more: an answer that fits no window is shortened, last of all
     --> wishes.json:5:92
      |
    5 |  "sft_format": {"packing_policy": "pack", "require_eot": false, "allow_truncate_mid_turn": false},
      |                                                                                            ^^^^^
      = key: sft.sft_format.allow_truncate_mid_turn
      = found: `false`
      = expected: no such key, or `true`, which changes nothing
    help: remove `sft_format.allow_truncate_mid_turn`

    error: `data.val_sft_source` is not a setting any more: conversations are always measured; `data.pretrain_val` names texts to measure too
     --> wishes.json:6:29
      |
    6 |  "data": {"val_sft_source": "wikitext", "allow_missing_idx": true, "chunk": {}},
      |                             ^^^^^^^^^^
      = key: sft.data.val_sft_source
      = found: string `wikitext`
      = expected: no such key, or `sft`, which changes nothing
    help: remove `data.val_sft_source`

    error: `data.allow_missing_idx` is not a setting any more: a cache without its index is built again
     --> wishes.json:6:62
      |
    6 |  "data": {"val_sft_source": "wikitext", "allow_missing_idx": true, "chunk": {}},
      |                                                              ^^^^
      = key: sft.data.allow_missing_idx
      = found: `true`
      = expected: no such key, or `false`, which changes nothing
    help: remove `data.allow_missing_idx`

    error: unknown key `chunk` in `sft.data`
     --> wishes.json:6:68
      |
    6 |  "data": {"val_sft_source": "wikitext", "allow_missing_idx": true, "chunk": {}},
      |                                                                    ^^^^^^^
      = key: sft.data.chunk
    help: known keys: `sources`, `mix`, `val_source`, `pack`, `assistant_only_loss`, `include_eot_in_loss`, `chat_template`, `system`, `pretrain_val`, `cache_dir`

    error: 12 configuration errors; nothing was started
    "#);
}
