//! The parts that layers are made of: norms, linear layers, dropout.

use super::layout::{LinearAt, NormAt};
use super::weights::{GradientsMut, Weights};
use crate::kernels::{self, out};
use crate::mask::{Mask, key};
use crate::product::{Mat, Onto, Products, To};

/// y = norm(x), rows of C.
pub(crate) fn norm(at: NormAt, eps: f32, w: Weights<'_>, x: &[f32], y: &mut [f32]) {
    let gain = w.values[at.gain];
    match at.offset {
        Some(offset) => kernels::layer_norm(x, gain, w.values[offset], eps, out(y)),
        None => kernels::rms_norm(x, gain, eps, out(y)),
    }
}

/// dx += of [`norm`], and its parameters' gradients +=.
pub(crate) fn add_norm_backward(
    at: NormAt,
    eps: f32,
    w: Weights<'_>,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    gradients: &mut GradientsMut<'_>,
) {
    let gain = w.values[at.gain];
    let Some(offset) = at.offset else {
        return kernels::add_rms_norm_backward(x, gain, eps, dy, dx, &mut gradients[at.gain]);
    };
    let (dgain, doffset) = gradients.pair(at.gain, offset);
    kernels::add_layer_norm_backward(x, gain, eps, dy, dx, dgain, doffset);
}

/// `to` = x Wᵀ, without the bias; x has rows of the layer's inputs.
pub(crate) fn linear(
    at: LinearAt,
    w: Weights<'_>,
    products: &mut Products,
    x: &[f32],
    to: &mut To<'_>,
) {
    let (n, k) = (at.outputs, at.inputs);
    let size = (x.len() / k, n, k);
    let right = (&w.packed.at(at.weight).forward, Mat::rows(w.values[at.weight], k).t());
    products.by_panels(size, Mat::rows(x, k), right, to);
}

/// What a layer's product is added to: its bias, if it has one.
pub(crate) fn bias<'a>(at: LinearAt, w: Weights<'a>) -> Onto<'a> {
    at.bias.map_or(Onto::Zero, |bias| Onto::Rows(w.values[bias], 0))
}

/// Gradients of what a layer gave: rows `stride` apart, from column `column`.
#[derive(Clone, Copy)]
pub(crate) struct Dy<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) column: usize,
}

impl<'a> Dy<'a> {
    /// All of some rows.
    pub(crate) fn rows(values: &'a [f32], stride: usize) -> Self {
        Self { values, stride, column: 0 }
    }

    fn count(self) -> usize {
        self.values.len() / self.stride
    }

    fn matrix(self) -> Mat<'a> {
        Mat::rows(&self.values[self.column..], self.stride)
    }
}

/// `to` = dy W.
pub(crate) fn linear_input(
    at: LinearAt,
    w: Weights<'_>,
    products: &mut Products,
    dy: Dy<'_>,
    to: &mut To<'_>,
) {
    let (n, k) = (at.outputs, at.inputs);
    let right = (&w.packed.at(at.weight).input, Mat::rows(w.values[at.weight], k));
    products.by_panels((dy.count(), k, n), dy.matrix(), right, to);
}

/// The weight's gradient += dyᵀ x, and the bias's the sum of the rows of dy.
pub(crate) fn linear_weight(
    at: LinearAt,
    products: &mut Products,
    dy: Dy<'_>,
    x: &[f32],
    gradients: &mut GradientsMut<'_>,
) {
    let (n, k) = (at.outputs, at.inputs);
    let mut to = To::sum(&mut gradients[at.weight], k);
    products.product((n, k, dy.count()), dy.matrix().t(), Mat::rows(x, k), &mut to);
    add_bias(at, dy, gradients);
}

/// [`linear_weight`] of two layers of one size that read the same x.
pub(crate) fn linear_weights(
    [first, second]: [LinearAt; 2],
    products: &mut Products,
    [dy, dy2]: [Dy<'_>; 2],
    x: &[f32],
    gradients: &mut GradientsMut<'_>,
) {
    let (n, k) = (first.outputs, first.inputs);
    let (to, to2) = gradients.pair(first.weight, second.weight);
    let (mut to, mut to2) = (To::sum(to, k), To::sum(to2, k));
    let lefts = [(dy.matrix().t(), &mut to), (dy2.matrix().t(), &mut to2)];
    products.products((n, k, dy.count()), lefts, Mat::rows(x, k));
    add_bias(first, dy, gradients);
    add_bias(second, dy2, gradients);
}

fn add_bias(at: LinearAt, dy: Dy<'_>, gradients: &mut GradientsMut<'_>) {
    if let Some(bias) = at.bias {
        kernels::add_columns(&mut gradients[bias], &dy.values[dy.column..], dy.stride);
    }
}

/// Dropout of one use in all sequences of a pass: each has a seed of its own, so that its noise
/// depends on neither threads nor the sequences beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise<'a> {
    pub(crate) p: f64,
    pub(crate) seeds: &'a [u64],
    /// Which use of the seed.
    pub(crate) n: u64,
}

impl Noise<'_> {
    /// Whether anything is dropped.
    pub(crate) fn is_on(&self) -> bool {
        self.p > 0.0 && !self.seeds.is_empty()
    }

    /// The mask of sequence `i`.
    pub(crate) fn mask(&self, i: usize) -> Option<Mask> {
        self.is_on().then(|| Mask::new(self.p, key(self.seeds[i], self.n)))
    }

    /// Drops elements of all sequences' rows in place.
    pub(crate) fn apply(&self, x: &mut [f32]) {
        if !self.is_on() {
            return;
        }
        let length = x.len() / self.seeds.len();
        for (i, x) in x.chunks_exact_mut(length).enumerate() {
            if let Some(mask) = self.mask(i) {
                kernels::dropout_in_place(x, mask, 0);
            }
        }
    }
}
