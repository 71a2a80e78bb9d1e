//! Sensors in files: JSON objects and CSV tables.

use std::fs;
use std::path::Path;

use sdk::{Error, Result};
use serde::Deserialize;

use super::{Band, Provenance, ProvenanceKind, Sensor, Shape};
use crate::{AxisUnit, Grid};

/// A sensor as it stands in a JSON file: bands by centre and width, or responses at wavelengths.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SensorFile {
    name: String,
    provenance: Option<Provenance>,
    #[serde(default)]
    unit: AxisUnit,
    #[serde(default)]
    shape: Shape,
    centers: Option<Grid>,
    fwhm: Option<Fwhm>,
    wavelengths: Option<Grid>,
    responses: Option<Vec<Vec<f64>>>,
    /// Ranges in which bands are not usable, in `unit`.
    #[serde(default)]
    unusable: Vec<[f64; 2]>,
}

/// One width for all bands, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Fwhm {
    Same(f64),
    Each(Vec<f64>),
}

pub(super) fn read_json(path: &Path) -> Result<Sensor> {
    parse_json(&text(path)?).map_err(|error| error.context(path.display()))
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| {
        let message = format!("can't read the sensor's file `{}`: {error}", path.display());
        Error::new("spectral::sensor_file", message)
    })
}

/// The sensor of a JSON text.
pub(super) fn parse_json(text: &str) -> Result<Sensor> {
    let file: SensorFile = serde_json::from_str(text)
        .map_err(|error| fault(format!("not the description of a sensor: {error}")))?;
    let unstated = || Provenance::new(ProvenanceKind::Unstated, "Read from a file.");
    let unusable = file.unusable.iter().map(|[from, to]| {
        let (from, to) = (file.unit.to_nm(*from), file.unit.to_nm(*to));
        [from.min(to), from.max(to)]
    });
    let unusable: Vec<[f64; 2]> = unusable.collect();
    let bands = match (&file.centers, &file.wavelengths) {
        (Some(centers), None) => described(&centers.positions(), &file)?,
        (None, Some(wavelengths)) => tabulated(&wavelengths.positions(), &file)?,
        _ => {
            let message = "a sensor needs either `centers` and `fwhm`, or `wavelengths` and \
                           `responses`";
            return Err(fault(message.to_owned()));
        }
    };
    let provenance = file.provenance.unwrap_or_else(unstated);
    Ok(Sensor::new(file.name, provenance, bands)?.without(&unusable))
}

fn fault(message: String) -> Error {
    Error::new("spectral::sensor_file", message)
}

/// Bands by centre and width.
fn described(centers: &[f64], file: &SensorFile) -> Result<Vec<Band>> {
    let widths = match &file.fwhm {
        Some(Fwhm::Same(fwhm)) => vec![*fwhm; centers.len()],
        Some(Fwhm::Each(widths)) => widths.clone(),
        None => return Err(fault("`centers` need `fwhm`, one for all or one for each".to_owned())),
    };
    if widths.len() != centers.len() {
        let (n, of) = (widths.len(), centers.len());
        return Err(fault(format!("`fwhm` must have one value for each of {of} bands: {n}")));
    }
    let band = |(center, width): (&f64, f64)| {
        let width_nm = file.unit.width_to_nm(width, *center);
        Band::new(file.unit.to_nm(*center), width_nm, file.shape)
    };
    Ok(centers.iter().zip(widths).map(band).collect())
}

/// Bands by responses at wavelengths.
fn tabulated(wavelengths: &[f64], file: &SensorFile) -> Result<Vec<Band>> {
    let Some(responses) = &file.responses else {
        return Err(fault("`wavelengths` need `responses`, a list for each band".to_owned()));
    };
    let nm = rising_nm(wavelengths, file.unit)?;
    bands_of(&nm, responses)
}

/// Wavelengths in nanometres, checked to rise.
fn rising_nm(wavelengths: &[f64], unit: AxisUnit) -> Result<Vec<f64>> {
    let axis = crate::Axis::new(wavelengths.to_vec(), unit)?;
    if axis.is_rising_nm() {
        return Ok(axis.to_nm().to_vec());
    }
    Err(fault("the wavelengths of responses must rise".to_owned()))
}

/// A band for each list of responses.
fn bands_of(nm: &[f64], responses: &[Vec<f64>]) -> Result<Vec<Band>> {
    let numbered = responses.iter().enumerate();
    let band = |(idx, response): (usize, &Vec<f64>)| {
        Band::sampled(nm, response).map_err(|error| error.context(format!("band {}", idx + 1)))
    };
    numbered.map(band).collect()
}

/// A CSV table: headings, and the numbers below them by column.
struct Table {
    headings: Vec<String>,
    columns: Vec<Vec<f64>>,
}

impl Table {
    fn parse(text: &str) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let headings = reader.headers().map_err(|error| fault(told(&error)))?;
        let headings: Vec<String> = headings.iter().map(str::to_owned).collect();
        let mut columns = vec![Vec::new(); headings.len()];
        for record in reader.records() {
            let record = record.map_err(|error| fault(told(&error)))?;
            let line = record.position().map_or(0, csv::Position::line);
            for ((column, heading), cell) in columns.iter_mut().zip(&headings).zip(&record) {
                let number = cell.parse::<f64>().map_err(|_| {
                    fault(format!("line {line}, column `{heading}`: not a number: `{cell}`"))
                })?;
                column.push(number);
            }
        }
        Ok(Self { headings, columns })
    }

    /// The column whose heading is `name`, with or without a unit behind `_`.
    fn column(&self, name: &str) -> Option<(AxisUnit, &[f64])> {
        let unit = |heading: &String| match heading.strip_prefix(name)? {
            "" => Some(AxisUnit::Nanometers),
            rest => AxisUnit::named(rest.strip_prefix('_')?),
        };
        let mut found = self.headings.iter().zip(&self.columns);
        found.find_map(|(heading, column)| Some((unit(heading)?, column.as_slice())))
    }
}

/// What is wrong with a CSV text, in few words.
fn told(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} cells, the heading has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "not a text".to_owned(),
        _ => error.to_string(),
    }
}

pub(super) fn read_csv(path: &Path) -> Result<Sensor> {
    let name = path.file_stem().map_or_else(String::new, |name| name.display().to_string());
    parse_csv(&name, &text(path)?).map_err(|error| error.context(path.display()))
}

/// The sensor of a CSV text.
fn parse_csv(name: &str, text: &str) -> Result<Sensor> {
    let table = Table::parse(text)?;
    let note = "Read from a file that does not say where its bands come from.";
    let provenance = Provenance::new(ProvenanceKind::Unstated, note);
    if let Some((unit, wavelengths)) = table.column("wavelength") {
        let nm = rising_nm(wavelengths, unit)?;
        return Sensor::new(name, provenance, bands_of(&nm, &table.columns[1..])?);
    }
    let (Some((unit, centers)), Some((width_unit, widths))) =
        (table.column("center"), table.column("fwhm"))
    else {
        let message = "the heading must have `center_nm` and `fwhm_nm`, or `wavelength_nm` first";
        return Err(fault(message.to_owned()));
    };
    let band = |(center, width): (&f64, &f64)| {
        let center_nm = unit.to_nm(*center);
        let width_nm = width_unit.width_to_nm(*width, width_unit.from_nm(center_nm));
        Band::gaussian(center_nm, width_nm)
    };
    let bands = centers.iter().zip(widths).map(band).collect();
    let mut sensor = Sensor::new(name, provenance, bands)?;
    if let Some((_, usable)) = table.column("usable") {
        sensor.is_usable = usable.iter().map(|flag| *flag != 0.0).collect();
    }
    Ok(sensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv_fault(text: &str) -> String {
        parse_csv("mine", text).unwrap_err().message
    }

    fn json_fault(text: &str) -> String {
        parse_json(text).unwrap_err().message
    }

    #[test]
    fn a_csv_file_lists_bands_in_any_unit() {
        let text = "# made by hand\ncenter_um, fwhm_nm, usable\n0.5, 10, 1\n0.6, 12, 0\n";
        let sensor = parse_csv("mine", text).unwrap();
        assert_eq!((sensor.name(), sensor.centers_nm()), ("mine", vec![500.0, 600.0]));
        assert_eq!((sensor.fwhm_nm(), sensor.is_usable()), (vec![10.0, 12.0], &[true, false][..]));
        assert_eq!(sensor.provenance().kind, ProvenanceKind::Unstated);
    }

    #[test]
    fn a_csv_file_holds_responses_at_wavelengths() {
        let text = "wavelength_nm,a,b\n400,0,0\n410,1,0\n420,0,1\n430,0,0\n";
        let sensor = parse_csv("mine", text).unwrap();
        assert_eq!(sensor.centers_nm(), [410.0, 420.0]);
        assert_eq!(sensor.fwhm_nm(), [10.0, 10.0]);
        assert_eq!(sensor.bands()[0].at(405.0), 0.5);
    }

    #[test]
    fn faults_of_csv_files_name_the_place() {
        let heading = "the heading must have `center_nm` and `fwhm_nm`, or `wavelength_nm` first";
        assert_eq!(csv_fault("x,y\n1,2\n"), heading);
        let number = "line 3, column `fwhm_nm`: not a number: `wide`";
        assert_eq!(csv_fault("center_nm,fwhm_nm\n400,10\n500,wide\n"), number);
        let cells = "line 2 has 1 cells, the heading has 2";
        assert_eq!(csv_fault("center_nm,fwhm_nm\n400\n"), cells);
        assert_eq!(csv_fault("center_nm,fwhm_nm\n"), "sensor `mine` has no bands");
        let order = "the centres of sensor `mine` must rise: band 1 is at 500 nm, band 2 at 400 nm";
        assert_eq!(csv_fault("center_nm,fwhm_nm\n500,10\n400,10\n"), order);
        let zero = "band 1: the response is 0 at every wavelength";
        assert_eq!(csv_fault("wavelength_nm,a\n400,0\n500,0\n"), zero);
    }

    #[test]
    fn a_json_file_has_bands_or_responses() {
        let bands = r#"{"name": "a", "unit": "um", "shape": "box", "fwhm": 0.01,
            "centers": {"start": 0.5, "stop": 0.7, "num": 3}, "unusable": [[0.55, 0.65]]}"#;
        let sensor = parse_json(bands).unwrap();
        assert_eq!(sensor.fwhm_nm(), [10.0; 3]);
        assert!((sensor.centers_nm()[1] - 600.0).abs() < 1e-9);
        assert_eq!(sensor.is_usable(), [true, false, true]);

        let table = r#"{"name": "a", "wavelengths": [1, 2, 3], "responses": [[0, 1, 0]],
            "provenance": {"kind": "official", "note": "From the maker."}}"#;
        let sensor = parse_json(table).unwrap();
        assert_eq!((sensor.centers_nm(), sensor.fwhm_nm()), (vec![2.0], vec![1.0]));
        assert_eq!(sensor.to_string(), "a: 1 band, 2 to 2 nm. From the maker.");
    }

    #[test]
    fn faults_of_json_files_say_what_is_missing() {
        let either = "a sensor needs either `centers` and `fwhm`, or `wavelengths` and `responses`";
        assert_eq!(json_fault(r#"{"name": "a"}"#), either);
        let lacking = "`centers` need `fwhm`, one for all or one for each";
        assert_eq!(json_fault(r#"{"name": "a", "centers": [1, 2]}"#), lacking);
        let few = "`fwhm` must have one value for each of 2 bands: 1";
        assert_eq!(json_fault(r#"{"name": "a", "centers": [1, 2], "fwhm": [1]}"#), few);
        assert!(json_fault(r#"{"name": "a", "centres": []}"#).contains("centres"));
        let missing = Sensor::open("nowhere/mine.json").unwrap_err();
        assert_eq!(missing.code, "spectral::sensor_file");
        assert!(missing.message.starts_with("can't read the sensor's file `nowhere/mine.json`: "));
    }
}
