//! Spectra, the sensors that see them, and libraries of spectra on disk.
//!
//! What spectral trainers share, without any tensor library:
//!
//! - [`Axis`]: where the samples of a spectrum lie, in nanometres, micrometres or wavenumbers;
//! - [`Sensor`]: the bands of an instrument and how far they are known, [`Projection`]: what it sees
//!   of a spectrum, [`Observer`]: the same through a [`Perturbation`] such as the field's;
//! - [`continuum`], [`BandDepths`], [`angle`]: what spectroscopists measure on spectra;
//! - [`BandTokenizer`]: spectra as tokens, one for each band;
//! - [`data`]: libraries and cubes on disk; [`SyntheticLab`]: spectra that are made up;
//! - [`Plot`]: lines as a picture.
//!
//! A spectrum's values are `f64`, and a missing value is NaN everywhere. All randomness comes from an
//! [`sdk::Generator`] that the caller brings.
//!
//! ```
//! use sdk::Generator;
//! use spectral::{AxisUnit, BandTokenizer, Observer, Perturbation, ProjectionConfig, Sensor};
//! use spectral::{SyntheticLab, TokenizerConfig};
//!
//! // Eight laboratory spectra, as EMIT sees them in the field, as tokens.
//! let lab = SyntheticLab::default();
//! let axis = lab.lab_grid_nm.axis(AxisUnit::Nanometers)?;
//! let spectra = lab.batch(8, &mut Generator::new(42, "lab"));
//!
//! let emit = Sensor::named("emit")?;
//! let field = Observer::new(emit, &axis, ProjectionConfig::default(), Perturbation::field())?;
//! let seen = field.observe(&spectra[0], Some(&spectra[1]), &mut Generator::new(42, "field"))?;
//!
//! let tokenizer = BandTokenizer::new(TokenizerConfig::default())?;
//! let centers = field.sensor().centers_nm();
//! let bands = tokenizer.bands(&centers, AxisUnit::Nanometers, None, Some(field.sensor()))?;
//! let tokens = bands.encode(&seen)?;
//! assert_eq!((tokens.n_bands(), tokens.width), (285, 15));
//! # Ok::<(), sdk::Error>(())
//! ```

pub mod angle;
mod axis;
mod band_depth;
pub mod continuum;
pub mod data;
mod mask_plot;
mod noise;
mod perturbation;
mod plot;
mod project;
pub mod retrieval;
mod sampling;
mod sensor;
mod statistics;
mod synthetic;
pub mod thermal;
mod tokenizer;

pub use axis::{Axis, AxisUnit, EvenGrid, Grid};
pub use band_depth::{BandDepths, DepthBand, DepthSampling};
pub use mask_plot::mask_svg;
pub use noise::{Noise, NoiseLevel, add_thermal_noise};
pub use perturbation::{Known, NamedPerturbation, Observer, Perturbation, PerturbationConfig};
pub use plot::Plot;
pub use project::{Beyond, Integration, Projection, ProjectionConfig};
pub use sensor::{
    Band, FWHM_PER_SIGMA, Placement, Provenance, ProvenanceKind, RandomSensors, Sensor,
    SensorConfig, SensorJitter, Shape, Sharing, VirtualSensor,
};
pub use synthetic::{SyntheticLab, noise_tokens};
pub use tokenizer::{
    AxisNorm, BandTokenizer, Bands, TokenizerConfig, Tokens, ValueNorm, ValueStats, Widths,
};
