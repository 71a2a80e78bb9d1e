//! The kernels of a step, a product and a whole step on fixed inputs, for counting instructions.
//!
//! `cargo run --release -p sdk-transformer --example counts -- NAME REPETITIONS`
//!
//! `tests/counts` runs it under callgrind with one and with two repetitions; the difference is what
//! a repetition costs when all buffers are there. Everything is on the calling thread.

use std::hint::black_box;
use std::process::ExitCode;

use sdk_transformer::kernels::{self, AdamStep, out};
use sdk_transformer::language::{LanguageModel, LanguageWorker, Tokens};
use sdk_transformer::mask::Mask;
use sdk_transformer::product::{Mat, Precision, Products, To};
use sdk_transformer::stack::{
    Activation, GradientsMut, Norm, PackedWeights, Placement, StackConfig, Weights, offsets,
};
use sdk_transformer::threads::Threads;

/// Rows that the kernels are given, and their width.
const ROWS: usize = 64;
const WIDTH: usize = 256;
/// Of the whole step: tokens, sequences of a step, and positions of a sequence.
const VOCAB: usize = 256;
const SEQUENCES: usize = 4;
const LENGTH: usize = 32;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let work = arguments.first().and_then(|name| work(name));
    let repetitions = arguments.get(1).and_then(|text| text.parse::<u32>().ok());
    let (Some(mut work), Some(repetitions)) = (work, repetitions) else {
        return ExitCode::from(2);
    };
    for _ in 0..repetitions {
        work();
    }
    ExitCode::SUCCESS
}

/// What a name stands for; the inputs are made here, and not again by each repetition.
fn work(name: &str) -> Option<Box<dyn FnMut()>> {
    Some(match name {
        "norm" => Box::new(norm()),
        "softmax" => Box::new(softmax()),
        "activation" => Box::new(activation()),
        "rotation" => Box::new(rotation()),
        "dropout" => Box::new(dropout()),
        "cross_entropy" => Box::new(cross_entropy()),
        "adamw" => Box::new(adamw()),
        "product" => Box::new(product()),
        "step" => {
            let mut step = Step::new();
            Box::new(move || step.learn())
        }
        _ => return None,
    })
}

/// Numbers in [-1, 1] without a pattern.
fn wave(n: usize, seed: f64) -> Vec<f32> {
    (0..n).map(|i| (i as f64 * 12.9898 + seed * 78.233).sin() as f32).collect()
}

/// Both norms, forward and backward.
fn norm() -> impl FnMut() {
    let (x, dy) = (wave(ROWS * WIDTH, 1.0), wave(ROWS * WIDTH, 2.0));
    let (w, b) = (wave(WIDTH, 3.0), wave(WIDTH, 4.0));
    let (mut y, mut dx) = (x.clone(), x.clone());
    let (mut dw, mut db) = (w.clone(), b.clone());
    move || {
        kernels::rms_norm(black_box(&x), &w, 1e-5, out(&mut y));
        kernels::add_rms_norm_backward(&x, &w, 1e-5, &dy, &mut dx, &mut dw);
        kernels::layer_norm(&x, &w, &b, 1e-5, out(&mut y));
        kernels::add_layer_norm_backward(&x, &w, 1e-5, &dy, &mut dx, &mut dw, &mut db);
        black_box((&y, &dx));
    }
}

/// The rows of attention, forward, computed again, and backward.
fn softmax() -> impl FnMut() {
    let (x, mut dp) = (wave(ROWS * WIDTH, 1.0), wave(WIDTH, 2.0));
    let mut row = vec![0.0; WIDTH];
    move || {
        for scores in black_box(&x).chunks_exact(WIDTH) {
            row.copy_from_slice(scores);
            let log_sum = kernels::attention_row(&mut row, 0.125);
            row.copy_from_slice(scores);
            kernels::attention_row_again(&mut row, 0.125, log_sum);
            kernels::attention_row_backward(&row, &mut dp, 0.125);
        }
        black_box(&dp);
    }
}

/// SwiGLU and GELU, forward and backward.
fn activation() -> impl FnMut() {
    let (rows, dy) = (wave(2 * ROWS * WIDTH, 1.0), wave(ROWS * WIDTH, 2.0));
    let (mut changed, mut y) = (rows.clone(), dy.clone());
    move || {
        kernels::swiglu_rows(black_box(&rows), WIDTH, out(&mut y));
        changed.copy_from_slice(&rows);
        kernels::swiglu_rows_backward(&mut changed, WIDTH, &dy, out(&mut y));
        kernels::gelu(&dy, out(&mut y));
        kernels::gelu_backward(&mut changed[..ROWS * WIDTH], &dy, out(&mut y));
        black_box((&changed, &y));
    }
}

/// Rotary positions there and back.
fn rotation() -> impl FnMut() {
    let (mut x, cos, sin) = (wave(ROWS * WIDTH, 1.0), wave(WIDTH / 2, 2.0), wave(WIDTH / 2, 3.0));
    move || {
        for row in black_box(&mut x).chunks_exact_mut(WIDTH) {
            kernels::rope_in_place(row, &cos, &sin, 1.0);
            kernels::rope_in_place(row, &cos, &sin, -1.0);
        }
    }
}

/// Dropout beside a residual stream, and of a gradient.
fn dropout() -> impl FnMut() {
    let (a, x, mask) = (wave(ROWS * WIDTH, 1.0), wave(ROWS * WIDTH, 2.0), Mask::new(0.1, 7));
    let mut y = a.clone();
    move || {
        kernels::add_dropout(black_box(&a), &x, mask, out(&mut y));
        kernels::dropout_in_place(&mut y, mask, 0);
        black_box(&y);
    }
}

/// Loss and gradient of rows of logits.
fn cross_entropy() -> impl FnMut() {
    let mut logits = wave(ROWS * WIDTH, 1.0);
    move || {
        for (i, row) in black_box(&mut logits).chunks_exact_mut(WIDTH).enumerate() {
            black_box(kernels::cross_entropy_row(row, i, 0.01));
        }
    }
}

/// One update, and the sum that clipping needs.
fn adamw() -> impl FnMut() {
    let n = ROWS * WIDTH;
    let (g, mut p, mut m, mut v) = (wave(n, 1.0), wave(n, 2.0), vec![0.0; n], vec![0.0; n]);
    let step = AdamStep {
        beta1: 0.9,
        beta2: 0.95,
        one_minus_beta1: 0.1,
        one_minus_beta2: 0.05,
        eps: 1e-8,
        step_size: 1e-3,
        root_bias2: 0.3,
        shrink: 0.999,
        grad_scale: 0.5,
    };
    move || {
        black_box(kernels::sum_of_squares(black_box(&g)));
        kernels::adamw(&mut p, &g, &mut m, &mut v, step);
        black_box(&p);
    }
}

/// A linear layer's three products: forward, of the input's gradient, and of the weight's.
fn product() -> impl FnMut() {
    let (x, w) = (wave(ROWS * WIDTH, 1.0), wave(WIDTH * WIDTH, 2.0));
    let (mut y, mut dx, mut dw) = (x.clone(), x.clone(), w.clone());
    let mut products = Products::new(Precision::F32);
    move || {
        let (left, right) = (Mat::rows(black_box(&x), WIDTH), Mat::rows(&w, WIDTH));
        products.product((ROWS, WIDTH, WIDTH), left, right.t(), &mut To::rows(&mut y, WIDTH));
        let dy = Mat::rows(&y, WIDTH);
        products.product((ROWS, WIDTH, WIDTH), dy, right, &mut To::rows(&mut dx, WIDTH));
        products.product((WIDTH, WIDTH, ROWS), dy.t(), left, &mut To::sum(&mut dw, WIDTH));
        black_box((&dx, &dw));
    }
}

/// A small language model: packing its weights, forward, loss and backward.
struct Step {
    model: LanguageModel,
    values: Vec<Vec<f32>>,
    offsets: Vec<usize>,
    gradients: Vec<f32>,
    packed: PackedWeights,
    worker: LanguageWorker,
    threads: Threads,
    ids: Vec<u32>,
}

impl Step {
    fn new() -> Self {
        let config = stack();
        let model = LanguageModel::new(&config, VOCAB, LENGTH);
        let shapes = model.layout().parameters.iter().map(|p| p.shape.iter().product());
        let sizes: Vec<usize> = std::iter::once(VOCAB * config.width).chain(shapes).collect();
        let offsets = offsets(sizes.iter().copied());
        let values = sizes.iter().map(|n| wave(*n, *n as f64).iter().map(|x| 0.1 * x).collect());
        Self {
            values: values.collect(),
            gradients: vec![0.0; offsets[sizes.len()]],
            offsets,
            packed: PackedWeights::default(),
            worker: model.worker(Precision::F32, false),
            model,
            threads: Threads::new(1),
            ids: (0..=(SEQUENCES * LENGTH) as u32).map(|i| i * 37 % VOCAB as u32).collect(),
        }
    }

    fn learn(&mut self) {
        let values: Vec<&[f32]> = self.values.iter().map(Vec::as_slice).collect();
        self.model.pack(&values, &mut self.packed, Precision::F32, &self.threads);
        let weights = Weights { values: &values, packed: &self.packed };
        let (ids, targets) = (&self.ids[..SEQUENCES * LENGTH], &self.ids[1..]);
        let tokens = Tokens { ids, targets, length: LENGTH, seeds: &[1, 2, 3, 4] };
        let mut gradients = GradientsMut::new(&mut self.gradients, &self.offsets);
        black_box(self.worker.learn(&self.model, weights, &tokens, 0.01, &mut gradients));
    }
}

/// The kind of stack that a GPT is, as small as in smoke tests.
fn stack() -> StackConfig {
    StackConfig {
        width: 64,
        heads: 2,
        feed_forward: 128,
        layers: 2,
        norm: Norm::Rms,
        norm_eps: 1e-5,
        placement: Placement::Before,
        activation: Activation::SwiGlu,
        is_causal: true,
        rope_theta: Some(10_000.0),
        attention_bias: false,
        feed_forward_bias: true,
        dropout: 0.1,
    }
}
