//! Every fault of an ENVI header, as it is told.

use insta::assert_snapshot;
use spectral::data::envi::Header;

/// A sound header of a library of two spectra and three bands.
const SOUND: [&str; 8] = [
    "samples = 3",
    "lines = 2",
    "bands = 1",
    "data type = 4",
    "byte order = 0",
    "file type = ENVI Spectral Library",
    "wavelength units = Nanometers",
    "wavelength = { 400, 500, 600 }",
];

/// What is told of the header in which `line` stands instead of the line of the same key.
fn told(line: &str) -> String {
    let key = |line: &str| line.split('=').next().unwrap().trim().to_owned();
    let others = SOUND.iter().filter(|other| key(other) != key(line));
    let lines: Vec<&str> = ["ENVI"].iter().chain(others).copied().chain([line]).collect();
    let error = Header::parse("lab.hdr", &lines.join("\n")).unwrap_err();
    assert_eq!(error.code, "spectral::envi_header");
    error.help.map_or(error.message.clone(), |help| format!("{}\nhelp: {help}", error.message))
}

/// What is told of the header without the line of this key.
fn without(key: &str) -> String {
    let lines = SOUND.iter().filter(|line| !line.starts_with(key)).copied();
    let lines: Vec<&str> = ["ENVI"].into_iter().chain(lines).collect();
    Header::parse("lab.hdr", &lines.join("\n")).unwrap_err().message
}

#[test]
fn a_sound_header_is_read() {
    let text = format!("ENVI\n{}", SOUND.join("\n"));
    let header = Header::parse("lab.hdr", &text).unwrap();
    assert_eq!((header.n_samples, header.n_lines, header.is_library), (3, 2, true));
    assert_eq!(header.wavelengths.as_deref(), Some(&[400.0, 500.0, 600.0][..]));
    assert_eq!((header.data_bytes(), header.scale_factor), (Some(24), 1.0));
}

#[test]
fn what_is_missing_is_told_with_what_was_expected() {
    assert_snapshot!(without("samples"), @"lab.hdr: `samples` is missing: a whole number from 1");
    assert_snapshot!(without("data type"), @"lab.hdr: `data type` is missing: one of 1, 2, 3, 4, 5, 12, 13, 14 and 15");
    assert_snapshot!(without("byte order"), @"lab.hdr: `byte order` is missing: 0 (least significant byte first) or 1 (most significant byte first)");
}

#[test]
fn sizes_are_whole_numbers_that_a_file_can_have() {
    assert_snapshot!(told("samples = abc"), @"lab.hdr:9: `samples` must be a whole number from 1, not `abc`");
    assert_snapshot!(told("lines = 0"), @"lab.hdr:9: `lines` must be a whole number from 1, not `0`");
    assert_snapshot!(told("samples = { 1 }"), @"lab.hdr:9: `samples` must be one value, not a list");
    assert_snapshot!(told("bands = 2"), @"lab.hdr:9: a spectral library has `bands = 1`: its bands are the `samples`");
    assert_snapshot!(told("header offset = -1"), @"lab.hdr:10: `header offset` must be a number of bytes, not `-1`");
    let huge = "ENVI\nsamples = 4294967295\nlines = 4294967295\nbands = 9\ndata type = 5\nbyte order = 0\ninterleave = bsq";
    assert_snapshot!(Header::parse("a.hdr", huge).unwrap_err().message, @"a.hdr:2: the sizes are too large");
}

#[test]
fn numbers_are_of_a_type_and_an_order_that_are_read() {
    assert_snapshot!(told("data type = 6"), @"lab.hdr:9: `data type = 6` is complex numbers of 32 bits, which are no spectra");
    assert_snapshot!(told("data type = 9"), @"lab.hdr:9: `data type = 9` is complex numbers of 64 bits, which are no spectra");
    assert_snapshot!(told("data type = 7"), @"lab.hdr:9: `data type` must be one of 1, 2, 3, 4, 5, 12, 13, 14 and 15, not `7`");
    assert_snapshot!(told("data type = float"), @"lab.hdr:9: `data type` must be one of 1, 2, 3, 4, 5, 12, 13, 14 and 15, not `float`");
    assert_snapshot!(told("byte order = 2"), @"lab.hdr:9: `byte order` must be 0 (least significant byte first) or 1 (most significant byte first), not `2`");
    assert_snapshot!(told("interleave = bpi"), @"lab.hdr:10: `interleave` must be `bsq`, `bil` or `bip`, not `bpi`");
    assert_snapshot!(told("data ignore value = none"), @"lab.hdr:10: `data ignore value` must be a number, not `none`");
    assert_snapshot!(told("reflectance scale factor = 0"), @"lab.hdr:10: `reflectance scale factor` must be a number above 0, not `0`");
}

#[test]
fn lists_have_one_item_for_each_band_or_spectrum() {
    assert_snapshot!(told("wavelength = { 400, 500 }"), @"lab.hdr:9: `wavelength` must have 3 items, one for each of the `samples`, but has 2");
    assert_snapshot!(told("wavelength = 400"), @"lab.hdr:9: `wavelength` must be a list in braces");
    assert_snapshot!(told("wavelength = { 400,\n 500,\n 6oo }"), @"lab.hdr:11: item 3 of `wavelength` must be a number, not `6oo`");
    assert_snapshot!(told("fwhm = { 5, 5, nan }"), @"lab.hdr:10: item 3 of `fwhm` must be a number, not `nan`");
    assert_snapshot!(told("bbl = { 1, 1, 2 }"), @"lab.hdr:10: item 3 of `bbl` must be 0 (bad) or 1, not `2`");
    assert_snapshot!(told("spectra names = { leaf, dry, talc }"), @r"
    lab.hdr:10: `spectra names` must have 2 items, one for each of the `lines`, but has 3
    help: a comma ends a name: names can't contain any
    ");
}

#[test]
fn an_image_needs_to_say_its_order() {
    let image = "ENVI\nsamples = 3\nlines = 2\nbands = 4\ndata type = 1";
    assert_snapshot!(Header::parse("a.hdr", image).unwrap_err().message, @"a.hdr: `interleave` is missing: `bsq`, `bil` or `bip`");
    let short = format!("{image}\ninterleave = bip\nwavelength = {{ 1 }}");
    assert_snapshot!(Header::parse("a.hdr", &short).unwrap_err().message, @"a.hdr:7: `wavelength` must have 4 items, one for each of the `bands`, but has 1");
}
