//! A small phase as the host drives it: steps, evaluations, a state to go on from.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::Path;

use mae::{Config, Mae};
use sdk::{Artifacts, DType, DeviceContext, Error, Evaluation, PhaseContext, StateDict, Trainer};
use serde_json::{Value, json};
use towers::SpectralEncoder;

fn cx() -> PhaseContext {
    let device = DeviceContext { threads: 2, ..DeviceContext::default() };
    PhaseContext::detached("mae", 42, device)
}

/// Twenty bands from 400 to 970 nm, width 16, all that can be switched on.
fn section() -> Value {
    json!({
        "encoder": {"embed_dim": 16, "depth": 2, "heads": 2, "dropout": 0.1, "position": "token_index"},
        "decoder": {"basis_K": 5},
        "masking": {"mask_kind": "mixed", "block_nm": 100.0},
        "objective": {"smoothness_weight": 0.01},
        "train": {
            "batch_size": 6, "max_steps": 300, "lr": 3e-3, "warmup_steps": 30, "eval_every": 20,
            "save_every": 20, "eval_samples": 16,
        },
        "data": {"kind": "synthetic", "lab_grid_nm": {"start": 400.0, "stop": 970.0, "num": 20}},
        "tokenizer": {"n_frequencies": 2},
    })
}

fn config(section: &Value) -> Config {
    serde_json::from_value(section.clone()).unwrap()
}

fn prepare(section: &Value) -> Mae {
    let config = config(section);
    assert_eq!(Mae::check(&config, &Artifacts::default()), []);
    Mae::prepare(config, &Artifacts::default(), &cx()).unwrap()
}

fn run(trainer: &mut Mae, steps: std::ops::Range<u64>) -> Vec<f64> {
    steps.map(|step| trainer.step(step, &cx()).unwrap().loss).collect()
}

fn bytes(trainer: &mut Mae) -> Vec<Vec<u8>> {
    let state = StateDict::save(trainer).unwrap();
    state.tensors.values().map(sdk::TensorHandle::to_bytes).collect()
}

fn keys(section: &Value) -> Vec<String> {
    let faults: Vec<Error> = Mae::check(&config(section), &Artifacts::default());
    faults.into_iter().filter_map(|fault| fault.path).collect()
}

#[test]
fn it_learns_and_goes_on_from_the_middle_bit_for_bit() {
    let section = section();
    let mut trainer = prepare(&section);
    let before = trainer.evaluate(Evaluation::Final, &cx()).unwrap();
    let mut losses = run(&mut trainer, 0..280);
    let saved = StateDict::save(&mut trainer).unwrap();
    losses.extend(run(&mut trainer, 280..300));
    let after = trainer.evaluate(Evaluation::Final, &cx()).unwrap();
    assert!(after["random_rmse"] < 0.6 * before["random_rmse"], "{before:?} {after:?}");
    assert!(after["random_rmse"] < 0.6 * after["random_line_rmse"], "{after:?}");
    assert!(after["gap_rmse"] < 0.75 * after["gap_line_rmse"], "{after:?}");
    // What needs no model stays what it was.
    assert_eq!(before["gap_line_rmse"], after["gap_line_rmse"]);
    assert_eq!(before["random_mean_rmse"], after["random_mean_rmse"]);

    let mut resumed = prepare(&section);
    saved.restore(&mut resumed).unwrap();
    assert_eq!(run(&mut resumed, 280..300), losses[280..]);
    assert_eq!(bytes(&mut resumed), bytes(&mut trainer));
    assert_eq!(resumed.evaluate(Evaluation::Final, &cx()).unwrap(), after);
}

#[test]
fn mixed_precision_follows_single_precision() {
    let mut section = section();
    section["encoder"]["dropout"] = json!(0.0);
    let device = DeviceContext { amp_dtype: Some(DType::Bf16), ..DeviceContext::default() };
    let mixed = PhaseContext::detached("mae", 42, device);
    let losses = |cx: &PhaseContext| -> Vec<f64> {
        let mut trainer = Mae::prepare(config(&section), &Artifacts::default(), cx).unwrap();
        (0..20).map(|step| trainer.step(step, cx).unwrap().loss).collect()
    };
    let (single, mixed) = (losses(&cx()), losses(&mixed));
    assert_ne!(single, mixed);
    for (step, (single, mixed)) in single.iter().zip(&mixed).enumerate() {
        assert!((mixed / single - 1.0).abs() < 0.02, "step {step}: {mixed} for {single}");
    }
}

/// The sizes of the first system's own smoke test.
#[test]
fn the_smallest_run_has_finite_losses() {
    let section = json!({
        "encoder": {"embed_dim": 4, "depth": 2, "heads": 2},
        "masking": {"spatial_ratio": 0.5, "spectral_ratio": 0.5},
        "train": {"batch_size": 2, "max_steps": 2, "warmup_steps": 0},
        "data": {"kind": "noise"},
    });
    let losses = run(&mut prepare(&section), 0..2);
    assert!(losses.iter().all(|loss| (0.3..3.0).contains(loss)), "{losses:?}");
}

/// Its two baselines are settings: no masked pixels, no positions.
#[test]
fn pixels_may_all_be_kept_and_positions_left_out() {
    let losses = |masking: Value, position: &str| {
        let section = json!({
            "encoder": {"embed_dim": 8, "depth": 1, "heads": 2, "position": position},
            "masking": masking,
            "train": {"batch_size": 2, "max_steps": 3, "lr": 1e-2, "warmup_steps": 0},
            "data": {"kind": "noise"},
        });
        run(&mut prepare(&section), 0..3)
    };
    let main = losses(json!({}), "token_index");
    let no_spatial_mask = losses(json!({"spatial_ratio": 0.0}), "token_index");
    let no_posenc = losses(json!({}), "none");
    assert!(main != no_spatial_mask && main != no_posenc && no_spatial_mask != no_posenc);
}

/// The first system's file: pixels of noise, whose masked part nothing can tell.
#[test]
fn noise_can_not_be_learned_unless_it_is_seen() {
    let loss = |region: &str| {
        let section = json!({
            "encoder": {"embed_dim": 16, "depth": 1, "heads": 2, "d_ff": 32},
            "objective": {"loss_region": region},
            "masking": {"spatial_ratio": 0.25, "spectral_ratio": 0.25},
            "train": {"batch_size": 8, "max_steps": 150, "lr": 3e-3},
            "data": {"kind": "noise", "n_pixels": 8, "n_bands": 4},
        });
        let losses = run(&mut prepare(&section), 0..150);
        losses[140..].iter().sum::<f64>() / 10.0
    };
    let (masked, visible) = (loss("masked"), loss("visible"));
    assert!((0.9..1.1).contains(&masked), "{masked}");
    assert!(visible < 0.5, "{visible}");
}

#[test]
fn a_checkpoint_of_other_spectra_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lab.csv");
    let library = json!({
        "kind": "library", "sensor": null, "grid_nm": {"start": 400.0, "stop": 600.0, "num": 5},
        "spectra": {
            "sources": {"lab": {"kind": "csv", "path": &file, "unit": "nm"}},
            "materials": {"pattern": "^.+$"}, "split": {"val_fraction": 0.5},
        },
    });
    let mut section = section();
    section["data"] = library;
    write_library(&file, 1.0);
    let mut trainer = prepare(&section);
    run(&mut trainer, 0..1);
    let saved = StateDict::save(&mut trainer).unwrap();
    saved.restore(&mut prepare(&section)).unwrap();
    write_library(&file, 2.0);
    let error = saved.restore(&mut prepare(&section)).unwrap_err();
    assert_eq!(error.message, "the checkpoint was made from other spectra than these");
}

/// Writes a cube of 16 × 16 pixels with four bands, each of which follows from the pixel's place.
fn write_cube(folder: &Path, factor: f32) -> String {
    let value = |i: usize| {
        let (row, column, band) = (i / 64, i / 4 % 16, i % 4);
        factor * ((row * 2 + column + 3 * band) as f32 / 7.0).sin()
    };
    let bytes: Vec<u8> = (0..16 * 16 * 4).flat_map(|i| value(i).to_le_bytes()).collect();
    fs::write(folder.join("scene.img"), bytes).unwrap();
    let header = "ENVI\nlines = 16\nsamples = 16\nbands = 4\ndata type = 4\nbyte order = 0\n\
                  interleave = bip\nbbl = {1, 1, 0, 1}\n";
    fs::write(folder.join("scene.hdr"), header).unwrap();
    folder.join("scene.img").display().to_string()
}

#[test]
fn patches_of_a_cube_are_learned_and_resumed_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_cube(folder.path(), 1.0);
    let section = json!({
        "encoder": {"embed_dim": 16, "depth": 1, "heads": 2, "position": "token_index"},
        "decoder": {"position": "token_index"},
        "masking": {"spatial_ratio": 0.25, "spectral_ratio": 0.34},
        "train": {"batch_size": 6, "max_steps": 300, "lr": 5e-3},
        "data": {"kind": "cube", "path": path, "side": 4, "tile": 4},
    });
    let mut trainer = prepare(&section);
    let before = trainer.evaluate(Evaluation::Final, &cx()).unwrap()["loss"];
    run(&mut trainer, 0..290);
    let saved = StateDict::save(&mut trainer).unwrap();
    let losses = run(&mut trainer, 290..300);
    // A loss of 1 is that of each band's mean.
    let after = trainer.evaluate(Evaluation::Final, &cx()).unwrap()["loss"];
    assert!((0.7..1.6).contains(&before) && after < 0.2, "{before} {after}");
    let mut resumed = prepare(&section);
    saved.restore(&mut resumed).unwrap();
    assert_eq!(run(&mut resumed, 290..300), losses);
    let mut trainer = prepare(&section);
    let artifacts = trainer.artifacts().unwrap();
    let picture = artifacts.iter().find(|artifact| artifact.name == "first-mask").unwrap();
    // Four by four pixels, and four bands.
    let svg = picture.settings["svg"].as_str().unwrap();
    assert!(svg.contains("of 16 kept<") && svg.contains("of 4 kept<"), "{svg}");
    write_cube(folder.path(), 2.0);
    let error = saved.restore(&mut prepare(&section)).unwrap_err();
    assert_eq!(error.message, "the checkpoint was made from other spectra than these");
}

/// Eight materials of five bands.
fn write_library(file: &Path, factor: f64) {
    let names: Vec<String> = (0..8).map(|i| format!("material{i}")).collect();
    let mut text = format!("nm,{}\n", names.join(","));
    for nm in (400..=600).step_by(50) {
        let values = (0..8).map(|i| factor * (f64::from(nm * (i + 1)) / 300.0).sin().abs());
        let values: Vec<String> = values.map(|value| format!("{value:.4}")).collect();
        text.push_str(&format!("{nm},{}\n", values.join(",")));
    }
    fs::write(file, text).unwrap();
}

#[test]
fn what_disagrees_is_told_with_its_key() {
    let with = |pointer: &str, value: Value| {
        let mut section = section();
        let (block, key) = pointer.split_once('.').unwrap();
        section[block][key] = value;
        keys(&section)
    };
    assert_eq!(with("masking.spectral_ratio", json!(1.0)), ["masking.spectral_ratio"]);
    assert_eq!(with("masking.spatial_ratio", json!(0.5)), ["masking.spatial_ratio"]);
    assert_eq!(with("encoder.heads", json!(3)), ["encoder.heads", "decoder.heads"]);
    assert_eq!(with("train.warmup_steps", json!(301)), ["train.warmup_steps"]);
    assert_eq!(with("train.min_lr", json!(1.0)), ["train.min_lr"]);
    let mut noise = section();
    noise["data"] = json!({"kind": "noise"});
    noise["decoder"]["predicts"] = json!("difference");
    assert_eq!(keys(&noise), ["decoder.predicts", "decoder.basis_K"]);
    let mut library = section();
    library["data"] = json!({"kind": "library", "sensor": "emitt"});
    assert_eq!(keys(&library), ["data.spectra.sources", "data.sensor"]);
}

#[test]
fn what_is_handed_on_tells_what_its_tokens_mean_and_was_promised() {
    let section = section();
    let promised = Mae::promises(&config(&section), &Artifacts::default());
    let mut trainer = prepare(&section);
    run(&mut trainer, 0..1);
    trainer.evaluate(Evaluation::Final, &cx()).unwrap();
    let artifacts = trainer.artifacts().unwrap();
    let names: Vec<&str> = artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
    let plots = [1, 2, 3, 4].map(|i| format!("reconstruction-{i}"));
    assert_eq!(names[..3], ["encoder", "mask", "materials"]);
    assert_eq!(names[3], "first-mask");
    assert_eq!(names[4..], plots);
    assert_eq!(promised[0].settings, artifacts[0].settings);
    assert!(artifacts[0].tensors.contains_key("layers.1.qkv.weight"));
    let mask = &artifacts[1].settings;
    assert_eq!((&mask["seed"], &mask["step"], &mask["total"]), (&json!(42), &json!(0), &json!(20)));
    let kept = mask["mask"].as_array().unwrap().iter().filter(|kept| **kept == json!(true)).count();
    assert_eq!(kept, 10);

    let mut given = Artifacts::default();
    artifacts.into_iter().for_each(|artifact| given.push("mae", artifact));
    let (trained, tensors) = SpectralEncoder::latest(&given).unwrap().unwrap();
    assert_eq!((trained.axis_nm.len(), tensors.len()), (20, 29));
}
