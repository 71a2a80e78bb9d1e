//! The stack out of single operations: for devices and types that the written-out passes don't know.
//!
//! Stage by stage what the legend of [`sdk_transformer::stack`] says.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{D, Device, Result, Tensor};
use sdk_transformer::mask::{Mask, key};
use sdk_transformer::stack::{Activation, Placement, Stack, StackConfig};

use super::Sequences;
use crate::ops::{self, Compute, Rope, kernels};

/// The parameters by name, and the rotary tables.
#[derive(Clone, Debug)]
pub(super) struct Composed {
    parameters: Arc<HashMap<String, Tensor>>,
    rope: Option<Rope>,
}

/// What all layers of a call share.
struct Call<'a> {
    composed: &'a Composed,
    config: &'a StackConfig,
    sequences: Sequences<'a>,
    compute: Compute,
    /// Added to scores: 0 where a query sees a key, else the lowest number. (B, 1, T, T)
    unseen: Tensor,
}

impl Composed {
    pub(super) fn new(stack: &Stack, parameters: &[Tensor], positions: usize) -> Result<Self> {
        let names = stack.layout.parameters.iter().map(|parameter| parameter.name.clone());
        let rope = stack.config.rope_theta;
        let rope = rope.map(|theta| Rope::new(positions, stack.config.head_width(), theta));
        Ok(Self {
            parameters: Arc::new(names.zip(parameters.iter().cloned()).collect()),
            rope: rope.transpose()?,
        })
    }

    pub(super) fn forward(
        &self,
        config: &StackConfig,
        x: &Tensor,
        sequences: Sequences<'_>,
        compute: Compute,
    ) -> Result<Tensor> {
        let unseen = unseen(config, x, sequences.lengths)?;
        let call = Call { composed: self, config, sequences, compute, unseen };
        let mut h = x.clone();
        for layer in 0..config.layers {
            h = call.layer(layer, &h)?;
        }
        call.norm("last_norm", &h, Placement::Before)
    }
}

impl Call<'_> {
    fn layer(&self, layer: usize, x: &Tensor) -> Result<Tensor> {
        use Placement::{After, Before};
        let name = |part: &str| format!("layers.{layer}.{part}");
        // Uses of a sequence's seed; the first is left to what stands in front of the stack.
        let [in_attention, behind, last] = [2, 3, 4].map(|n| n + 3 * layer as u64);

        let qkv = self.linear(&name("qkv"), &self.norm(&name("norm1"), x, Before)?)?; // (B, T, 3C)
        let y = self.linear(&name("proj"), &self.attention(&qkv, in_attention)?)?;
        let middle = self.norm(&name("norm1"), &(x + self.drop(&y, behind)?)?, After)?;

        let h = self.norm(&name("norm2"), &middle, Before)?;
        let up = self.linear(&name("up"), &h)?; // (B, T, F)
        let active = match self.config.activation {
            Activation::SwiGlu => ops::swiglu(&up, &self.linear(&name("gate"), &h)?)?,
            Activation::Gelu => ops::gelu(&up)?,
            Activation::Relu => ops::relu(&up)?,
        };
        let y = self.linear(&name("down"), &active)?;
        self.norm(&name("norm2"), &(middle + self.drop(&y, last)?)?, After)
    }

    /// Attention of all heads: (B, T, 3C) to (B, T, C).
    fn attention(&self, qkv: &Tensor, n: u64) -> Result<Tensor> {
        let (b, t, _) = qkv.dims3()?;
        let (c, h, d) = (self.config.width, self.config.heads, self.config.head_width());
        let part = |i: usize| {
            let part = qkv.narrow(D::Minus1, i * c, c)?.reshape((b, t, h, d))?;
            part.transpose(1, 2)?.contiguous() // (B, H, T, D)
        };
        let turned = |x: Tensor| match &self.composed.rope {
            Some(tables) => ops::rope(&x, tables, 0),
            None => Ok(x),
        };
        let (q, k, v) = (turned(part(0)?)?, turned(part(1)?)?, part(2)?);
        let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? / (d as f64).sqrt())?;
        let probs = ops::softmax(&scores.broadcast_add(&self.unseen)?)?; // (B, H, T, T)
        let y = self.drop(&probs, n)?.matmul(&v)?;
        y.transpose(1, 2)?.reshape((b, t, c))
    }

    /// The norm of this name where norms stand there, and where it exists.
    fn norm(&self, name: &str, x: &Tensor, placement: Placement) -> Result<Tensor> {
        let gain = self.composed.parameters.get(&format!("{name}.gain"));
        let Some(gain) = gain.filter(|_| placement == self.config.placement) else {
            return Ok(x.clone());
        };
        let eps = self.config.norm_eps;
        match self.composed.parameters.get(&format!("{name}.offset")) {
            Some(offset) => ops::layer_norm(x, gain, offset, eps),
            None => ops::rms_norm(x, gain, eps),
        }
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let parameters = &self.composed.parameters;
        let weight = &parameters[&format!("{name}.weight")];
        self.compute.linear(x, weight, parameters.get(&format!("{name}.bias")))
    }

    /// Drops elements of each sequence by the `n`-th use of its seed: (B, …) to the same.
    fn drop(&self, x: &Tensor, n: u64) -> Result<Tensor> {
        let p = self.config.dropout;
        if p == 0.0 || self.sequences.seeds.is_empty() {
            return Ok(x.clone());
        }
        let mut factors = vec![1.0; x.elem_count()];
        let of_one = factors.len() / self.sequences.seeds.len();
        for (seed, factors) in self.sequences.seeds.iter().zip(factors.chunks_exact_mut(of_one)) {
            kernels::dropout_in_place(factors, Mask::new(p, key(*seed, n)), 0);
        }
        let factors = Tensor::from_vec(factors, x.shape(), &Device::Cpu)?;
        x * factors.to_dtype(x.dtype())?.to_device(x.device())?
    }
}

/// See [`Call::unseen`].
fn unseen(config: &StackConfig, x: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let (b, t, _) = x.dims3()?;
    let of = |index: usize| {
        let (sequence, i, j) = (index / (t * t), index / t % t, index % t);
        let is_padding = lengths.get(sequence).is_some_and(|length| j >= *length);
        if is_padding || (config.is_causal && j > i) { f32::MIN } else { 0.0 }
    };
    Tensor::from_vec((0..b * t * t).map(of).collect(), (b, 1, t, t), &Device::Cpu)?
        .to_dtype(x.dtype())?
        .to_device(x.device())
}
