//! The header of an ENVI file: sizes, how numbers are stored, and what its bands are.

use std::fs;
use std::path::Path;

use sdk::{Error, Result};

use super::fields::Fields;
use super::sample::{ByteOrder, Decoder, SampleType};
use crate::axis::AxisUnit;
use crate::data::missing::Markers;
use crate::data::spectrum::Ordered;
use crate::data::units::{agreed, unit_named};

/// A header may be this large; that of a library of ten thousand spectra has about 1 MB.
const HEADER_BYTES_MAX: u64 = 1 << 26;

/// In which order the numbers of an image stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interleave {
    /// Band by band, each row by row.
    Bsq,
    /// Row by row, each band by band.
    Bil,
    /// Row by row, each pixel by pixel.
    Bip,
}

/// What an ENVI header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The header's file, as it was named.
    pub file: String,
    /// Columns of an image; bands of a spectral library.
    pub n_samples: usize,
    /// Rows of an image; spectra of a spectral library.
    pub n_lines: usize,
    /// Bands of an image; 1 for a spectral library.
    pub n_bands: usize,
    /// Bytes of the data file before the first number.
    pub header_offset: u64,
    /// How a number is stored.
    pub sample_type: SampleType,
    /// Which byte of a number comes first.
    pub byte_order: ByteOrder,
    /// In which order the numbers stand.
    pub interleave: Interleave,
    /// Whether this is a spectral library, and not an image: by its `file type`, or where it has
    /// none, by its list of names.
    pub is_library: bool,
    /// Where each band lies, in the order of the file, in the unit of [`Header::unit_name`].
    pub wavelengths: Option<Vec<f64>>,
    /// The unit of wavelengths and widths, as the header has it.
    pub unit_name: Option<String>,
    /// The full width at half maximum of each band.
    pub fwhm: Option<Vec<f64>>,
    /// Which bands are good, where the header has a bad-band list.
    pub good_bands: Option<Vec<bool>>,
    /// The name of each spectrum of a library.
    pub names: Option<Vec<String>>,
    /// The number that marks missing values.
    pub ignore_value: Option<f64>,
    /// What stored numbers are divided by to be reflectances; 1 where the header has none.
    pub scale_factor: f64,
}

impl Header {
    /// Reads a header's file.
    ///
    /// # Errors
    /// When it can't be read or is faulty; see [`Header::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let unread = |error| Error::new("spectral::read", format!("reading `{file}`: {error}"));
        let n_bytes = fs::metadata(path).map_err(unread)?.len();
        if n_bytes > HEADER_BYTES_MAX {
            let message = format!("`{file}` is no header: it has {n_bytes} bytes");
            return Err(Error::new("spectral::envi_header", message));
        }
        let bytes = fs::read(path).map_err(unread)?;
        Self::parse(&file, &String::from_utf8_lossy(&bytes))
    }

    /// Reads a header's text; `file` is named in faults.
    ///
    /// ```
    /// let header = spectral::data::envi::Header::parse(
    ///     "leaf.hdr",
    ///     "ENVI
    ///      samples = 3
    ///      lines = 2
    ///      bands = 1
    ///      data type = 4
    ///      byte order = 0
    ///      file type = ENVI Spectral Library
    ///      wavelength units = Micrometers
    ///      wavelength = { 0.45, 0.55, 0.65 }
    ///      spectra names = { dry leaf, green leaf }",
    /// )?;
    /// assert_eq!(header.names.unwrap()[1], "green leaf");
    /// # Ok::<(), sdk::Error>(())
    /// ```
    ///
    /// # Errors
    /// When something is missing or not as it must be, with the line and what was expected.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let fields = Fields::parse(file, text)?;
        let is_library = is_library(&fields)?;
        let n_lines = fields.size("lines")?;
        let n_samples = fields.size("samples")?;
        let n_bands = fields.size("bands")?;
        let sample_type = sample_type(&fields)?;
        let (n_values, each) = if is_library {
            (n_samples, "one for each of the `samples`")
        } else {
            (n_bands, "one for each of the `bands`")
        };
        let header = Self {
            file: file.to_owned(),
            n_samples,
            n_lines,
            n_bands,
            header_offset: fields
                .number("header offset", "a number of bytes", |_| true)?
                .unwrap_or(0),
            sample_type,
            byte_order: byte_order(&fields, sample_type)?,
            interleave: interleave(&fields, is_library || n_bands == 1)?,
            is_library,
            wavelengths: fields.numbers("wavelength", n_values, each)?,
            unit_name: fields.word("wavelength units")?.map(str::to_owned),
            fwhm: fields.numbers("fwhm", n_values, each)?,
            good_bands: good_bands(&fields, n_values, each)?,
            names: names(&fields, n_lines)?,
            ignore_value: fields.number("data ignore value", "a number", |_: &f64| true)?,
            scale_factor: scale_factor(&fields)?,
        };
        header.check_shape(&fields)?;
        Ok(header)
    }

    /// A library is a table: one band, rows of spectra.
    fn check_shape(&self, fields: &Fields) -> Result<()> {
        if self.is_library && self.n_bands != 1 {
            let message = "a spectral library has `bands = 1`: its bands are the `samples`";
            return Err(fields.fault("bands", message));
        }
        let n_bytes = self.data_bytes();
        n_bytes.map(|_| ()).ok_or_else(|| fields.fault("samples", "the sizes are too large"))
    }

    /// Bytes that the data file must have; `None` where that is no number.
    pub fn data_bytes(&self) -> Option<u64> {
        let sizes = [self.n_samples, self.n_lines, self.n_bands, self.sample_type.n_bytes()];
        let n_bytes = sizes.into_iter().try_fold(1_usize, usize::checked_mul)?;
        u64::try_from(n_bytes).ok()?.checked_add(self.header_offset)
    }

    /// The unit of the wavelengths; `None` where the header doesn't say it, or says one that is
    /// none of an axis.
    pub fn unit(&self) -> Option<AxisUnit> {
        unit_named(self.unit_name.as_deref()?)
    }

    /// Where the bands lie, in the order of rising wavelengths. `unit` says the unit where the
    /// header doesn't.
    ///
    /// # Errors
    /// When there are no wavelengths, their unit is unknown, `unit` contradicts the header, or two
    /// bands lie at one place.
    pub(in crate::data) fn ordered(&self, unit: Option<AxisUnit>) -> Result<Ordered> {
        let positions = self.wavelengths.as_deref().ok_or_else(|| no_axis(&self.file))?;
        let unit = agreed(&self.file, self.unit_name.as_deref(), unit)?;
        Ordered::new(positions, unit).map_err(|error| error.context(&self.file))
    }

    /// From bytes of the data file to values. Missing is what `missing` marks, and what the header
    /// says.
    pub(super) fn decoder(&self, missing: &Markers) -> Decoder {
        let missing = missing.and(self.ignore_value);
        Decoder::new(self.sample_type, self.byte_order, &missing, self.scale_factor)
    }
}

fn no_axis(file: &str) -> Error {
    let message = format!("`{file}` has no `wavelength` list: the spectra have no axis");
    Error::new("spectral::no_axis", message)
        .help("add `wavelength = { … }` to it, with one number for each band")
}

fn is_library(fields: &Fields) -> Result<bool> {
    let kind = fields.word("file type")?.map(str::to_lowercase);
    Ok(kind.map_or_else(|| fields.has("spectra names"), |kind| kind.contains("spectral library")))
}

fn sample_type(fields: &Fields) -> Result<SampleType> {
    let key = "data type";
    let expected = format!("one of {}", SampleType::CODES);
    let code: u64 =
        fields.number(key, &expected, |_| true)?.ok_or_else(|| fields.missing(key, &expected))?;
    let complex = [(6, "complex numbers of 32 bits"), (9, "complex numbers of 64 bits")];
    if let Some((_, what)) = complex.iter().find(|(complex, _)| *complex == code) {
        let message = format!("`{key} = {code}` is {what}, which are no spectra");
        return Err(fields.fault(key, message));
    }
    SampleType::from_code(code)
        .ok_or_else(|| fields.fault(key, format!("`{key}` must be {expected}, not `{code}`")))
}

/// A header of single bytes needs to say no order.
fn byte_order(fields: &Fields, sample_type: SampleType) -> Result<ByteOrder> {
    let expected = "0 (least significant byte first) or 1 (most significant byte first)";
    match fields.number("byte order", expected, |order: &u8| *order < 2)? {
        Some(0) => Ok(ByteOrder::Little),
        Some(_) => Ok(ByteOrder::Big),
        None if sample_type.n_bytes() == 1 => Ok(ByteOrder::Little),
        None => Err(fields.missing("byte order", expected)),
    }
}

/// Of one band (`is_free`) all orders are the same.
fn interleave(fields: &Fields, is_free: bool) -> Result<Interleave> {
    let expected = "`bsq`, `bil` or `bip`";
    match fields.word("interleave")?.map(str::to_lowercase).as_deref() {
        Some("bsq") => Ok(Interleave::Bsq),
        Some("bil") => Ok(Interleave::Bil),
        Some("bip") => Ok(Interleave::Bip),
        None if is_free => Ok(Interleave::Bsq),
        None => Err(fields.missing("interleave", expected)),
        Some(other) => {
            let message = format!("`interleave` must be {expected}, not `{other}`");
            Err(fields.fault("interleave", message))
        }
    }
}

fn good_bands(fields: &Fields, n: usize, each: &str) -> Result<Option<Vec<bool>>> {
    let Some(flags) = fields.numbers("bbl", n, each)? else { return Ok(None) };
    if let Some(i) = flags.iter().position(|flag| *flag != 0.0 && *flag != 1.0) {
        let message = format!("item {} of `bbl` must be 0 (bad) or 1, not `{}`", i + 1, flags[i]);
        return Err(fields.fault("bbl", message));
    }
    Ok(Some(flags.into_iter().map(|flag| flag == 1.0).collect()))
}

fn names(fields: &Fields, n_lines: usize) -> Result<Option<Vec<String>>> {
    let names = fields.list("spectra names", n_lines, "one for each of the `lines`");
    let names =
        names.map_err(|error| error.help("a comma ends a name: names can't contain any"))?;
    Ok(names.map(|names| names.iter().map(|(_, name)| name.clone()).collect()))
}

fn scale_factor(fields: &Fields) -> Result<f64> {
    let is_allowed = |factor: &f64| factor.is_finite() && *factor > 0.0;
    let factor = fields.number("reflectance scale factor", "a number above 0", is_allowed)?;
    Ok(factor.unwrap_or(1.0))
}
