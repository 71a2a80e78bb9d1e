//! Spectral libraries: a table of spectra on one axis.

use std::iter::repeat_n;
use std::path::Path;

use sdk::{Error, Result};

use super::files::{Opened, read_at};
use super::header::Header;
use crate::axis::AxisUnit;
use crate::data::material::Materials;
use crate::data::missing::Markers;
use crate::data::spectrum::Spectrum;

/// A library may be this large: it is held in memory, as f64.
const LIBRARY_BYTES_MAX: u64 = 1 << 32;
/// Bytes that are read at once.
const BLOCK_BYTES: usize = 1 << 20;

/// A spectral library as it stands in its file.
#[derive(Clone, Debug)]
pub struct EnviLibrary {
    header: Header,
    values: Vec<f64>,
}

impl EnviLibrary {
    /// Reads the library that `path` names, by its header or its data file.
    ///
    /// Missing (NaN) is what `missing` marks, what the header's `data ignore value` marks, what is
    /// not finite, and every value of a band that the header's `bbl` calls bad.
    ///
    /// # Errors
    /// When a file is missing, faulty, or no spectral library.
    pub fn read(path: &Path, missing: &Markers) -> Result<Self> {
        let opened = open(path)?;
        let header = &opened.header;
        let mut values = read_values(&opened, missing)?;
        drop_bad_bands(header, &mut values);
        Ok(Self { header: opened.header, values })
    }

    /// Checks the library that `path` names, without reading its values: that its files are there
    /// and fit each other, and that it has an axis; `unit` as of [`EnviLibrary::spectra`].
    ///
    /// # Errors
    /// When that is not so.
    pub fn check(path: &Path, unit: Option<AxisUnit>) -> Result<()> {
        open(path)?.header.ordered(unit).map(|_| ())
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many spectra it has.
    pub fn n_spectra(&self) -> usize {
        self.header.n_lines
    }

    /// The values of a spectrum, in the order of the file.
    ///
    /// # Panics
    /// When there is no such spectrum.
    pub fn values(&self, spectrum_idx: usize) -> &[f64] {
        let n_samples = self.header.n_samples;
        &self.values[spectrum_idx * n_samples..][..n_samples]
    }

    /// The name of a spectrum; where the header has none, its place from 1.
    pub fn name(&self, spectrum_idx: usize) -> String {
        let names = self.header.names.as_ref().and_then(|names| names.get(spectrum_idx));
        let name = names.filter(|name| !name.is_empty());
        name.cloned().unwrap_or_else(|| format!("spectrum {}", spectrum_idx + 1))
    }

    /// Its spectra, in the order of rising wavelengths. `unit` says the unit where the header
    /// doesn't.
    ///
    /// # Errors
    /// When there are no wavelengths, their unit is unknown, or `unit` contradicts the header.
    pub fn spectra(&self, unit: Option<AxisUnit>, materials: &Materials) -> Result<Vec<Spectrum>> {
        let ordered = self.header.ordered(unit)?;
        let spectrum = |i| {
            let name = self.name(i);
            let material = materials.of(&name);
            Spectrum::new(name, material, &ordered.axis, ordered.arranged(self.values(i)))
        };
        (0..self.n_spectra()).map(spectrum).collect()
    }
}

fn open(path: &Path) -> Result<Opened> {
    let opened = Opened::new(path)?;
    if !opened.header.is_library {
        return Err(not_a_library(&opened.header));
    }
    match opened.header.data_bytes() {
        Some(n_bytes) if n_bytes <= LIBRARY_BYTES_MAX => Ok(opened),
        _ => Err(too_large(&opened)),
    }
}

fn read_values(opened: &Opened, missing: &Markers) -> Result<Vec<f64>> {
    let header = &opened.header;
    let decoder = header.decoder(missing);
    let mut values = Vec::with_capacity(header.n_lines * header.n_samples);
    let n_bytes = header.data_bytes().unwrap_or(0);
    let mut at = header.header_offset;
    let mut buffer = Vec::new();
    // Every type's size divides a block.
    while at < n_bytes {
        buffer.clear();
        buffer.extend(repeat_n(0, (n_bytes - at).min(BLOCK_BYTES as u64) as usize));
        read_at(&opened.data, &opened.path, &mut buffer, at)?;
        decoder.append(&buffer, &mut values);
        at += buffer.len() as u64;
    }
    Ok(values)
}

fn drop_bad_bands(header: &Header, values: &mut [f64]) {
    let Some(good) = &header.good_bands else { return };
    for spectrum in values.chunks_exact_mut(header.n_samples) {
        let bad = spectrum.iter_mut().zip(good).filter(|(_, good)| !**good);
        bad.for_each(|(value, _)| *value = f64::NAN);
    }
}

fn not_a_library(header: &Header) -> Error {
    let message = format!("`{}` is an image, and no spectral library", header.file);
    Error::new("spectral::envi_kind", message).help(
        "a library has `file type = ENVI Spectral Library` and one band; read images as `cube`",
    )
}

fn too_large(opened: &Opened) -> Error {
    let data = opened.path.display();
    let message =
        format!("`{data}` is too large for a library: it has over {LIBRARY_BYTES_MAX} bytes");
    Error::new("spectral::envi_size", message).help("take it apart into several libraries")
}
