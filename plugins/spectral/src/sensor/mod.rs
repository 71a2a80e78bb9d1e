//! Sensors: the bands in which an instrument sees a spectrum, and where the knowledge of them comes
//! from.
//!
//! [`Sensor::named`] knows some instruments; [`Sensor::open`] also reads files of the user's;
//! [`VirtualSensor`] makes one up, and [`SensorJitter`] blurs any of them.

mod catalogue;
mod file;
mod jitter;
mod placeholder;
mod response;
mod virtual_sensor;

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

pub use jitter::SensorJitter;
pub use response::{Band, FWHM_PER_SIGMA, Shape};
pub use virtual_sensor::{Placement, RandomSensors, Sharing, VirtualSensor};

use crate::Axis;

/// Where the knowledge of a sensor's responses comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// How far the responses are the instrument's.
    pub kind: ProvenanceKind,
    /// The same in words, with what was taken from where.
    pub note: String,
}

/// How far a sensor's responses are those of the instrument.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ProvenanceKind {
    /// Responses that the instrument's makers have published, as a file says of itself.
    Official,
    /// Published centres; width and shape are nominal.
    Nominal,
    /// Published range and number of bands; centres, width and shape follow from them.
    Assumed,
    /// Invented stand-ins of an earlier system, for comparison with it.
    Placeholder,
    /// No instrument at all: a sensor that was made up.
    Virtual,
    /// A file that says nothing of where it comes from.
    Unstated,
}

impl ProvenanceKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Official,
        Self::Nominal,
        Self::Assumed,
        Self::Placeholder,
        Self::Virtual,
        Self::Unstated,
    ];
}

impl Provenance {
    pub(crate) fn new(kind: ProvenanceKind, note: impl Into<String>) -> Self {
        Self { kind, note: note.into() }
    }
}

/// A sensor: its bands by rising centre.
///
/// ```
/// use spectral::Sensor;
///
/// let emit = Sensor::named("emit")?;
/// assert_eq!(emit.n_bands(), 285);
/// assert_eq!(emit.provenance().kind, spectral::ProvenanceKind::Nominal);
///
/// let unknown = Sensor::named("enmapp").unwrap_err();
/// assert_eq!(unknown.message, "no sensor has the name `enmapp`");
/// assert!(unknown.help.is_some_and(|help| help.contains("`enmap`")));
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    name: String,
    provenance: Provenance,
    bands: Vec<Band>,
    is_usable: Vec<bool>,
}

impl Sensor {
    /// A sensor of these bands, all of them usable.
    ///
    /// # Errors
    /// When there are no bands, a centre or a width is not above 0, or the centres don't rise.
    pub fn new(name: impl Into<String>, provenance: Provenance, bands: Vec<Band>) -> Result<Self> {
        let name = name.into();
        if bands.is_empty() {
            return Err(Error::new("spectral::sensor", format!("sensor `{name}` has no bands")));
        }
        for (idx, band) in bands.iter().enumerate() {
            for (what, value) in [("centre", band.center_nm), ("width", band.fwhm_nm)] {
                if !value.is_finite() || value <= 0.0 {
                    let number = idx + 1;
                    let message = format!(
                        "the {what} of band {number} of sensor `{name}` must be above 0 nm: {value}"
                    );
                    return Err(Error::new("spectral::sensor", message));
                }
            }
        }
        if let Some(idx) = bands.windows(2).position(|pair| pair[0].center_nm >= pair[1].center_nm)
        {
            let message = format!(
                "the centres of sensor `{name}` must rise: band {} is at {} nm, band {} at {} nm",
                idx + 1,
                bands[idx].center_nm,
                idx + 2,
                bands[idx + 1].center_nm
            );
            return Err(Error::new("spectral::sensor_order", message)
                .help("sort the bands by their centres, and the values of spectra likewise"));
        }
        let is_usable = vec![true; bands.len()];
        Ok(Self { name, provenance, bands, is_usable })
    }

    /// The sensor whose bands with centres in one of the ranges (both ends included, in
    /// nanometres) are not usable.
    #[must_use]
    pub fn without(mut self, ranges_nm: &[[f64; 2]]) -> Self {
        for (is_usable, band) in self.is_usable.iter_mut().zip(&self.bands) {
            *is_usable &=
                !ranges_nm.iter().any(|[from, to]| (*from..=*to).contains(&band.center_nm));
        }
        self
    }

    /// The sensor that this crate knows by a name; `-` and `_` are alike, upper and lower case too.
    ///
    /// # Errors
    /// When there is none; the help names the nearest one.
    pub fn named(name: &str) -> Result<Self> {
        catalogue::sensor(name)
    }

    /// The sensor of a name, or of a `.csv` or `.json` file.
    ///
    /// A CSV file has a heading and either one row for each band, with columns `center_nm`,
    /// `fwhm_nm` and, if wanted, `usable` (0 or 1), or one column for each band after a column
    /// `wavelength_nm`; instead of `_nm` there may be `_um` (and for wavelengths `_cm-1`). A JSON
    /// file is an object with `centers` and `fwhm`, or `wavelengths` and `responses`, and `name`,
    /// `unit`, `shape`, `provenance` and `unusable`.
    ///
    /// # Errors
    /// When there is no such sensor, or the file is not one.
    pub fn open(name_or_file: &str) -> Result<Self> {
        let path = Path::new(name_or_file);
        match path.extension().and_then(|end| end.to_str()).map(str::to_lowercase).as_deref() {
            Some("csv") => file::read_csv(path),
            Some("json") => file::read_json(path),
            _ => Self::named(name_or_file),
        }
    }

    /// Names of the sensors that this crate knows, in the order to list them in.
    pub fn names() -> Vec<&'static str> {
        catalogue::names()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the knowledge of it comes from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Its bands, by rising centre.
    pub fn bands(&self) -> &[Band] {
        &self.bands
    }

    /// Number of its bands.
    pub fn n_bands(&self) -> usize {
        self.bands.len()
    }

    /// Whether each band is usable.
    pub fn is_usable(&self) -> &[bool] {
        &self.is_usable
    }

    /// Centres of the bands, in nanometres.
    pub fn centers_nm(&self) -> Vec<f64> {
        self.bands.iter().map(|band| band.center_nm).collect()
    }

    /// Full widths of the bands at half maximum, in nanometres.
    pub fn fwhm_nm(&self) -> Vec<f64> {
        self.bands.iter().map(|band| band.fwhm_nm).collect()
    }

    /// The axis of what the sensor sees: the centres of its bands.
    ///
    /// # Errors
    /// Never for a sensor made by this crate: its centres are checked.
    pub fn axis(&self) -> Result<Axis> {
        Axis::nm(self.centers_nm())
    }

    /// The shortest and the longest wavelength that a band answers to, in nanometres.
    pub fn range_nm(&self) -> (f64, f64) {
        let ends = self.bands.iter().map(|band| {
            let samples = band.samples_nm();
            (samples[0], samples[samples.len() - 1])
        });
        ends.fold((f64::INFINITY, 0.0), |(low, high), (first, last)| {
            (f64::min(low, first), f64::max(high, last))
        })
    }

    /// The same sensor with each band's centre moved by its shift, in nanometres. Shape, width and
    /// order stay, so that band `i` is the same band of the instrument.
    ///
    /// # Panics
    /// When there is not one shift for each band.
    #[must_use]
    pub fn shifted(&self, shifts_nm: &[f64]) -> Self {
        assert_eq!(shifts_nm.len(), self.bands.len(), "one shift for each band");
        let mut shifted = self.clone();
        for (band, shift_nm) in shifted.bands.iter_mut().zip(shifts_nm) {
            band.center_nm += shift_nm;
        }
        shifted
    }
}

impl fmt::Display for Sensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (self.bands[0].center_nm, self.bands[self.bands.len() - 1].center_nm);
        let n_bands = self.bands.len();
        let what = if n_bands == 1 { "band" } else { "bands" };
        write!(f, "{}: {n_bands} {what}, {low:.0} to {high:.0} nm. ", self.name)?;
        f.write_str(&self.provenance.note)
    }
}

/// A sensor in a configuration: the name of one, a file, or bands that are made up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SensorConfig {
    /// A name such as `emit`, or a `.csv` or `.json` file.
    Named(String),
    /// A sensor that is made up.
    Virtual(VirtualSensor),
}

impl SensorConfig {
    /// The sensor; one that is made up draws from `generator` where it says so.
    ///
    /// # Errors
    /// As of [`Sensor::open`] and [`VirtualSensor::sensor`].
    pub fn open(&self, generator: &mut sdk::Generator) -> Result<Sensor> {
        match self {
            Self::Named(name) => Sensor::open(name),
            Self::Virtual(bands) => bands.sensor(generator),
        }
    }
}

#[cfg(test)]
mod tests;
