//! The YAML of the spectral system runs unchanged on the trainers that replace it.

use insta::assert_snapshot;
use serde_json::{Value, json};
use tests::{Installation, Output, Project, read_json};

const ALIGNMENT: &str = "\
global:
  seed: 1337
  device: cpu
  dtype: float32
  amp_dtype: bfloat16
  deterministic: false

trainer:
  batch_size: 8
  max_steps: 10
  log_every: 2
  eval_every: 5
  grad_clip_norm: 1.0
  use_amp: false
  amp_dtype: bfloat16

data:
  sensor: emit
  lab_grid_nm:
    start: 380.0
    stop: 2500.0
    num: 256
  lab_fwhm_nm: 5.0
  lab_noise_std: 0.01
  synthetic_peaks: 3
  sensor_noise_rel: 0.01

optimizer:
  lr: 0.001
  weight_decay: 0.0
  betas: [0.9, 0.99]

loss:
  tau_init: 0.07
  learnable_tau: true
  gather_ddp: false

model:
  embed_dim: 64
  depth: 2
  heads: 4
  cycle_weight: 0.5

cycle:
  enabled: true
  hidden_dim: 64
  num_layers: 2
  l2_weight: 1.0
  sam_weight: 1.0
  sensor_context_dim: 0
  lab_context_dim: 0
  use_brightness_temperature: false
  cycle_raw: true
  cycle_continuum: false
  slope_reg: false
  continuum_weight: 1.0
  slope_weight: 1.0

banddepth:
  enabled: true
  weight: 0.1
  config: configs/phase2/banddepth.yaml
  hidden_dim: 64
  loss: l1

tokenizer:
  axis_unit: nm
  value_norm: robust
  lambda_norm: zscore
  n_frequencies: 8
  frequency_base: 1.0
  default_fwhm_nm: 7.0
  pooled_kind: mean
";

const MAE: &str = "\
global:
  seed: 42
  device: auto
  dtype: float32
  amp_dtype: null
  deterministic: false

train:
  mask_path: checkpoints/mask.json
  mode: mae
  batch_size: 64
  lr: 0.0003
  max_steps: 1000
  log_every: 50
  eval_every: 200
  save_every: 200
  embed_dim: 256
  n_heads: 8
  depth: 6
  basis_K: 128
";

const BANDS: &str = "\
bands:
  - name: olivine_1
    center: 1020.0
    left: 980.0
    right: 1060.0
";

/// A project with a file of that system as `run.yaml`.
fn project(text: &str) -> Project {
    let project = Project::with(Installation::dynamic()).file("run.yaml", text);
    project.file("configs/phase2/banddepth.yaml", BANDS)
}

fn config(project: &Project, what: &[&str], phase: &str, more: &[&str]) -> Output {
    let selection = ["--config", "run.yaml", "--phase", phase];
    project.host([&["config"], what, &selection[..], more].concat())
}

fn resolve(project: &Project, phase: &str, more: &[&str]) -> Output {
    config(project, &["resolve", "--format", "json"], phase, more).expect(0)
}

/// Dotted keys of all errors.
fn refused(text: &str, phase: &str) -> Vec<String> {
    let output = config(&project(text), &["validate", "--json"], phase, &[]).expect(2).json();
    let errors = output["errors"].as_array().expect("errors are a list").iter();
    errors.map(|error| error["key"].as_str().unwrap_or_default().to_owned()).collect()
}

/// `global` with the five shared settings only.
fn shared(settings: &Value) -> Value {
    let keys = ["seed", "device", "dtype", "amp_dtype", "deterministic"];
    keys.iter().map(|key| ((*key).to_owned(), settings["global"][key].clone())).collect()
}

/// What `settings` has at the keys of `wanted`.
fn common(settings: &Value, wanted: &Value) -> Value {
    match wanted {
        Value::Object(map) => {
            map.iter().map(|(key, own)| (key.clone(), common(&settings[key], own))).collect()
        }
        _ => settings.clone(),
    }
}

#[test]
fn alignment_has_its_values() {
    let project = project(ALIGNMENT);
    let output = resolve(&project, "alignment", &[]);
    let settings = output.json();
    assert_eq!(
        shared(&settings),
        json!({
            "seed": 1337, "device": "cpu", "dtype": "float32", "amp_dtype": null,
            "deterministic": false,
        })
    );
    // All that the file says, but what the host or nobody reads any more.
    let expected = json!({
        "trainer": {
            "batch_size": 8, "max_steps": 10, "log_every": 2, "eval_every": 5,
            "grad_clip_norm": 1.0,
        },
        "data": {
            "sensor": "emit", "lab_grid_nm": {"start": 380.0, "stop": 2500.0, "num": 256},
            "lab_fwhm_nm": 5.0, "lab_noise_std": 0.01, "synthetic_peaks": 3,
            "sensor_noise_rel": 0.01,
        },
        "optimizer": {"lr": 0.001, "weight_decay": 0.0, "betas": [0.9, 0.99]},
        "loss": {"tau_init": 0.07, "learnable_tau": true},
        "model": {"embed_dim": 64, "depth": 2, "heads": 4, "cycle_weight": 0.5},
        "cycle": {
            "enabled": true, "hidden_dim": 64, "num_layers": 2, "l2_weight": 1.0, "sam_weight": 1.0,
            "cycle_raw": true, "cycle_continuum": false, "slope_reg": false,
            "continuum_weight": 1.0, "slope_weight": 1.0,
        },
        "banddepth": {
            "enabled": true, "weight": 0.1, "config": "configs/phase2/banddepth.yaml",
            "hidden_dim": 64, "loss": "l1",
        },
        "tokenizer": {
            "axis_unit": "nm", "value_norm": "robust", "lambda_norm": "zscore",
            "n_frequencies": 8, "frequency_base": 1.0,
        },
    });
    assert_eq!(common(&settings["alignment"], &expected), expected);
    assert_snapshot!(output.stderr.trim_end(), @"
    warning: `trainer.amp_dtype` in `run.yaml:15` has no effect: `trainer.use_amp` is false in `run.yaml:14`
    warning: `global.amp_dtype` in `run.yaml:5` has no effect: `trainer.use_amp` is false in `run.yaml:14`
    warning: `loss.gather_ddp` in `run.yaml:36` is not a setting any more: one process sees the whole batch
    warning: `cycle.sensor_context_dim` in `run.yaml:50` is not a setting any more: a head's input is the embedding; no context was ever handed to one
    warning: `cycle.lab_context_dim` in `run.yaml:51` is not a setting any more: a head's input is the embedding; no context was ever handed to one
    warning: `cycle.use_brightness_temperature` in `run.yaml:52` is not a setting any more: it only chose a name and converted nothing
    warning: `tokenizer.default_fwhm_nm` in `run.yaml:72` is not a setting any more: widths are the sensor's or follow from the bands
    warning: `tokenizer.pooled_kind` in `run.yaml:73` is not a setting any more: a tower pools by the mean of its tokens; `host config migrate run.yaml --phase alignment --write` rewrites the file
    ");
}

#[test]
fn alignment_runs_and_keeps_where_its_values_came_from() {
    let project = project(ALIGNMENT);
    let args = ["run", "--config", "run.yaml", "--phase", "alignment", "--seed", "7"];
    let output = project.host(args).expect(0);
    assert!(output.stdout.contains("alignment  10 steps"), "{output}");
    let origins = read_json(&project.last_run().join("resolved_settings.json"))["origins"].clone();
    let of = |section: &str, key: &str| origins[section][key].as_str().unwrap_or("").to_owned();
    let found = [
        of("global", "seed"),
        of("global", "device"),
        of("global", "amp_dtype"),
        of("global", "threads"),
        of("alignment", "optimizer.betas"),
        of("alignment", "tokenizer.lambda_norm"),
        of("alignment", "tokenizer.include_width"),
    ];
    assert_eq!(
        found,
        [
            "flag --seed",
            "file run.yaml:3",
            "file run.yaml:14, as `trainer.use_amp`",
            "default of the host",
            "file run.yaml:31",
            "file run.yaml:69",
            "default of plugin alignment",
        ]
    );
}

#[test]
fn a_masked_autoencoder_has_its_values() {
    let output = resolve(&project(MAE), "mae", &[]);
    let settings = output.json();
    assert_eq!(
        shared(&settings),
        json!({
            "seed": 42, "device": "auto", "dtype": "float32", "amp_dtype": null,
            "deterministic": false,
        })
    );
    let expected = json!({
        "train": {
            "batch_size": 64, "lr": 0.0003, "max_steps": 1000, "log_every": 50, "eval_every": 200,
            "save_every": 200,
        },
        "encoder": {"embed_dim": 256, "heads": 8, "depth": 6},
        "masking": {"spatial_ratio": null, "spectral_ratio": 0.5},
        "data": {"kind": "noise"},
    });
    assert_eq!(common(&settings["mae"], &expected), expected);
    assert_snapshot!(output.stderr.trim_end(), @"
    warning: `train.mask_path` in `run.yaml:9` is not a setting any more: the first mask is the artifact `mask` of the phase
    warning: `train.mode` in `run.yaml:10` is not a setting any more: this trainer is the masked autoencoder
    warning: `train.embed_dim` in `run.yaml:17` is now `encoder.embed_dim`
    warning: `train.n_heads` in `run.yaml:18` is now `encoder.heads`
    warning: `train.depth` in `run.yaml:19` is now `encoder.depth`
    warning: `train.basis_K` in `run.yaml:20` is not a setting any more: it made a module that nothing used; `decoder.basis_K` is one that is; `host config migrate run.yaml --phase mae --write` rewrites the file
    ");
}

/// It runs as it is, but for its size: a step of 64 samples of 256 pixels takes its time.
#[test]
fn a_masked_autoencoder_runs() {
    let small = ["--max-steps", "2", "mae.encoder.embed_dim=16", "mae.train.batch_size=2"];
    let run = ["run", "--config", "run.yaml", "--phase", "mae"];
    let output = project(MAE).host([&run[..], &small[..]].concat()).expect(0);
    assert!(output.stdout.contains("mae  2 steps"), "{output}");
}

/// What asked for something else is told, not dropped.
#[test]
fn switches_that_are_settings_elsewhere_now_say_where() {
    let text =
        "train: {no_posenc: true, no_spatial_mask: true, mode: joint, banddepth_weight: 0.1}\n";
    let mut found = refused(text, "mae");
    found.sort();
    let names = ["banddepth_weight", "mode", "no_posenc", "no_spatial_mask"];
    assert_eq!(found, names.map(|name| format!("mae.train.{name}")));
}

/// One rule for both trainers: flag, override, environment, `global`, the trainer's own key, default.
#[test]
fn global_counts_before_a_trainers_own_key_for_every_trainer() {
    let seed = |text: &str, phase: &str, more: &[&str]| {
        let output = resolve(&project(text), phase, more);
        (output.json()["global"]["seed"].as_u64().unwrap(), output.stderr.trim_end().to_owned())
    };
    for (phase, block) in [("mae", "train"), ("alignment", "trainer")] {
        let own = format!("{block}: {{seed: 9}}\n");
        let both = format!("global: {{seed: 1}}\n{own}");
        assert_eq!(seed("{}\n", phase, &[]), (42, String::new()));
        let told = format!(
            "warning: `{block}.seed` in `run.yaml:1` is read as `global.seed`; write it there"
        );
        assert_eq!(seed(&own, phase, &[]), (9, told));
        let overruled = |from: &str, value: u64| {
            format!(
                "warning: `{block}.seed` in `run.yaml:2` is overruled: \
                 `global.seed` is {value} from {from}"
            )
        };
        assert_eq!(seed(&both, phase, &[]), (1, overruled("file run.yaml:1", 1)));
        let set = seed(&both, phase, &["--set", "global.seed=3"]);
        assert_eq!(set, (3, overruled("override 1", 3)));
        let flag = seed(&both, phase, &["--set", "global.seed=3", "--seed", "4"]);
        assert_eq!(flag, (4, overruled("flag --seed", 4)));
        // Two that agree are told, not as a conflict.
        let same = seed(&both.replace('9', "1"), phase, &[]);
        let told = format!(
            "warning: `{block}.seed` in `run.yaml:2` is read as `global.seed`; write it there"
        );
        assert_eq!(same, (1, told));
    }
}

/// A text is no truth value: there `"false"` switched determinism on.
#[test]
fn a_quoted_false_is_refused() {
    for text in ["global: {deterministic: \"false\"}\n", "trainer: {deterministic: \"false\"}\n"] {
        assert_eq!(refused(text, "alignment"), ["global.deterministic"]);
    }
    let text = "trainer: {deterministic: \"false\", use_amp: \"no\"}\n";
    assert_snapshot!(config(&project(text), &["validate"], "alignment", &[]), @r#"
    exit: 2
    ----- stderr
    error: expected true or false, found string `no`
     --> run.yaml:1:44
      |
    1 | trainer: {deterministic: "false", use_amp: "no"}
      |                                            ^^^^
      = key: trainer.use_amp

    error: expected true or false, found string `false`
     --> run.yaml:1:26
      |
    1 | trainer: {deterministic: "false", use_amp: "no"}
      |                          ^^^^^^^
      = key: global.deterministic
    help: write `false`, without quotes

    error: 2 configuration errors; nothing was started
    "#);
}

/// There the switch and the type were two keys; here the type is the switch.
#[test]
fn the_switch_and_the_type_of_mixed_precision_come_to_one_setting() {
    let amp = |global: &str, trainer: &str, more: &[&str]| {
        let text = format!("global: {{{global}}}\ntrainer: {{{trainer}}}\n");
        let output = resolve(&project(&text), "alignment", more);
        let warnings = output.stderr.lines().count();
        (output.json()["global"]["amp_dtype"].as_str().map(str::to_owned), warnings)
    };
    let bf16 = || Some("bfloat16".to_owned());
    assert_eq!(amp("", "use_amp: true, amp_dtype: bf16", &[]), (bf16(), 2));
    assert_eq!(amp("amp_dtype: bf16", "use_amp: true", &[]), (bf16(), 1));
    assert_eq!(amp("amp_dtype: bf16", "", &[]), (bf16(), 0));
    assert_eq!(amp("", "use_amp: false, amp_dtype: bf16", &[]), (None, 2));
    assert_eq!(amp("amp_dtype: bf16", "use_amp: false", &[]), (None, 1));
    assert_eq!(amp("amp_dtype: bf16", "amp: false", &[]), (None, 1));
    assert_eq!(amp("", "use_amp: true", &[]), (None, 1));
    let set = ["--set", "global.amp_dtype=bf16"];
    assert_eq!(amp("", "use_amp: false", &set), (bf16(), 1));
    assert_eq!(amp("amp_dtype: fp16", "use_amp: false", &set), (bf16(), 1));
    // A type that the plugin can't compute in: an old wish is left out.
    assert_eq!(amp("", "use_amp: true, amp_dtype: fp16", &[]), (None, 2));
    assert_eq!(
        refused("global: {amp_dtype: fp16}\ntrainer: {use_amp: true}\n", "alignment"),
        ["global.amp_dtype"]
    );
}

/// There every section but one took any key.
#[test]
fn an_unknown_key_is_refused_in_every_section() {
    let sections =
        ["trainer", "data", "optimizer", "loss", "model", "cycle", "banddepth", "tokenizer"];
    let mut text = ALIGNMENT.to_owned();
    for section in sections {
        text = text.replace(&format!("\n{section}:\n"), &format!("\n{section}:\n  spectrl: 1\n"));
    }
    let text = text.replace("    start:", "    spectrl: 1\n    start:");
    let mut found = refused(&text, "alignment");
    let mut expected: Vec<String> =
        sections.iter().map(|section| format!("alignment.{section}.spectrl")).collect();
    expected.push("alignment.data.lab_grid_nm.spectrl".to_owned());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let text = MAE.replace("seed: 42", "sede: 42").replace("n_heads", "n_head") + "trian: {}\n";
    assert_snapshot!(config(&project(&text), &["validate"], "mae", &[]), @"
    exit: 2
    ----- stderr
    error: unknown key `sede` in `global`
     --> run.yaml:2:3
      |
    2 |   sede: 42
      |   ^^^^
      = key: global.sede
    help: did you mean `seed`?

    error: unknown key `n_head` in `mae.train`
      --> run.yaml:18:3
       |
    18 |   n_head: 8
       |   ^^^^^^
       = key: mae.train.n_head
    help: known keys: `batch_size`, `max_steps`, `lr`, `min_lr`, `warmup_steps`, `weight_decay`, `betas`, `grad_clip`, `log_every`, `eval_every`, `save_every`, `eval_samples`

    error: unknown key `trian` in `mae`
      --> run.yaml:21:1
       |
    21 | trian: {}
       | ^^^^^
       = key: mae.trian
    help: did you mean `train`?

    error: 3 configuration errors; nothing was started
    ");
}

#[test]
fn keys_in_the_wrong_place_are_told_where_they_belong() {
    let text =
        "batch_size: 8\ntrain:\n  train: {lr: 0.1}\n  device: cpu\n  threads: 2\nembed_dim: 8\n";
    assert_snapshot!(config(&project(text), &["validate"], "mae", &[]), @"
    exit: 2
    ----- stderr
    error: unknown key `batch_size` in `mae`
     --> run.yaml:1:1
      |
    1 | batch_size: 8
      | ^^^^^^^^^^
      = key: mae.batch_size
    help: `batch_size` belongs under `mae.train`

    error: unknown key `train` in `mae.train`
     --> run.yaml:3:3
      |
    3 |   train: {lr: 0.1}
      |   ^^^^^
      = key: mae.train.train
    help: `train` belongs under `mae`

    error: unknown key `threads` in `mae.train`
     --> run.yaml:5:3
      |
    5 |   threads: 2
      |   ^^^^^^^
      = key: mae.train.threads
    help: `threads` belongs under `global`

    error: unknown key `embed_dim` in `mae`
     --> run.yaml:6:1
      |
    6 | embed_dim: 8
      | ^^^^^^^^^
      = key: mae.embed_dim
    help: `embed_dim` belongs under `mae.encoder`

    error: 4 configuration errors; nothing was started
    ");
}

#[test]
fn settings_that_do_not_go_together_point_at_a_field() {
    let text = ALIGNMENT
        .replace("heads: 4", "heads: 5")
        .replace("start: 380.0", "start: 20.0")
        .replace("stop: 2500.0", "stop: 80.0")
        .replace("config: configs/phase2/banddepth.yaml", "config: banddepth.yaml");
    assert_snapshot!(config(&project(&text), &["validate"], "alignment", &[]), @"
    exit: 2
    ----- stderr
    error: sensor `emit` sees nothing of the spectra: its bands lie from 364 to 2510 nm, the spectra from 20 to 80 nm
      --> run.yaml:19:3
       |
    19 |   lab_grid_nm:
       |   ^^^^^^^^^^^
       = key: alignment.data.lab_grid_nm
    help: take a sensor of the spectra's range, or spectra of the sensor's

    error: 5 heads can't share a width of 64 evenly
      --> run.yaml:41:10
       |
    41 |   heads: 5
       |          ^
       = key: alignment.model.heads
    help: take a divisor of `embed_dim`

    error: can't read the absorption bands `banddepth.yaml`: No such file or directory (os error 2)
      --> run.yaml:62:11
       |
    62 |   config: banddepth.yaml
       |           ^^^^^^^^^^^^^^
       = key: alignment.banddepth.config
    help: name a file with `bands`, as a path from the working directory

    error: 3 configuration errors; nothing was started
    ");
}
