//! Spectra from CSV: a table with a column per spectrum, or with a row per spectrum.
//!
//! What the table is follows from its first line, and from settings where that leaves it open.
//! Nothing is guessed: a table that could be either, and an axis without unit, are faults that say
//! which setting tells.

mod cells;
mod columns;
mod rows;
mod table;

use std::path::Path;

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use super::material::Materials;
use super::missing::Markers;
use super::spectrum::Spectrum;
use crate::axis::AxisUnit;
use cells::{is_axis_title, position};
use table::Table;

/// How the spectra of a table stand in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CsvLayout {
    /// Told from the first line.
    #[default]
    Auto,
    /// A column per spectrum; the first column is the axis, the first line has the names.
    Columns,
    /// A row per spectrum; the first line has the axis, other columns have names.
    Rows,
}

/// What stands between the fields of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CsvDelimiter {
    /// Told from the first lines.
    #[default]
    Auto,
    /// `,`
    Comma,
    /// `;`; numbers may then have a decimal comma.
    Semicolon,
    /// The tabulator; numbers may then have a decimal comma.
    Tab,
}

/// What a table's spectra are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvForm {
    /// How the spectra stand in it.
    pub layout: CsvLayout,
    /// What stands between fields.
    pub delimiter: CsvDelimiter,
    /// The unit of the axis, where the file doesn't say it.
    pub unit: Option<AxisUnit>,
    /// In a table with a row per spectrum, the title of the column of names; without it `name`,
    /// else the first column that is no band.
    pub name_column: Option<String>,
    /// In a table with a row per spectrum, the title of the column of materials; without it
    /// `material` where there is one, else materials follow from the names.
    pub material_column: Option<String>,
}

/// The spectra of a CSV file, in their order, with rising wavelengths.
///
/// A value is missing where its field is empty, `NaN`, `NA` or not finite, or where `missing` marks
/// it. Lines that begin with `#` are comments.
///
/// # Errors
/// When the file can't be read, is no such table, or leaves open what a setting must say.
pub fn read_csv(
    path: &Path,
    form: &CsvForm,
    missing: &Markers,
    materials: &Materials,
) -> Result<Vec<Spectrum>> {
    let table = Table::read(path, form.delimiter)?;
    let layout = match form.layout {
        CsvLayout::Auto => told_layout(&table)?,
        given => given,
    };
    if layout == CsvLayout::Rows {
        return rows::spectra(&table, form, missing, materials);
    }
    for (setting, set) in
        [("name_column", &form.name_column), ("material_column", &form.material_column)]
    {
        if set.is_some() {
            let message = format!("`{}` has a column per spectrum: none is of names", table.file);
            return Err(Error::new("spectral::csv_column", message).at(setting));
        }
    }
    columns::spectra(&table, form, missing, materials)
}

/// Told from the first line: titles that are positions are bands. A first column that is called an
/// axis is one, whatever the spectra are called.
fn told_layout(table: &Table) -> Result<CsvLayout> {
    let titles = &table.head().fields;
    let n_bands = titles.iter().filter(|title| position(title).is_some()).count();
    let first = titles.first().map(String::as_str).unwrap_or_default();
    if n_bands == titles.len() {
        return Err(table
            .fault(table.head().line, "the first line has numbers only, which may be either layout")
            .help("set `layout` to `columns` (the first column is the axis) or `rows`"));
    }
    if n_bands >= 2 && !is_axis_title(first) {
        return Ok(CsvLayout::Rows);
    }
    let is_axis = |row: &table::Row| row.fields.first().is_some_and(|p| position(p).is_some());
    if table.rows().iter().all(is_axis) && position(first).is_none() {
        return Ok(CsvLayout::Columns);
    }
    let message = "neither the first line nor the first column has the positions of an axis";
    Err(table
        .fault(table.head().line, message)
        .help("a table begins with `Wavelength (nm),NAME,…`, or with `name,350 nm,351 nm,…`"))
}
