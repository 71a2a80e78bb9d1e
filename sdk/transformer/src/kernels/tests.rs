//! The kernels against f64, and their versions against each other.

use super::elementwise::to_bf16;
use super::*;
use crate::mask::Mask;
use crate::simd::{Level, limited};

/// `n` elements that `write` fills.
fn fill(n: usize, write: impl FnOnce(&mut Out)) -> Vec<f32> {
    let mut values = vec![f32::NAN; n];
    write(out(&mut values));
    values
}

#[test]
fn every_version_gives_the_same_bits() {
    let wave = |k: f32| (0..210).map(|i| (i as f32 * k).sin() * 3.0).collect::<Vec<f32>>();
    let (x, dy, w) = (wave(1.7), wave(0.9), wave(2.3)[..70].to_vec());
    let run = |_: Level| {
        let (mut dx, mut dw) = (x.clone(), w.clone());
        add_rms_norm_backward(&x, &w, 1e-5, &dy, &mut dx, &mut dw);
        let (mut rows, mut row) = (x.clone(), dy[..70].to_vec());
        let loss = cross_entropy_row(&mut row, 7, 0.5);
        let mask = Mask::new(0.3, 5);
        let outputs = [
            fill(210, |y| rms_norm(&x, &w, 1e-5, y)),
            fill(105, |y| swiglu_rows_backward(&mut rows, 35, &dy[..105], y)),
            fill(210, |y| gelu(&x, y)),
            fill(210, |y| layer_norm(&x, &w, &w, 1e-5, y)),
            fill(210, |y| softmax(&x, 70, y)),
            fill(210, |y| log_softmax_backward(&x, &dy, 70, y)),
            fill(210, |y| swiglu(&x, &dy, y)),
            fill(210, |y| dropout(&x, mask, 7, y)),
            fill(210, |y| round_bf16(&x, y)),
            vec![sum_of_squares(&x) as f32, log_sum_exp(&x), loss],
            row,
            rows,
            dx,
            dw,
        ];
        outputs.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let run = |level| limited(level, || run(level));
    assert_eq!(run(Level::Baseline), run(Level::Avx2));
    assert_eq!(run(Level::Baseline), run(Level::Avx512));
}

#[test]
fn exp_is_accurate() {
    for i in -86_000..=87_000 {
        let x = i as f32 * 1e-3;
        let want = f64::from(x).exp();
        assert!((f64::from(exp(x)) / want - 1.0).abs() < 3e-7, "{x}");
    }
    assert_eq!(exp(0.0), 1.0);
    assert!(exp(-1e30) < 1e-37);
}

#[test]
fn bf16_rounds_to_the_nearest_and_ties_to_even() {
    let cases = [
        (0x3f80_8000, 0x3f80_0000), // halfway, even below
        (0x3f81_8000, 0x3f82_0000), // halfway, even above
        (0x3f80_8001, 0x3f81_0000),
        (0xbf80_7fff, 0xbf80_0000),
        (0x7f7f_ffff, 0x7f80_0000), // beyond the largest
        (0xff80_0000, 0xff80_0000), // −∞
        (0x0000_8001, 0x0001_0000), // a subnormal
        (0x8000_0000, 0x8000_0000), // −0
    ];
    for (bits, want) in cases {
        assert_eq!(to_bf16(f32::from_bits(bits)).to_bits(), want, "{bits:x}");
    }
    for bits in [0x7f80_0001, 0x7fff_ffff, 0xffff_ffff] {
        assert!(to_bf16(f32::from_bits(bits)).is_nan(), "{bits:x}");
    }
}

#[test]
fn reductions_of_odd_lengths() {
    for n in [1, 2, 31, 32, 33, 63, 64, 100] {
        let x: Vec<f32> = (0..n).map(|i| (i as f32 * 1.7).sin()).collect();
        let want: f64 = x.iter().map(|x| f64::from(x * x)).sum();
        assert!((f64::from(dot(&x, &x)) - want).abs() < 1e-5);
        assert!((sum_of_squares(&x) - want).abs() < 1e-5);
        assert_eq!(max(&x), x.iter().copied().fold(f32::MIN, f32::max));
    }
}
