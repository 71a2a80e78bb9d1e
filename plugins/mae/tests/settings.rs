//! Every setting of the section acts: each is given another value, and something must come of it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;

use mae::Mae;
use sdk::testing::Settings;
use serde_json::{Value, json};

/// Two libraries of ten materials.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for (name, factor) in [("one.csv", 1.0), ("other.csv", 0.7)] {
            let names: Vec<String> = (0..10).map(|i| format!("material{i}_a")).collect();
            let mut text = format!("wavelength_nm,{}\n", names.join(","));
            for nm in (400..=900).step_by(25) {
                let value = |i: i32| factor * (f64::from(nm * (i + 3)) / 700.0).sin().abs();
                // The first material lacks a third of its bands.
                let field =
                    |i| if i == 0 && nm < 570 { String::new() } else { format!("{:.4}", value(i)) };
                let fields: Vec<String> = (0..10).map(field).collect();
                text.push_str(&format!("{nm},{}\n", fields.join(",")));
            }
            fs::write(files.path(name), text).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// All that can be switched on, on `data`.
fn section(data: &Value) -> Value {
    json!({
        "encoder": {"embed_dim": 8, "depth": 2, "heads": 2, "d_ff": 12, "dropout": 0.1},
        "decoder": {"depth": 2, "heads": 2, "basis_K": 3},
        "masking": {"mask_kind": "mixed", "spectral_ratio": 0.4, "block_nm": 100.0},
        "objective": {"smoothness_weight": 0.1},
        "train": {
            "batch_size": 3, "max_steps": 9, "lr": 0.01, "min_lr": 0.001, "warmup_steps": 1,
            "weight_decay": 0.1, "grad_clip": 0.1, "log_every": 2, "eval_every": 3, "save_every": 4,
            "eval_samples": 2,
        },
        "data": data,
        "tokenizer": {"n_frequencies": 2},
    })
}

fn library(files: &Files) -> Value {
    json!({
        "kind": "library", "sensor": null, "grid_nm": {"start": 420.0, "stop": 880.0, "num": 11},
        "min_covered": 0.8,
        "spectra": {
            "sources": {"own": {"kind": "csv", "path": files.path("one.csv")}},
            "materials": {"pattern": "^[^_]+"}, "split": {"val_fraction": 0.4},
        },
    })
}

#[test]
fn every_setting_acts() {
    let files = Files::new();
    let grid = json!({"start": 400.0, "stop": 950.0, "num": 12});
    let synthetic = json!({"kind": "synthetic", "lab_grid_nm": grid, "lab_noise_std": 0.02});
    let noise = {
        let mut section = section(&json!({"kind": "noise", "n_pixels": 6, "n_bands": 4}));
        section["decoder"] = json!({});
        section["masking"] = json!({});
        section
    };
    fs::write(
        files.path("scene.img"),
        (0..8 * 8 * 4).flat_map(|i| (i as f32).sin().to_le_bytes()).collect::<Vec<u8>>(),
    )
    .unwrap();
    fs::copy(files.path("scene.img"), files.path("other.img")).unwrap();
    for name in ["scene.hdr", "other.hdr"] {
        let wavelengths = if name == "scene.hdr" { "400, 500, 600, 700" } else { "4, 5, 6, 7" };
        let header = format!(
            "ENVI\nlines = 8\nsamples = 8\nbands = 4\ndata type = 4\nbyte order = 0\n\
             interleave = bip\nwavelength = {{{wavelengths}}}\n"
        );
        fs::write(files.path(name), header).unwrap();
    }
    let of_cube = {
        let data = json!({
            "kind": "cube", "path": files.path("scene.img"), "unit": "nm", "side": 2, "tile": 2,
        });
        let mut section = section(&data);
        section["decoder"] = json!({});
        section["masking"] = json!({"spatial_ratio": 0.5, "mask_kind": "block"});
        section
    };
    let listed: Vec<f64> = (0..12).map(|i| 430.0 + 40.0 * f64::from(i)).collect();
    let of_list = {
        let mut data = library(&files);
        data["grid_nm"] = json!(listed[..11]);
        section(&data)
    };
    let made_up_on_list = section(&json!({"kind": "synthetic", "lab_grid_nm": listed}));
    let of_sensor = {
        let mut data = library(&files);
        data["sensor"] = "emit".into();
        data["min_covered"] = 0.1.into();
        let mut section = section(&data);
        section["tokenizer"] = json!({
            "include_srf_embed": true, "include_srf_provenance": true, "token_dim": 6,
        });
        section
    };
    let found = Settings::<Mae>::new(section(&synthetic))
        .also(section(&library(&files)))
        .also(noise)
        .also(of_cube)
        .alternatives("data[cube].path", [files.path("other.img")])
        .alternatives("data[cube].missing", [json!([0.0])])
        .also(of_sensor)
        .also(of_list)
        .also(made_up_on_list)
        .alternatives("data[library].sensor", ["enmap"])
        // It is for spectra that are flat; so large, it acts on all.
        .alternatives("tokenizer.epsilon", [10.0])
        .find()
        .unwrap();
    // What is said about files is the library crate's, and tested there.
    let is_ours = |key: &&String| !key.contains("data[library].spectra.");
    println!("{found:#?}");
    assert_eq!(found.unused.iter().filter(is_ours).collect::<Vec<_>>(), [] as [&String; 0]);
    assert_eq!(found.untried.iter().filter(is_ours).collect::<Vec<_>>(), [] as [&String; 0]);
}
