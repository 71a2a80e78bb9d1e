//! The way down: the stages of `forward.rs` in reverse, each with its gradients.

use super::buffers::{Saved, Scratch, Worker};
use super::forward::{Pass, uses};
use super::layout::LayerAt;
use super::parts::{
    Dy, Noise, add_norm_backward, linear_input, linear_weight, linear_weights, norm,
};
use super::weights::{GradientsMut, Weights};
use super::{Activation, Placement, StackConfig};
use crate::kernels::{self, out};
use crate::product::{Onto, To};

impl Worker {
    /// From the gradient of what [`Worker::forward`] gave to the one of its input, in `d`: R × C.
    /// Adds the parameters' gradients to `gradients`, which has a range for each parameter.
    ///
    /// To be called once after a forward pass with `keeps`: what was saved is used up.
    pub fn backward(
        &mut self,
        w: Weights<'_>,
        pass: &Pass<'_>,
        d: &mut [f32],
        gradients: &mut GradientsMut<'_>,
    ) {
        if let Some(at) = self.stack.layout.last_norm {
            let last = &self.inputs[self.stack.config.layers];
            let dy = &mut self.scratch.narrow;
            dy.copy_from_slice(d);
            d.fill(0.0);
            let eps = self.stack.config.norm_eps as f32;
            add_norm_backward(at, eps, w, last, dy, d, gradients);
        }
        for layer in (0..self.stack.config.layers).rev() {
            let slot = if self.recomputes { 0 } else { layer };
            if self.recomputes {
                self.layer(layer, 0, w, pass);
            }
            let at = self.stack.layout.layers[layer];
            self.feed_forward_backward(layer, slot, &at, w, pass, d, gradients);
            self.attend_backward(layer, slot, &at, w, pass, d, gradients);
        }
    }

    /// `d` from the layer's output to `middle`.
    #[expect(clippy::too_many_arguments, reason = "a layer's operands")]
    fn feed_forward_backward(
        &mut self,
        layer: usize,
        slot: usize,
        at: &LayerAt,
        w: Weights<'_>,
        pass: &Pass<'_>,
        d: &mut [f32],
        gradients: &mut GradientsMut<'_>,
    ) {
        let StackConfig { width: c, feed_forward: f, placement, .. } = self.stack.config;
        let (eps, width) = (self.stack.config.norm_eps as f32, self.stack.config.hidden());
        let Saved { sum, middle, last_sum, hidden, .. } = &mut self.saved[slot];
        let Scratch { normed, narrow, wide, active, .. } = &mut self.scratch;
        if placement == Placement::After {
            through_norm(at.norm2, eps, w, last_sum, d, narrow, gradients);
        }
        let dy = behind(pass.noise(self.stack.config.dropout, uses(layer)[2]), d, narrow);
        let dy = Dy::rows(dy, c);
        linear_input(at.down, w, &mut self.products, dy, &mut To::rows(wide, f));
        activate_backward(&self.stack.config, hidden, wide, active);
        linear_weight(at.down, &mut self.products, dy, active, gradients);

        let x: &[f32] = match placement {
            Placement::Before => {
                norm(at.norm2, eps, w, sum, normed);
                normed
            }
            Placement::After => middle,
        };
        let dy = Dy::rows(hidden, width);
        let dy_gate = Dy { column: f, ..dy };
        match at.gate {
            None => linear_weight(at.up, &mut self.products, dy, x, gradients),
            Some(gate) => {
                let (layers, products) = ([at.up, gate], &mut self.products);
                linear_weights(layers, products, [dy, dy_gate], x, gradients);
            }
        }
        let mut to = match placement {
            Placement::Before => To::rows(narrow, c),
            Placement::After => To::sum(d, c),
        };
        linear_input(at.up, w, &mut self.products, dy, &mut to);
        if let Some(gate) = at.gate {
            linear_input(gate, w, &mut self.products, dy_gate, &mut to.onto(Onto::Itself));
        }
        if placement == Placement::Before {
            add_norm_backward(at.norm2, eps, w, sum, narrow, d, gradients);
        }
    }

    /// `d` from `middle` to the layer's input.
    #[expect(clippy::too_many_arguments, reason = "a layer's operands")]
    fn attend_backward(
        &mut self,
        layer: usize,
        slot: usize,
        at: &LayerAt,
        w: Weights<'_>,
        pass: &Pass<'_>,
        d: &mut [f32],
        gradients: &mut GradientsMut<'_>,
    ) {
        let StackConfig { width: c, placement, dropout: p, .. } = self.stack.config;
        let eps = self.stack.config.norm_eps as f32;
        let [in_attention, output, _] = uses(layer);
        let (x, saved) = (&self.inputs[layer], &mut self.saved[slot]);
        let Scratch { normed, narrow, qkv: dqkv, attention, .. } = &mut self.scratch;
        if placement == Placement::After {
            through_norm(at.norm1, eps, w, &saved.sum, d, narrow, gradients);
        }
        let dy = behind(pass.noise(p, output), d, narrow);
        let dy = Dy::rows(dy, c);
        linear_weight(at.proj, &mut self.products, dy, &saved.y, gradients);
        linear_input(at.proj, w, &mut self.products, dy, &mut To::rows(normed, c));
        let noise = pass.noise(p, in_attention);
        let attention = (&mut self.products, attention);
        super::attention::backward(&self.stack.config, attention, pass, noise, saved, normed, dqkv);
        if let Some(rotation) = &self.stack.rotation {
            rotation.apply(&self.stack.config, dqkv, pass.length, -1.0);
        }
        let x_read: &[f32] = match placement {
            Placement::Before => {
                norm(at.norm1, eps, w, x, normed);
                normed
            }
            Placement::After => x,
        };
        let dqkv = Dy::rows(dqkv, 3 * c);
        linear_weight(at.qkv, &mut self.products, dqkv, x_read, gradients);
        match placement {
            Placement::Before => {
                linear_input(at.qkv, w, &mut self.products, dqkv, &mut To::rows(narrow, c));
                add_norm_backward(at.norm1, eps, w, x, narrow, d, gradients);
            }
            Placement::After => {
                linear_input(at.qkv, w, &mut self.products, dqkv, &mut To::sum(d, c));
            }
        }
    }
}

/// `d` through a norm whose input was `x`.
fn through_norm(
    at: super::layout::NormAt,
    eps: f32,
    w: Weights<'_>,
    x: &[f32],
    d: &mut [f32],
    scratch: &mut [f32],
    gradients: &mut GradientsMut<'_>,
) {
    scratch.copy_from_slice(d);
    d.fill(0.0);
    add_norm_backward(at, eps, w, x, scratch, d, gradients);
}

/// The gradient in front of a dropout: `d` itself where there is none.
fn behind<'a>(noise: Noise<'_>, d: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
    if !noise.is_on() {
        return d;
    }
    scratch.copy_from_slice(d);
    noise.apply(scratch);
    scratch
}

/// In place of `hidden` its gradient; `active` as `activate` made it.
fn activate_backward(config: &StackConfig, hidden: &mut [f32], dy: &[f32], active: &mut [f32]) {
    match config.activation {
        Activation::SwiGlu => {
            kernels::swiglu_rows_backward(hidden, config.feed_forward, dy, out(active));
        }
        Activation::Gelu => kernels::gelu_backward(hidden, dy, out(active)),
        Activation::Relu => kernels::relu_backward(hidden, dy, out(active)),
    }
}
