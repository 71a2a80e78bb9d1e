//! The parts that layers are made of: norms, linear layers, dropout.

use super::layout::{LinearAt, NormAt};
use super::weights::Weights;
use crate::kernels::{self, out};
use crate::mask::{Mask, key};
use crate::product::{Mat, Products};

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
    gradients: &mut [Vec<f32>],
) {
    let gain = w.values[at.gain];
    let Some(offset) = at.offset else {
        return kernels::add_rms_norm_backward(x, gain, eps, dy, dx, &mut gradients[at.gain]);
    };
    let (first, second) = gradients.split_at_mut(offset);
    kernels::add_layer_norm_backward(x, gain, eps, dy, dx, &mut first[at.gain], &mut second[0]);
}

/// A linear layer and where its result goes: rows `stride` apart, from column `column`.
pub(crate) struct To<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) stride: usize,
    pub(crate) column: usize,
    /// Whether the product is added to what stands there.
    pub(crate) add: bool,
}

impl<'a> To<'a> {
    /// All of some rows.
    pub(crate) fn rows(values: &'a mut [f32], stride: usize) -> Self {
        Self { values, stride, column: 0, add: false }
    }
}

/// `to` (+)= x Wᵀ, without the bias; x has rows of the layer's inputs.
pub(crate) fn linear(
    at: LinearAt,
    w: Weights<'_>,
    products: &mut Products,
    x: &[f32],
    to: &mut To<'_>,
) {
    let (n, k) = (at.outputs, at.inputs);
    let size = (x.len() / k, n, k);
    let source = Mat::rows(w.values[at.weight], k).t();
    let right = (&w.packed.at(at.weight).forward, source);
    products.by_panels(
        size,
        Mat::rows(x, k),
        right,
        &mut to.values[to.column..],
        to.stride,
        to.add,
    );
}

/// `to` (+)= dy W; dy has rows `stride` apart, from column `column`.
pub(crate) fn linear_input(
    at: LinearAt,
    w: Weights<'_>,
    products: &mut Products,
    (dy, stride, column): (&[f32], usize, usize),
    to: &mut To<'_>,
) {
    let (n, k) = (at.outputs, at.inputs);
    let size = (dy.len() / stride, k, n);
    let right = (&w.packed.at(at.weight).input, Mat::rows(w.values[at.weight], k));
    let left = Mat::rows(&dy[column..], stride);
    products.by_panels(size, left, right, &mut to.values[to.column..], to.stride, to.add);
}

/// The weight's gradient += dyᵀ x, and the bias's the sum of the rows of dy.
pub(crate) fn linear_weight(
    at: LinearAt,
    products: &mut Products,
    (dy, stride, column): (&[f32], usize, usize),
    x: &[f32],
    gradients: &mut [Vec<f32>],
) {
    let (n, k) = (at.outputs, at.inputs);
    let (left, size) = (Mat::rows(&dy[column..], stride).t(), (n, k, dy.len() / stride));
    products.product(size, left, Mat::rows(x, k), &mut gradients[at.weight], k, true);
    if let Some(bias) = at.bias {
        let bias = &mut gradients[bias];
        for row in dy.chunks_exact(stride) {
            kernels::add_assign(bias, &row[column..column + n]);
        }
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
