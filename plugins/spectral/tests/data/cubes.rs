//! ENVI image cubes: every interleave, type and order by window.

use std::ops::Range;

use insta::assert_snapshot;
use spectral::data::Markers;
use spectral::data::envi::{Cube, Window};

use crate::support::{Files, f32_bytes};

const ROWS: usize = 5;
const COLUMNS: usize = 4;
const BANDS: usize = 3;

/// The value of a pixel's band: its place in decimal digits.
fn value(row: usize, column: usize, band: usize) -> f32 {
    (100 * row + 10 * column + band) as f32
}

/// A cube in this order, with these lines more in its header.
fn cube(interleave: &str, lines: &str) -> Files {
    let place = |i: usize| match interleave {
        "bsq" => (i / COLUMNS % ROWS, i % COLUMNS, i / (COLUMNS * ROWS)),
        "bil" => (i / (COLUMNS * BANDS), i % COLUMNS, i / COLUMNS % BANDS),
        _ => (i / (COLUMNS * BANDS), i / BANDS % COLUMNS, i % BANDS),
    };
    let values: Vec<f32> = (0..ROWS * COLUMNS * BANDS)
        .map(|i| {
            let (row, column, band) = place(i);
            value(row, column, band)
        })
        .collect();
    let files = Files::new();
    files.write("scene.img", [&b"12345"[..], &f32_bytes(&values)].concat());
    let header = format!(
        "ENVI\nfile type = ENVI Standard\nlines = {ROWS}\nsamples = {COLUMNS}\nbands = {BANDS}\n\
         header offset = 5\ndata type = 4\nbyte order = 0\ninterleave = {interleave}\n{lines}"
    );
    files.write("scene.hdr", header);
    files
}

fn opened(files: &Files) -> Cube {
    Cube::open(&files.path("scene.img"), &Markers::default()).unwrap()
}

#[test]
fn every_window_of_every_interleave_has_the_values_of_its_place() {
    let ranges = |n: usize| -> Vec<Range<usize>> {
        (0..n).flat_map(|begin| (begin + 1..=n).map(move |end| begin..end)).collect()
    };
    for interleave in ["bsq", "bil", "bip"] {
        let files = cube(interleave, "");
        let cube = opened(&files);
        let mut n_windows = 0;
        for rows in ranges(ROWS) {
            for columns in ranges(COLUMNS) {
                for bands in ranges(BANDS) {
                    let window = Window {
                        rows: rows.clone(),
                        columns: columns.clone(),
                        bands: bands.clone(),
                    };
                    let pixels = cube.read::<f32>(&window).unwrap();
                    let expected: Vec<f32> = rows
                        .clone()
                        .flat_map(|row| columns.clone().map(move |column| (row, column)))
                        .flat_map(|(row, column)| {
                            bands.clone().map(move |band| value(row, column, band))
                        })
                        .collect();
                    assert_eq!(pixels.values, expected, "{interleave} {window:?}");
                    n_windows += 1;
                }
            }
        }
        assert_eq!(n_windows, 15 * 10 * 6);
    }
}

#[test]
fn bad_bands_and_the_ignore_value_are_missing() {
    let files = cube("bil", "bbl = { 1, 0, 1 }\ndata ignore value = 230\n");
    let pixels = opened(&files).read::<f64>(&opened(&files).whole()).unwrap();
    assert!(pixels.pixel(2, 3)[0].is_nan());
    assert_eq!(pixels.pixel(2, 3)[2], 232.0);
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            assert!(pixels.pixel(row, column)[1].is_nan());
        }
    }
    let window = Window { rows: 0..1, columns: 0..2, bands: 1..3 };
    let part = opened(&files).read::<f32>(&window).unwrap();
    assert!(part.pixel(0, 1)[0].is_nan());
    assert_eq!(part.pixel(0, 1)[1], 12.0);
}

#[test]
fn stored_numbers_are_divided_by_the_scale_factor() {
    let files = cube("bip", "reflectance scale factor = 1000\n");
    let cube = opened(&files);
    assert_eq!(cube.read::<f64>(&cube.whole()).unwrap().pixel(4, 3), [0.43, 0.431, 0.432]);
}

#[test]
fn a_window_that_is_empty_or_reaches_outside_is_told() {
    let files = cube("bsq", "");
    let cube = opened(&files);
    let told = |window: Window| files.told(&cube.read::<f32>(&window).unwrap_err());
    let whole = cube.whole();
    assert_snapshot!(told(Window { rows: 3..6, ..whole.clone() }), @"`scene.hdr` has 5 rows, not 3..6");
    assert_snapshot!(told(Window { columns: 4..5, ..whole.clone() }), @"`scene.hdr` has 4 columns, not 4..5");
    assert_snapshot!(told(Window { bands: 1..1, ..whole }), @"`scene.hdr` has 3 bands, not 1..1");
}

#[test]
fn a_library_is_no_image() {
    let files = Files::new();
    files.write("lab.sli", [0; 2]);
    files.write(
        "lab.hdr",
        "ENVI\nfile type = ENVI Spectral Library\nlines = 1\nsamples = 2\nbands = 1\ndata type = 1",
    );
    let error = Cube::open(&files.path("lab.sli"), &Markers::default()).unwrap_err();
    assert_snapshot!(files.told(&error), @"
    `lab.hdr` is a spectral library, and no image
    help: read it as `envi`
    ");
}
