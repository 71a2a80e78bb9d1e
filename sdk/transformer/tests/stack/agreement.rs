//! Values and gradients against f64: every kind of stack, odd sizes, every instruction set.

use sdk_transformer::product::{Precision, Products};
use sdk_transformer::simd::{Level, limited};
use sdk_transformer::stack::{
    Activation, GradientsMut, Layout, PackedWeights, Pass, Stack, StackConfig, Weights, Worker,
    offsets,
};
use sdk_transformer::threads::Threads;

use crate::plain::Plain;
use crate::{by_parameter, encoder, gpt, parameters, wave};

/// Output, gradient of the input and gradients of the parameters of Σ output · `wave`.
fn run(
    config: &StackConfig,
    (n, t): (usize, usize),
    lengths: &[usize],
    precision: Precision,
    recomputes: bool,
) -> (Vec<f32>, Vec<f32>, Vec<Vec<f32>>) {
    let values = parameters(config);
    let values: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let stack = Stack::new(config, 0, t);
    let mut packed = PackedWeights::default();
    packed.update(&values, &stack.layout, &Products::new(precision), &Threads::new(2));
    let w = Weights { values: &values, packed: &packed };
    let mut worker = Worker::new(&stack, precision, recomputes);
    let pass = Pass { sequences: n, length: t, lengths, seeds: &[], keeps: true };
    worker.input(&pass).copy_from_slice(&wave(n * t * config.width, 7.0));
    let output = worker.forward(w, &pass).to_vec();
    let mut d = weights(config, (n, t), lengths);
    let offsets = offsets(values.iter().map(|v| v.len()));
    let mut gradients = vec![0.0; offsets[values.len()]];
    worker.backward(w, &pass, &mut d, &mut GradientsMut::new(&mut gradients, &offsets));
    (output, d, by_parameter(&gradients, &offsets))
}

/// What the outputs are weighted with; padding counts nothing.
fn weights(config: &StackConfig, (n, t): (usize, usize), lengths: &[usize]) -> Vec<f32> {
    let mut weights = wave(n * t * config.width, 9.0);
    for (i, row) in weights.chunks_exact_mut(config.width).enumerate() {
        if i % t >= lengths.get(i / t).copied().unwrap_or(t) {
            row.fill(0.0);
        }
    }
    weights
}

fn far(got: &[f32], want: &[f64], what: &str, bound: f64) {
    let largest = want.iter().fold(0f64, |m, x| m.max(x.abs())).max(1e-3);
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let apart = (f64::from(*got) - want).abs() / largest;
        assert!(apart < bound, "{what} {i}: {got} {want}");
    }
}

/// Asserts agreement with f64: outputs, and gradients with central differences.
fn agrees(config: &StackConfig, (n, t): (usize, usize), lengths: &[usize]) {
    let (output, dx, gradients) = run(config, (n, t), lengths, Precision::F32, false);
    let layout = Layout::new(config, 0);
    let values: Vec<Vec<f64>> =
        parameters(config).iter().map(|v| v.iter().map(|x| f64::from(*x)).collect()).collect();
    let x: Vec<f64> = wave(n * t * config.width, 7.0).into_iter().map(f64::from).collect();
    let weights = weights(config, (n, t), lengths);
    let forward = |values: &[Vec<f64>], x: &[f64]| {
        Plain { config, layout: &layout, values }.forward(x, t, lengths)
    };
    let want = forward(&values, &x);
    let masked: (Vec<f32>, Vec<f64>) = output
        .iter()
        .zip(&want)
        .zip(&weights)
        .filter(|(_, weight)| **weight != 0.0)
        .map(|((a, b), _)| (*a, *b))
        .unzip();
    far(&masked.0, &masked.1, "output", 1e-5);

    let loss = |values: &[Vec<f64>], x: &[f64]| -> f64 {
        forward(values, x).iter().zip(&weights).map(|(y, w)| y * f64::from(*w)).sum()
    };
    let h = 1e-5;
    let largest = gradients.iter().flatten().fold(0f32, |m, g| m.max(g.abs()));
    for (i, parameter) in layout.parameters.iter().enumerate() {
        let n = values[i].len();
        let sampled: Vec<usize> = (0..n).step_by(n / 3 + 1).collect();
        let numeric = sampled.iter().map(|j| {
            let at = |delta: f64| {
                let mut moved = values.clone();
                moved[i][*j] += delta;
                loss(&moved, &x)
            };
            (at(h) - at(-h)) / (2.0 * h)
        });
        let numeric: Vec<f64> = numeric.collect();
        // Small ones are sums of larger terms that cancel: they are as exact as those terms.
        let scale = gradients[i].iter().fold(0.01 * largest, |m, g| m.max(g.abs()));
        assert!(gradients[i].iter().any(|g| *g != 0.0), "{} has no gradient", parameter.name);
        for (j, want) in sampled.iter().zip(&numeric) {
            let got = f64::from(gradients[i][*j]);
            let apart = (got - want).abs() / f64::from(scale);
            assert!(apart < 1e-5, "{} {j}: {got} {want}", parameter.name);
        }
    }
    for j in (0..x.len()).step_by(x.len() / 5 + 1) {
        let at = |delta: f64| {
            let mut moved = x.clone();
            moved[j] += delta;
            loss(&values, &moved)
        };
        let want = (at(h) - at(-h)) / (2.0 * h);
        let scale = dx.iter().fold(1e-3f32, |m, g| m.max(g.abs()));
        let apart = (f64::from(dx[j]) - want).abs() / f64::from(scale);
        assert!(apart < 1e-5, "input {j}: {} {want}", dx[j]);
    }
}

const LEVELS: [Level; 3] = [Level::Baseline, Level::Avx2, Level::Avx512];

#[test]
fn a_gpt_agrees_on_every_instruction_set() {
    for level in LEVELS {
        limited(level, || agrees(&gpt(24, 2, 20, 2), (2, 7), &[]));
    }
}

#[test]
fn an_encoder_agrees_on_every_instruction_set() {
    for level in LEVELS {
        limited(level, || agrees(&encoder(24, 2, 20, 2), (2, 7), &[5, 7]));
    }
}

#[test]
fn head_widths_from_8_to_128_agree() {
    for d in [8, 10, 64, 128] {
        agrees(&gpt(2 * d, 2, 12, 1), (1, 5), &[]);
    }
}

#[test]
fn sequences_longer_than_a_block_agree() {
    agrees(&gpt(16, 2, 12, 1), (1, 101), &[]);
    agrees(&encoder(16, 2, 12, 1), (1, 101), &[97]);
}

#[test]
fn every_choice_of_parts_agrees() {
    for activation in [Activation::SwiGlu, Activation::Gelu, Activation::Relu] {
        agrees(&StackConfig { activation, ..encoder(16, 2, 12, 1) }, (2, 5), &[]);
        agrees(&StackConfig { activation, ..gpt(16, 2, 12, 1) }, (2, 5), &[3, 5]);
    }
    let encoder = encoder(16, 2, 12, 1);
    agrees(&StackConfig { norm: gpt(16, 2, 12, 1).norm, ..encoder.clone() }, (1, 6), &[]);
    agrees(&StackConfig { placement: gpt(16, 2, 12, 1).placement, ..encoder }, (1, 6), &[]);
}

#[test]
fn one_position_and_one_sequence_agree() {
    agrees(&gpt(16, 1, 12, 1), (1, 1), &[]);
    agrees(&gpt(16, 4, 12, 1), (3, 1), &[]);
}

#[test]
fn computing_layers_again_gives_the_same_bits() {
    for config in [gpt(24, 2, 20, 3), encoder(24, 2, 20, 3)] {
        let kept = run(&config, (2, 9), &[], Precision::F32, false);
        assert_eq!(kept, run(&config, (2, 9), &[], Precision::F32, true));
    }
}

#[test]
fn bf16_stays_within_its_rounding() {
    if !Precision::Bf16.is_native() {
        return;
    }
    let config = gpt(48, 2, 40, 2);
    let exact = run(&config, (2, 9), &[], Precision::F32, false);
    let rounded = run(&config, (2, 9), &[], Precision::Bf16, false);
    let apart = |a: &[f32], b: &[f32]| {
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
        norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied())
    };
    assert_ne!(rounded.0, exact.0);
    assert!(apart(&rounded.0, &exact.0) < 0.01);
    for (a, b) in rounded.2.iter().zip(&exact.2) {
        assert!(apart(a, b) < 0.02, "{}", apart(a, b));
    }
}
