//! The part of the section that says what is learned from.

use schemars::JsonSchema;
use sdk::Error;
use serde::{Deserialize, Serialize};
use spectral::data::{LibraryConfig, PatchConfig};
use spectral::{Grid, Sensor, SyntheticLab};

/// What is learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum DataConfig {
    /// Made-up laboratory spectra, new ones for each step.
    Synthetic(SyntheticLab),
    /// Spectra from files, on the bands of a sensor or a grid.
    Library(Box<LibraryData>),
    /// Patches of image cubes, whose tokens are pixels. Values are scaled by each band's mean and
    /// deviation, so that a loss of 1 is that of predicting means.
    Cube(PatchConfig),
    /// Pixels of nothing but noise, as the first system had them: there is nothing to learn, and
    /// the loss stays at 1. For measuring speed.
    Noise(NoiseData),
}

/// Spectra from files, on the bands of a sensor or a grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LibraryData {
    /// The files, how names tell materials, and which of those are held back.
    pub spectra: LibraryConfig,
    /// The sensor whose bands the spectra are brought to: a name such as `emit`, or a `.csv` or
    /// `.json` file. Null takes `grid_nm`.
    pub sensor: Option<String>,
    /// Wavelengths that the spectra are brought to where there is no sensor: `{start, stop, num}`
    /// or a list.
    pub grid_nm: Grid,
    /// Spectra of which a smaller part of the bands is there are left out.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-unit" = "part of 1"))]
    pub min_covered: f64,
}

impl Default for LibraryData {
    fn default() -> Self {
        Self {
            spectra: LibraryConfig::default(),
            sensor: Some("emit".to_owned()),
            grid_nm: Grid::even(400.0, 2450.0, 206),
            min_covered: 0.5,
        }
    }
}

/// Extents of samples of noise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseData {
    /// Pixels of a sample; null takes the encoder's width.
    #[schemars(range(min = 1, max = 65536), extend("x-unit" = "pixels"))]
    pub n_pixels: Option<usize>,
    /// Bands of a pixel; null takes the encoder's width.
    #[schemars(range(min = 1, max = 65536), extend("x-unit" = "bands"))]
    pub n_bands: Option<usize>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self::Synthetic(SyntheticLab::default())
    }
}

impl DataConfig {
    /// Whether a sample is a spectrum, whose bands lie on an axis.
    pub(crate) fn has_bands(&self) -> bool {
        matches!(self, Self::Synthetic(_) | Self::Library(_))
    }

    /// Every fault, with its path in the section.
    pub(crate) fn check(&self) -> Vec<Error> {
        match self {
            Self::Noise(_) => Vec::new(),
            Self::Synthetic(lab) => {
                lab.check().into_iter().map(|fault| fault.below("data")).collect()
            }
            Self::Library(library) => library.check(),
            Self::Cube(cubes) => cubes.check("data"),
        }
    }
}

impl LibraryData {
    fn check(&self) -> Vec<Error> {
        let mut faults = self.spectra.check("data.spectra");
        let bands = match &self.sensor {
            Some(sensor) => Sensor::open(sensor).map(|_| ()).map_err(|e| e.at("data.sensor")),
            None => {
                let axis = self.grid_nm.axis(spectral::AxisUnit::Nanometers);
                axis.map(|_| ()).map_err(|e| e.at("data.grid_nm"))
            }
        };
        faults.extend(bands.err());
        faults
    }
}
