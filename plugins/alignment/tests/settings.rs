//! Every setting of the section acts: each is given another value, and something must come of it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;

use alignment::Alignment;
use sdk::testing::Settings;
use serde_json::{Value, json};

/// Files of the section: absorption bands, and others; a library, and another one.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let bands = |center: u32| {
            format!("bands: [{{name: a, center: {center}, left: 900, right: 1300}}]\n")
        };
        fs::write(files.path("bands.yaml"), bands(1000)).unwrap();
        fs::write(files.path("others.yaml"), bands(1100)).unwrap();
        files
    }

    fn library(&self) -> String {
        let names: Vec<String> = (0..10).map(|i| format!("material{i}_a")).collect();
        let mut text = format!("wavelength_nm,{}\n", names.join(","));
        for nm in (400..=900).step_by(10) {
            let value = |i: i32| 0.5 + 0.4 * (f64::from(nm * (i + 3)) / 700.0).sin();
            let values: Vec<String> = (0..10).map(|i| format!("{:.4}", value(i))).collect();
            text.push_str(&format!("{nm},{}\n", values.join(",")));
        }
        fs::write(self.path("library.csv"), text).unwrap();
        self.path("library.csv")
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

fn section(files: &Files) -> Value {
    json!({
        "trainer": {
            "batch_size": 3, "max_steps": 9, "log_every": 2, "eval_every": 3, "save_every": 4,
            "grad_clip_norm": 0.1,
        },
        "data": {
            "sensor": {"n_bands": 9, "start_nm": 400.0, "stop_nm": 2400.0},
            "lab_grid_nm": {"start": 380.0, "stop": 2500.0, "num": 20},
            "lab_noise_std": 0.02, "sensor_noise_rel": 0.05, "eval_views": 2,
        },
        "model": {"embed_dim": 8, "depth": 1, "heads": 2, "d_ff": 12, "dropout": 0.1},
        "optimizer": {
            "lr": 0.01, "min_lr": 0.001, "warmup_steps": 1, "weight_decay": 0.1, "decay_all": true,
        },
        "cycle": {
            "enabled": true, "hidden_dim": 6, "num_layers": 2, "cycle_continuum": true,
            "slope_reg": true, "slope_weight": 1000.0, "continuum_window_nm": [700.0, 2000.0],
        },
        "banddepth": {"enabled": true, "config": files.path("bands.yaml"), "hidden_dim": 5},
    })
}

/// A library of ten materials, and settings of the field one by one.
fn library(files: &Files) -> Value {
    let mut section = section(files);
    section["data"] = json!({
        "sensor": {"n_bands": 9, "start_nm": 420.0, "stop_nm": 880.0},
        "lab_grid_nm": {"start": 410.0, "stop": 890.0, "num": 20},
        "library": {
            "sources": {"own": {"kind": "csv", "path": files.library()}},
            "materials": {"pattern": "^[^_]+"}, "split": {"val_fraction": 0.4},
        },
        "perturbation": {
            "mix_max": 0.2, "center_shift_std_nm": 2.0, "gain": [0.5, 1.5], "slope_max": 0.2,
            "offset_max": 0.05, "noise": {"relative": 0.05}, "removed_nm": [[600.0, 650.0]],
        },
        "mixed_part": 0.3, "variation": 0.1,
        "evaluate": {"own": {"noise": {"relative": 0.01}}},
    });
    section["model"]["dropout"] = 0.0.into();
    section["tokenizer"] = json!({
        "include_srf_embed": true, "include_srf_provenance": true, "token_dim": 6,
    });
    section
}

#[test]
fn every_setting_acts() {
    let files = Files::new();
    let mut mlp = section(&files);
    mlp["model"] = json!({"tower": "mlp", "embed_dim": 8, "depth": 1, "d_ff": 12});
    let mut named = section(&files);
    named["data"] = json!({
        "sensor": "emit", "evaluate": {"own": "field"}, "perturbation": "clean",
        "lab_grid_nm": (0..30).map(|i| 380.0 + 75.0 * f64::from(i)).collect::<Vec<_>>(),
    });
    let found = Settings::<Alignment>::new(section(&files))
        .also(library(&files))
        .also(mlp)
        .also(named)
        .alternatives("data.sensor", ["enmap"])
        .alternatives("data.sensor.fwhm_nm", [json!([30.0, 60.0])])
        .alternatives("data.evaluate.*.removed_nm", [json!([[500.0, 600.0]])])
        // It is for spectra that are flat; so large, it acts on all.
        .alternatives("tokenizer.epsilon", [10.0])
        .alternatives("banddepth.config", [files.path("others.yaml")])
        .find()
        .unwrap();
    // What is said about files is the library crate's, and tested there.
    let is_ours = |key: &&String| !key.contains("data.library.");
    println!("{found:#?}");
    assert_eq!(found.unused.iter().filter(is_ours).collect::<Vec<_>>(), [] as [&String; 0]);
    assert_eq!(found.untried.iter().filter(is_ours).collect::<Vec<_>>(), [] as [&String; 0]);
}
