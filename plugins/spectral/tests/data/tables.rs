//! Spectra from CSV, in both layouts; and tables that leave something open.

use insta::assert_snapshot;
use spectral::AxisUnit;
use spectral::data::{
    CsvDelimiter, CsvForm, CsvLayout, Markers, MaterialRule, Spectrum, USGS_DELETED, read_csv,
};

use crate::support::Files;

fn read(files: &Files, content: &str, form: &CsvForm) -> sdk::Result<Vec<Spectrum>> {
    let path = files.write("lab.csv", content);
    let materials = MaterialRule::default().compiled().unwrap();
    read_csv(&path, form, &Markers::new(&[USGS_DELETED]), &materials)
}

fn sound(content: &str) -> Vec<Spectrum> {
    read(&Files::new(), content, &CsvForm::default()).unwrap()
}

fn told(content: &str, form: &CsvForm) -> String {
    let files = Files::new();
    files.told(&read(&files, content, form).unwrap_err())
}

/// Name, material, wavelengths in nm, and values with 0 for missing.
fn shown(spectrum: &Spectrum) -> (String, String, Vec<f64>, Vec<f64>) {
    let values = spectrum.values().iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect();
    let nm = spectrum.axis().to_nm().to_vec();
    (spectrum.name.clone(), spectrum.material.clone(), nm, values)
}

fn expected(
    name: &str,
    material: &str,
    nm: &[f64],
    values: &[f64],
) -> (String, String, Vec<f64>, Vec<f64>) {
    (name.to_owned(), material.to_owned(), nm.to_vec(), values.to_vec())
}

#[test]
fn a_column_is_a_spectrum_where_the_first_column_is_an_axis() {
    let spectra = sound(
        "# measured in May\nWavelength (nm),Talc GDS23,\"Oak, green\"\n350,0.1,0.2\n450,,NaN\n400,-1.23e34,0.4\n",
    );
    assert_eq!(spectra.len(), 2);
    let nm = [350.0, 400.0, 450.0];
    assert_eq!(shown(&spectra[0]), expected("Talc GDS23", "talc", &nm, &[0.1, 0.0, 0.0]));
    assert_eq!(shown(&spectra[1]), expected("Oak, green", "oak", &nm, &[0.2, 0.4, 0.0]));
}

#[test]
fn a_row_is_a_spectrum_where_titles_are_an_axis() {
    let spectra = sound("sample,Material,0.5 um,0.4 um\nTalc GDS23,Dolomit,0.1,0.2\nOak 3,,0.3,\n");
    assert_eq!(
        shown(&spectra[0]),
        expected("Talc GDS23", "dolomite", &[400.0, 500.0], &[0.2, 0.1])
    );
    assert_eq!(shown(&spectra[1]), expected("Oak 3", "oak", &[400.0, 500.0], &[0.0, 0.3]));
}

#[test]
fn spectra_that_are_called_by_numbers_stay_columns_beside_an_axis() {
    let spectra = sound("wavelength_nm,1,2\n400,0.1,0.2\n500,0.3,0.4\n");
    assert_eq!(shown(&spectra[1]), expected("2", "2", &[400.0, 500.0], &[0.2, 0.4]));
}

#[test]
fn wavenumbers_semicolons_and_decimal_commas_are_read() {
    let spectra = sound("Wavenumber (cm-1);Talc 1\n4000,0;0,25\n10000,0;0,5\n");
    assert_eq!(shown(&spectra[0]), expected("Talc 1", "talc", &[1000.0, 2500.0], &[0.5, 0.25]));
    let spectra = sound("\u{feff}nm\tTalc 1\r\n400\t0.5\r\n500\t0.25\r\n");
    assert_eq!(shown(&spectra[0]), expected("Talc 1", "talc", &[400.0, 500.0], &[0.5, 0.25]));
}

#[test]
fn a_single_spectrum_is_called_after_its_file_where_its_title_names_none() {
    let spectra = sound("Wavelength (nm),Reflectance\n400,0.1\n500,0.2\n");
    assert_eq!(spectra[0].name, "lab");
}

#[test]
fn settings_say_what_the_first_line_leaves_open() {
    let files = Files::new();
    let numbers = "400,0.1,0.2\n500,0.3,0.4\n";
    let nm = Some(AxisUnit::Nanometers);
    let columns = CsvForm { layout: CsvLayout::Columns, unit: nm, ..CsvForm::default() };
    let spectra = read(&files, numbers, &columns).unwrap();
    assert_eq!(shown(&spectra[1]), expected("lab 2", "lab", &[400.0, 500.0], &[0.2, 0.4]));
    let rows = CsvForm { layout: CsvLayout::Rows, ..columns };
    let spectra = read(&files, "400,500\n0.1,0.2\n0.3,0.4\n", &rows).unwrap();
    assert_eq!(shown(&spectra[1]), expected("lab 2", "lab", &[400.0, 500.0], &[0.3, 0.4]));
    let named = CsvForm {
        unit: nm,
        name_column: Some("ID".to_owned()),
        material_column: Some("class".to_owned()),
        ..CsvForm::default()
    };
    let spectra = read(&files, "name,class,id,400,500\na,Leaf,x1,0.1,0.2\n", &named).unwrap();
    assert_eq!(shown(&spectra[0]), expected("x1", "leaf", &[400.0, 500.0], &[0.1, 0.2]));
}

#[test]
fn what_is_open_is_asked_for() {
    let auto = CsvForm::default();
    assert_snapshot!(told("400,500\n0.1,0.2\n", &auto), @"
    lab.csv:1: the first line has numbers only, which may be either layout
    help: set `layout` to `columns` (the first column is the axis) or `rows`
    ");
    assert_snapshot!(told("wavelength,talc\n400,0.1\n", &auto), @"
    at unit: `lab.csv` has an axis of unknown unit: `wavelength`
    help: set `unit` to `nm`, `um` or `cm-1`
    ");
    assert_snapshot!(told("name,400,500\ntalc,0.1,0.2\n", &auto), @"
    at unit: `lab.csv` doesn't say the unit of its axis
    help: set `unit` to `nm`, `um` or `cm-1`
    ");
    assert_snapshot!(told("name,category\ntalc,mineral\n", &auto), @"
    lab.csv:1: neither the first line nor the first column has the positions of an axis
    help: a table begins with `Wavelength (nm),NAME,…`, or with `name,350 nm,351 nm,…`
    ");
    let um = CsvForm { unit: Some(AxisUnit::Micrometers), ..CsvForm::default() };
    assert_snapshot!(told("nm,talc\n400,0.1\n", &um), @"
    at unit: `lab.csv` is in nm, but `unit` is um
    help: leave `unit` out
    ");
}

#[test]
fn what_is_no_table_is_told() {
    let auto = CsvForm::default();
    assert_snapshot!(told("", &auto), @"`lab.csv` is no table: it has 0 rows");
    assert_snapshot!(told("nm talc\n400 0.1\n", &auto), @"
    lab.csv:1: the table has one column only
    help: set `delimiter` to what stands between the fields
    ");
    assert_snapshot!(told("nm,talc\n400,0.1\n500\n", &auto), @"lab.csv:3: expected 2 fields as in the first line, found 1");
    let comma = CsvForm { delimiter: CsvDelimiter::Comma, ..CsvForm::default() };
    assert_snapshot!(told("nm;talc\n400;0.1\n", &comma), @"
    lab.csv:1: the table has one column only
    help: set `delimiter` to what stands between the fields
    ");
}

#[test]
fn faulty_fields_are_told_with_their_place() {
    let auto = CsvForm::default();
    assert_snapshot!(told("nm,Talc 1\n400,0.1\n500,o.2\n", &auto), @"
    lab.csv:3: `o.2` in column 2 (`Talc 1`) is no number
    help: a missing value is empty, `NaN`, or a number that `missing` lists
    ");
    let columns = CsvForm { layout: CsvLayout::Columns, ..CsvForm::default() };
    assert_snapshot!(told("nm,talc\n400,0.1\nend,0.2\n", &columns), @"lab.csv:3: `end` in the first column is no position of an axis");
    assert_snapshot!(told("name,400 nm,0.5 um\nx,1,2\n", &auto), @"lab.csv:1: the titles of the bands have different units");
    assert_snapshot!(told("nm,talc\n400,0.1\n400,0.2\n", &auto), @"lab.csv: bands 1 and 2 both lie at 400 nm");
    assert_snapshot!(told("nm,talc\n400,0.1\n-5,0.2\n", &auto), @"lab.csv: sample 1 of the axis must be above 0 nm: -5");
    let rows = CsvForm { layout: CsvLayout::Rows, ..CsvForm::default() };
    assert_snapshot!(told("name,class\nx,y\n", &rows), @"lab.csv:1: no title is a position of an axis, such as `350` or `350 nm`");
}

#[test]
fn columns_that_a_setting_names_must_be_there() {
    let named = CsvForm { name_column: Some("label".to_owned()), ..CsvForm::default() };
    assert_snapshot!(told("name,class,400 nm,500 nm\nx,y,1,2\n", &named), @"
    at name_column: `lab.csv` has no column `label`
    help: columns: `name`, `class`
    ");
    assert_snapshot!(told("nm,talc\n400,0.1\n", &named), @"at name_column: `lab.csv` has a column per spectrum: none is of names");
}

/// Every byte of a table in turn, and every end.
#[test]
fn damaged_tables_are_read_or_told_and_never_panic() {
    let files = Files::new();
    let materials = MaterialRule::default().compiled().unwrap();
    for sound in [
        "Wavelength (nm),Talc,\"Oak, green\"\n350,0.1,0.2\n400,,NaN\n",
        "name,material,350 nm,X400\na,b,1,2\n",
    ] {
        let check = |content: &[u8]| {
            let path = files.write("lab.csv", content);
            drop(read_csv(&path, &CsvForm::default(), &Markers::default(), &materials));
        };
        (0..sound.len()).for_each(|end| check(&sound.as_bytes()[..end]));
        for at in 0..sound.len() {
            for flip in [0x01, 0x10, 0xFF, b',' ^ sound.as_bytes()[at]] {
                let mut damaged = sound.as_bytes().to_vec();
                damaged[at] ^= flip;
                check(&damaged);
            }
        }
    }
}
