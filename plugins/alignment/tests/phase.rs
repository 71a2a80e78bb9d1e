//! The phase as the host drives it: it learns, repeats, resumes bit for bit, hands on and takes over.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;

use alignment::{Alignment, Config};
use sdk::{
    Artifacts, DType, DeviceContext, Evaluation, PhaseContext, StateDict, StepReport, Trainer,
};
use serde_json::{Value, json};

fn context(threads: usize) -> PhaseContext {
    let device = DeviceContext { threads, ..DeviceContext::default() };
    PhaseContext::detached("alignment", 42, device)
}

fn config(section: &Value) -> Config {
    serde_json::from_value(section.clone()).unwrap()
}

fn prepared(section: &Value, given: &Artifacts, cx: &PhaseContext) -> Alignment {
    Alignment::prepare(config(section), given, cx).unwrap()
}

fn run(phase: &mut Alignment, steps: std::ops::Range<u64>, cx: &PhaseContext) -> Vec<StepReport> {
    steps.map(|step| phase.step(step, cx).unwrap()).collect()
}

/// All parts of the loss, dropout included, on little.
fn small(bands: &str) -> Value {
    json!({
        "trainer": {"batch_size": 4, "max_steps": 8},
        "data": {
            "sensor": {"n_bands": 12, "start_nm": 400.0, "stop_nm": 2400.0},
            "lab_grid_nm": {"start": 380.0, "stop": 2500.0, "num": 40},
        },
        "model": {"embed_dim": 16, "depth": 1, "heads": 2, "dropout": 0.1},
        "cycle": {"enabled": true, "cycle_continuum": true, "slope_reg": true},
        "banddepth": {"enabled": true, "config": bands, "hidden_dim": 8},
    })
}

fn bands() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("banddepth.yaml");
    fs::write(&path, "bands:\n  - {name: a, center: 1020, left: 900, right: 1200}\n").unwrap();
    let path = path.display().to_string();
    (directory, path)
}

fn metric(report: &StepReport, name: &str) -> f64 {
    let found = report.metrics.iter().find(|(own, _)| own == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {:?}", report.metrics)).1
}

#[test]
fn every_part_of_the_loss_is_told_apart_and_every_parameter_moves() {
    let (_directory, bands) = bands();
    let cx = context(1);
    let mut phase = prepared(&small(&bands), &Artifacts::default(), &cx);
    let before = StateDict::save(&mut phase).unwrap();
    // A step fails where a parameter has no gradient; the first one has a rate of 0.
    let reports = run(&mut phase, 0..3, &cx);
    let after = StateDict::save(&mut phase).unwrap();
    for (name, tensor) in before.tensors.iter().filter(|(name, _)| name.starts_with("model/")) {
        let moved = tensor.to_vec::<f32>().unwrap() != after.tensors[name].to_vec::<f32>().unwrap();
        assert!(moved, "`{name}` did not move");
    }
    for name in ["model/log_tau", "model/cycle.to_lab.1.weight", "model/cycle.to_sensor.0.bias"] {
        assert!(before.tensors.contains_key(name), "{name}");
    }
    let last = &reports[2];
    let parts = ["sensor_l2", "sensor_sam", "sensor_cont_mse", "sensor_cont_sam", "sensor_slope"];
    let both = parts.iter().flat_map(|name| [name.to_string(), name.replace("sensor", "lab")]);
    let cycle: f64 = both.map(|name| metric(last, &format!("loss/{name}"))).sum();
    assert!((cycle / metric(last, "loss/cycle") - 1.0).abs() < 1e-5);
    let total = metric(last, "loss/infonce") + cycle + 0.1 * metric(last, "loss/banddepth");
    assert!((total / last.loss - 1.0).abs() < 1e-5, "{total} for {}", last.loss);
}

#[test]
fn a_resumed_phase_goes_on_bit_for_bit() {
    let (_directory, bands) = bands();
    let section = small(&bands);
    for threads in [1, 2] {
        let cx = context(threads);
        let mut whole = prepared(&section, &Artifacts::default(), &cx);
        run(&mut whole, 0..3, &cx);
        let saved = StateDict::save(&mut whole).unwrap();
        let expected = run(&mut whole, 3..6, &cx);
        let mut resumed = prepared(&section, &Artifacts::default(), &cx);
        saved.restore(&mut resumed).unwrap();
        assert_eq!(run(&mut resumed, 3..6, &cx), expected);
        let bits = |phase: &mut Alignment| {
            let state = StateDict::save(phase).unwrap();
            let tensors = state.tensors.into_iter();
            tensors.map(|(name, t)| (name, t.to_vec::<f32>().unwrap())).collect::<Vec<_>>()
        };
        assert!(bits(&mut whole) == bits(&mut resumed));
    }
}

#[test]
fn mixed_precision_follows_single_precision() {
    let (_directory, bands) = bands();
    let mut section = small(&bands);
    section["model"]["dropout"] = json!(0.0);
    section["trainer"]["grad_clip_norm"] = json!(0.5);
    let device = DeviceContext { amp_dtype: Some(DType::Bf16), ..DeviceContext::default() };
    let mixed = PhaseContext::detached("alignment", 42, device);
    let losses = |cx: &PhaseContext| -> Vec<f64> {
        let mut phase = prepared(&section, &Artifacts::default(), cx);
        run(&mut phase, 0..8, cx).into_iter().map(|report| report.loss).collect()
    };
    let (single, mixed) = (losses(&context(1)), losses(&mixed));
    assert_ne!(single, mixed);
    for (step, (single, mixed)) in single.iter().zip(&mixed).enumerate() {
        assert!((mixed / single - 1.0).abs() < 0.02, "step {step}: {mixed} for {single}");
    }
}

#[test]
fn each_trainer_has_a_temperature_of_its_own() {
    let section = |tau: f64| {
        json!({
            "trainer": {"batch_size": 4}, "data": {"sensor": {"n_bands": 5, "start_nm": 400.0, "stop_nm": 2400.0}},
            "model": {"tower": "mlp", "embed_dim": 8}, "loss": {"tau_init": tau},
        })
    };
    let cx = context(1);
    let mut first = prepared(&section(0.07), &Artifacts::default(), &cx);
    run(&mut first, 0..4, &cx);
    let mut second = prepared(&section(0.5), &Artifacts::default(), &cx);
    let tau = metric(&second.step(0, &cx).unwrap(), "tau");
    assert!((tau - 0.5).abs() < 1e-6, "{tau}");
}

#[test]
fn an_evaluation_repeats_and_disturbs_nothing() {
    let (_directory, bands) = bands();
    let cx = context(1);
    let mut phase = prepared(&small(&bands), &Artifacts::default(), &cx);
    let mut other = prepared(&small(&bands), &Artifacts::default(), &cx);
    let first = phase.evaluate(Evaluation::Periodic, &cx).unwrap();
    assert_eq!(first, phase.evaluate(Evaluation::Final, &cx).unwrap());
    assert_eq!(first["held_back/retrieval_at_1_chance"], 0.25);
    assert_eq!(run(&mut phase, 0..2, &cx), run(&mut other, 0..2, &cx));
}

#[test]
fn the_reference_has_as_many_parameters_as_in_its_own_system() {
    let section = json!({
        "trainer": {"batch_size": 2},
        "tokenizer": {"n_frequencies": 8},
        "model": {
            "embed_dim": 64, "depth": 2, "heads": 4, "d_ff": 2048, "norm": "after",
            "activation": "relu", "dropout": 0.1, "position": "none", "init": "framework",
        },
        "loss": {"learnable_tau": false},
    });
    let phase = prepared(&section, &Artifacts::default(), &context(1));
    assert_eq!(phase.facts()["parameters"], 1_127_424);
}

/// Two peaks a spectrum, and much noise: materials that a sensor tells apart.
fn library() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut text = "wavelength_nm".to_owned();
    let n = 60;
    text.extend((0..n).map(|i| format!(",m{i}_a")));
    for step in 0..=212 {
        let nm = 380.0 + 10.0 * f64::from(step);
        text += &format!("\n{nm}");
        for i in 0..n {
            let peak = |center: f64, width: f64| (-0.5 * ((nm - center) / width).powi(2)).exp();
            let (a, b) = (f64::from(i * 37 % 60), f64::from(i * 23 % 60));
            let value =
                0.3 + 0.2 * peak(500.0 + 30.0 * a, 150.0) - 0.1 * peak(450.0 + 32.0 * b, 90.0);
            text += &format!(",{value:.5}");
        }
    }
    let path = directory.path().join("library.csv");
    fs::write(&path, text + "\n").unwrap();
    let path = path.display().to_string();
    (directory, path)
}

#[test]
fn it_learns_to_find_held_back_materials_and_beats_the_baselines() {
    let (_directory, path) = library();
    let field = json!({
        "mix_max": 0.1, "gain": [0.5, 1.5], "slope_max": 0.6, "offset_max": 0.05,
        "noise": {"relative": 0.02},
    });
    let section = json!({
        "trainer": {"batch_size": 40, "max_steps": 150},
        "data": {
            "sensor": {"n_bands": 40, "start_nm": 420.0, "stop_nm": 2450.0},
            "library": {
                "sources": {"own": {"kind": "csv", "path": path}},
                "materials": {"pattern": "^[^_]+"}, "split": {"val_fraction": 0.4},
            },
            "perturbation": field, "mixed_part": 0.5, "eval_views": 4,
        },
        "model": {"tower": "mlp", "shared": true, "embed_dim": 32, "depth": 1, "init": "framework"},
        "optimizer": {"lr": 0.003},
    });
    let cx = context(1);
    let mut phase = prepared(&section, &Artifacts::default(), &cx);
    let before = phase.evaluate(Evaluation::Periodic, &cx).unwrap();
    run(&mut phase, 0..150, &cx);
    let after = phase.evaluate(Evaluation::Final, &cx).unwrap();
    let found =
        |metrics: &sdk::Metrics, by: &str| metrics[&format!("held_back/retrieval_at_1{by}")];
    assert!(found(&after, "") >= found(&before, ""));
    assert!(found(&after, "") > found(&after, "_angle") + 0.1, "{after:?}");
    assert!(found(&after, "") > found(&after, "_correlation") + 0.1, "{after:?}");
    assert!(after["loss"] < 0.6 * before["loss"], "{} of {}", after["loss"], before["loss"]);
}

#[test]
fn an_encoder_is_handed_on_and_another_one_is_refused() {
    let section = json!({
        "trainer": {"batch_size": 2}, "data": {"sensor": {"n_bands": 6, "start_nm": 400.0, "stop_nm": 2400.0}},
        "model": {"embed_dim": 8, "depth": 1, "heads": 2},
    });
    let cx = context(1);
    let mut first = prepared(&section, &Artifacts::default(), &cx);
    run(&mut first, 0..2, &cx);
    let mut given = Artifacts::default();
    for artifact in first.artifacts().unwrap() {
        given.push("first", artifact);
    }
    let mut second = prepared(&section, &given, &cx);
    let state = |phase: &mut Alignment| StateDict::save(phase).unwrap().tensors;
    let (old, new) = (state(&mut first), state(&mut second));
    let values = |all: &std::collections::BTreeMap<String, sdk::TensorHandle>, name: &str| {
        all[name].to_vec::<f32>().unwrap()
    };
    let sensor = "model/sensor.encoder.embed.weight";
    assert_eq!(values(&old, sensor), values(&new, sensor));
    let lab = "model/lab.encoder.embed.weight";
    assert_ne!(values(&old, lab), values(&new, lab));
    // Scaled as the values of the first were, whatever this one would measure.
    let mut global = section.clone();
    global["tokenizer"] = json!({"value_norm": "global_zscore"});
    let mut first = prepared(&global, &Artifacts::default(), &cx);
    let mut theirs = first.artifacts().unwrap().remove(1);
    assert_eq!(theirs.kind, towers::KIND);
    theirs.settings["value_stats"] = json!({"mean": 7.0, "std": 3.0});
    let mut scaled = Artifacts::default();
    scaled.push("first", theirs);
    let own = prepared(&global, &scaled, &cx).artifacts().unwrap().remove(1);
    assert_eq!(own.settings["value_stats"], json!({"mean": 7.0, "std": 3.0}));

    let mut wider = section.clone();
    wider["model"]["depth"] = json!(2);
    let error = Alignment::check(&config(&wider), &given).remove(0);
    assert_eq!(error.message, "the encoder handed on was trained with `depth` 1, not 2");
}
