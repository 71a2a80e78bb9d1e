//! Image cubes, read by window from disk.
//!
//! A window is rows × columns × bands. Only its numbers are read, in runs that are joined where the
//! gap between them is less than a page, which the disk would read anyway. So memory holds the
//! window's values and one block, however large the file is.

use std::ops::Range;
use std::path::Path;

use sdk::{Error, Result};

use super::files::{Opened, read_at};
use super::header::{Header, Interleave};
use super::sample::{Decoder, Real};
use crate::data::missing::Markers;

/// A gap up to this many bytes is read over.
const GAP_BYTES: u64 = 4096;
/// Runs are joined to reads of up to this many bytes.
const BLOCK_BYTES: u64 = 1 << 20;

/// A part of a cube: rows, columns and bands, each from 0, the end excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The rows (`lines` of the header).
    pub rows: Range<usize>,
    /// The columns (`samples` of the header).
    pub columns: Range<usize>,
    /// The bands.
    pub bands: Range<usize>,
}

/// The values of a window; missing ones are NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels<F> {
    /// The window.
    pub window: Window,
    /// `(rows, columns, bands)`, row by row and pixel by pixel, in whichever order the file is.
    pub values: Vec<F>,
}

impl<F> Pixels<F> {
    /// The spectrum of a pixel, by row and column of the window.
    ///
    /// # Panics
    /// When there is no such pixel.
    pub fn pixel(&self, row_idx: usize, column_idx: usize) -> &[F] {
        let n_bands = self.window.bands.len();
        let pixel_idx = row_idx * self.window.columns.len() + column_idx;
        &self.values[pixel_idx * n_bands..][..n_bands]
    }
}

/// An image cube on disk.
#[derive(Debug)]
pub struct Cube {
    opened: Opened,
    decoder: Decoder,
}

impl Cube {
    /// Opens the cube that `path` names, by its header or its data file. Only the header is read.
    ///
    /// Missing is what `missing` marks, what the header's `data ignore value` marks, what is not
    /// finite, and every value of a band that the header's `bbl` calls bad.
    ///
    /// # Errors
    /// When a file is missing or faulty, or this is a spectral library.
    pub fn open(path: &Path, missing: &Markers) -> Result<Self> {
        let opened = Opened::new(path)?;
        if opened.header.is_library {
            let message = format!("`{}` is a spectral library, and no image", opened.header.file);
            return Err(Error::new("spectral::envi_kind", message).help("read it as `envi`"));
        }
        let decoder = opened.header.decoder(missing);
        Ok(Self { opened, decoder })
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        &self.opened.header
    }

    /// All of it.
    pub fn whole(&self) -> Window {
        let header = self.header();
        Window { rows: 0..header.n_lines, columns: 0..header.n_samples, bands: 0..header.n_bands }
    }

    /// Reads a window, as f32 or f64.
    ///
    /// # Errors
    /// When the window is empty or reaches outside, or reading fails.
    pub fn read<F: Real>(&self, window: &Window) -> Result<Pixels<F>> {
        self.check(window)?;
        let n_values = window.rows.len() * window.columns.len() * window.bands.len();
        let mut values = vec![F::MISSING; n_values];
        let mut buffer = Vec::new();
        for read in self.reads(window) {
            let n_bytes = self.n_bytes(read.n_samples);
            buffer.resize(n_bytes.max(buffer.len()), 0);
            let at = self.header().header_offset + self.n_bytes(read.first) as u64;
            read_at(&self.opened.data, &self.opened.path, &mut buffer[..n_bytes], at)?;
            for run in &read.runs {
                let bytes = &buffer[self.n_bytes(run.first - read.first)..];
                let bytes = &bytes[..self.n_bytes(run.n_samples)];
                self.decoder.scatter(bytes, &mut values[run.target..], run.step);
            }
        }
        self.drop_bad_bands(window, &mut values);
        Ok(Pixels { window: window.clone(), values })
    }

    /// Bytes of samples; never more than the file has.
    fn n_bytes(&self, n_samples: usize) -> usize {
        n_samples * self.header().sample_type.n_bytes()
    }

    fn check(&self, window: &Window) -> Result<()> {
        let whole = self.whole();
        for (name, part, all) in [
            ("rows", &window.rows, whole.rows),
            ("columns", &window.columns, whole.columns),
            ("bands", &window.bands, whole.bands),
        ] {
            if part.is_empty() || part.end > all.end {
                let file = &self.header().file;
                let message =
                    format!("`{file}` has {} {name}, not {}..{}", all.end, part.start, part.end);
                return Err(Error::new("spectral::window", message));
            }
        }
        Ok(())
    }

    fn drop_bad_bands<F: Real>(&self, window: &Window, values: &mut [F]) {
        let Some(good) = &self.header().good_bands else { return };
        let bands = window.bands.clone().enumerate();
        for (i, _) in bands.filter(|(_, band_idx)| !good[*band_idx]) {
            values.iter_mut().skip(i).step_by(window.bands.len()).for_each(|v| *v = F::MISSING);
        }
    }

    /// The reads that bring a window, in the order of the file.
    fn reads(&self, window: &Window) -> impl Iterator<Item = Read> {
        let sample_bytes = self.n_bytes(1) as u64;
        let mut runs = self.runs(window).peekable();
        std::iter::from_fn(move || {
            let mut read = Read::of(runs.next()?);
            let is_next = |run: &Run, read: &Read| {
                let gap = run.first - (read.first + read.n_samples);
                let n_samples = run.first + run.n_samples - read.first;
                gap as u64 * sample_bytes <= GAP_BYTES
                    && n_samples as u64 * sample_bytes <= BLOCK_BYTES
            };
            while let Some(run) = runs.next_if(|run| is_next(run, &read)) {
                read.add(run);
            }
            Some(read)
        })
    }

    /// What lies together in the file, in its order.
    fn runs(&self, window: &Window) -> Box<dyn Iterator<Item = Run>> {
        let Header { n_samples, n_lines, n_bands, interleave, .. } = *self.header();
        let Window { rows, columns, bands } = window.clone();
        let (n_columns, n_window) = (columns.len(), bands.len());
        let (row, column, band) = (rows.start, columns.start, bands.start);
        // Where a value belongs in `(rows, columns, bands)`.
        let target = move |r: usize, c: usize, b: usize| {
            ((r - row) * n_columns + (c - column)) * n_window + (b - band)
        };
        let along_columns = move |r, b, line_idx: usize| Run {
            first: line_idx * n_samples + column,
            n_samples: n_columns,
            target: target(r, column, b),
            step: n_window,
        };
        match interleave {
            Interleave::Bsq => Box::new(bands.flat_map(move |b| {
                rows.clone().map(move |r| along_columns(r, b, b * n_lines + r))
            })),
            Interleave::Bil => Box::new(rows.flat_map(move |r| {
                bands.clone().map(move |b| along_columns(r, b, r * n_bands + b))
            })),
            Interleave::Bip => Box::new(rows.flat_map(move |r| {
                columns.clone().map(move |c| Run {
                    first: (r * n_samples + c) * n_bands + band,
                    n_samples: n_window,
                    target: target(r, c, band),
                    step: 1,
                })
            })),
        }
    }
}

/// Samples that lie together, and where they belong: from `target` on, every `step`-th.
#[derive(Debug)]
struct Run {
    first: usize,
    n_samples: usize,
    target: usize,
    step: usize,
}

/// Samples that are read at once.
#[derive(Debug)]
struct Read {
    first: usize,
    n_samples: usize,
    runs: Vec<Run>,
}

impl Read {
    fn of(run: Run) -> Self {
        Self { first: run.first, n_samples: run.n_samples, runs: vec![run] }
    }

    fn add(&mut self, run: Run) {
        self.n_samples = run.first + run.n_samples - self.first;
        self.runs.push(run);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Seek as _, SeekFrom, Write as _};

    use super::*;

    /// A cube of zeros that takes no room on disk: 20 000 × 10 000 pixels, 300 bands of 2 bytes.
    fn huge(interleave: &str) -> (tempfile::TempDir, Cube) {
        let dir = tempfile::tempdir().unwrap();
        let header = format!(
            "ENVI\nlines = 20000\nsamples = 10000\nbands = 300\ndata type = 2\nbyte order = 0\n\
             interleave = {interleave}\n"
        );
        let path = dir.path().join("huge.img");
        fs::write(dir.path().join("huge.hdr"), header).unwrap();
        fs::File::create(&path).unwrap().set_len(20_000 * 10_000 * 300 * 2).unwrap();
        let cube = Cube::open(&path, &Markers::default()).unwrap();
        (dir, cube)
    }

    /// The bytes that a window's reads have, all together and the largest.
    fn bytes_read(cube: &Cube, window: &Window) -> (usize, usize) {
        let reads: Vec<usize> =
            cube.reads(window).map(|read| cube.n_bytes(read.n_samples)).collect();
        (reads.iter().sum(), reads.into_iter().max().unwrap())
    }

    #[test]
    fn of_a_huge_file_only_the_window_is_read() {
        let window = Window { rows: 9000..9004, columns: 5000..5008, bands: 100..150 };
        let wanted = 4 * 8 * 50 * 2;
        // Between two pixels of BIP lie 500 bytes, which are read over; between two rows of BSQ or
        // BIL lie 20 kB, which are not.
        let over = 4 * 7 * 500;
        for (interleave, expected) in [("bsq", wanted), ("bil", wanted), ("bip", wanted + over)] {
            let (_dir, cube) = huge(interleave);
            assert_eq!(bytes_read(&cube, &window).0, expected, "{interleave}");
            let pixels = cube.read::<f32>(&window).unwrap();
            assert_eq!(pixels.values, vec![0.0; 4 * 8 * 50]);
        }
    }

    #[test]
    fn whole_rows_are_read_in_blocks_and_never_in_one() {
        let window = Window { rows: 9000..9500, columns: 0..10_000, bands: 7..8 };
        let (_dir, cube) = huge("bsq");
        let (all, largest) = bytes_read(&cube, &window);
        assert_eq!(all, 500 * 10_000 * 2);
        // 52 rows of 20 000 bytes are the most that a block holds.
        assert_eq!(largest, 52 * 20_000);
    }

    #[test]
    fn a_value_far_into_a_file_is_found() {
        let (dir, cube) = huge("bil");
        let mut file = fs::File::options().write(true).open(dir.path().join("huge.img")).unwrap();
        let sample_idx = (19_999_u64 * 300 + 299) * 10_000 + 9_999;
        file.seek(SeekFrom::Start(sample_idx * 2)).unwrap();
        file.write_all(&(-7_i16).to_le_bytes()).unwrap();
        let window = Window { rows: 19_999..20_000, columns: 9_998..10_000, bands: 299..300 };
        let pixels = cube.read::<f64>(&window).unwrap();
        assert_eq!((pixels.pixel(0, 0), pixels.pixel(0, 1)), (&[0.0][..], &[-7.0][..]));
    }
}
