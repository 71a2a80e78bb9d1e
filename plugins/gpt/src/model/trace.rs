//! What one layer attends to, beside the logits.

use candle_core::{Result, Tensor, bail};
use sdk_numerics::ops::{Compute, attention_probs};

use super::{Gpt, Mode};

/// Whose attention is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// That of the last position, which chooses the next token.
    Last,
    /// That of every position.
    All,
}

/// Attention probabilities of one layer, before dropout.
#[derive(Clone, Debug)]
pub struct AttentionTrace {
    /// Which layer, counted from 0.
    pub layer: usize,
    /// Those of the last query: `(B, H, t)`.
    pub row: Tensor,
    /// Those of every query: `(B, H, t, t)`; only with [`Queries::All`].
    pub full: Option<Tensor>,
}

impl Gpt {
    /// The logits of [`Gpt::forward`], to the bit, and the attention of one layer.
    ///
    /// Activations are kept, whatever [`super::Training`] says.
    ///
    /// # Shapes
    /// `ids`: `(B, t)`, u32
    ///
    /// # Errors
    /// As [`Gpt::forward`]; also when there is no such layer.
    pub fn forward_with_attention(
        &self,
        ids: &Tensor,
        layer: usize,
        queries: Queries,
        mode: &mut Mode<'_>,
    ) -> Result<(Tensor, AttentionTrace)> {
        self.check_layer(layer)?;
        let compute = self.compute(mode);
        let mut h = self.embed(ids, mode)?;
        let mut trace = None;
        for (i, block) in self.blocks.iter().enumerate() {
            if i == layer {
                let qkv = block.qkv(&h, Compute::Own)?; // (B, t, 3C)
                let last = qkv.dim(1)? - 1;
                let first = if queries == Queries::All { 0 } else { last };
                let probs = attention_probs(&qkv, block.n_heads, Some(&block.tables), first)?;
                let row = probs.narrow(2, last - first, 1)?.squeeze(2)?;
                trace = Some((row, (queries == Queries::All).then_some(probs)));
            }
            h = block.forward(&h, mode.noise(self.config.dropout), compute)?;
        }
        let Some((row, full)) = trace else { bail!("layer {layer} was not reached") };
        Ok((self.head(&h, compute)?, AttentionTrace { layer, row, full }))
    }

    /// Refuses a layer that is not there.
    pub(super) fn check_layer(&self, layer: usize) -> Result<()> {
        if layer >= self.blocks.len() {
            bail!("layer {layer} is not in [0, {})", self.blocks.len());
        }
        Ok(())
    }
}
