//! The trainers on spectra from outside: going on, handing on, and what they leave behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::json;
use tests::{Installation, Project, contents, read_json};

fn project() -> Project {
    Project::with(Installation::dynamic())
}

/// What the phases of the newest run have left behind.
fn left(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for phase in fs::read_dir(run.join("phases")).unwrap().flatten() {
        let name = phase.file_name().display().to_string();
        // The manifest says when it was written.
        let own = contents(&phase.path().join("artifacts")).into_iter();
        let own = own.filter(|(file, _)| file != "manifest.json");
        all.extend(own.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
    }
    all
}

fn run(project: &Project, profile: &str, more: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let args = ["run", "--profile", profile, "--progress", "off"];
    project.host([&args[..], more].concat()).expect(0);
    left(&project.last_run())
}

fn assert_same(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, bytes) in left {
        assert!(right[name] == *bytes, "`{name}` differs");
    }
}

/// Both trainers, dynamic and bundled: a run that was stopped in its middle ends with the same bits.
#[test]
fn a_run_that_goes_on_ends_as_one_without_a_stop() {
    for (profile, half) in [("smoke-mae", "10"), ("smoke-align", "1")] {
        let dynamic = project();
        let expected = run(&dynamic, profile, &[]);
        assert!(expected.len() > 2, "{:?}", expected.keys());
        run(&dynamic, profile, &["--max-steps", half]);
        assert_same(&run(&dynamic, profile, &["--resume"]), &expected);
        let bundled = Project::with(Installation::bundled());
        run(&bundled, profile, &["--max-steps", half]);
        assert_same(&run(&bundled, profile, &["--resume"]), &expected);
    }
}

#[test]
fn a_pretrained_encoder_starts_the_sensor_s_tower() {
    let project = project();
    let args = ["run", "--profile", "pipeline-spectral-smoke", "--progress", "plain"];
    let output = project.host(args).expect(0);
    let said = "the sensor's tower starts with the encoder of an earlier phase";
    assert!(output.stderr.contains(said), "{output}");
}

/// Found before the first phase starts.
#[test]
fn an_encoder_for_another_axis_is_refused_at_once() {
    let project = project();
    let args = ["run", "--profile", "pipeline-spectral-smoke"];
    let other = "alignment.data.sensor.stop_nm=2440.0";
    assert_snapshot!(project.host([&args[..], &[other]].concat()), @"
    exit: 2
    ----- stderr
    error: the encoder handed on was trained on another axis: band 1 is at 497.619 nm, not 497.143 nm
      --> override 1: alignment.data.sensor.stop_nm=2440.0
      = key: alignment.data.sensor
    help: give both phases the same `sensor`, or the same grid

    error: 1 configuration error; nothing was started
    ");
    let other = "alignment.tokenizer.n_frequencies=4";
    assert_snapshot!(project.host([&args[..], &[other]].concat()), @"
    exit: 2
    ----- stderr
    error: the encoder handed on was trained with `tokenizer.n_frequencies` 6, not 4
      --> override 1: alignment.tokenizer.n_frequencies=4
      = key: alignment.tokenizer.n_frequencies
    help: give both phases the same settings of the encoder

    error: 1 configuration error; nothing was started
    ");
    let other = "alignment.model.embed_dim=32";
    assert_snapshot!(project.host([&args[..], &[other]].concat()), @"
    exit: 2
    ----- stderr
    error: the encoder handed on was trained with `embed_dim` 16, not 32
      --> override 1: alignment.model.embed_dim=32
      = key: alignment.model.embed_dim
    help: give both phases the same settings of the encoder

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn pictures_and_the_first_mask_come_out_as_files() {
    let project = project();
    run(&project, "smoke-mae", &[]);
    project.host(["export", "--format", "plots", "--out", "plots"]).expect(0);
    let plots = project.path("plots");
    let picture = fs::read_to_string(plots.join("reconstruction-1.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains("reconstructed"), "{picture}");
    let picture = fs::read_to_string(plots.join("first-mask.svg")).unwrap();
    assert!(picture.contains(">bands: 32 of 64 kept<"), "{picture}");
    let mask = read_json(&plots.join("mask.json"));
    assert_eq!((&mask["total"], &mask["spectral_mask_ratio"]), (&json!(64), &json!(0.5)));
    assert_eq!(mask["mask"].as_array().unwrap().len(), 64);
    assert!(plots.join("materials.json").is_file());
}
