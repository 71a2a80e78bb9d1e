//! Tables with a row per spectrum: the titles of its bands are the axis, others are of names.

use sdk::{Error, Result};

use super::CsvForm;
use super::cells::position;
use super::columns::value_at;
use super::table::{Row, Table};
use crate::axis::AxisUnit;
use crate::data::material::Materials;
use crate::data::missing::Markers;
use crate::data::spectrum::{Ordered, Spectrum};
use crate::data::units::agreed;

/// Titles that a message names.
const TITLES_MAX: usize = 8;

/// The spectra of such a table.
pub(super) fn spectra(
    table: &Table,
    form: &CsvForm,
    missing: &Markers,
    materials: &Materials,
) -> Result<Vec<Spectrum>> {
    let bands = Bands::of(table)?;
    let unit = agreed(&table.file, bands.unit.map(AxisUnit::name), form.unit)?;
    let ordered = Ordered::new(&bands.positions, unit).map_err(|e| e.context(&table.file))?;
    let columns = Columns::of(table, form)?;
    let spectrum = |(i, row): (usize, &Row)| {
        let values = bands.columns.iter().map(|column| value_at(table, row, *column, missing));
        let values = values.collect::<Result<Vec<f64>>>()?;
        let name = field(row, columns.name);
        let name = name.map_or_else(|| format!("{} {}", table.stem(), i + 1), str::to_owned);
        let material = field(row, columns.material).map(|material| materials.called(material));
        let material = material.unwrap_or_else(|| materials.of(&name));
        Spectrum::new(name, material, &ordered.axis, ordered.arranged(&values))
    };
    table.rows().iter().enumerate().map(spectrum).collect()
}

/// What stands in a column of a row, where there is such a column and it isn't empty.
fn field(row: &Row, column_idx: Option<usize>) -> Option<&str> {
    row.fields.get(column_idx?).map(String::as_str).filter(|field| !field.is_empty())
}

/// The columns whose titles are positions.
struct Bands {
    columns: Vec<usize>,
    positions: Vec<f64>,
    unit: Option<AxisUnit>,
}

impl Bands {
    fn of(table: &Table) -> Result<Self> {
        let mut bands = Self { columns: Vec::new(), positions: Vec::new(), unit: None };
        for (column_idx, title) in table.head().fields.iter().enumerate() {
            let Some((position, unit)) = position(title) else { continue };
            if bands.unit.is_some() && unit.is_some() && bands.unit != unit {
                let message = "the titles of the bands have different units";
                return Err(table.fault(table.head().line, message));
            }
            bands.unit = bands.unit.or(unit);
            bands.columns.push(column_idx);
            bands.positions.push(position);
        }
        if bands.columns.is_empty() {
            let message = "no title is a position of an axis, such as `350` or `350 nm`";
            return Err(table.fault(table.head().line, message));
        }
        Ok(bands)
    }
}

/// Where names and materials stand.
struct Columns {
    name: Option<usize>,
    material: Option<usize>,
}

impl Columns {
    fn of(table: &Table, form: &CsvForm) -> Result<Self> {
        let name = given(table, form.name_column.as_deref(), "name_column")?;
        let material = given(table, form.material_column.as_deref(), "material_column")?
            .or_else(|| titled(table, "material"));
        let titles = &table.head().fields;
        let is_other = |i: &usize| position(&titles[*i]).is_none() && Some(*i) != material;
        let first = || (0..titles.len()).find(is_other);
        Ok(Self { name: name.or_else(|| titled(table, "name")).or_else(first), material })
    }
}

fn titled(table: &Table, wanted: &str) -> Option<usize> {
    table.head().fields.iter().position(|title| title.eq_ignore_ascii_case(wanted))
}

/// The column that a setting names.
fn given(table: &Table, wanted: Option<&str>, setting: &str) -> Result<Option<usize>> {
    let Some(wanted) = wanted else { return Ok(None) };
    titled(table, wanted).map(Some).ok_or_else(|| {
        let titles = table.head().fields.iter().filter(|title| position(title).is_none());
        let titles: Vec<String> = titles.take(TITLES_MAX).map(|t| format!("`{t}`")).collect();
        let message = format!("`{}` has no column `{wanted}`", table.file);
        let error = Error::new("spectral::csv_column", message).at(setting);
        if titles.is_empty() {
            error
        } else {
            error.help(format!("columns: {}", titles.join(", ")))
        }
    })
}
