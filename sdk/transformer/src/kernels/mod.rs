//! Loops over f32 slices, compiled for AVX-512, for AVX2 and for the baseline, chosen at run time.
//!
//! They hold no fused multiply-add and sum in a fixed number of lanes, so all three give the same
//! bits. Outputs are `MaybeUninit`: every kernel writes each element it is given.

use std::mem::MaybeUninit;

/// An output buffer that the kernel fills completely.
pub type Out = [MaybeUninit<f32>];

/// Declares a function that is compiled for several instruction sets.
macro_rules! multiversion {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            pub fn $name($($arg: $ty),*) $(-> $ret)? {
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
                    use crate::simd::{Level, level};
                    match level() {
                        // SAFETY: `level` found these features.
                        Level::Avx512 | Level::Avx512Bf16 => return unsafe { v4($($arg),*) },
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

/// Rows of `c` elements of a filled and of an output slice.
macro_rules! rows {
    ($c:expr; $first:expr) => { $first.chunks_exact($c) };
    ($c:expr; $first:expr, $($rest:expr),+) => { $first.chunks_exact($c).zip(rows!($c; $($rest),+)) };
}

mod activation;
mod elementwise;
mod norm;
mod optimizer;
mod rotation;
mod softmax;

pub use activation::*;
pub use elementwise::*;
pub use norm::*;
pub use optimizer::*;
pub use rotation::*;
pub use softmax::*;

/// Lanes of every reduction.
const LANES: usize = 32;

/// e^x to 2 ulp for x in [-87, 88], clamped outside (Cephes `expf`).
#[inline(always)]
fn exp(x: f32) -> f32 {
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
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Joins all lanes, one half with the other: steps that are vectors, not a chain of numbers.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut n = LANES / 2;
    while n > 0 {
        for l in 0..n {
            lanes[l] = join(lanes[l], lanes[l + n]);
        }
        n /= 2;
    }
    lanes[0]
}

/// Sums `term(i)` over `0..n` in 32 lanes.
#[inline(always)]
pub(super) fn sum_lanes(n: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let whole = n / LANES * LANES;
    let mut i = 0;
    while i < whole {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += term(i + l);
        }
        i += LANES;
    }
    for (l, lane) in lanes.iter_mut().enumerate().take(n - whole) {
        *lane += term(whole + l);
    }
    fold(lanes, |a, b| a + b)
}

#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len();
    let b = &b[..n];
    sum_lanes(n, |i| a[i] * b[i])
}

#[inline(always)]
pub(super) fn max(a: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut lanes = [f32::MIN; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*x, *lane);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = larger(*x, *lane);
    }
    fold(lanes, larger)
}

/// A slice that is overwritten whole, as kernels take it.
pub fn out(to: &mut [f32]) -> &mut Out {
    // SAFETY: `MaybeUninit<f32>` has the layout of `f32`, and kernels write only values.
    unsafe { &mut *(std::ptr::from_mut(to) as *mut Out) }
}

#[cfg(test)]
mod tests;
