//! ENVI spectral libraries: values, names, axes; and files that don't fit each other.

use insta::assert_snapshot;
use spectral::AxisUnit;
use spectral::data::envi::EnviLibrary;
use spectral::data::{Markers, MaterialRule, Spectrum, USGS_DELETED};

use crate::support::{Files, f32_bytes};

const HEADER: &str = "ENVI
samples = 3
lines = 2
bands = 1
data type = 4
byte order = 0
file type = ENVI Spectral Library
wavelength units = Micrometers
wavelength = { 0.4, 0.5, 0.6 }
spectra names = { Talc GDS23, Talc HS21.1B }
";

const VALUES: [f32; 6] = [0.25, -1.23e34, 0.75, 1.0, 2.0, f32::NAN];

fn lab() -> Files {
    let files = Files::new();
    files.write("lab.hdr", HEADER);
    files.write("lab.sli", f32_bytes(&VALUES));
    files
}

fn markers() -> Markers {
    Markers::new(&[USGS_DELETED])
}

fn spectra(library: &EnviLibrary, unit: Option<AxisUnit>) -> sdk::Result<Vec<Spectrum>> {
    library.spectra(unit, &MaterialRule::default().compiled().unwrap())
}

/// A library whose header has these lines more, or another in place of that of the same key.
fn changed(lines: &[&str]) -> Files {
    let files = lab();
    let key = |line: &str| line.split('=').next().unwrap().trim().to_owned();
    let is_kept = |line: &&str| !lines.iter().any(|other| key(other) == key(line));
    let kept: Vec<&str> = HEADER.lines().filter(is_kept).collect();
    files.write("lab.hdr", [&kept[..], lines].concat().join("\n"));
    files
}

fn told(files: &Files) -> String {
    let library = EnviLibrary::read(&files.path("lab.sli"), &markers());
    files.told(&library.and_then(|library| spectra(&library, None)).unwrap_err())
}

#[test]
fn a_library_is_read_from_either_of_its_files() {
    let files = lab();
    for name in ["lab.sli", "lab.hdr"] {
        let library = EnviLibrary::read(&files.path(name), &markers()).unwrap();
        assert_eq!((library.n_spectra(), library.name(1)), (2, "Talc HS21.1B".to_owned()));
        assert_eq!([library.values(0)[0], library.values(0)[2]], [0.25, 0.75]);
        assert!(library.values(0)[1].is_nan() && library.values(1)[2].is_nan());
        let spectra = spectra(&library, None).unwrap();
        assert_eq!(*spectra[1].axis().to_nm(), [400.0, 500.0, 600.0]);
        assert_eq!((spectra[1].n_valid(), spectra[1].material.as_str()), (2, "talc"));
    }
}

#[test]
fn the_header_may_have_the_name_of_the_data_file_before_its_own_end() {
    let files = Files::new();
    files.write("lab.sli.hdr", HEADER);
    files.write("lab.sli", f32_bytes(&VALUES));
    assert!(EnviLibrary::read(&files.path("lab.sli"), &markers()).is_ok());
    assert!(EnviLibrary::read(&files.path("lab.sli.hdr"), &markers()).is_ok());
}

#[test]
fn offset_scale_ignore_value_and_bad_bands_are_heeded() {
    let files = changed(&[
        "data type = 12",
        "byte order = 1",
        "header offset = 5",
        "data ignore value = 7",
        "reflectance scale factor = 1000",
        "bbl = { 1, 0, 1 }",
    ]);
    let values: [u16; 6] = [500, 250, 7, 1000, 65_535, 65_535];
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
    files.write("lab.sli", [&b"trash"[..], &bytes].concat());
    let library = EnviLibrary::read(&files.path("lab.sli"), &markers()).unwrap();
    assert_eq!(library.values(0)[0], 0.5);
    assert!(library.values(0)[1].is_nan() && library.values(0)[2].is_nan());
    assert_eq!([library.values(1)[0], library.values(1)[2]], [1.0, 65.535]);
}

#[test]
fn more_than_a_block_is_read_whole() {
    let files = Files::new();
    let n_samples = 700;
    let values: Vec<f32> = (0..n_samples * 1000).map(|i| i as f32).collect();
    files.write("big.sli", f32_bytes(&values));
    let header = format!(
        "ENVI\nfile type = ENVI Spectral Library\nsamples = {n_samples}\nlines = 1000\nbands = 1\n\
         data type = 4\nbyte order = 0\n"
    );
    files.write("big.hdr", header);
    let library = EnviLibrary::read(&files.path("big.sli"), &Markers::default()).unwrap();
    let is_same = |i: usize| library.values(i / n_samples)[i % n_samples] == i as f64;
    assert!((0..values.len()).all(is_same));
    assert_eq!(library.name(999), "spectrum 1000");
}

#[test]
fn wavenumbers_come_out_with_rising_wavelengths() {
    let files = changed(&["wavelength units = Wavenumber", "wavelength = { 4000, 5000, 10000 }"]);
    let library = EnviLibrary::read(&files.path("lab.sli"), &markers()).unwrap();
    let first = &spectra(&library, None).unwrap()[0];
    assert_eq!(first.axis().unit(), AxisUnit::Wavenumbers);
    assert_eq!(*first.axis().to_nm(), [1000.0, 2000.0, 2500.0]);
    assert_eq!((first.values()[0], first.values()[2]), (0.75, 0.25));
}

#[test]
fn an_unknown_unit_needs_to_be_said_and_is_never_guessed() {
    let files = changed(&["wavelength units = Index"]);
    assert_snapshot!(told(&files), @r"
    at unit: `lab.hdr` has an axis of unknown unit: `Index`
    help: set `unit` to `nm`, `um` or `cm-1`
    ");
    let files = changed(&["wavelength units ="]);
    assert_snapshot!(told(&files), @r"
    at unit: `lab.hdr` doesn't say the unit of its axis
    help: set `unit` to `nm`, `um` or `cm-1`
    ");
    let library = EnviLibrary::read(&files.path("lab.sli"), &markers()).unwrap();
    let first = &spectra(&library, Some(AxisUnit::Micrometers)).unwrap()[0];
    assert_eq!(*first.axis().to_nm(), [400.0, 500.0, 600.0]);
    let files = lab();
    let library = EnviLibrary::read(&files.path("lab.sli"), &markers()).unwrap();
    let error = spectra(&library, Some(AxisUnit::Nanometers)).unwrap_err();
    assert_snapshot!(files.told(&error), @r"
    at unit: `lab.hdr` is in um, but `unit` is nm
    help: leave `unit` out
    ");
}

#[test]
fn an_axis_that_is_missing_or_has_a_place_twice_is_told() {
    let files = changed(&["wavelength units = nm", "wavelength = { 400, 500, 400 }"]);
    assert_snapshot!(told(&files), @"lab.hdr: bands 1 and 3 both lie at 400 nm");
    let files = lab();
    files.write("lab.hdr", HEADER.replace("wavelength = ", "colour = "));
    assert_snapshot!(told(&files), @r"
    `lab.hdr` has no `wavelength` list: the spectra have no axis
    help: add `wavelength = { … }` to it, with one number for each band
    ");
}

#[test]
fn files_that_do_not_fit_each_other_are_told() {
    let files = lab();
    files.write("lab.sli", &f32_bytes(&VALUES)[..21]);
    assert_snapshot!(told(&files), @"
    `lab.sli` has 21 bytes, but `lab.hdr` says 24: 3 samples × 2 lines × 1 bands × 4 bytes + 0 bytes of offset
    help: is the file whole, and `data type` right?
    ");
    let files = changed(&["data type = 2"]);
    assert_snapshot!(told(&files), @"
    `lab.sli` has 24 bytes, but `lab.hdr` says 12: 3 samples × 2 lines × 1 bands × 2 bytes + 0 bytes of offset
    help: check `data type`, `header offset` and the sizes
    ");
    let files = changed(&["file type = ENVI Standard", "wavelength = { 400 }"]);
    assert_snapshot!(told(&files), @"
    `lab.hdr` is an image, and no spectral library
    help: a library has `file type = ENVI Spectral Library` and one band; read images as `cube`
    ");
}

#[test]
fn files_that_are_not_there_are_told() {
    let files = Files::new();
    let read =
        |name: &str| files.told(&EnviLibrary::read(&files.path(name), &markers()).unwrap_err());
    assert_snapshot!(read("lab.sli"), @"no such file: `lab.sli`");
    files.write("lab.sli", [0; 24]);
    assert_snapshot!(read("lab.sli"), @"
    no header beside `lab.sli`
    help: looked for `lab.sli.hdr`, `lab.hdr`
    ");
    files.write("other.hdr", HEADER);
    assert_snapshot!(read("other.hdr"), @"
    no data file beside `other.hdr`
    help: looked for `other`, `other.sli`, `other.img`, `other.dat`, `other.raw`, `other.bsq`, `other.bil`, `other.bip`
    ");
    files.write("wrong.hdr", "<html>");
    files.write("wrong.sli", "");
    assert_snapshot!(read("wrong.sli"), @"wrong.hdr:1: an ENVI header begins with the line `ENVI`");
}

#[test]
fn a_library_that_memory_should_not_hold_is_refused() {
    let files = changed(&["samples = 3", "lines = 400000000", "spectra names ="]);
    let kept = std::fs::read_to_string(files.path("lab.hdr")).unwrap();
    files.write("lab.hdr", kept.replace("spectra names =", ""));
    let data = std::fs::File::options().write(true).open(files.path("lab.sli")).unwrap();
    data.set_len(400_000_000 * 3 * 4).unwrap();
    assert_snapshot!(told(&files), @"
    `lab.sli` is too large for a library: it has over 4294967296 bytes
    help: take it apart into several libraries
    ");
}

/// Every byte of a header in turn, and every end.
#[test]
fn damaged_headers_are_read_or_told_and_never_panic() {
    let files = lab();
    for end in 0..HEADER.len() {
        files.write("lab.hdr", &HEADER[..end]);
        drop(EnviLibrary::read(&files.path("lab.sli"), &markers()));
    }
    for at in 0..HEADER.len() {
        for flip in [0x01, 0x10, 0xFF] {
            let mut damaged = HEADER.as_bytes().to_vec();
            damaged[at] ^= flip;
            files.write("lab.hdr", damaged);
            let library = EnviLibrary::read(&files.path("lab.sli"), &markers());
            drop(library.and_then(|library| spectra(&library, None)));
        }
    }
}
