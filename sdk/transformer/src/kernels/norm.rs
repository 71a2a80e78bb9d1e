//! RMSNorm and LayerNorm, forward and backward, row by row.

use super::{Out, dot, sum_lanes};

multiversion! {
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

    /// dx += and dw += of [`rms_norm`].
    fn add_rms_norm_backward(
        x: &[f32], w: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], dw: &mut [f32],
    ) {
        let c = w.len();
        let dw = &mut dw[..c];
        for ((x, dy), dx) in rows!(c; x, dy).zip(dx.chunks_exact_mut(c)) {
            let r = 1.0 / (dot(x, x) / c as f32 + eps).sqrt();
            let k = sum_lanes(c, |i| dy[i] * w[i] * x[i]) * r * r * r / c as f32;
            for i in 0..c {
                dw[i] += dy[i] * x[i] * r;
                dx[i] += dy[i] * w[i] * r - x[i] * k;
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

    /// dx +=, dw += and db += of [`layer_norm`].
    fn add_layer_norm_backward(
        x: &[f32], w: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], dw: &mut [f32], db: &mut [f32],
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
                dx[i] += (dy[i] * w[i] - mean_g - normed * mean_gx) * r;
            }
        }
    }
}
