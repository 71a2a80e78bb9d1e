//! One layer: attention and a gated feed-forward, each behind a norm and beside a residual.

use candle_core::{Result, Tensor};
use sdk_numerics::ops::{Compute, Rope, add_dropout, rms_norm, swiglu};

use super::NORM_EPS;

/// Weights of a layer. Cheap to clone: the tensors are shared.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) ln1: Tensor,    // (C)
    pub(super) qkv: Tensor,    // (3C, C): rows of Q, of K, of V
    pub(super) proj: Tensor,   // (C, C)
    pub(super) ln2: Tensor,    // (C)
    pub(super) fc_a: Affine,   // (F, C): the value
    pub(super) fc_g: Affine,   // (F, C): the gate
    pub(super) fc_out: Affine, // (C, F)
    pub(super) n_heads: usize,
    pub(super) tables: Rope,
}

#[derive(Clone, Debug)]
pub(super) struct Affine {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Affine {
    fn apply(&self, x: &Tensor, compute: Compute) -> Result<Tensor> {
        compute.linear(x, &self.weight, Some(&self.bias))
    }
}

/// Dropout of a block: of attention's probabilities, of its output, of the feed-forward's output.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noise {
    pub(super) p: f64,
    pub(super) keys: [u64; 3],
}

impl Block {
    /// `(B, t, C)` to the same.
    pub(super) fn forward(&self, h: &Tensor, noise: Noise, compute: Compute) -> Result<Tensor> {
        let qkv = self.qkv(h, compute)?; // (B, t, 3C)
        let (tables, key) = (Some(&self.tables), noise.keys[0]);
        let y = compute.causal_attention(&qkv, self.n_heads, tables, noise.p, key)?;
        self.behind_attention(h, &y, noise, compute)
    }

    /// Queries, keys and values of the residual stream: `(B, t, C)` to `(B, t, 3C)`.
    pub(super) fn qkv(&self, h: &Tensor, compute: Compute) -> Result<Tensor> {
        compute.linear(&rms_norm(h, &self.ln1, NORM_EPS)?, &self.qkv, None)
    }

    /// The rest of the block: `h` the residual stream in front of it, `y` what attention made of
    /// it, both `(B, t, C)`.
    ///
    /// `h + dropout(proj(y))`, then `h + dropout(fc_out(silu(fc_g(norm(h))) · fc_a(norm(h))))`
    pub(super) fn behind_attention(
        &self,
        h: &Tensor,
        y: &Tensor,
        noise: Noise,
        compute: Compute,
    ) -> Result<Tensor> {
        let y = compute.linear(y, &self.proj, None)?; // (B, t, C)
        let h = add_dropout(h, &y, noise.p, noise.keys[1])?;
        let x = rms_norm(&h, &self.ln2, NORM_EPS)?;
        let (a, g) = (self.fc_a.apply(&x, compute)?, self.fc_g.apply(&x, compute)?);
        let y = self.fc_out.apply(&swiglu(&a, &g)?, compute)?; // (B, t, C)
        add_dropout(&h, &y, noise.p, noise.keys[2])
    }
}
