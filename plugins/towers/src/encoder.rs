//! The encoder: tokens of a width of their own, told where they lie, through a transformer stack.

use candle_core::{Result, Tensor};
use sdk::Generator;
use sdk_numerics::ops::{self, Compute};
use sdk_numerics::stack::{Sequences, TransformerStack};
use sdk_numerics::{Init, ParamKind, Params, Workers};

use crate::batch::TokenBatch;
use crate::config::{EncoderConfig, InitRule, PositionEncoding};
use crate::positions::table;

/// What the places of a batch mean: one vector for each, or nothing.
#[derive(Clone, Debug)]
pub struct Places(Option<Tensor>);

/// A linear layer with a bias.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Declares `name.weight`, `(outputs, inputs)`, and `name.bias`.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn declare(
        name: &str,
        (n_inputs, n_outputs): (usize, usize),
        rule: InitRule,
        params: &mut Params,
        init: &mut Generator,
    ) -> sdk::Result<Self> {
        let (weight, bias) = (rule.weight(n_inputs), rule.bias(n_inputs));
        let shape = [n_outputs, n_inputs];
        let weight =
            params.declare(format!("{name}.weight"), ParamKind::Weight, &shape, weight, init)?;
        let bias =
            params.declare(format!("{name}.bias"), ParamKind::Bias, &[n_outputs], bias, init)?;
        Ok(Self { weight, bias })
    }

    /// `(…, inputs)` to `(…, outputs)`.
    ///
    /// # Errors
    /// When `x` has another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, &self.weight, Some(&self.bias))
    }
}

/// An encoder of token sets.
///
/// Legend: B samples, T tokens of the longest, F features of a token, E width inside.
///
/// ```
/// use candle_core::{DType, Device};
/// use sdk_numerics::{Params, error};
/// use towers::{Encoder, EncoderConfig, TokenBatch, TokenSet, masked_mean};
///
/// let mut init = sdk::Generator::new(42, "model init");
/// let mut params = Params::new(&Device::Cpu, DType::F32);
/// let config = EncoderConfig { embed_dim: 16, ..EncoderConfig::default() };
/// let encoder = Encoder::declare("encoder", &config, 2, 3, &mut params, &mut init)?;
///
/// // Two spectra of three bands, of which the second one misses its last.
/// let features = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
/// let sets = [TokenSet::of(&features, 2, |_| true), TokenSet::of(&features, 2, |i| i < 2)];
/// let batch = TokenBatch::new(&sets, 2, &Device::Cpu).map_err(error)?;
/// let places = encoder.places(&[400.0, 500.0, 600.0]).map_err(error)?;
/// let h = encoder.infer(&batch, &places).map_err(error)?; // (2, 3, 16)
/// assert_eq!(masked_mean(&h, &batch.lengths).map_err(error)?.dims(), [2, 16]);
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Encoder {
    config: EncoderConfig,
    /// None where tokens come as wide as the encoder is.
    embed: Option<Linear>,
    /// The learned vectors of places, `(places, E)`.
    index: Option<Tensor>,
    stack: TransformerStack,
}

impl Encoder {
    /// Declares the parameters under `name`, for tokens of `n_features` and samples of at most
    /// `n_places` tokens. Tokens of the encoder's own width are taken as they are.
    ///
    /// # Errors
    /// The first fault of the settings; when a name is taken.
    pub fn declare(
        name: &str,
        config: &EncoderConfig,
        n_features: usize,
        n_places: usize,
        params: &mut Params,
        init: &mut Generator,
    ) -> sdk::Result<Self> {
        config.checked()?;
        let (width, rule) = (config.embed_dim, config.init);
        let embed = (n_features != width)
            .then(|| {
                let (name, sizes) = (format!("{name}.embed"), (n_features, width));
                Linear::declare(&name, sizes, rule, params, init)
            })
            .transpose()?;
        let index = (config.position == PositionEncoding::TokenIndex)
            .then(|| {
                let start = match rule {
                    InitRule::Normal => Init::Normal { std: 0.02 },
                    InitRule::Framework => Init::Normal { std: 1.0 },
                };
                let (name, shape) = (format!("{name}.position"), [n_places, width]);
                params.declare(name, ParamKind::Embedding, &shape, start, init)
            })
            .transpose()?;
        let stack_config = config.stack();
        let start = |parameter: &_| rule.of(parameter, &stack_config);
        let stack =
            TransformerStack::declare_with(name, &stack_config, n_places, start, params, init)?;
        Ok(Self { config: config.clone(), embed, index, stack })
    }

    /// The same, whose samples of a call are spread over the threads of `workers`. Only where the
    /// calls are not inside of [`Workers::gradients`] on several threads already.
    #[must_use]
    pub fn spread(self, workers: &Workers) -> Self {
        Self { stack: self.stack.spread(workers), ..self }
    }

    /// The same, whose training passes multiply in another precision.
    #[must_use]
    pub fn with_compute(self, compute: Compute) -> Self {
        Self { stack: self.stack.with_compute(compute), ..self }
    }

    /// What it is made of.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// What the places of samples mean that lie at these wavelengths, in nanometres (or at these
    /// indexes, where tokens have no wavelength). Made once for an axis.
    ///
    /// # Errors
    /// When the device has no memory left.
    pub fn places(&self, wavelengths: &[f64]) -> Result<Places> {
        let table = match self.config.position {
            PositionEncoding::None => None,
            PositionEncoding::TokenIndex => self.index.clone(),
            PositionEncoding::Wavelength => {
                Some(table(wavelengths, self.config.embed_dim, self.stack.device())?)
            }
        };
        Ok(Places(table))
    }

    /// The tokens, each of which has seen all others of its sample. `seeds` are of dropout, one for
    /// each sample, or empty.
    ///
    /// # Shapes
    /// returns `(B, T, E)`; what stands behind a sample's last token means nothing.
    ///
    /// # Errors
    /// When the batch has other sizes than were declared, or a place is not in `places`.
    pub fn forward(&self, batch: &TokenBatch, places: &Places, seeds: &[u64]) -> Result<Tensor> {
        let h = self.embed(batch, places)?;
        self.stack.forward(&h, Sequences { lengths: &batch.lengths, seeds })
    }

    /// As [`Encoder::forward`], without dropout and without what a backward pass needs.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn infer(&self, batch: &TokenBatch, places: &Places) -> Result<Tensor> {
        self.stack.infer(&self.embed(batch, places)?.detach(), &batch.lengths)
    }

    fn embed(&self, batch: &TokenBatch, places: &Places) -> Result<Tensor> {
        let h = match &self.embed {
            Some(linear) => linear.forward(&batch.tokens)?,
            None => batch.tokens.clone(),
        };
        match &places.0 {
            Some(table) => h + ops::embedding(table, &batch.places)?,
            None => Ok(h),
        }
    }
}
