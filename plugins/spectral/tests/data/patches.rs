//! Patches of image cubes: where they lie, which side they stand on, and what is known of them.

use insta::assert_snapshot;
use serde_json::{Value, json};
use spectral::data::{PatchConfig, Patches};

use crate::support::{Files, f32_bytes};

/// A cube of 7 × 9 pixels, whose value in row r, column c and band b is 100 r + 10 c + b; the bands
/// fall in wavelength.
fn cube(files: &Files, name: &str, bands: usize) {
    let pixels = (0..7 * 9).map(|i| (i / 9, i % 9));
    let values: Vec<f32> = pixels
        .flat_map(|(row, column)| (0..bands).map(move |b| (100 * row + 10 * column + b) as f32))
        .collect();
    files.write(&format!("{name}.img"), f32_bytes(&values));
    let wavelengths: Vec<String> = (0..bands).map(|b| (900 - 100 * b).to_string()).collect();
    let header = format!(
        "ENVI\nlines = 7\nsamples = 9\nbands = {bands}\ndata type = 4\nbyte order = 0\n\
         interleave = bip\nwavelength units = Nanometers\nwavelength = {{{}}}\n\
         data ignore value = 100\n",
        wavelengths.join(", ")
    );
    files.write(&format!("{name}.hdr"), header);
}

fn config(files: &Files, more: &Value) -> PatchConfig {
    let mut config = json!({"path": files.text("*.img"), "side": 3, "tile": 3});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

#[test]
fn patches_lie_side_by_side_and_each_is_on_one_side_of_the_split() {
    let files = Files::new();
    cube(&files, "scene", 2);
    let patches = Patches::open(&config(&files, &json!({})), "data").unwrap();
    assert_eq!((patches.side(), patches.n_bands()), (3, 2));
    assert_eq!(patches.centers_nm().unwrap(), [800.0, 900.0]);
    // Two rows of three: what is left at the edges has no patch.
    assert_eq!(patches.n_train() + patches.n_val(), 6);
    let of_train = (0..patches.n_train()).map(|i| patches.train(i).unwrap());
    let of_val = (0..patches.n_val()).map(|i| patches.val(i).unwrap());
    let mut corners: Vec<Vec<f64>> = of_train.chain(of_val).map(|p| p[16..].to_vec()).collect();
    corners.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let expected = [(2, 2), (2, 5), (2, 8), (5, 2), (5, 5), (5, 8)];
    let expected = expected.map(|(row, column)| f64::from(100 * row + 10 * column));
    assert_eq!(corners, expected.map(|value| vec![value + 1.0, value]));
}

#[test]
fn a_survey_tells_bands_and_contents() {
    let files = Files::new();
    cube(&files, "scene", 2);
    let one_side = json!({"side": 7, "tile": 100});
    let open = |more: &Value| Patches::open(&config(&files, more), "data");
    let told = files.told(&open(&one_side).unwrap_err());
    assert!(told.starts_with("at data.split: the split leaves no patches to "), "{told}");

    let patches = open(&json!({})).unwrap();
    let survey = patches.survey().unwrap();
    let seen: Vec<f64> = (0..patches.n_train())
        .flat_map(|i| patches.train(i).unwrap().into_iter().skip(1).step_by(2))
        .filter(|value| value.is_finite())
        .collect();
    let mean = seen.iter().sum::<f64>() / seen.len() as f64;
    assert!((survey.bands[1].mean - mean).abs() < 1e-9);
    assert_eq!(survey, patches.survey().unwrap());
    files.write("scene.img", f32_bytes(&[1.0; 7 * 9 * 2]));
    assert_ne!(open(&json!({})).unwrap().survey().unwrap().digest, survey.digest);
}

#[test]
fn what_does_not_fit_is_told_before_anything_is_read() {
    let files = Files::new();
    cube(&files, "scene", 2);
    let told = |more: &Value| {
        let faults = config(&files, more).check("data");
        faults.iter().map(|fault| files.told(fault)).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(told(&json!({})), "");
    assert_snapshot!(told(&json!({"side": 8})), @"
    at data.path: `scene.hdr` has 7 × 9 pixels: no patch of 8 × 8
    help: take a smaller `side`
    ");
    assert_snapshot!(told(&json!({"split": {"val_fraction": 0.95}})), @"at data.split.val_fraction: the part held back must be from 0 to 0.9, not 0.95");
    assert_snapshot!(told(&json!({"path": files.text("none.img")})), @"
    at data.path: no such file: `none.img`
    help: paths count from the directory that the run is started in
    ");
    cube(&files, "second", 3);
    assert_snapshot!(told(&json!({})), @"
    at data.path: `second.hdr` has other bands than `scene.hdr`
    help: cubes of one run must have the same bands
    ");
}
