//! The pixels of an image cube as spectra of a library.

use std::path::Path;

use sdk::Result;

use super::config::CubeFiles;
use super::envi::{Cube, Window};
use super::missing::Markers;
use super::spectrum::{Ordered, Spectrum};

/// Checks a cube's header, its size and its axis, without reading values.
pub(super) fn check(file: &Path, source: &CubeFiles) -> Result<()> {
    let cube = Cube::open(file, &Markers::default())?;
    cube.header().ordered(source.unit).map(|_| ())
}

/// Every `every`-th pixel of every `every`-th row that has a value at all. Its name is
/// `FILE[ROW,COLUMN]`; its material is its tile.
pub(super) fn spectra(cube: &Cube, source: &CubeFiles) -> Result<Vec<Spectrum>> {
    let header = cube.header();
    let ordered = header.ordered(source.unit)?;
    let (every, tile) = (source.every.max(1), source.tile.max(1));
    let stem = stem(cube);
    let mut spectra = Vec::new();
    for row in (0..header.n_lines).step_by(every) {
        let pixels = cube.read::<f64>(&Window { rows: row..row + 1, ..cube.whole() })?;
        for column in (0..header.n_samples).step_by(every) {
            let values = pixels.pixel(0, column);
            if values.iter().any(|value| value.is_finite()) {
                spectra.push(pixel(&stem, row, column, tile, &ordered, values)?);
            }
        }
    }
    Ok(spectra)
}

fn pixel(
    stem: &str,
    row: usize,
    column: usize,
    tile: usize,
    ordered: &Ordered,
    values: &[f64],
) -> Result<Spectrum> {
    let name = format!("{stem}[{row},{column}]");
    let material = tile_of(stem, (row, column), tile);
    Spectrum::new(name, material, &ordered.axis, ordered.arranged(values))
}

/// A cube's name: that of its file, without the extension.
pub(super) fn stem(cube: &Cube) -> String {
    Path::new(&cube.header().file).file_stem().unwrap_or_default().display().to_string()
}

/// Name of the tile that a pixel lies in.
pub(super) fn tile_of(stem: &str, (row, column): (usize, usize), tile: usize) -> String {
    format!("{stem} tile {},{}", row / tile, column / tile)
}
