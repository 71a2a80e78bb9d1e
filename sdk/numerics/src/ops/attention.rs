//! Self-attention of several heads, from the fused projection to the merged heads.

use candle_core::{D, Device, Result, Tensor, bail};
use sdk_transformer::mask::Mask;

use super::dropout::check;
use super::fused_attention::{Attention, Sight, Sizes};
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

/// As [`causal_attention`], but every position sees all that are no padding, those behind it too.
///
/// `lengths` says how many positions of each sequence are there, at least 1; all when empty. What
/// comes out at padding means nothing.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
///
/// // Two sequences of three positions, of which the second one ends after two.
/// let qkv = Tensor::ones((2, 3, 12), DType::F32, &Device::Cpu)?;
/// let y = sdk_numerics::ops::attention(&qkv, 2, None, &[3, 2], 0.0, 0)?;
/// assert_eq!(y.dims(), [2, 3, 4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// As [`causal_attention`]; also when there are other than B lengths, or one is 0 or above T.
///
/// # Panics
/// As [`causal_attention`].
pub fn attention(
    qkv: &Tensor,
    n_heads: usize,
    tables: Option<&Rope>,
    lengths: &[usize],
    p: f64,
    key: u64,
) -> Result<Tensor> {
    Compute::Own.attention(qkv, n_heads, tables, lengths, p, key)
}

impl Compute {
    /// [`attention`] in this precision.
    ///
    /// # Errors
    /// As [`attention`].
    ///
    /// # Panics
    /// As [`causal_attention`].
    pub fn attention(
        self,
        qkv: &Tensor,
        n_heads: usize,
        tables: Option<&Rope>,
        lengths: &[usize],
        p: f64,
        key: u64,
    ) -> Result<Tensor> {
        let sight = Sight { is_causal: false, lengths: lengths.to_vec() };
        self.attend(qkv, Sizes::of(qkv, n_heads, tables)?, sight, tables, (p, key))
    }

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
        let sight = Sight { is_causal: true, ..Sight::default() };
        self.attend(qkv, Sizes::of(qkv, n_heads, tables)?, sight, tables, (p, key))
    }

    fn attend(
        self,
        qkv: &Tensor,
        sizes: Sizes,
        sight: Sight,
        tables: Option<&Rope>,
        (p, key): (f64, u64),
    ) -> Result<Tensor> {
        check(p);
        sight.check(sizes)?;
        if fused(&[qkv]) {
            let mask = (p > 0.0).then(|| Mask::new(p, key));
            let op = Attention::new(sizes, sight, tables.cloned(), mask, self);
            return qkv.contiguous()?.apply_op1(op);
        }
        let [q, k, v] = heads(qkv, sizes, tables)?; // (B, H, T, D)
        let probs = self.probs(&q, &k, &unseen(&sight, sizes, 0, qkv)?)?; // (B, H, T, T)
        let y = self.matmul(&dropout(&probs, p, key)?, &v)?; // (B, H, T, D)
        self.rounded(&y.transpose(1, 2)?.reshape((sizes.b, sizes.t, sizes.c()))?)
    }

    /// Probabilities of rotated queries over rotated keys, `unseen` added to the scores:
    /// `(B, H, Q, D)` and `(B, H, T, D)` to `(B, H, Q, T)`.
    fn probs(self, q: &Tensor, k: &Tensor, unseen: &Tensor) -> Result<Tensor> {
        let d = q.dim(D::Minus1)? as f64;
        let scores = (self.matmul(q, &k.transpose(D::Minus2, D::Minus1)?)? / d.sqrt())?;
        softmax(&scores.broadcast_add(unseen)?)
    }
}

/// 0 where a query, from position `first` on, sees a key, else the lowest finite value, as `like`:
/// `(1 or B, 1, T − first, T)`.
fn unseen(sight: &Sight, sizes: Sizes, first: usize, like: &Tensor) -> Result<Tensor> {
    let (t, n) = (sizes.t, sizes.t - first);
    let of = |index: usize| {
        let (b, i, j) = (index / (n * t), index / t % n, index % t);
        if j < sight.keys(b, first + i, t) { 0.0 } else { f32::MIN }
    };
    let b = sight.lengths.len().max(1);
    Tensor::from_vec((0..b * n * t).map(of).collect(), (b, 1, n, t), &Device::Cpu)?
        .to_dtype(like.dtype())?
        .to_device(like.device())
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
    let sight = Sight { is_causal: true, ..Sight::default() };
    let q = q.narrow(2, first, sizes.t - first)?.contiguous()?;
    Compute::Own.probs(&q, &k, &unseen(&sight, sizes, first, qkv)?)
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
    fn attention_to_both_sides_and_with_padding_agrees() {
        for (b, t, h, d) in [(2, 5, 3, 4), (2, 67, 2, 6)] {
            let tables = Rope::new(t, d, 100.0).unwrap();
            let qkv = [wave(&[b, t, 3 * h * d], 1)];
            for lengths in [&[][..], &[t, t - 3]] {
                for p in [0.0, 0.25] {
                    agree(&qkv, |x| attention(&(&x[0] * 2.0)?, h, Some(&tables), lengths, p, 9));
                }
            }
        }
    }

    /// Padding of any content leaves what is there as it is.
    #[test]
    fn nothing_attends_to_padding() {
        let qkv = wave(&[2, 9, 12], 1).to_dtype(candle_core::DType::F32).unwrap();
        let loud = Tensor::cat(
            &[&qkv.narrow(1, 0, 6).unwrap(), &(qkv.narrow(1, 6, 3).unwrap() * 50.0).unwrap()],
            1,
        );
        let run = |qkv: &Tensor| {
            let y = attention(qkv, 2, None, &[6, 6], 0.0, 0).unwrap();
            y.narrow(1, 0, 6).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(run(&qkv), run(&loud.unwrap()));
        let refused = |lengths: &[usize]| {
            crate::error(attention(&qkv, 2, None, lengths, 0.0, 0).unwrap_err()).message
        };
        assert_eq!(refused(&[9]), "1 lengths don't fit 2 sequences");
        let message = "a sequence of 9 positions can't have a length of 10";
        assert_eq!(refused(&[9, 10]), message);
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
