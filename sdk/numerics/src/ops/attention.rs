//! Causal self-attention of several heads, from the fused projection to the merged heads.
//!
//! The fused path never holds the probabilities of more than a block of queries, and skips the
//! blocks above the diagonal. For the backward pass only the log of each row's sum is kept
//! (as in Dao et al. 2022): the probabilities are computed again.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, D, Device, Layout, Result, Shape, Tensor, bail};

use super::dropout::{Mask, check};
use super::product::{Mat, add_product};
use super::{Compute, Rope, View, dropout, fill, fused, kernels, rope, slice, softmax};

/// Queries that are worked on at once.
const BLOCK: usize = 64;

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
            let op = Attention {
                sizes,
                tables: tables.cloned(),
                mask: (p > 0.0).then(|| Mask::new(p, key)),
                compute: self,
                log_sums: OnceLock::new(),
            };
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

#[derive(Clone, Copy)]
struct Sizes {
    b: usize,
    t: usize,
    h: usize,
    d: usize,
}

impl Sizes {
    /// Sizes of q, k and v side by side, for tables that fit them.
    fn of(qkv: &Tensor, h: usize, tables: Option<&Rope>) -> Result<Self> {
        let (b, t, width) = qkv.dims3()?;
        if h == 0 || !width.is_multiple_of(3 * h) {
            bail!("a width of {width} is not that of q, k and v of {h} heads");
        }
        let d = width / 3 / h;
        if let Some(tables) = tables {
            tables.check(d, t)?;
        }
        Ok(Self { b, t, h, d })
    }

    fn c(self) -> usize {
        self.h * self.d
    }
}

struct Attention {
    sizes: Sizes,
    tables: Option<Rope>,
    mask: Option<Mask>,
    compute: Compute,
    /// log Σ e^score of each (b, h, query).
    log_sums: OnceLock<Vec<f32>>,
}

/// q, k and v of one head, each (T, D), q and k rotated.
struct Head {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Attention {
    /// Gathers one head out of the rows of qkv, as products take it.
    fn head(&self, qkv: &[f32], b: usize, h: usize) -> Head {
        let Sizes { t, d, .. } = self.sizes;
        let c = self.sizes.c();
        let part = |which: usize| {
            let mut part = fill(t * d, |out| {
                for (position, out) in out.chunks_exact_mut(d).enumerate() {
                    let start = (b * t + position) * 3 * c + which * c + h * d;
                    let x = &qkv[start..start + d];
                    match &self.tables {
                        Some(tables) if which < 2 => {
                            let (cos, sin) = tables.at(position);
                            kernels::rope_row(x, cos, sin, 1.0, out);
                        }
                        _ => {
                            out.write_copy_of_slice(x);
                        }
                    }
                }
            });
            self.compute.round(&mut part);
            part
        };
        Head { q: part(0), k: part(1), v: part(2) }
    }

    /// Index of the probability of key 0 for query `i` of a head.
    fn mask_start(&self, b: usize, h: usize, i: usize) -> u64 {
        let Sizes { t, h: heads, .. } = self.sizes;
        (((b * heads + h) * t + i) * t) as u64
    }

    fn scale(&self) -> f32 {
        (1.0 / (self.sizes.d as f64).sqrt()) as f32
    }

    /// Attention of one head into its channels of `y`, rows C apart.
    fn forward_head(
        &self,
        head: &Head,
        (b, h): (usize, usize),
        scores: &mut [f32],
        y: &mut [f32],
        log_sums: &mut [f32],
    ) {
        let Sizes { t, d, .. } = self.sizes;
        let c = self.sizes.c();
        for start in (0..t).step_by(BLOCK) {
            let end = t.min(start + BLOCK);
            let n = end - start;
            let scores = &mut scores[..n * end];
            scores.fill(0.0);
            let queries = Mat::rows(&head.q[start * d..end * d], d);
            add_product((n, end, d), queries, Mat::rows(&head.k, d).t(), scores, end);
            for (row, i) in scores.chunks_exact_mut(end).zip(start..end) {
                log_sums[i] = kernels::attention_row(&mut row[..=i], self.scale());
                row[i + 1..].fill(0.0);
                if let Some(mask) = self.mask {
                    kernels::dropout_in_place(&mut row[..=i], mask, self.mask_start(b, h, i));
                }
                self.compute.round(&mut row[..=i]);
            }
            let y = &mut y[start * c..];
            add_product((n, d, end), Mat::rows(scores, end), Mat::rows(&head.v, d), y, c);
        }
    }

    /// Gradients of one head's q, k (rotated) and v, each (T, D), from those of its channels of y.
    fn backward_head(
        &self,
        head: &Head,
        (b, h): (usize, usize),
        dy: &[f32],
        log_sums: &[f32],
        scratch: &mut Scratch,
        to: &mut Head,
    ) {
        let Sizes { t, d, .. } = self.sizes;
        let c = self.sizes.c();
        for start in (0..t).step_by(BLOCK) {
            let end = t.min(start + BLOCK);
            let n = end - start;
            let probs = &mut scratch.probs[..n * end];
            let dropped = &mut scratch.dropped[..n * end];
            let dprobs = &mut scratch.dprobs[..n * end];
            probs.fill(0.0);
            dprobs.fill(0.0);
            let queries = Mat::rows(&head.q[start * d..end * d], d);
            let dys = Mat::rows(&dy[start * c..], c);
            add_product((n, end, d), queries, Mat::rows(&head.k, d).t(), probs, end);
            add_product((n, end, d), dys, Mat::rows(&head.v, d).t(), dprobs, end);
            for (row, i) in (start..end).enumerate() {
                let row = row * end..(row + 1) * end;
                let (probs, dprobs) = (&mut probs[row.clone()], &mut dprobs[row.clone()]);
                kernels::attention_row_again(&mut probs[..=i], self.scale(), log_sums[i]);
                probs[i + 1..].fill(0.0);
                dprobs[i + 1..].fill(0.0);
                if let Some(mask) = self.mask {
                    let first = self.mask_start(b, h, i);
                    let dropped = &mut dropped[row];
                    dropped.copy_from_slice(probs);
                    kernels::dropout_in_place(&mut dropped[..=i], mask, first);
                    kernels::dropout_in_place(&mut dprobs[..=i], mask, first);
                }
                kernels::attention_row_backward(&probs[..=i], &mut dprobs[..=i], self.scale());
            }
            let weights = if self.mask.is_some() { dropped } else { probs };
            self.compute.round(weights);
            self.compute.round(dprobs);
            let weights: &[f32] = weights;
            add_product((end, d, n), Mat::rows(weights, end).t(), dys, &mut to.v, d);
            let dscores = Mat::rows(dprobs, end);
            let dq = &mut to.q[start * d..end * d];
            add_product((n, d, end), dscores, Mat::rows(&head.k, d), dq, d);
            add_product((end, d, n), dscores.t(), queries, &mut to.k, d);
        }
    }
}

/// Blocks of (query, key) pairs.
struct Scratch {
    probs: Vec<f32>,
    dropped: Vec<f32>,
    dprobs: Vec<f32>,
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "causal-attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let qkv = slice(qkv, layout)?;
        let Sizes { b, t, h, d } = self.sizes;
        let c = self.sizes.c();
        let mut y = vec![0.0; b * t * c];
        let mut log_sums = vec![0.0; b * h * t];
        let mut scores = vec![0.0; BLOCK.min(t) * t];
        for bi in 0..b {
            for hi in 0..h {
                let head = self.head(qkv, bi, hi);
                let log_sums = &mut log_sums[(bi * h + hi) * t..][..t];
                let y = &mut y[bi * t * c + hi * d..];
                self.forward_head(&head, (bi, hi), &mut scores, y, log_sums);
            }
        }
        self.compute.round(&mut y);
        // A second forward pass through the same operation would find the same values.
        let _ = self.log_sums.set(log_sums);
        Ok((CpuStorage::F32(y), (b, t, c).into()))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (xs, dys) = (View::of_f32(qkv)?, View::of_f32(&dy)?);
        let Some(log_sums) = self.log_sums.get() else {
            bail!("attention went backward before forward")
        };
        let dys = self.compute.factor(dys.slice());
        let Sizes { b, t, h, d } = self.sizes;
        let c = self.sizes.c();
        let block = vec![0.0; BLOCK.min(t) * t];
        let mut scratch = Scratch { probs: block.clone(), dropped: block.clone(), dprobs: block };
        let zeros = vec![0.0; t * d];
        let mut to = Head { q: zeros.clone(), k: zeros.clone(), v: zeros };
        // Every (position, part, head) is written once.
        let mut dx = fill(xs.slice().len(), |dx| {
            for bi in 0..b {
                for hi in 0..h {
                    let head = self.head(xs.slice(), bi, hi);
                    to.q.fill(0.0);
                    to.k.fill(0.0);
                    to.v.fill(0.0);
                    let log_sums = &log_sums[(bi * h + hi) * t..][..t];
                    let dy = &dys[bi * t * c + hi * d..];
                    self.backward_head(&head, (bi, hi), dy, log_sums, &mut scratch, &mut to);
                    for (which, part) in [&to.q, &to.k, &to.v].into_iter().enumerate() {
                        for (position, g) in part.chunks_exact(d).enumerate() {
                            let start = (bi * t + position) * 3 * c + which * c + hi * d;
                            let out = &mut dx[start..start + d];
                            match &self.tables {
                                Some(tables) if which < 2 => {
                                    let (cos, sin) = tables.at(position);
                                    kernels::rope_row(g, cos, sin, -1.0, out);
                                }
                                _ => {
                                    out.write_copy_of_slice(g);
                                }
                            }
                        }
                    }
                }
            }
        });
        self.compute.round(&mut dx);
        Tensor::from_vec(dx, qkv.shape(), qkv.device()).map(Some)
    }
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
