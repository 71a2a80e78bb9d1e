//! Sums, products and dropout over whole slices.

use super::Out;
use crate::mask::Mask;

/// The nearest value that bfloat16 holds, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let bits = if x.is_nan() { bits | 0x0040_0000 } else { rounded };
    f32::from_bits(bits & 0xffff_0000)
}

/// `sums` += what stands from `begin` on in rows `stride` apart.
#[inline(always)]
fn add_rows(sums: &mut [f32], rows: &[f32], stride: usize, begin: usize) {
    for row in rows.chunks(stride) {
        for (sum, x) in sums.iter_mut().zip(&row[begin..]) {
            *sum += x;
        }
    }
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

    /// y = each row of `rows` + `row`.
    fn add_row(rows: &[f32], row: &[f32], y: &mut Out) {
        let n = row.len();
        for (x, y) in rows.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            for ((y, x), b) in y.iter_mut().zip(x).zip(row) {
                y.write(x + b);
            }
        }
    }

    /// to += the sum of rows `stride` apart, of which each begins with what is to be summed: the
    /// gradient of a bias.
    fn add_columns(to: &mut [f32], rows: &[f32], stride: usize) {
        // Some columns at a time, whose sums stay in registers.
        const AT_ONCE: usize = 64;
        for (part, to) in to.chunks_mut(AT_ONCE).enumerate() {
            let mut sums = [0f32; AT_ONCE];
            // A length that is known makes the difference: a part that is whole is vectorised.
            match to.len() {
                AT_ONCE => add_rows(&mut sums, rows, stride, part * AT_ONCE),
                n => add_rows(&mut sums[..n], rows, stride, part * AT_ONCE),
            }
            for (to, sum) in to.iter_mut().zip(&sums) {
                *to += sum;
            }
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
}
