//! Softmax in its uses: attention, cross-entropy, and by itself.

use super::{Out, dot, exp, max, sum_lanes};

multiversion! {
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

    /// −log softmax(x) of one row at `target`; in place of x its gradient times `scale`.
    fn cross_entropy_row(x: &mut [f32], target: usize, scale: f32) -> f32 {
        let top = max(x);
        let wanted = x[target];
        let n = x.len();
        for x in x.iter_mut() {
            *x = exp(*x - top);
        }
        let sum = sum_lanes(n, |i| x[i]);
        let factor = scale / sum;
        for x in x.iter_mut() {
            *x *= factor;
        }
        x[target] -= scale;
        sum.ln() + top - wanted
    }

    /// Softmax of `scale · x` of one row in place; returns the log of the sum.
    fn attention_row(x: &mut [f32], scale: f32) -> f32 {
        let top = max(x) * scale;
        let n = x.len();
        for x in x.iter_mut() {
            *x = exp(*x * scale - top);
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
