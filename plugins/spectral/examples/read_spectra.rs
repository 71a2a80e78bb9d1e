//! Prints what is read from an ENVI file as one JSON document.
//!
//! ```text
//! cargo run -p spectral --example read_spectra -- library lab.sli
//! cargo run -p spectral --example read_spectra -- cube scene.img 0..10 5..8 0..100
//! ```
//!
//! Of a cube a window of rows, columns and bands is read, without one all of it. Values are listed
//! as `(spectra, bands)` or `(rows, columns, bands)`; a missing one is `null`.

use std::io::{Write as _, stderr, stdout};
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use sdk::{Error, Result};
use serde_json::{Value, json};
use spectral::data::Markers;
use spectral::data::envi::{Cube, EnviLibrary, Header, Window};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let written = read(&arguments).and_then(|document| Ok(writeln!(stdout(), "{document}")?));
    let Err(error) = written else { return ExitCode::SUCCESS };
    let help = error.help.as_ref().map_or(String::new(), |help| format!("help: {help}\n"));
    // Where even this can't be written, the exit code still says it.
    let _ = write!(stderr(), "error: {error}\n{help}");
    ExitCode::FAILURE
}

fn read(arguments: &[String]) -> Result<Value> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["library", path] => library(Path::new(path)),
        ["cube", path] => cube(Path::new(path), None),
        ["cube", path, rows, columns, bands] => {
            let window =
                Window { rows: range(rows)?, columns: range(columns)?, bands: range(bands)? };
            cube(Path::new(path), Some(window))
        }
        _ => Err(usage("expected `library FILE` or `cube FILE [ROWS COLUMNS BANDS]`")),
    }
}

fn usage(message: impl Into<String>) -> Error {
    Error::new("usage", message)
}

fn range(text: &str) -> Result<Range<usize>> {
    let ends = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    ends.ok_or_else(|| usage(format!("expected a range such as `0..10`, found: `{text}`")))
}

fn library(path: &Path) -> Result<Value> {
    let library = EnviLibrary::read(path, &Markers::default())?;
    let names: Vec<String> = (0..library.n_spectra()).map(|i| library.name(i)).collect();
    let values: Vec<&[f64]> = (0..library.n_spectra()).map(|i| library.values(i)).collect();
    Ok(document(library.header(), json!({"names": names, "values": values.concat()})))
}

fn cube(path: &Path, window: Option<Window>) -> Result<Value> {
    let cube = Cube::open(path, &Markers::default())?;
    let pixels = cube.read::<f64>(&window.unwrap_or_else(|| cube.whole()))?;
    Ok(document(cube.header(), json!({"values": pixels.values})))
}

/// What the header says and `more`.
fn document(header: &Header, mut more: Value) -> Value {
    more["schema"] = json!(1);
    more["wavelengths"] = json!(header.wavelengths);
    more["unit"] = json!(header.unit().map(spectral::AxisUnit::name));
    more["fwhm"] = json!(header.fwhm);
    more
}
