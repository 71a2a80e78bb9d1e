//! Causal self-attention of several heads, from the fused projection to the merged heads.

use candle_core::{D, Device, Result, Tensor, bail};
use sdk_transformer::mask::Mask;

use super::dropout::check;
use super::fused_attention::{Attention, Sizes};
use super::{Compute, Rope, dropout, fused, rope, softmax};

/// `softmax(q kᵀ / √D + causal mask) · v` for each head, with rotary positions from 0 and dropout
/// on the probabilities (Vaswani et al. 2017).
///
/// # Shapes
/// - `qkv`: `(B, T, 3C)`, of each row first C of q, then of k, then of v; head h has the channels
///   `h·D..(h+1)·D` of each
/// - returns: `(B, T, C)`, heads side by side
///
/// `tables` of width D rotate q and k, when given. `p` is the dropout probability; the mask's
/// element index is that of the probabilities as `(B, H, T, T)`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
///
/// let qkv = Tensor::ones((1, 3, 12), DType::F32, &Device::Cpu)?;
/// let y = sdk_numerics::ops::causal_attention(&qkv, 2, None, 0.0, 0)?;
/// assert_eq!(y.dims(), [1, 3, 4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the width is not 3 · `n_heads` · D, or the tables don't fit D and T.
///
/// # Panics
/// When `p` is not in `[0, 1)`.
pub fn causal_attention(
    qkv: &Tensor,
    n_heads: usize,
    tables: Option<&Rope>,
    p: f64,
    key: u64,
) -> Result<Tensor> {
    Compute::Own.causal_attention(qkv, n_heads, tables, p, key)
}

impl Compute {
    /// [`causal_attention`] in this precision.
    ///
    /// # Errors
    /// As [`causal_attention`].
    ///
    /// # Panics
    /// As [`causal_attention`].
    pub fn causal_attention(
        self,
        qkv: &Tensor,
        n_heads: usize,
        tables: Option<&Rope>,
        p: f64,
        key: u64,
    ) -> Result<Tensor> {
        check(p);
        let sizes = Sizes::of(qkv, n_heads, tables)?;
        if fused(&[qkv]) {
            let mask = (p > 0.0).then(|| Mask::new(p, key));
            let op = Attention::new(sizes, tables.cloned(), mask, self);
            return qkv.contiguous()?.apply_op1(op);
        }
        let [q, k, v] = heads(qkv, sizes, tables)?; // (B, H, T, D)
        let probs = self.causal_probs(&q, &k, 0)?; // (B, H, T, T)
        let y = self.matmul(&dropout(&probs, p, key)?, &v)?; // (B, H, T, D)
        self.rounded(&y.transpose(1, 2)?.reshape((sizes.b, sizes.t, sizes.c()))?)
    }

    /// Probabilities of rotated queries, the first at position `first`, over rotated keys, later
    /// keys masked with the lowest finite value: `(B, H, Q, D)` and `(B, H, T, D)` to
    /// `(B, H, Q, T)`.
    fn causal_probs(self, q: &Tensor, k: &Tensor, first: usize) -> Result<Tensor> {
        let (n, t, d) = (q.dim(2)?, k.dim(2)?, q.dim(3)?);
        let later = |i: usize| if i % t > first + i / t { f32::MIN } else { 0.0 };
        let later = Tensor::from_vec((0..n * t).map(later).collect(), (n, t), &Device::Cpu)?
            .to_dtype(q.dtype())?
            .to_device(q.device())?;
        let scores = (self.matmul(q, &k.transpose(D::Minus2, D::Minus1)?)? / (d as f64).sqrt())?;
        softmax(&scores.broadcast_add(&later)?)
    }
}

/// The probabilities that [`causal_attention`] weighs values with, before dropout, of the queries
/// from position `first` on.
///
/// # Shapes
/// - `qkv`: `(B, T, 3C)`, as [`causal_attention`] takes it
/// - returns: `(B, H, T − first, T)`
///
/// # Errors
/// As [`causal_attention`]; also when `first` is not below T.
pub fn attention_probs(
    qkv: &Tensor,
    n_heads: usize,
    tables: Option<&Rope>,
    first: usize,
) -> Result<Tensor> {
    let sizes = Sizes::of(qkv, n_heads, tables)?;
    if first >= sizes.t {
        bail!("query {first} is not among {} positions", sizes.t);
    }
    let [q, k, _] = heads(qkv, sizes, tables)?;
    Compute::Own.causal_probs(&q.narrow(2, first, sizes.t - first)?.contiguous()?, &k, first)
}

/// q, k and v of all heads, q and k rotated: each `(B, H, T, D)`.
fn heads(qkv: &Tensor, sizes: Sizes, tables: Option<&Rope>) -> Result<[Tensor; 3]> {
    let Sizes { b, t, h, d } = sizes;
    let part = |i: usize| {
        let part = qkv.narrow(2, i * sizes.c(), sizes.c())?.reshape((b, t, h, d))?;
        part.transpose(1, 2)?.contiguous()
    };
    let turned = |x: Tensor| match tables {
        Some(tables) => rope(&x, tables, 0),
        None => Ok(x),
    };
    Ok([turned(part(0)?)?, turned(part(1)?)?, part(2)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{agree, wave};

    #[test]
    fn fused_agrees_with_composed() {
        for (b, t, h, d) in [(1, 1, 1, 2), (2, 5, 3, 4), (1, 67, 2, 6), (1, 131, 1, 8)] {
            let tables = Rope::new(t, d, 100.0).unwrap();
            let qkv = wave(&[b, t, 3 * h * d], 1);
            for p in [0.0, 0.25] {
                if t == 1 {
                    // One position attends to itself: no gradient reaches q and k, all of v.
                    continue;
                }
                let qkv = [qkv.clone()];
                agree(&qkv, |x| causal_attention(&(&x[0] * 2.0)?, h, Some(&tables), p, 9));
                agree(&qkv, |x| causal_attention(&x[0], h, None, p, 9));
            }
        }
    }

    #[test]
    fn probabilities_are_causal_and_those_that_weigh_the_values() {
        let (t, h, d) = (17, 2, 6);
        let tables = Rope::new(256, d, 100.0).unwrap();
        let qkv = wave(&[2, t, 3 * h * d], 1);
        let probs = attention_probs(&qkv, h, Some(&tables), 0).unwrap(); // (B, H, T, T)
        assert_eq!(probs.dims(), [2, h, t, t]);
        let v = qkv.narrow(2, 2 * h * d, h * d).unwrap().reshape((2, t, h, d)).unwrap();
        let v = v.transpose(1, 2).unwrap().contiguous().unwrap();
        let y = probs.matmul(&v).unwrap().transpose(1, 2).unwrap().flatten_all().unwrap();
        let want = causal_attention(&qkv, h, Some(&tables), 0.0, 0).unwrap();
        let want = want.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        crate::ops::check::close("y", &y.to_vec1::<f64>().unwrap(), &want, 1e-12);

        let rows = probs.flatten(0, 2).unwrap().to_vec2::<f64>().unwrap();
        for (i, row) in rows.iter().enumerate() {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-5);
            assert!(row[i % t + 1..].iter().all(|p| *p <= 1e-6));
        }
        let last = attention_probs(&qkv, h, Some(&tables), t - 1).unwrap();
        let last = last.flatten(0, 2).unwrap().to_vec2::<f64>().unwrap();
        crate::ops::check::close("last", &last[0], &rows[t - 1], 1e-12);
        assert!(attention_probs(&qkv, h, Some(&tables), t).is_err());
    }

    #[test]
    fn later_positions_change_nothing() {
        let qkv = wave(&[1, 70, 12], 1).to_dtype(candle_core::DType::F32).unwrap();
        let run = |qkv: &Tensor| {
            let y = causal_attention(qkv, 2, None, 0.0, 0).unwrap();
            y.narrow(1, 0, 66).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let tail = (qkv.narrow(1, 66, 4).unwrap() * 100.0).unwrap();
        let changed = Tensor::cat(&[&qkv.narrow(1, 0, 66).unwrap(), &tail], 1).unwrap();
        assert_eq!(run(&qkv), run(&changed));
    }

    #[test]
    fn widths_are_checked() {
        let qkv = wave(&[1, 4, 12], 1);
        assert!(causal_attention(&qkv, 3, None, 0.0, 0).is_err());
        assert!(causal_attention(&qkv, 2, Some(&Rope::new(4, 4, 1.0).unwrap()), 0.0, 0).is_err());
        assert!(causal_attention(&qkv, 2, Some(&Rope::new(3, 2, 1.0).unwrap()), 0.0, 0).is_err());
    }
}
