//! A tower: spectra to embeddings.
//!
//! Legend: B spectra, N bands, E width of an embedding.

use candle_core::{Device, Result, Tensor};
use sdk::Generator;
use sdk_numerics::ops::{self, Compute};
use sdk_numerics::{Init, ParamKind, Params, Workers};
use spectral::{BandTokenizer, Bands, TokenizerConfig, Tokens, ValueStats};
use towers::{Encoder, FeedForward, Linear, Places, TokenBatch, TokenSet, masked_mean};

use crate::config::{ModelConfig, TowerKind};

/// Added to a variance before its root.
const NORM_EPS: f64 = 1e-5;

/// What a batch of spectra is to a tower.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Tokens of a transformer.
    Tokens(TokenBatch),
    /// Scaled values, `(B, N)`.
    Values(Tensor),
}

/// The axis of one side, and how its spectra become inputs of a tower.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    bands: Bands,
    kind: TowerKind,
    /// Whether the tower looks at a band.
    is_used: Vec<bool>,
    /// Centres of the bands.
    pub(crate) nm: Vec<f64>,
}

impl Side {
    /// The bands of a side, all of which are looked at.
    pub(crate) fn new(kind: TowerKind, bands: Bands, nm: &[f64]) -> Self {
        Self { bands, kind, is_used: vec![true; nm.len()], nm: nm.to_vec() }
    }

    /// The same side of which only these bands are looked at, whether others have values or not: a
    /// tower has never learned what to make of those.
    #[must_use]
    pub(crate) fn of_bands(self, is_used: &[bool]) -> Self {
        Self { is_used: is_used.to_vec(), ..self }
    }

    /// Spectra as an input.
    ///
    /// # Errors
    /// When a spectrum has another number of values than the side has bands.
    pub(crate) fn input<'a>(&self, spectra: impl Iterator<Item = &'a [f64]>) -> sdk::Result<Input> {
        let tokens = spectra.map(|values| self.bands.encode(&self.used(values)));
        let tokens = tokens.collect::<sdk::Result<Vec<_>>>()?;
        let width = self.bands.width();
        let input = match self.kind {
            TowerKind::Transformer => {
                let sets = tokens.iter().map(|tokens| {
                    TokenSet::of(&tokens.values, width, |band| tokens.is_valid[band])
                });
                let sets: Vec<TokenSet> = sets.collect();
                TokenBatch::new(&sets, width, &Device::Cpu).map(Input::Tokens)
            }
            TowerKind::Mlp => {
                let shape = (tokens.len(), 2 * self.nm.len());
                let features: Vec<f32> = tokens.iter().flat_map(features).collect();
                Tensor::from_vec(features, shape, &Device::Cpu).map(Input::Values)
            }
        };
        input.map_err(sdk_numerics::error)
    }

    /// The values that are looked at; others count as missing.
    fn used(&self, values: &[f64]) -> Vec<f64> {
        let pairs = values.iter().zip(&self.is_used);
        pairs.map(|(value, is_used)| if *is_used { *value } else { f64::NAN }).collect()
    }

    /// Features of a band.
    pub(crate) fn width(&self) -> usize {
        match self.kind {
            TowerKind::Transformer => self.bands.width(),
            TowerKind::Mlp => 1,
        }
    }
}

/// Bands on each side of one whose means are compared for its difference.
const NEIGHBOURS: usize = 4;

/// Features of a perceptron beyond this count as this: a single one must not decide.
const LARGEST: f32 = 5.0;

/// What a perceptron sees of a spectrum: the scaled values, then how much the values behind a band
/// differ from those in front of it, scaled likewise. What is missing is 0.
fn features(tokens: &Tokens) -> Vec<f32> {
    let width = tokens.width;
    let values: Vec<f32> = tokens.values.chunks_exact(width).map(|token| token[0]).collect();
    let mean = |from: usize, to: usize| {
        let known = (from..to).filter(|band| tokens.is_valid[*band]);
        let (count, sum) = known.fold((0.0, 0.0), |(n, sum), band| (n + 1.0, sum + values[band]));
        (count > 0.0).then(|| sum / count)
    };
    let difference = |band: usize| {
        let behind = mean(band, (band + NEIGHBOURS).min(values.len()));
        Some(behind? - mean(band.saturating_sub(NEIGHBOURS), band)?)
    };
    let differences = (0..values.len()).map(difference).collect::<Vec<_>>();
    let known = || differences.iter().flatten();
    let square: f32 = known().map(|difference| difference * difference).sum();
    let size = (square / known().count().max(1) as f32).sqrt().max(1e-6);
    let scaled = differences.iter().map(|difference| difference.unwrap_or(0.0) / size);
    values.iter().copied().chain(scaled).map(|x| x.clamp(-LARGEST, LARGEST)).collect()
}

/// The tokenizer of a tower's sides. An `mlp` wants the scaled values alone.
///
/// # Errors
/// The first fault of the settings.
pub(crate) fn tokenizer(
    kind: TowerKind,
    config: &TokenizerConfig,
    stats: Option<ValueStats>,
) -> sdk::Result<BandTokenizer> {
    let config = match kind {
        TowerKind::Transformer => config.clone(),
        TowerKind::Mlp => TokenizerConfig {
            n_frequencies: 0,
            include_width: false,
            include_srf_embed: false,
            include_srf_provenance: false,
            token_dim: 0,
            ..config.clone()
        },
    };
    let tokenizer = BandTokenizer::new(config)?;
    Ok(match stats {
        Some(stats) => tokenizer.with_stats(stats),
        None => tokenizer,
    })
}

/// Turns the spectra of one side into embeddings.
#[derive(Clone, Debug)]
pub(crate) struct Tower {
    body: Body,
    /// Gain and offset of the norm behind all.
    norm: (Tensor, Tensor),
}

#[derive(Clone, Debug)]
enum Body {
    Transformer { encoder: Encoder, places: Places },
    Mlp { layers: Vec<Linear>, activation: FeedForward },
}

/// Where the encoder of the tower `name` has its parameters.
pub(crate) fn encoder_name(name: &str) -> String {
    format!("{name}.encoder")
}

impl Tower {
    /// Declares the parameters of the tower `name` for spectra of one side, and of at most `n_places`
    /// bands.
    ///
    /// # Errors
    /// The first fault of the settings; when a name is taken.
    pub(crate) fn declare(
        name: &str,
        config: &ModelConfig,
        side: &Side,
        n_places: usize,
        params: &mut Params,
        init: &mut Generator,
    ) -> sdk::Result<Self> {
        let body = match config.tower {
            TowerKind::Transformer => {
                let (name, encoder) = (encoder_name(name), config.encoder());
                let width = side.width();
                let encoder = Encoder::declare(&name, &encoder, width, n_places, params, init)?;
                let places = encoder.places(&side.nm).map_err(sdk_numerics::error)?;
                Body::Transformer { encoder, places }
            }
            TowerKind::Mlp => {
                let layers = mlp(name, config, 2 * side.nm.len(), params, init)?;
                Body::Mlp { layers, activation: config.activation }
            }
        };
        let mut norm = |what, start| {
            let name = format!("{name}.norm.{what}");
            params.declare(name, ParamKind::Norm, &[config.embed_dim], start, init)
        };
        let norm = (norm("gain", Init::Ones)?, norm("offset", Init::Zeros)?);
        Ok(Self { body, norm })
    }

    /// The same tower for the spectra of another side.
    ///
    /// # Errors
    /// When the device has no memory left.
    pub(crate) fn on(&self, side: &Side) -> Result<Self> {
        let body = match &self.body {
            Body::Transformer { encoder, .. } => {
                Body::Transformer { encoder: encoder.clone(), places: encoder.places(&side.nm)? }
            }
            other @ Body::Mlp { .. } => other.clone(),
        };
        Ok(Self { body, norm: self.norm.clone() })
    }

    /// The same, whose spectra of a call are spread over the threads, and whose training passes
    /// multiply in `compute`.
    #[must_use]
    pub(crate) fn working(self, workers: &Workers, compute: Compute) -> Self {
        let body = match self.body {
            Body::Transformer { encoder, places } => {
                let encoder = encoder.with_compute(compute).spread(workers);
                Body::Transformer { encoder, places }
            }
            other @ Body::Mlp { .. } => other,
        };
        Self { body, ..self }
    }

    /// Embeddings of spectra, `(B, E)`. `seeds` are of dropout, one for each spectrum, or empty.
    ///
    /// # Errors
    /// When the input is another tower's.
    pub(crate) fn forward(&self, input: &Input, seeds: &[u64]) -> Result<Tensor> {
        self.embed(input, |encoder, batch, places| encoder.forward(batch, places, seeds))
    }

    /// As [`Tower::forward`], without dropout and without what a backward pass needs.
    ///
    /// # Errors
    /// As [`Tower::forward`].
    pub(crate) fn infer(&self, input: &Input) -> Result<Tensor> {
        self.embed(input, Encoder::infer).map(|z| z.detach())
    }

    fn embed(
        &self,
        input: &Input,
        encode: impl Fn(&Encoder, &TokenBatch, &Places) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let pooled = match (&self.body, input) {
            (Body::Transformer { encoder, places }, Input::Tokens(batch)) => {
                masked_mean(&encode(encoder, batch, places)?, &batch.lengths)?
            }
            (Body::Mlp { layers, activation }, Input::Values(values)) => {
                perceive(layers, *activation, values)?
            }
            _ => candle_core::bail!("the input is that of another kind of tower"),
        };
        let (gain, offset) = &self.norm;
        ops::layer_norm(&pooled, gain, offset, NORM_EPS)
    }
}

fn mlp(
    name: &str,
    config: &ModelConfig,
    n_features: usize,
    params: &mut Params,
    init: &mut Generator,
) -> sdk::Result<Vec<Linear>> {
    let hidden = config.encoder().feed_forward();
    let mut sizes = vec![n_features];
    sizes.extend(std::iter::repeat_n(hidden, config.depth));
    sizes.push(config.embed_dim);
    let ends = sizes.windows(2).map(|pair| (pair[0], pair[1]));
    let layers = ends.enumerate().map(|(idx, ends)| {
        Linear::declare(&format!("{name}.layers.{idx}"), ends, config.init, params, init)
    });
    layers.collect()
}

/// Linear layers with a non-linearity between any two.
///
/// # Errors
/// When `x` has another width than the first takes.
pub(crate) fn perceive(layers: &[Linear], activation: FeedForward, x: &Tensor) -> Result<Tensor> {
    let mut h = x.clone();
    for (idx, layer) in layers.iter().enumerate() {
        if idx > 0 {
            h = match activation {
                FeedForward::Relu => ops::relu(&h)?,
                FeedForward::Gelu | FeedForward::Swiglu => ops::gelu(&h)?,
            };
        }
        h = layer.forward(&h)?;
    }
    Ok(h)
}
