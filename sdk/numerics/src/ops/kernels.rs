//! Loops over f32 slices, compiled for AVX-512, for AVX2 and for the baseline, chosen at run time.
//!
//! They hold no fused multiply-add and sum in a fixed number of lanes, so all three give the same
//! bits. Outputs are `MaybeUninit`: every kernel writes each element it is given.

use std::mem::MaybeUninit;

use super::dropout::Mask;

/// An output buffer that the kernel fills completely.
pub(crate) type Out = [MaybeUninit<f32>];

/// Declares a function that is compiled for several instruction sets.
macro_rules! multiversion {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
                #[inline(always)]
                fn body($($arg: $ty),*) $(-> $ret)? $body

                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                    fn v4($($arg: $ty),*) $(-> $ret)? {
                        body($($arg),*)
                    }
                    #[target_feature(enable = "avx2")]
                    fn v3($($arg: $ty),*) $(-> $ret)? {
                        body($($arg),*)
                    }
                    match level() {
                        // SAFETY: `level` found these features.
                        Level::Avx512 => return unsafe { v4($($arg),*) },
                        // SAFETY: as above.
                        Level::Avx2 => return unsafe { v3($($arg),*) },
                        Level::Baseline => {}
                    }
                }
                body($($arg),*)
            }
        )*
    };
}

/// Which of a kernel's versions runs.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Baseline,
    Avx2,
    Avx512,
}

/// The best version for this machine; std keeps the answers of the detection.
#[cfg(target_arch = "x86_64")]
fn level() -> Level {
    let best = if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
    {
        Level::Avx512
    } else if is_x86_feature_detected!("avx2") {
        Level::Avx2
    } else {
        Level::Baseline
    };
    #[cfg(test)]
    let best = best.min(tests::AT_MOST.get());
    best
}

/// Lanes of every reduction.
const LANES: usize = 32;

/// e^x to 2 ulp for x in [-87, 88], clamped outside (Cephes `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to the nearest integer and leaves it in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4 * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    y * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The nearest value that bfloat16 holds, ties to even; NaN stays NaN.
#[inline(always)]
fn to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let bits = if x.is_nan() { bits | 0x0040_0000 } else { rounded };
    f32::from_bits(bits & 0xffff_0000)
}

/// Sums `term(i)` over `0..n` in 32 lanes.
#[inline(always)]
fn sum_lanes(n: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let whole = n / LANES * LANES;
    let mut i = 0;
    while i < whole {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += term(i + l);
        }
        i += LANES;
    }
    let mut sum: f32 = lanes.iter().sum();
    for i in whole..n {
        sum += term(i);
    }
    sum
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len();
    let b = &b[..n];
    sum_lanes(n, |i| a[i] * b[i])
}

#[inline(always)]
fn max(a: &[f32]) -> f32 {
    let mut lanes = [f32::MIN; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    let mut max = f32::MIN;
    for x in lanes.iter().chain(rest) {
        max = if *x > max { *x } else { max };
    }
    max
}

/// Rows of `c` elements of a filled and of an output slice.
macro_rules! rows {
    ($c:expr; $first:expr) => { $first.chunks_exact($c) };
    ($c:expr; $first:expr, $($rest:expr),+) => { $first.chunks_exact($c).zip(rows!($c; $($rest),+)) };
}

/// What one `AdamW` step needs to know, all in f32.
#[derive(Clone, Copy)]
pub(crate) struct AdamStep {
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) one_minus_beta1: f32,
    pub(crate) one_minus_beta2: f32,
    pub(crate) eps: f32,
    /// lr / (1 − β₁ᵗ)
    pub(crate) step_size: f32,
    /// √(1 − β₂ᵗ)
    pub(crate) root_bias2: f32,
    /// 1 − lr·wd
    pub(crate) shrink: f32,
    pub(crate) grad_scale: f32,
}

multiversion! {
    /// to += from
    fn add_assign(to: &mut [f32], from: &[f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += from;
        }
    }

    /// y = a + b
    fn add(a: &[f32], b: &[f32], y: &mut Out) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            y.write(a + b);
        }
    }

    /// y = x in the precision of bfloat16.
    fn round_bf16(x: &[f32], y: &mut Out) {
        for (y, x) in y.iter_mut().zip(x) {
            y.write(to_bf16(*x));
        }
    }

    /// x to the precision of bfloat16.
    fn round_bf16_in_place(x: &mut [f32]) {
        for x in x.iter_mut() {
            *x = to_bf16(*x);
        }
    }

    /// Σ x², in f64.
    fn sum_of_squares(x: &[f32]) -> f64 {
        let mut lanes = [0f64; 16];
        let chunks = x.chunks_exact(16);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                let x = f64::from(*x);
                *lane += x * x;
            }
        }
        let mut sum: f64 = lanes.iter().sum();
        for x in rest {
            sum += f64::from(*x) * f64::from(*x);
        }
        sum
    }

    /// One `AdamW` update in one pass.
    fn adamw(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], s: AdamStep) {
        let n = p.len();
        let (g, m, v) = (&g[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = g[i] * s.grad_scale;
            let m_new = s.beta1 * m[i] + s.one_minus_beta1 * g;
            let v_new = s.beta2 * v[i] + s.one_minus_beta2 * g * g;
            m[i] = m_new;
            v[i] = v_new;
            p[i] = p[i] * s.shrink - s.step_size * m_new / (v_new.sqrt() / s.root_bias2 + s.eps);
        }
    }

    /// Each row of `to` += `bias`; the bias gradient the other way round.
    fn add_rows_to(to: &mut [f32], rows: &[f32]) {
        let n = to.len();
        for row in rows.chunks_exact(n) {
            for (to, x) in to.iter_mut().zip(row) {
                *to += x;
            }
        }
    }

    /// y = x / √(mean x² + eps) · w, per row of `w.len()`.
    fn rms_norm(x: &[f32], w: &[f32], eps: f32, y: &mut Out) {
        let c = w.len();
        for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
            let r = 1.0 / (dot(x, x) / c as f32 + eps).sqrt();
            for i in 0..c {
                y[i].write(x[i] * r * w[i]);
            }
        }
    }

    /// dx, and dw +=, of [`rms_norm`].
    fn rms_norm_backward(x: &[f32], w: &[f32], eps: f32, dy: &[f32], dx: &mut Out, dw: &mut [f32]) {
        let c = w.len();
        let dw = &mut dw[..c];
        for ((x, dy), dx) in rows!(c; x, dy).zip(dx.chunks_exact_mut(c)) {
            let r = 1.0 / (dot(x, x) / c as f32 + eps).sqrt();
            let k = sum_lanes(c, |i| dy[i] * w[i] * x[i]) * r * r * r / c as f32;
            for i in 0..c {
                dw[i] += dy[i] * x[i] * r;
                dx[i].write(dy[i] * w[i] * r - x[i] * k);
            }
        }
    }

    /// y = (x − mean) / √(var + eps) · w + b, per row of `w.len()`.
    fn layer_norm(x: &[f32], w: &[f32], b: &[f32], eps: f32, y: &mut Out) {
        let c = w.len();
        let b = &b[..c];
        for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
            let mean = sum_lanes(c, |i| x[i]) / c as f32;
            let var = sum_lanes(c, |i| (x[i] - mean) * (x[i] - mean)) / c as f32;
            let r = 1.0 / (var + eps).sqrt();
            for i in 0..c {
                y[i].write((x[i] - mean) * r * w[i] + b[i]);
            }
        }
    }

    /// dx, and dw += and db +=, of [`layer_norm`].
    fn layer_norm_backward(
        x: &[f32], w: &[f32], eps: f32, dy: &[f32], dx: &mut Out, dw: &mut [f32], db: &mut [f32],
    ) {
        let c = w.len();
        let (dw, db) = (&mut dw[..c], &mut db[..c]);
        for ((x, dy), dx) in rows!(c; x, dy).zip(dx.chunks_exact_mut(c)) {
            let mean = sum_lanes(c, |i| x[i]) / c as f32;
            let var = sum_lanes(c, |i| (x[i] - mean) * (x[i] - mean)) / c as f32;
            let r = 1.0 / (var + eps).sqrt();
            let mean_g = sum_lanes(c, |i| dy[i] * w[i]) / c as f32;
            let mean_gx = sum_lanes(c, |i| dy[i] * w[i] * (x[i] - mean) * r) / c as f32;
            for i in 0..c {
                let normed = (x[i] - mean) * r;
                dw[i] += dy[i] * normed;
                db[i] += dy[i];
                dx[i].write((dy[i] * w[i] - mean_g - normed * mean_gx) * r);
            }
        }
    }

    /// y = softmax of each row of `c`.
    fn softmax(x: &[f32], c: usize, y: &mut Out) {
        for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
            let top = max(x);
            let scale = 1.0 / sum_lanes(c, |i| exp(x[i] - top));
            for i in 0..c {
                y[i].write(exp(x[i] - top) * scale);
            }
        }
    }

    /// dx of [`softmax`], from its result.
    fn softmax_backward(y: &[f32], dy: &[f32], c: usize, dx: &mut Out) {
        for ((y, dy), dx) in rows!(c; y, dy).zip(dx.chunks_exact_mut(c)) {
            let sum = dot(y, dy);
            for i in 0..c {
                dx[i].write(y[i] * (dy[i] - sum));
            }
        }
    }

    /// y = x − log Σ eˣ of each row of `c`.
    fn log_softmax(x: &[f32], c: usize, y: &mut Out) {
        for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
            let top = max(x);
            let log_sum = sum_lanes(c, |i| exp(x[i] - top)).ln() + top;
            for i in 0..c {
                y[i].write(x[i] - log_sum);
            }
        }
    }

    /// dx of [`log_softmax`], from its result.
    fn log_softmax_backward(y: &[f32], dy: &[f32], c: usize, dx: &mut Out) {
        for ((y, dy), dx) in rows!(c; y, dy).zip(dx.chunks_exact_mut(c)) {
            let sum = sum_lanes(c, |i| dy[i]);
            for i in 0..c {
                dx[i].write(dy[i] - exp(y[i]) * sum);
            }
        }
    }

    /// log Σ eˣ of one row.
    fn log_sum_exp(x: &[f32]) -> f32 {
        let top = max(x);
        sum_lanes(x.len(), |i| exp(x[i] - top)).ln() + top
    }

    /// dx = scale · e^(x − log_sum) of one row.
    fn scaled_softmax(x: &[f32], log_sum: f32, scale: f32, dx: &mut Out) {
        for (dx, x) in dx.iter_mut().zip(x) {
            dx.write(scale * exp(x - log_sum));
        }
    }

    /// y = silu(g) · a
    fn swiglu(a: &[f32], g: &[f32], y: &mut Out) {
        for ((y, a), g) in y.iter_mut().zip(a).zip(g) {
            y.write(a * g * sigmoid(*g));
        }
    }

    /// da and dg of [`swiglu`].
    fn swiglu_backward(a: &[f32], g: &[f32], dy: &[f32], da: &mut Out, dg: &mut Out) {
        let n = a.len();
        let (g, dy, da, dg) = (&g[..n], &dy[..n], &mut da[..n], &mut dg[..n]);
        for i in 0..n {
            let s = sigmoid(g[i]);
            da[i].write(dy[i] * g[i] * s);
            dg[i].write(dy[i] * a[i] * s * (1.0 + g[i] * (1.0 - s)));
        }
    }

    /// Rotates the pairs of one row by the angles of `cos` and `sin`; backwards with −`sin`.
    fn rope_row(x: &[f32], cos: &[f32], sin: &[f32], sign: f32, y: &mut Out) {
        let pairs = x.chunks_exact(2).zip(y.chunks_exact_mut(2));
        for ((x, y), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
            let sin = sin * sign;
            y[0].write(x[0] * cos - x[1] * sin);
            y[1].write(x[0] * sin + x[1] * cos);
        }
    }

    /// y = x · mask, whose first element has index `start`.
    fn dropout(x: &[f32], mask: Mask, start: u64, y: &mut Out) {
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            y.write(x * mask.factor(start, i as u32));
        }
    }

    /// y = a + x · mask
    fn add_dropout(a: &[f32], x: &[f32], mask: Mask, y: &mut Out) {
        for (i, ((a, x), y)) in a.iter().zip(x).zip(y).enumerate() {
            y.write(a + x * mask.factor(0, i as u32));
        }
    }

    /// x *= mask, whose first element has index `start`.
    fn dropout_in_place(x: &mut [f32], mask: Mask, start: u64) {
        for (i, x) in x.iter_mut().enumerate() {
            *x *= mask.factor(start, i as u32);
        }
    }

    /// Softmax of `scale · x` of one row in place; returns the log of the sum.
    fn attention_row(x: &mut [f32], scale: f32) -> f32 {
        for x in x.iter_mut() {
            *x *= scale;
        }
        let top = max(x);
        let n = x.len();
        for x in x.iter_mut() {
            *x = exp(*x - top);
        }
        let sum = sum_lanes(n, |i| x[i]);
        let inverse = 1.0 / sum;
        for x in x.iter_mut() {
            *x *= inverse;
        }
        sum.ln() + top
    }

    /// The probabilities of one row again, in place, from the log of their sum.
    fn attention_row_again(x: &mut [f32], scale: f32, log_sum: f32) {
        for x in x.iter_mut() {
            *x = exp(*x * scale - log_sum);
        }
    }

    /// Gradient of the scores before softmax in place of the one of the probabilities `p`.
    fn attention_row_backward(p: &[f32], dp: &mut [f32], scale: f32) {
        let sum = dot(p, dp);
        for (dp, p) in dp.iter_mut().zip(p) {
            *dp = p * (*dp - sum) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::fill;

    #[cfg(target_arch = "x86_64")]
    thread_local! {
        pub(super) static AT_MOST: std::cell::Cell<Level> =
            const { std::cell::Cell::new(Level::Avx512) };
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_version_gives_the_same_bits() {
        let wave = |k: f32| (0..210).map(|i| (i as f32 * k).sin() * 3.0).collect::<Vec<f32>>();
        let (x, dy, w) = (wave(1.7), wave(0.9), wave(2.3)[..70].to_vec());
        let run = |level| {
            AT_MOST.set(level);
            let mut dw = w.clone();
            let mask = Mask::new(0.3, 5);
            let outputs = [
                fill(210, |y| rms_norm(&x, &w, 1e-5, y)),
                fill(210, |y| rms_norm_backward(&x, &w, 1e-5, &dy, y, &mut dw)),
                fill(210, |y| layer_norm(&x, &w, &w, 1e-5, y)),
                fill(210, |y| softmax(&x, 70, y)),
                fill(210, |y| log_softmax_backward(&x, &dy, 70, y)),
                fill(210, |y| swiglu(&x, &dy, y)),
                fill(210, |y| dropout(&x, mask, 7, y)),
                fill(210, |y| round_bf16(&x, y)),
                vec![sum_of_squares(&x) as f32, log_sum_exp(&x)],
                dw,
            ];
            AT_MOST.set(Level::Avx512);
            outputs.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
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
}
