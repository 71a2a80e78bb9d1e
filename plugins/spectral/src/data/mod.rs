//! Spectra from disk: ENVI libraries and image cubes, CSV; and how they are split.
//!
//! A section's [`LibraryConfig`] names sources; [`LibraryConfig::load`] reads them into one
//! [`Library`], whose spectra have axes of their own; [`Library::resampled`] brings them onto one
//! grid; and [`LibraryConfig::split`] holds materials back. Large images are read by window
//! ([`envi::Cube`], [`Patches`]).

mod config;
mod csv;
pub mod envi;
mod library;
mod load;
mod material;
mod missing;
mod patches;
mod paths;
mod pixels;
mod spectrum;
mod split;
mod units;

pub use config::{CsvFiles, CubeFiles, EnviFiles, LibraryConfig, SpectraSource};
pub use csv::{CsvDelimiter, CsvForm, CsvLayout, read_csv};
pub use library::Library;
pub use material::{MaterialRule, Materials};
pub use missing::{Markers, USGS_DELETED};
pub use patches::{PatchConfig, Patches, Survey};
pub use paths::Paths;
pub use spectrum::{Resampler, Spectrum};
pub use split::SplitRule;
