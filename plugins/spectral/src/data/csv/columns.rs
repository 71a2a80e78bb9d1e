//! Tables with a column per spectrum: the first column is the axis.

use sdk::Result;

use super::CsvForm;
use super::cells::{position, value};
use super::table::{Row, Table};
use crate::data::material::Materials;
use crate::data::missing::Markers;
use crate::data::spectrum::{Ordered, Spectrum};
use crate::data::units::agreed;

/// Titles that say what the values are, and not of what: the file's name is then the spectrum's.
const TITLES_OF_VALUES: [&str; 8] = [
    "",
    "reflectance",
    "reflectivity",
    "transmittance",
    "absorbance",
    "radiance",
    "intensity",
    "value",
];

/// The spectra of such a table.
pub(super) fn spectra(
    table: &Table,
    form: &CsvForm,
    missing: &Markers,
    materials: &Materials,
) -> Result<Vec<Spectrum>> {
    let titles = &table.head().fields;
    let has_titles = position(&titles[0]).is_none();
    let rows = if has_titles { table.rows() } else { table.all_rows() };
    let found = has_titles.then_some(titles[0].as_str());
    let positions = rows.iter().map(|row| axis_at(table, row)).collect::<Result<Vec<f64>>>()?;
    let unit = agreed(&table.file, found, form.unit)?;
    let ordered = Ordered::new(&positions, unit).map_err(|error| error.context(&table.file))?;
    let spectrum = |column_idx: usize| {
        let title = if has_titles { titles[column_idx].as_str() } else { "" };
        let values = rows.iter().map(|row| value_at(table, row, column_idx, missing));
        let values = values.collect::<Result<Vec<f64>>>()?;
        let name = name(table, title, column_idx);
        let material = materials.of(&name);
        Spectrum::new(name, material, &ordered.axis, ordered.arranged(&values))
    };
    (1..titles.len()).map(spectrum).collect()
}

/// A spectrum's name: its title, or that of the file where the title names none.
fn name(table: &Table, title: &str, column_idx: usize) -> String {
    if !TITLES_OF_VALUES.iter().any(|no_name| title.eq_ignore_ascii_case(no_name)) {
        return title.to_owned();
    }
    let is_only = table.head().fields.len() == 2;
    if is_only { table.stem() } else { format!("{} {column_idx}", table.stem()) }
}

fn axis_at(table: &Table, row: &Row) -> Result<f64> {
    let field = &row.fields[0];
    let number = position(field).map(|(number, _)| number);
    number.ok_or_else(|| {
        table.fault(row.line, format!("`{field}` in the first column is no position of an axis"))
    })
}

/// The value in a column of a row, NaN where it is missing.
pub(super) fn value_at(
    table: &Table,
    row: &Row,
    column_idx: usize,
    missing: &Markers,
) -> Result<f64> {
    let field = &row.fields[column_idx];
    value(field, table.has_decimal_comma, missing).ok_or_else(|| {
        let title = &table.head().fields[column_idx];
        table
            .fault(
                row.line,
                format!("`{field}` in column {} (`{title}`) is no number", column_idx + 1),
            )
            .help("a missing value is empty, `NaN`, or a number that `missing` lists")
    })
}
