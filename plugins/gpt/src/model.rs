//! The GPT: a decoder-only transformer with pre-norm blocks, rotary positions and a tied head.
//!
//! Legend: B batch, t sequence length (at most T), C width, H heads, D = C / H, F feed-forward
//! width, V vocabulary. Linear weights are stored (out, in). Every weight matrix and the table
//! start from N(0, 0.02), biases from 0, norm gains from 1.

use candle_core::{D, DType, Device, Result, Tensor, bail};
use sdk::{Generator, StateVisitor, Stateful};
use sdk_numerics::ops::{
    Keys, Rope, add_dropout, causal_attention, cross_entropy_sum, dropout, embedding, linear,
    rms_norm, rope, softmax, swiglu,
};
use sdk_numerics::{Init, ParamKind, Params};

use crate::config::ModelConfig;

/// Added under the root of each norm.
const NORM_EPS: f64 = 1e-5;
/// Standard deviation of the initial weights, the same in every layer.
const INIT_STD: f64 = 0.02;

/// Whether dropout is on, and whence its keys.
#[derive(Debug)]
pub enum Mode<'a> {
    /// With dropout.
    Train(&'a mut Keys),
    /// Without: the same result every time.
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
    tables: Rope,
    tok_emb: Tensor, // (V, C)
    blocks: Vec<Block>,
    ln_f: Tensor, // (C)
}

#[derive(Debug)]
struct Block {
    ln1: Tensor,    // (C)
    qkv: Tensor,    // (3C, C): rows of Q, of K, of V
    proj: Tensor,   // (C, C)
    ln2: Tensor,    // (C)
    fc_a: Affine,   // (F, C): the value
    fc_g: Affine,   // (F, C): the gate
    fc_out: Affine, // (C, F)
}

#[derive(Debug)]
struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, Some(&self.bias))
    }
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
            });
        }
        let ln_f = new.gain("ln_f.weight".to_owned(), c)?;
        Ok(Self { config: config.clone(), params: new.params, tables, tok_emb, blocks, ln_f })
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
        let h = self.blocks_up_to(ids, self.blocks.len(), mode)?; // (B, t, C)
        let h = rms_norm(&h, &self.ln_f, NORM_EPS)?;
        linear(&h, &self.tok_emb, None) // (B, t, V)
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

    /// Attention probabilities of the last query in layer `layer`, without dropout.
    ///
    /// # Shapes
    /// - `ids`: `(B, t)`, u32
    /// - returns: `(B, H, t)`
    ///
    /// # Errors
    /// As [`Gpt::forward`]; also when there is no such layer.
    pub fn attention_row(&self, ids: &Tensor, layer: usize) -> Result<Tensor> {
        let Some(block) = self.blocks.get(layer) else {
            bail!("layer {layer} is not in [0, {})", self.blocks.len())
        };
        let h = self.blocks_up_to(ids, layer, &mut Mode::Eval)?;
        let qkv = linear(&rms_norm(&h, &block.ln1, NORM_EPS)?, &block.qkv, None)?;
        let (b, t, _) = qkv.dims3()?;
        let (c, n_heads, d) = (self.config.width, self.config.n_heads, self.config.head_width());
        let heads = |x: Tensor| {
            let t = x.dim(1)?;
            x.contiguous()?.reshape((b, t, n_heads, d))?.transpose(1, 2)?.contiguous()
        };
        let q = heads(qkv.narrow(1, t - 1, 1)?.narrow(2, 0, c)?)?; // (B, H, 1, D)
        let k = heads(qkv.narrow(2, c, c)?)?; // (B, H, t, D)
        let (q, k) = (rope(&q, &self.tables, t - 1)?, rope(&k, &self.tables, 0)?);
        let scores = (q.matmul(&k.transpose(D::Minus2, D::Minus1)?)? / (d as f64).sqrt())?;
        softmax(&scores)?.squeeze(2)
    }

    /// The residual stream in front of block `end`.
    fn blocks_up_to(&self, ids: &Tensor, end: usize, mode: &mut Mode<'_>) -> Result<Tensor> {
        let (_, t) = ids.dims2()?;
        if t > self.config.context {
            bail!("{t} tokens do not fit the context of {}", self.config.context);
        }
        if t == 0 {
            bail!("a sequence needs at least one token");
        }
        let (p, key) = mode.next(self.config.dropout);
        let mut h = dropout(&embedding(&self.tok_emb, ids)?, p, key)?; // (B, t, C)
        for block in &self.blocks[..end] {
            h = self.attend(block, &h, mode)?;
            h = self.feed_forward(block, &h, mode)?;
        }
        Ok(h)
    }

    /// `h + dropout(proj(attention(norm(h))))`
    fn attend(&self, block: &Block, h: &Tensor, mode: &mut Mode<'_>) -> Result<Tensor> {
        let x = rms_norm(h, &block.ln1, NORM_EPS)?;
        let qkv = linear(&x, &block.qkv, None)?; // (B, t, 3C)
        let (p, key) = mode.next(self.config.dropout);
        let y = causal_attention(&qkv, self.config.n_heads, Some(&self.tables), p, key)?;
        let y = linear(&y, &block.proj, None)?; // (B, t, C)
        let (p, key) = mode.next(self.config.dropout);
        add_dropout(h, &y, p, key)
    }

    /// `h + dropout(fc_out(silu(fc_g(norm(h))) · fc_a(norm(h))))`
    fn feed_forward(&self, block: &Block, h: &Tensor, mode: &mut Mode<'_>) -> Result<Tensor> {
        let x = rms_norm(h, &block.ln2, NORM_EPS)?;
        let inner = swiglu(&block.fc_a.apply(&x)?, &block.fc_g.apply(&x)?)?; // (B, t, F)
        let y = block.fc_out.apply(&inner)?; // (B, t, C)
        let (p, key) = mode.next(self.config.dropout);
        add_dropout(h, &y, p, key)
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
