//! Encoders of spectra as sets of tokens: what the trainers on spectra share, on candle.
//!
//! - [`EncoderConfig`], [`Encoder`]: a transformer over tokens that are told where they lie;
//! - [`TokenSet`], [`TokenBatch`]: samples of different lengths as one tensor;
//! - [`Linear`], [`masked_mean`]: what stands around an encoder;
//! - [`SpectralEncoder`]: an encoder with what its tokens mean, as one phase hands it to the next;
//! - [`Rates`]: learning rate and decay rates of a section;
//! - [`picture`], [`write_files`]: what there is to look at.
//!
//! Each sample is independent of those beside it, dropout included, so a batch may be cut anywhere.

mod batch;
mod config;
mod encoder;
mod handover;
mod pictures;
mod positions;
mod rates;

pub use batch::{TokenBatch, TokenSet, masked_mean};
pub use config::{EncoderConfig, FeedForward, InitRule, NormPlacement, PositionEncoding};
pub use encoder::{Encoder, Linear, Places};
pub use handover::{KIND, SpectralEncoder};
pub use pictures::{PLOT, picture, write_files};
pub use positions::wavelength_encoding;
pub use rates::Rates;
