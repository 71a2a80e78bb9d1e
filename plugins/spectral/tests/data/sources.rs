//! Sources of a section: what the schema takes, what is checked before a run, and the library.

use insta::assert_snapshot;
use serde_json::{Value, json};
use spectral::data::LibraryConfig;
use spectral::{Axis, data::Library};

use crate::support::{Files, f32_bytes};

fn config(value: Value) -> LibraryConfig {
    serde_json::from_value(value).unwrap()
}

/// A library of `n` spectra of as many materials, in a file of its own axis.
fn library(files: &Files, stem: &str, n: usize, unit: &str, wavelengths: [f64; 2]) {
    let names: Vec<String> = (0..n).map(|i| format!("{stem}{} 1", letters(i))).collect();
    let [first, last] = wavelengths;
    let header = format!(
        "ENVI\nfile type = ENVI Spectral Library\nsamples = 2\nlines = {n}\nbands = 1\n\
         data type = 4\nbyte order = 0\nwavelength units = {unit}\n\
         wavelength = {{ {first}, {last} }}\nspectra names = {{ {} }}\n",
        names.join(", ")
    );
    files.write(&format!("{stem}.hdr"), header);
    let values: Vec<f32> = (0..2 * n).map(|i| i as f32).collect();
    files.write(&format!("{stem}.sli"), f32_bytes(&values));
}

/// Numbers end a material's name; letters don't.
fn letters(i: usize) -> String {
    [i / 26, i % 26].map(|digit| char::from(b'a' + digit as u8)).iter().collect()
}

#[test]
fn sources_of_all_kinds_make_one_library_in_the_order_of_their_names() {
    let files = Files::new();
    library(&files, "lab", 3, "Nanometers", [400.0, 800.0]);
    library(&files, "field", 2, "Micrometers", [0.4, 0.8]);
    files.write("own.csv", "Wavenumber (cm-1),Talc 1\n12500,0.5\n25000,1.5\n");
    let config = config(json!({"sources": {
        "b": {"kind": "envi", "path": [files.text("lab.sli"), files.text("f*.sli")]},
        "a": {"kind": "csv", "path": files.text("")},
    }}));
    assert_eq!(config.check("data.library"), []);
    let library = config.load("data.library").unwrap();
    let names: Vec<&str> = library.spectra().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["Talc 1", "fieldaa 1", "fieldab 1", "labaa 1", "labab 1", "labac 1"]);
    let seen = library.resampled(&Axis::nm(vec![600.0]).unwrap());
    let values: Vec<f64> = seen.spectra().iter().map(|s| s.values()[0]).collect();
    assert_eq!(values, [1.0, 0.5, 2.5, 0.5, 2.5, 4.5]);
}

#[test]
fn pixels_of_a_cube_are_spectra_and_tiles_their_materials() {
    let files = Files::new();
    let header = "ENVI\nlines = 4\nsamples = 6\nbands = 2\ndata type = 1\ninterleave = bip\n\
                  wavelength units = nm\nwavelength = { 500, 400 }\ndata ignore value = 0\n";
    files.write("scene.hdr", header);
    let mut bytes: Vec<u8> = (1..=48).collect();
    bytes[0..2].fill(0);
    files.write("scene.img", bytes);
    let source = json!({"kind": "cube", "path": files.text("scene.hdr"), "every": 2, "tile": 3});
    let config = config(json!({"sources": {"scene": source}}));
    assert_eq!(config.check("x"), []);
    let library = config.load("x").unwrap();
    let shown: Vec<String> =
        library.spectra().iter().map(|s| format!("{} {}", s.name, s.material)).collect();
    assert_eq!(
        shown,
        [
            "scene[0,2] scene tile 0,0",
            "scene[0,4] scene tile 0,1",
            "scene[2,0] scene tile 0,0",
            "scene[2,2] scene tile 0,0",
            "scene[2,4] scene tile 0,1",
        ]
    );
    assert_eq!(library.spectra()[0].values(), [6.0, 5.0]);
}

#[test]
fn the_digest_follows_from_what_is_read_and_from_nothing_else() {
    let files = Files::new();
    library(&files, "lab", 3, "Nanometers", [400.0, 800.0]);
    let read = || -> Library {
        let sources = json!({"lab": {"kind": "envi", "path": files.text("lab.hdr")}});
        config(json!({"sources": sources})).load("x").unwrap()
    };
    let first = read().digest();
    assert_eq!(first.len(), 64);
    assert_eq!(read().digest(), first);
    files.write("lab.sli", f32_bytes(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.5]));
    assert_ne!(read().digest(), first);
}

#[test]
fn all_that_is_wrong_is_found_before_a_run_with_its_key() {
    let files = Files::new();
    library(&files, "lab", 3, "Index", [400.0, 800.0]);
    library(&files, "cut", 3, "nm", [400.0, 800.0]);
    files.write("cut.sli", [0; 23]);
    let config = config(json!({
        "sources": {
            "a": {"kind": "envi", "path": files.text("nowhere.sli")},
            "b": {"kind": "envi", "path": files.text("lab.sli")},
            "c": {"kind": "envi", "path": files.text("cut.sli")},
            "d": {"kind": "csv", "path": files.text("*.csv")},
            "e": {"kind": "cube", "path": files.text("lab.sli")},
            "f": {"kind": "csv", "path": files.text("").trim_end_matches('/')},
            "g": {"kind": "csv", "path": []},
            "h": {"kind": "csv", "path": "a***b"},
        },
        "materials": {"pattern": "[a"},
        "split": {"val_fraction": 1.0},
    }));
    let told: Vec<String> =
        config.check("data.library").iter().map(|error| files.told(error)).collect();
    assert_snapshot!(told.join("\n"), @"
    at data.library.materials.pattern: `[a` is no regular expression: unclosed character class
    at data.library.split.val_fraction: the part held back must be from 0 to 0.9, not 1
    at data.library.sources.a.path: no such file: `nowhere.sli`
    help: paths count from the directory that the run is started in
    at data.library.sources.b.unit: `lab.hdr` has an axis of unknown unit: `Index`
    help: set `unit` to `nm`, `um` or `cm-1`
    at data.library.sources.c.path: `cut.sli` has 23 bytes, but `cut.hdr` says 24: 2 samples × 3 lines × 1 bands × 4 bytes + 0 bytes of offset
    help: is the file whole, and `data type` right?
    at data.library.sources.d.path: `*.csv` matches no file
    help: paths count from the directory that the run is started in
    at data.library.sources.e.path: `lab.hdr` is a spectral library, and no image
    help: read it as `envi`
    at data.library.sources.f.path: the directory `DIR` has no `.csv` or `.tsv` file
    help: paths count from the directory that the run is started in
    at data.library.sources.g.path: names no file
    help: paths count from the directory that the run is started in
    at data.library.sources.h.path: malformed glob `a***b`: wildcards are either regular `*` or recursive `**`
    ");
}

#[test]
fn a_section_without_sources_says_how_one_looks() {
    let files = Files::new();
    let faults = LibraryConfig::default().check("data.library");
    assert_eq!(faults.len(), 1);
    assert_snapshot!(files.told(&faults[0]), @r#"
    at data.library.sources: there are no spectra to read
    help: give a source, such as `{"lab": {"kind": "envi", "path": "lab.sli"}}`
    "#);
}

#[test]
fn keys_that_are_not_known_are_refused_at_every_depth() {
    let parse = |value| serde_json::from_value::<LibraryConfig>(value).map(|_| ());
    for unknown in [
        json!({"source": {}}),
        json!({"split": {"seed": 1}}),
        json!({"materials": {"regex": ""}}),
        json!({"sources": {"a": {"kind": "envi", "path": "x", "units": "nm"}}}),
        json!({"sources": {"a": {"kind": "csv", "path": "x", "layout": "wide"}}}),
        json!({"sources": {"a": {"kind": "excel", "path": "x"}}}),
    ] {
        assert!(parse(unknown.clone()).is_err(), "{unknown}");
    }
}

#[test]
fn faults_of_reading_stand_at_their_settings() {
    let files = Files::new();
    files.write("lab.csv", "name,400,500\nx,1,2\n");
    let told = |more: Value| {
        let mut source = json!({"kind": "csv", "path": files.text("lab.csv")});
        source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        files.told(&config(json!({"sources": {"own": source}})).load("data").unwrap_err())
    };
    assert_snapshot!(told(json!({})), @"
    at data.sources.own.unit: `lab.csv` doesn't say the unit of its axis
    help: set `unit` to `nm`, `um` or `cm-1`
    ");
    assert_snapshot!(told(json!({"unit": "nm", "name_column": "label"})), @"
    at data.sources.own.name_column: `lab.csv` has no column `label`
    help: columns: `name`
    ");
    assert_snapshot!(told(json!({"unit": "nm", "layout": "columns"})), @"at data.sources.own.path: lab.csv:2: `x` in the first column is no position of an axis");
}

#[test]
fn a_side_without_spectra_is_told() {
    let files = Files::new();
    library(&files, "lab", 40, "Nanometers", [400.0, 800.0]);
    let path = files.text("lab.sli");
    let split = |split: Value, pattern: &str| {
        let config = config(json!({
            "sources": {"lab": {"kind": "envi", "path": path}},
            "materials": {"pattern": pattern},
            "split": split,
        }));
        config.split(config.load("data").unwrap(), "data")
    };
    let (train, val) = split(json!({}), ".*").unwrap();
    assert_eq!(train.len() + val.len(), 40);
    assert!((2..=16).contains(&val.len()), "{}", val.len());
    let (train, val) = split(json!({"val_fraction": 0.0}), ".*").unwrap();
    assert_eq!((train.len(), val.len()), (40, 0));
    let error = split(json!({"val_fraction": 0.01}), "^lab").unwrap_err();
    assert_snapshot!(files.told(&error), @"
    at data.split: the split leaves no spectra to hold back; materials in all: 1
    help: set another `val_fraction` or `val_seed`, or have `materials` tell more of them apart
    ");
}
