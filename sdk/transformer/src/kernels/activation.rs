//! The non-linearities of feed-forward layers.

use super::{Out, sigmoid};

/// The gate of the tanh approximation of GELU and its derivative:
/// (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³), written as σ(2u).
#[inline(always)]
fn gelu_gate(x: f32) -> (f32, f32) {
    const K: f32 = 0.797_884_6 * 2.0;
    let gate = sigmoid(K * (x + 0.044_715 * x * x * x));
    let slope = gate * (1.0 - gate) * K * (1.0 + 3.0 * 0.044_715 * x * x);
    (gate, slope)
}

multiversion! {
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

    /// y = silu(g) · a for rows `[a | g]` of 2 · `f`.
    fn swiglu_rows(rows: &[f32], f: usize, y: &mut Out) {
        for (row, y) in rows.chunks_exact(2 * f).zip(y.chunks_exact_mut(f)) {
            let (a, g) = row.split_at(f);
            for i in 0..f {
                y[i].write(a[i] * g[i] * sigmoid(g[i]));
            }
        }
    }

    /// In place of rows `[a | g]` their gradients; y as in [`swiglu_rows`].
    fn swiglu_rows_backward(rows: &mut [f32], f: usize, dy: &[f32], y: &mut Out) {
        let all = rows.chunks_exact_mut(2 * f).zip(dy.chunks_exact(f));
        for ((row, dy), y) in all.zip(y.chunks_exact_mut(f)) {
            let (a, g) = row.split_at_mut(f);
            let (g, dy, y) = (&mut g[..f], &dy[..f], &mut y[..f]);
            for i in 0..f {
                let s = sigmoid(g[i]);
                let silu = g[i] * s;
                let (da, dg) = (dy[i] * silu, dy[i] * a[i] * s * (1.0 + g[i] * (1.0 - s)));
                y[i].write(a[i] * silu);
                a[i] = da;
                g[i] = dg;
            }
        }
    }

    /// y = x · Φ(x), by the approximation with tanh (Hendrycks and Gimpel 2016).
    fn gelu(x: &[f32], y: &mut Out) {
        for (x, y) in x.iter().zip(y) {
            y.write(x * gelu_gate(*x).0);
        }
    }

    /// In place of x its gradient; y as in [`gelu`].
    fn gelu_backward(x: &mut [f32], dy: &[f32], y: &mut Out) {
        for ((x, dy), y) in x.iter_mut().zip(dy).zip(y) {
            let (gate, slope) = gelu_gate(*x);
            y.write(*x * gate);
            *x = dy * (gate + *x * slope);
        }
    }

    /// y = max(x, 0)
    fn relu(x: &[f32], y: &mut Out) {
        for (x, y) in x.iter().zip(y) {
            y.write(x.max(0.0));
        }
    }

    /// In place of x its gradient; y as in [`relu`].
    fn relu_backward(x: &mut [f32], dy: &[f32], y: &mut Out) {
        for ((x, dy), y) in x.iter_mut().zip(dy).zip(y) {
            y.write(x.max(0.0));
            *x = if *x > 0.0 { *dy } else { 0.0 };
        }
    }
}
