//! The way up: layer by layer, each stage as the legend of the module has it.

use super::buffers::{Saved, Worker};
use super::layout::{LayerAt, LinearAt};
use super::parts::{Noise, bias, linear, norm};
use super::weights::Weights;
use super::{Activation, Placement, StackConfig};
use crate::kernels::{self, out};
use crate::product::{Onto, Products, To};

/// What a pass is about.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// n.
    pub sequences: usize,
    /// T.
    pub length: usize,
    /// How many positions of each sequence are there; all of them when empty. Those behind are
    /// padding: nothing attends to them, and what comes out at them means nothing.
    pub lengths: &'a [usize],
    /// A seed of dropout for each sequence; empty for none.
    pub seeds: &'a [u64],
    /// Whether a backward pass follows.
    pub keeps: bool,
}

impl Pass<'_> {
    /// R.
    pub(crate) fn rows(&self) -> usize {
        self.sequences * self.length
    }

    /// The noise of use `n` of each sequence's seed.
    pub(crate) fn noise(&self, p: f64, n: usize) -> Noise<'_> {
        Noise { p, seeds: self.seeds, n: n as u64 }
    }

    /// Positions of sequence `i` that are no padding.
    pub(super) fn valid(&self, i: usize) -> usize {
        self.lengths.get(i).map_or(self.length, |n| (*n).min(self.length))
    }
}

/// Uses of dropout by a layer: attention, projection, feed-forward; the first is the embedding's.
pub(super) fn uses(layer: usize) -> [usize; 3] {
    [2 + 3 * layer, 3 + 3 * layer, 4 + 3 * layer]
}

impl Worker {
    /// The place of the input, for `pass`: R × C.
    pub fn input(&mut self, pass: &Pass<'_>) -> &mut [f32] {
        self.make_room(pass.rows(), pass.sequences, pass.keeps);
        &mut self.inputs[0]
    }

    /// Runs all layers and the last norm on what [`Worker::input`] holds; returns R × C.
    pub fn forward(&mut self, w: Weights<'_>, pass: &Pass<'_>) -> &[f32] {
        for layer in 0..self.stack.config.layers {
            let slot = if pass.keeps && !self.recomputes { layer } else { 0 };
            self.layer(layer, slot, w, pass);
        }
        let last = &self.inputs[self.stack.config.layers];
        match self.stack.layout.last_norm {
            Some(at) => {
                let normed = &mut self.scratch.normed;
                norm(at, self.stack.config.norm_eps as f32, w, last, normed);
                normed
            }
            None => last,
        }
    }

    /// What [`Worker::forward`] gave last.
    pub fn output(&self) -> &[f32] {
        match self.stack.layout.last_norm {
            Some(_) => &self.scratch.normed,
            None => &self.inputs[self.stack.config.layers],
        }
    }

    /// Layer `layer`: its input to the next one's, what backward needs into `saved[slot]`.
    pub(super) fn layer(&mut self, layer: usize, slot: usize, w: Weights<'_>, pass: &Pass<'_>) {
        let at = self.stack.layout.layers[layer];
        self.attend(layer, slot, &at, w, pass);
        self.feed_forward(layer, slot, &at, w, pass);
    }

    /// `middle` from the layer's input.
    fn attend(&mut self, layer: usize, slot: usize, at: &LayerAt, w: Weights<'_>, pass: &Pass<'_>) {
        let StackConfig { width: c, placement, dropout: p, .. } = self.stack.config;
        let eps = self.stack.config.norm_eps as f32;
        let [in_attention, behind, _] = uses(layer);
        let (x, saved, scratch) = (&self.inputs[layer], &mut self.saved[slot], &mut self.scratch);
        let normed: &[f32] = match placement {
            Placement::Before => {
                norm(at.norm1, eps, w, x, &mut scratch.normed);
                &scratch.normed
            }
            Placement::After => x,
        };
        let mut to = To::rows(&mut saved.qkv, 3 * c).onto(bias(at.qkv, w));
        linear(at.qkv, w, &mut self.products, normed, &mut to);
        if let Some(rotation) = &self.stack.rotation {
            rotation.apply(&self.stack.config, &mut saved.qkv, pass.length, 1.0);
        }
        let noise = pass.noise(p, in_attention);
        let attention = (&mut self.products, &mut scratch.attention);
        super::attention::forward(&self.stack.config, attention, pass, noise, saved);

        let Saved { y, sum, middle, .. } = saved;
        residual(
            at.proj,
            w,
            &mut self.products,
            y,
            x,
            pass.noise(p, behind),
            &mut scratch.narrow,
            sum,
        );
        if placement == Placement::After {
            norm(at.norm1, eps, w, sum, middle);
        }
    }

    /// The layer's output from `middle`.
    fn feed_forward(
        &mut self,
        layer: usize,
        slot: usize,
        at: &LayerAt,
        w: Weights<'_>,
        pass: &Pass<'_>,
    ) {
        let StackConfig { placement, dropout: p, .. } = self.stack.config;
        let eps = self.stack.config.norm_eps as f32;
        let width = self.stack.config.hidden();
        let (saved, scratch) = (&mut self.saved[slot], &mut self.scratch);
        let to = &mut self.inputs[layer + 1];
        let Saved { sum, middle, hidden, last_sum, .. } = saved;
        let (x, middle, to): (&[f32], &[f32], _) = match placement {
            Placement::Before => {
                norm(at.norm2, eps, w, sum, &mut scratch.normed);
                (&scratch.normed, sum, &mut *to)
            }
            Placement::After => (middle, middle, last_sum),
        };
        for (part, column) in [Some(at.up), at.gate].into_iter().flatten().zip([0, at.up.outputs]) {
            let mut to = To::rows(&mut hidden[column..], width).onto(bias(part, w));
            linear(part, w, &mut self.products, x, &mut to);
        }
        activate(&self.stack.config, hidden, &mut scratch.active);
        let noise = pass.noise(p, uses(layer)[2]);
        let active = &scratch.active;
        residual(at.down, w, &mut self.products, active, middle, noise, &mut scratch.narrow, to);
        if placement == Placement::After {
            norm(at.norm2, eps, w, last_sum, &mut self.inputs[layer + 1]);
        }
    }
}

/// `to` = x + dropout(y Wᵀ + bias).
#[expect(clippy::too_many_arguments, reason = "the operands of one formula")]
fn residual(
    at: LinearAt,
    w: Weights<'_>,
    products: &mut Products,
    y: &[f32],
    x: &[f32],
    noise: Noise<'_>,
    scratch: &mut [f32],
    to: &mut [f32],
) {
    let c = at.outputs;
    if !noise.is_on() {
        let onto = match at.bias {
            Some(bias) => {
                kernels::add_row(x, w.values[bias], out(to));
                Onto::Itself
            }
            None => Onto::Rows(x, c),
        };
        return linear(at, w, products, y, &mut To::rows(to, c).onto(onto));
    }
    linear(at, w, products, y, &mut To::rows(scratch, c).onto(bias(at, w)));
    noise.apply(scratch);
    kernels::add(x, scratch, out(to));
}

/// The feed-forward part's non-linearity: R × F from `hidden`.
pub(super) fn activate(config: &StackConfig, hidden: &[f32], to: &mut [f32]) {
    match config.activation {
        Activation::SwiGlu => kernels::swiglu_rows(hidden, config.feed_forward, out(to)),
        Activation::Gelu => kernels::gelu(hidden, out(to)),
        Activation::Relu => kernels::relu(hidden, out(to)),
    }
}
