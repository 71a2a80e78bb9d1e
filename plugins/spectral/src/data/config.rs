//! The part of a section that says which spectra there are, and which of them are held back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::csv::{CsvDelimiter, CsvForm, CsvLayout};
use super::material::MaterialRule;
use super::missing::USGS_DELETED;
use super::paths::Paths;
use super::split::SplitRule;
use crate::axis::AxisUnit;

/// Spectra from files.
///
/// ```
/// let config: spectral::data::LibraryConfig = serde_json::from_str(
///     r#"{
///         "sources": {
///             "usgs": {"kind": "envi", "path": "usgs_splib07.sli"},
///             "own": {"kind": "csv", "path": "lab/*.csv", "unit": "nm"}
///         },
///         "split": {"val_fraction": 0.25}
///     }"#,
/// )?;
/// assert_eq!(config.sources.len(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LibraryConfig {
    /// Where the spectra come from, by a name of your own. They all make one library, whatever
    /// their grids and units.
    #[schemars(extend("x-replace" = true))]
    pub sources: BTreeMap<String, SpectraSource>,
    /// How names tell materials.
    pub materials: MaterialRule,
    /// Which materials are held back: one is never on both sides.
    pub split: SplitRule,
}

/// Where spectra come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum SpectraSource {
    /// ENVI spectral libraries.
    Envi(EnviFiles),
    /// Tables with a column or a row per spectrum.
    Csv(CsvFiles),
    /// ENVI image cubes, of which each pixel is a spectrum.
    Cube(CubeFiles),
}

/// ENVI spectral libraries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnviFiles {
    /// Files (headers or data), globs, or directories (all `.sli` files in them), as paths from
    /// the working directory.
    pub path: Paths,
    /// The unit of the wavelengths, where the headers don't say it.
    #[serde(default)]
    pub unit: Option<AxisUnit>,
    /// Numbers that mark missing values, besides the headers' `data ignore value`. The default is
    /// the marker of deleted channels of the USGS.
    #[serde(default = "default_missing")]
    pub missing: Vec<f64>,
}

/// Tables with a column or a row per spectrum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvFiles {
    /// Files, globs, or directories (all `.csv` and `.tsv` files in them), as paths from the
    /// working directory.
    pub path: Paths,
    /// Whether a column or a row is a spectrum.
    #[serde(default)]
    pub layout: CsvLayout,
    /// What stands between the fields of a line.
    #[serde(default)]
    pub delimiter: CsvDelimiter,
    /// The unit of the axis, where the titles don't say it.
    #[serde(default)]
    pub unit: Option<AxisUnit>,
    /// With a row per spectrum, the title of the column of names; without it `name`, else the
    /// first column that is no band.
    #[serde(default)]
    pub name_column: Option<String>,
    /// With a row per spectrum, the title of the column of materials; without it `material` where
    /// there is one, else materials follow from the names.
    #[serde(default)]
    pub material_column: Option<String>,
    /// Numbers that mark missing values, besides empty fields, `NaN` and `NA`. The default is the
    /// marker of deleted channels of the USGS.
    #[serde(default = "default_missing")]
    pub missing: Vec<f64>,
}

/// ENVI image cubes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CubeFiles {
    /// Files (headers or data), globs, or directories (all `.img`, `.dat`, `.bsq`, `.bil` and
    /// `.bip` files in them), as paths from the working directory.
    pub path: Paths,
    /// The unit of the wavelengths, where the headers don't say it.
    #[serde(default)]
    pub unit: Option<AxisUnit>,
    /// Numbers that mark missing values, besides the headers' `data ignore value`. The default is
    /// the marker of deleted channels of the USGS.
    #[serde(default = "default_missing")]
    pub missing: Vec<f64>,
    /// Take every so many-th pixel of every so many-th row.
    #[serde(default = "default_every")]
    #[schemars(range(min = 1), extend("x-unit" = "pixels"))]
    pub every: usize,
    /// Pixels have no names: those of a square tile of this many rows and columns count as one
    /// material, since neighbours are alike.
    #[serde(default = "default_tile")]
    #[schemars(range(min = 1), extend("x-unit" = "pixels"))]
    pub tile: usize,
}

impl CsvFiles {
    pub(super) fn form(&self) -> CsvForm {
        CsvForm {
            layout: self.layout,
            delimiter: self.delimiter,
            unit: self.unit,
            name_column: self.name_column.clone(),
            material_column: self.material_column.clone(),
        }
    }
}

pub(super) fn default_missing() -> Vec<f64> {
    vec![USGS_DELETED]
}

fn default_every() -> usize {
    1
}

pub(super) fn default_tile() -> usize {
    64
}
