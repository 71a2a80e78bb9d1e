//! The GPT: a decoder-only transformer with pre-norm blocks, rotary positions and a tied head.
//!
//! Legend: B batch, t sequence length (at most T), C width, H heads, D = C / H, F feed-forward
//! width, V vocabulary. Linear weights are stored (out, in). Every weight matrix and the table
//! start from N(0, 0.02), biases from 0, norm gains from 1.

mod block;
mod cache;
mod trace;

use candle_core::{DType, Device, Result, Tensor, bail};
use sdk::{Generator, StateVisitor, Stateful};
use sdk_numerics::ops::{
    Compute, Keys, Rope, cross_entropy_sum, dropout, embedding, recompute, rms_norm,
};
use sdk_numerics::{Init, ParamKind, Params};

use crate::config::ModelConfig;
use block::{Affine, Block, Noise};
pub use cache::KvCache;
pub use trace::{AttentionTrace, Queries};

/// Added under the root of each norm.
pub(crate) const NORM_EPS: f64 = 1e-5;
/// Standard deviation of the initial weights, the same in every layer.
const INIT_STD: f64 = 0.02;

/// Whether dropout is on, and whence its keys.
#[derive(Debug)]
pub enum Mode<'a> {
    /// With dropout, and as [`Training`] says.
    Train(&'a mut Keys),
    /// Without, in f32: the same result every time.
    Eval,
}

impl Mode<'_> {
    /// Probability and key of the next dropout.
    fn next(&mut self, p: f64) -> (f64, u64) {
        match self {
            Self::Train(keys) => (p, keys.next_key()),
            Self::Eval => (0.0, 0),
        }
    }

    /// Probability and keys of a block's three.
    fn noise(&mut self, p: f64) -> Noise {
        let (p, attention) = self.next(p);
        Noise { p, keys: [attention, self.next(p).1, self.next(p).1] }
    }
}

/// How passes in [`Mode::Train`] are computed; the others never are otherwise than plainly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Training {
    /// Precision of matrix products.
    pub compute: Compute,
    /// Whether each block keeps its input only, and is computed again in backward.
    pub recomputes_blocks: bool,
}

/// The model: settings, parameters and rotary tables.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use gpt::config::ModelConfig;
/// use gpt::model::{Gpt, Mode};
///
/// let config = ModelConfig { context: 16, width: 8, n_layers: 1, n_heads: 2, d_ff: 12, ..Default::default() };
/// let mut init = sdk::Generator::new(42, "model init");
/// let gpt = Gpt::new(&config, &mut init, &Device::Cpu, DType::F32)?;
/// let ids = Tensor::new(&[[72u32, 105, 33]], &Device::Cpu).map_err(sdk_numerics::error)?;
/// let logits = gpt.forward(&ids, &mut Mode::Eval).map_err(sdk_numerics::error)?;
/// assert_eq!(logits.dims(), [1, 3, 256]);
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Debug)]
pub struct Gpt {
    config: ModelConfig,
    params: Params,
    training: Training,
    tok_emb: Tensor, // (V, C)
    blocks: Vec<Block>,
    ln_f: Tensor, // (C)
}

impl Gpt {
    /// The model with initial weights drawn from `init`, the stream `model init`, in the order of
    /// the parameters.
    ///
    /// # Errors
    /// The first fault of `config`, or what the device says.
    pub fn new(
        config: &ModelConfig,
        init: &mut Generator,
        device: &Device,
        dtype: DType,
    ) -> sdk::Result<Self> {
        if let Some(fault) = config.check().into_iter().next() {
            return Err(fault);
        }
        let tables = Rope::new(config.context, config.head_width(), config.rope_theta)
            .map_err(sdk_numerics::error)?;
        let (c, f) = (config.width, config.d_ff);
        let mut new = Declare { params: Params::new(device, dtype), init };
        let tok_emb = new.weight("tok_emb.weight", ParamKind::Embedding, &[config.vocab, c])?;
        let mut blocks = Vec::with_capacity(config.n_layers);
        for i in 0..config.n_layers {
            let name = |part: &str| format!("blocks.{i}.{part}");
            blocks.push(Block {
                ln1: new.gain(name("ln1.weight"), c)?,
                qkv: new.weight(name("attn.qkv.weight"), ParamKind::Weight, &[3 * c, c])?,
                proj: new.weight(name("attn.proj.weight"), ParamKind::Weight, &[c, c])?,
                ln2: new.gain(name("ln2.weight"), c)?,
                fc_a: new.affine(&name("mlp.fc_a"), f, c)?,
                fc_g: new.affine(&name("mlp.fc_g"), f, c)?,
                fc_out: new.affine(&name("mlp.fc_out"), c, f)?,
                n_heads: config.n_heads,
                tables: tables.clone(),
            });
        }
        let ln_f = new.gain("ln_f.weight".to_owned(), c)?;
        let (config, params) = (config.clone(), new.params);
        Ok(Self { config, params, training: Training::default(), tok_emb, blocks, ln_f })
    }

    /// The same model, whose training passes are computed as `training` says.
    #[must_use]
    pub fn with_training(self, training: Training) -> Self {
        Self { training, ..self }
    }

    /// Settings of this model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// All parameters, in the order of the reference.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Logits of the token after each position.
    ///
    /// # Shapes
    /// - `ids`: `(B, t)`, u32, t at most T
    /// - returns: `(B, t, V)`
    ///
    /// # Errors
    /// When `ids` have another shape, are longer than the context, or reach V.
    pub fn forward(&self, ids: &Tensor, mode: &mut Mode<'_>) -> Result<Tensor> {
        let mut h = self.embed(ids, mode)?;
        for block in &self.blocks {
            h = self.run(block, &h, mode)?;
        }
        self.head(&h, self.compute(mode))
    }

    /// Sum of the token losses in nats where the target is not `ignore`, and how many those are.
    ///
    /// # Shapes
    /// - `ids`, `targets`: `(B, t)`, u32
    /// - returns: scalar
    ///
    /// # Errors
    /// As [`Gpt::forward`]; also when a target is neither below V nor `ignore`.
    pub fn loss_sum(
        &self,
        ids: &Tensor,
        targets: &Tensor,
        ignore: Option<u32>,
        mode: &mut Mode<'_>,
    ) -> Result<(Tensor, usize)> {
        let logits = self.forward(ids, mode)?.flatten_to(1)?; // (B·t, V)
        cross_entropy_sum(&logits, &targets.flatten_all()?, ignore)
    }

    /// The first residual stream: `(B, t)` to `(B, t, C)`.
    fn embed(&self, ids: &Tensor, mode: &mut Mode<'_>) -> Result<Tensor> {
        let (_, t) = ids.dims2()?;
        if t > self.config.context {
            bail!("{t} tokens do not fit the context of {}", self.config.context);
        }
        if t == 0 {
            bail!("a sequence needs at least one token");
        }
        let (p, key) = mode.next(self.config.dropout);
        dropout(&embedding(&self.tok_emb, ids)?, p, key)
    }

    /// The residual stream behind a block.
    fn run(&self, block: &Block, h: &Tensor, mode: &mut Mode<'_>) -> Result<Tensor> {
        // Drawn before, so that a block that is run again drops the same elements.
        let noise = mode.noise(self.config.dropout);
        let compute = self.compute(mode);
        if matches!(mode, Mode::Train(_)) && self.training.recomputes_blocks {
            let block = block.clone();
            return recompute(h, move |h| block.forward(h, noise, compute));
        }
        block.forward(h, noise, compute)
    }

    /// Logits of the last residual stream: `(B, t, C)` to `(B, t, V)`.
    fn head(&self, h: &Tensor, compute: Compute) -> Result<Tensor> {
        compute.linear(&rms_norm(h, &self.ln_f, NORM_EPS)?, &self.tok_emb, None)
    }

    fn compute(&self, mode: &Mode<'_>) -> Compute {
        match mode {
            Mode::Train(_) => self.training.compute,
            Mode::Eval => Compute::Own,
        }
    }
}

impl Stateful for Gpt {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> sdk::Result<()> {
        self.params.state(visitor)
    }
}

/// Declares parameters of the three sorts that the model has.
struct Declare<'a> {
    params: Params,
    init: &'a mut Generator,
}

impl Declare<'_> {
    fn weight(
        &mut self,
        name: impl Into<String>,
        kind: ParamKind,
        shape: &[usize],
    ) -> sdk::Result<Tensor> {
        self.params.declare(name, kind, shape, Init::Normal { std: INIT_STD }, self.init)
    }

    fn gain(&mut self, name: String, width: usize) -> sdk::Result<Tensor> {
        self.params.declare(name, ParamKind::Norm, &[width], Init::Ones, self.init)
    }

    fn affine(&mut self, name: &str, out: usize, inner: usize) -> sdk::Result<Affine> {
        let weight = self.weight(format!("{name}.weight"), ParamKind::Weight, &[out, inner])?;
        let name = format!("{name}.bias");
        let bias = self.params.declare(name, ParamKind::Bias, &[out], Init::Zeros, self.init)?;
        Ok(Affine { weight, bias })
    }
}
