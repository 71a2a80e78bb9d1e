//! An encoder as an artifact: its weights, and what its tokens mean.

use std::collections::BTreeMap;

use sdk::{Artifact, Artifacts, Error, Result, TensorHandle};
use sdk_numerics::Params;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spectral::{TokenizerConfig, ValueStats};

use crate::config::EncoderConfig;

/// Kind of the artifact that holds an encoder of spectra.
pub const KIND: &str = "spectral-encoder";

/// What belongs to the weights of an encoder of spectra, one token for each band.
///
/// ```
/// use towers::{EncoderConfig, SpectralEncoder};
/// use spectral::TokenizerConfig;
///
/// let trained = SpectralEncoder {
///     encoder: EncoderConfig::default(),
///     tokenizer: TokenizerConfig::default(),
///     value_stats: None,
///     sensor: Some("emit".to_owned()),
///     axis_nm: vec![400.0, 700.0],
/// };
/// let wanted = SpectralEncoder { axis_nm: vec![400.0, 701.0], ..trained.clone() };
/// let error = wanted.check(&trained).unwrap_err();
/// assert_eq!(error.message, "the encoder handed on was trained on another axis: band 2 is at 700.000 nm, not 701.000 nm");
/// # assert!(trained.check(&trained).is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpectralEncoder {
    /// Sizes.
    pub encoder: EncoderConfig,
    /// How a band becomes a token, normalisation included.
    pub tokenizer: TokenizerConfig,
    /// Mean and deviation of the training values, where the tokenizer takes them.
    pub value_stats: Option<ValueStats>,
    /// The sensor whose bands these are; none for a grid.
    pub sensor: Option<String>,
    /// Centres of the bands, in nanometres.
    pub axis_nm: Vec<f64>,
}

/// Where the path of a difference in sizes begins.
const ENCODER: &str = "encoder";

/// Wavelengths that are closer than this, in nanometres, are the same.
const SAME_NM: f64 = 1e-3;

impl SpectralEncoder {
    /// The artifact without weights: what a phase can promise before it has run.
    pub fn promise(&self) -> Artifact {
        // Plain data without maps of other keys than texts: this can't fail.
        let settings = serde_json::to_value(self).unwrap_or(Value::Null);
        Artifact::new("encoder", KIND, settings)
    }

    /// The artifact, with a copy of all parameters below `name` in `params`. They are called what
    /// they are called there, without `name` and the dot.
    ///
    /// # Errors
    /// When a copy from the device fails.
    pub fn artifact(&self, params: &Params, name: &str) -> Result<Artifact> {
        let below = |full: String| full.strip_prefix(name)?.strip_prefix('.').map(str::to_owned);
        let tensors = params.to_tensors()?.into_iter();
        let tensors = tensors.filter_map(|(full, tensor)| Some((below(full)?, tensor))).collect();
        Ok(Artifact { tensors, ..self.promise() })
    }

    /// The newest encoder that was handed on or promised, and its weights.
    ///
    /// # Errors
    /// When its settings can't be read.
    pub fn latest(given: &Artifacts) -> Result<Option<(Self, &BTreeMap<String, TensorHandle>)>> {
        let Some(artifact) = given.latest(KIND) else { return Ok(None) };
        let read = serde_json::from_value(artifact.settings.clone()).map_err(|e| {
            let message = format!("the settings of the encoder handed on can't be read: {e}");
            Error::new("towers::artifact", message)
        })?;
        Ok(Some((read, &artifact.tensors)))
    }

    /// Refuses weights of `trained` for an encoder of these settings: names the first thing in which
    /// they differ. Dropout may differ: it has no weights; so may what fresh weights start with.
    ///
    /// # Errors
    /// The difference; its path is `encoder.KEY` or `tokenizer.KEY`, and none where axes differ.
    pub fn check(&self, trained: &Self) -> Result<()> {
        self.check_sizes(trained)?;
        self.check_tokens(trained)?;
        self.check_axis(trained)
    }

    /// Copies the weights of an artifact over the parameters below `name`.
    ///
    /// # Errors
    /// One error that lists every missing, unknown and ill-shaped tensor.
    pub fn load(
        tensors: &BTreeMap<String, TensorHandle>,
        params: &Params,
        name: &str,
    ) -> Result<()> {
        let mut all = params.to_tensors()?;
        all.retain(|full, _| !full.starts_with(&format!("{name}.")));
        for (own, tensor) in tensors {
            let copy = sdk_numerics::import(tensor, params.device())?;
            all.insert(format!("{name}.{own}"), sdk_numerics::export(&copy)?);
        }
        params.load_tensors(&all)
    }

    fn check_sizes(&self, trained: &Self) -> Result<()> {
        let (own, theirs) = (&self.encoder, &trained.encoder);
        let sizes = [
            ("embed_dim", own.embed_dim, theirs.embed_dim),
            ("depth", own.depth, theirs.depth),
            ("heads", own.heads, theirs.heads),
            ("d_ff", own.feed_forward(), theirs.feed_forward()),
        ];
        let sizes = sizes.map(|(key, own, theirs)| (key, own.to_string(), theirs.to_string()));
        let words = [
            ("norm", word(own.norm).to_string(), word(theirs.norm).to_string()),
            ("activation", word(own.activation).to_string(), word(theirs.activation).to_string()),
            ("position", word(own.position).to_string(), word(theirs.position).to_string()),
        ];
        match sizes.into_iter().chain(words).find(|(_, own, theirs)| own != theirs) {
            None => Ok(()),
            Some((key, own, theirs)) => {
                let at = format!("{ENCODER}.{key}");
                Err(differs(key, &own, &theirs).at(at))
            }
        }
    }

    fn check_tokens(&self, trained: &Self) -> Result<()> {
        let (own, theirs) = (word(&self.tokenizer), word(&trained.tokenizer));
        if let (Some(own), Some(theirs)) = (own.as_object(), theirs.as_object())
            && let Some((key, value)) =
                own.iter().find(|(key, value)| theirs.get(*key) != Some(value))
        {
            let theirs = theirs.get(key).map_or("nothing".to_owned(), ToString::to_string);
            let key = format!("tokenizer.{key}");
            return Err(differs(&key, value.to_string(), &theirs).at(key));
        }
        Ok(())
    }

    fn check_axis(&self, trained: &Self) -> Result<()> {
        let (own, theirs) = (&self.axis_nm, &trained.axis_nm);
        let fault = |message: String| {
            Err(Error::new("towers::axis", message)
                .help("give both phases the same `sensor`, or the same grid"))
        };
        if own.len() != theirs.len() {
            let (n, has) = (theirs.len(), own.len());
            return fault(format!("the encoder handed on was trained on {n} bands, not {has}"));
        }
        let far = |(a, b): (&f64, &f64)| (a - b).abs() > SAME_NM;
        let Some(idx) = own.iter().zip(theirs).position(far) else { return Ok(()) };
        fault(format!(
            "the encoder handed on was trained on another axis: band {} is at {:.3} nm, not {:.3} nm",
            idx + 1,
            theirs[idx],
            own[idx]
        ))
    }
}

/// A setting as it is written in a file.
fn word(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn differs(key: &str, own: impl std::fmt::Display, theirs: impl std::fmt::Display) -> Error {
    let message = format!("the encoder handed on was trained with `{key}` {theirs}, not {own}");
    Error::new("towers::differs", message).help("give both phases the same settings of the encoder")
}
