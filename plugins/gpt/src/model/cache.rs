//! Generation with the keys and values of earlier tokens kept.
//!
//! A cache is filled once with a prompt ([`Gpt::prefill`]), whose last logits choose the first new
//! token; then it takes one token at a time ([`Gpt::decode`]). No token goes in twice. The logits
//! are those of [`Gpt::forward`] on the whole sequence, within rounding.

use candle_core::{D, Result, Tensor, bail};
use sdk_numerics::ops::{Compute, attention_probs, rope, softmax};

use super::block::{Block, Noise};
use super::{Gpt, Mode};

/// Rotated keys, and values, of the tokens so far in every layer.
#[derive(Debug)]
pub struct KvCache {
    /// Keys and values of each layer: `(B, H, T_max, D)`.
    layers: Vec<(Tensor, Tensor)>,
    len: usize,
    traced_layer: Option<usize>,
    attention: Option<Tensor>,
}

impl KvCache {
    /// An empty cache for `batch` sequences of at most `capacity` tokens.
    ///
    /// # Errors
    /// When the capacity is not in 1..=T, or memory runs out.
    pub fn new(gpt: &Gpt, batch: usize, capacity: usize) -> Result<Self> {
        let config = gpt.config();
        if capacity == 0 || capacity > config.context {
            bail!("a cache of {capacity} tokens does not fit the context of {}", config.context);
        }
        let shape = (batch, config.n_heads, capacity, config.head_width());
        let zeros = || Tensor::zeros(shape, gpt.params().dtype(), gpt.params().device());
        let layers =
            (0..config.n_layers).map(|_| Ok((zeros()?, zeros()?))).collect::<Result<_>>()?;
        Ok(Self { layers, len: 0, traced_layer: None, attention: None })
    }

    /// Sizes of the keys, and of the values: layers, batch, heads, tokens at most, channels.
    pub fn dims(&self) -> [usize; 5] {
        let dims = self.layers[0].0.dims();
        [self.layers.len(), dims[0], dims[1], dims[2], dims[3]]
    }

    /// How many tokens went in.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token went in.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether no token is left room for.
    pub fn is_full(&self) -> bool {
        self.len == self.dims()[3]
    }

    /// Forgets all tokens; keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
        self.attention = None;
    }

    /// Keeps the attention of the last query in a layer from now on, or of none.
    pub fn trace(&mut self, layer: Option<usize>) {
        self.traced_layer = layer;
        self.attention = None;
    }

    /// Attention probabilities of the last query in the traced layer: `(B, H, tokens so far)`.
    pub fn attention(&self) -> Option<&Tensor> {
        self.attention.as_ref()
    }
}

impl Gpt {
    /// Puts a prompt into an empty cache.
    ///
    /// # Shapes
    /// - `ids`: `(B, n)`, u32
    /// - returns: `(B, n, V)`, the logits after each of them
    ///
    /// # Errors
    /// When the cache holds tokens, is too small, or of another batch; otherwise as
    /// [`Gpt::forward`].
    pub fn prefill(&self, ids: &Tensor, cache: &mut KvCache) -> Result<Tensor> {
        let h = self.fill(ids, cache)?;
        self.head(&h, Compute::Own)
    }

    /// [`Gpt::prefill`] with the logits after the last token only: `(B, 1, V)`.
    ///
    /// # Errors
    /// As [`Gpt::prefill`].
    pub fn prefill_last(&self, ids: &Tensor, cache: &mut KvCache) -> Result<Tensor> {
        let h = self.fill(ids, cache)?;
        self.head(&h.narrow(1, h.dim(1)? - 1, 1)?, Compute::Own)
    }

    /// Puts one more token into a cache.
    ///
    /// # Shapes
    /// - `ids`: `(B, 1)`, u32
    /// - returns: `(B, 1, V)`
    ///
    /// # Errors
    /// When the cache is full or of another batch, or there is more than one token; otherwise as
    /// [`Gpt::forward`].
    pub fn decode(&self, ids: &Tensor, cache: &mut KvCache) -> Result<Tensor> {
        let (_, n) = ids.dims2()?;
        if n != 1 {
            bail!("a cache takes one token at a time, not {n}");
        }
        let h = self.extend(ids, cache)?;
        self.head(&h, Compute::Own)
    }

    fn fill(&self, ids: &Tensor, cache: &mut KvCache) -> Result<Tensor> {
        if !cache.is_empty() {
            bail!("a prompt wants an empty cache, this one holds {} tokens", cache.len);
        }
        self.extend(ids, cache)
    }

    /// The residual stream behind all blocks, of tokens that go in behind those of the cache.
    fn extend(&self, ids: &Tensor, cache: &mut KvCache) -> Result<Tensor> {
        let ((b, n), [_, batch, _, capacity, _]) = (ids.dims2()?, cache.dims());
        if b != batch {
            bail!("{b} sequences do not fit a cache of {batch}");
        }
        if cache.len + n > capacity {
            bail!("{} tokens do not fit a cache of {capacity}", cache.len + n);
        }
        if let Some(layer) = cache.traced_layer {
            self.check_layer(layer)?;
        }
        let mut h = self.embed(ids, &mut Mode::Eval)?;
        for (i, block) in self.blocks.iter().enumerate() {
            let traced = cache.traced_layer == Some(i);
            let (y, attention) = attend(block, &h, &cache.layers[i], cache.len, traced)?;
            if traced {
                cache.attention = attention;
            }
            // Nothing goes backward from here: the tape would only hold memory.
            h = block.behind_attention(&h, &y, Noise::default(), Compute::Own)?.detach();
        }
        cache.len += n;
        Ok(h)
    }
}

/// Attention of n new tokens, the first at position `start`, over all tokens so far, whose keys and
/// values it stores: `(B, n, C)`; and the probabilities of the last query, `(B, H, tokens)`.
fn attend(
    block: &Block,
    h: &Tensor,
    (keys, values): &(Tensor, Tensor),
    start: usize,
    traced: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let qkv = block.qkv(h, Compute::Own)?.detach(); // (B, n, 3C)
    let (b, n, width) = qkv.dims3()?;
    let (c, heads) = (width / 3, block.n_heads);
    let part = |i: usize| {
        let part = qkv.narrow(2, i * c, c)?.reshape((b, n, heads, c / heads))?;
        part.transpose(1, 2)?.contiguous() // (B, H, n, D)
    };
    keys.slice_set(&rope(&part(1)?, &block.tables, start)?, 2, start)?;
    values.slice_set(&part(2)?, 2, start)?;
    if start == 0 {
        let tables = Some(&block.tables);
        let y = Compute::Own.causal_attention(&qkv, heads, tables, 0.0, 0)?;
        let row = || attention_probs(&qkv, heads, tables, n - 1)?.squeeze(2);
        return Ok((y, traced.then(row).transpose()?));
    }
    let q = rope(&part(0)?, &block.tables, start)?; // (B, H, 1, D)
    let keys = keys.narrow(2, 0, start + n)?;
    let values = values.narrow(2, 0, start + n)?;
    let scores = q.matmul(&keys.transpose(D::Minus2, D::Minus1)?)?;
    let probs = softmax(&(scores / ((c / heads) as f64).sqrt())?)?; // (B, H, 1, tokens)
    let y = probs.matmul(&values)?.transpose(1, 2)?.reshape((b, n, c))?;
    Ok((y, traced.then(|| probs.squeeze(2)).transpose()?))
}
