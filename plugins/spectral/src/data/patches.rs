//! Square patches of image cubes, read from disk when they are asked for.

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use super::config::{default_missing, default_tile};
use super::envi::{Cube, Window};
use super::load::check_fraction;
use super::missing::Markers;
use super::paths::Paths;
use super::pixels::{stem, tile_of};
use super::spectrum::Ordered;
use super::split::SplitRule;
use crate::ValueStats;
use crate::axis::AxisUnit;

/// Patches that the statistics of bands are taken from, at most.
const N_SURVEYED: usize = 64;

/// Square patches of ENVI image cubes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchConfig {
    /// Files (headers or data), globs, or directories (all `.img`, `.dat`, `.bsq`, `.bil` and
    /// `.bip` files in them), as paths from the working directory. All have the same bands.
    pub path: Paths,
    /// The unit of the wavelengths, where the headers don't say it.
    #[serde(default)]
    pub unit: Option<AxisUnit>,
    /// Numbers that mark missing values, besides the headers' `data ignore value`. The default is
    /// the marker of deleted channels of the USGS.
    #[serde(default = "default_missing")]
    pub missing: Vec<f64>,
    /// Rows and columns of a patch; patches lie side by side.
    #[serde(default = "default_side")]
    #[schemars(range(min = 1, max = 256), extend("x-unit" = "pixels"))]
    pub side: usize,
    /// Patches of a square tile of this many rows and columns stand on one side of the split, since
    /// neighbours are alike.
    #[serde(default = "default_tile")]
    #[schemars(range(min = 1), extend("x-unit" = "pixels"))]
    pub tile: usize,
    /// Which tiles are held back.
    #[serde(default)]
    pub split: SplitRule,
}

fn default_side() -> usize {
    8
}

impl PatchConfig {
    /// Checks files, headers and sizes, without reading values. `key` is where this stands in the
    /// section.
    ///
    /// Every fault found, with its key.
    pub fn check(&self, key: &str) -> Vec<Error> {
        let mut faults: Vec<Error> = check_fraction(&self.split, key).into_iter().collect();
        match self.cubes() {
            Err(error) => faults.push(error.at(format!("{key}.path"))),
            Ok(cubes) => {
                faults.extend(self.bands(&cubes).err().map(|e| e.at(format!("{key}.path"))));
            }
        }
        faults
    }

    fn cubes(&self) -> Result<Vec<Cube>> {
        let files = self.path.files(&super::load::CUBES)?;
        let markers = Markers::new(&self.missing);
        let open = |file: &std::path::PathBuf| {
            let cube = Cube::open(file, &markers)?;
            let (header, side) = (cube.header(), self.side);
            if header.n_lines < side || header.n_samples < side {
                let (file, rows, columns) = (&header.file, header.n_lines, header.n_samples);
                let message =
                    format!("`{file}` has {rows} × {columns} pixels: no patch of {side} × {side}");
                return Err(Error::new("spectral::patch", message).help("take a smaller `side`"));
            }
            Ok(cube)
        };
        files.iter().map(open).collect()
    }

    /// Where the bands of all cubes lie; none where no header says it.
    fn bands(&self, cubes: &[Cube]) -> Result<Option<Ordered>> {
        let axis = |cube: &Cube| {
            let header = cube.header();
            header.wavelengths.as_ref().map(|_| header.ordered(self.unit)).transpose()
        };
        let first = axis(&cubes[0])?;
        for cube in &cubes[1..] {
            let (one, other) = (cubes[0].header(), cube.header());
            let own = axis(cube)?;
            let is_same = one.n_bands == other.n_bands
                && first.as_ref().map(|axis| &axis.axis) == own.as_ref().map(|axis| &axis.axis);
            if !is_same {
                let message = format!("`{}` has other bands than `{}`", other.file, one.file);
                return Err(Error::new("spectral::patch", message)
                    .help("cubes of one run must have the same bands"));
            }
        }
        Ok(first)
    }
}

/// Patches of cubes on disk.
///
/// Legend: S rows and columns of a patch, C bands.
#[derive(Debug)]
pub struct Patches {
    cubes: Vec<Cube>,
    side: usize,
    ordered: Option<Ordered>,
    train: Vec<Place>,
    val: Vec<Place>,
}

/// Where a patch lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    cube: usize,
    row: usize,
    column: usize,
}

/// What is known of patches from looking at some of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Mean and deviation of each band.
    pub bands: Vec<ValueStats>,
    /// Hash of the values that were looked at.
    pub digest: String,
}

impl Patches {
    /// Opens the cubes. Headers are read, and no values.
    ///
    /// # Errors
    /// When a file is missing or faulty, cubes differ in their bands, or a side of the split is
    /// empty; at its key below `key`.
    pub fn open(config: &PatchConfig, key: &str) -> Result<Self> {
        let at = |error: Error| error.at(format!("{key}.path"));
        let cubes = config.cubes().map_err(at)?;
        let ordered = config.bands(&cubes).map_err(at)?;
        let side = config.side.max(1);
        let all = cubes.iter().enumerate().flat_map(|(cube, own)| {
            let (n_rows, n_columns) = (own.header().n_lines / side, own.header().n_samples / side);
            let place = move |i: usize| {
                let (row, column) = (i / n_columns * side, i % n_columns * side);
                Place { cube, row, column }
            };
            (0..n_rows * n_columns).map(place)
        });
        let is_held_back = |place: &Place| {
            let (stem, corner) = (stem(&cubes[place.cube]), (place.row, place.column));
            config.split.holds_back(&tile_of(&stem, corner, config.tile.max(1)))
        };
        let (val, train): (Vec<Place>, Vec<Place>) = all.partition(is_held_back);
        let empty = match (train.is_empty(), val.is_empty()) {
            (true, _) => "no patches to train on",
            (_, true) => "no patches to hold back",
            _ => return Ok(Self { cubes, side, ordered, train, val }),
        };
        let help = "take a smaller `tile`, or set another `val_fraction` or `val_seed`";
        Err(Error::new("spectral::split", format!("the split leaves {empty}"))
            .at(format!("{key}.split"))
            .help(help))
    }

    /// Rows and columns of a patch, S.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Number of bands, C.
    pub fn n_bands(&self) -> usize {
        self.cubes[0].header().n_bands
    }

    /// Where the bands lie, in nanometres and rising; none where no header says it.
    pub fn centers_nm(&self) -> Option<Vec<f64>> {
        self.ordered.as_ref().map(|ordered| ordered.axis.to_nm().to_vec())
    }

    /// Number of patches to train on.
    pub fn n_train(&self) -> usize {
        self.train.len()
    }

    /// Number of patches that are held back.
    pub fn n_val(&self) -> usize {
        self.val.len()
    }

    /// Reads a patch to train on: S² pixels of C values, row by row, NaN where one is missing.
    ///
    /// # Errors
    /// When reading fails.
    pub fn train(&self, idx: usize) -> Result<Vec<f64>> {
        self.read(self.train[idx])
    }

    /// As [`Patches::train`], of those held back.
    ///
    /// # Errors
    /// When reading fails.
    pub fn val(&self, idx: usize) -> Result<Vec<f64>> {
        self.read(self.val[idx])
    }

    /// Looks at some of the patches to train on, spread evenly.
    ///
    /// # Errors
    /// When reading fails.
    pub fn survey(&self) -> Result<Survey> {
        let n = self.n_train().min(N_SURVEYED);
        let seen = (0..n).map(|i| self.train(i * self.n_train() / n));
        let seen = seen.collect::<Result<Vec<_>>>()?.concat();
        let n_bands = self.n_bands();
        let bands = (0..n_bands).map(|band| {
            let values = seen.iter().copied().skip(band).step_by(n_bands);
            ValueStats::of(values).unwrap_or(ValueStats { mean: 0.0, std: 1.0 })
        });
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.n_train() as u64).to_le_bytes());
        for value in &seen {
            let value = if value.is_nan() { f64::NAN } else { *value };
            hasher.update(&value.to_le_bytes());
        }
        Ok(Survey { bands: bands.collect(), digest: hasher.finalize().to_hex().to_string() })
    }

    fn read(&self, Place { cube, row, column }: Place) -> Result<Vec<f64>> {
        let cube = &self.cubes[cube];
        let (rows, columns) = (row..row + self.side, column..column + self.side);
        let pixels = cube.read::<f64>(&Window { rows, columns, ..cube.whole() })?;
        let Some(ordered) = &self.ordered else { return Ok(pixels.values) };
        let spectra = pixels.values.chunks_exact(self.n_bands());
        Ok(spectra.flat_map(|values| ordered.arranged(values)).collect())
    }
}
