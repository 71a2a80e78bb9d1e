//! Causal self-attention of several heads, from the fused projection to the merged heads.
//!
//! The fused path never holds the probabilities of more than a block of queries, and skips the
//! blocks above the diagonal. For the backward pass only the log of each row's sum is kept
//! (as in Dao et al. 2022): the probabilities are computed again.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, D, Device, Layout, Result, Shape, Tensor, bail};

use super::dropout::{Mask, check};
use super::product::{Mat, add_product};
use super::{Rope, View, dropout, fill, fused, kernels, rope, slice, softmax};

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
    check(p);
    let (b, t, width) = qkv.dims3()?;
    if n_heads == 0 || !width.is_multiple_of(3 * n_heads) {
        bail!("a width of {width} is not that of q, k and v of {n_heads} heads");
    }
    let (c, d) = (width / 3, width / 3 / n_heads);
    if let Some(tables) = tables {
        tables.check(d, t)?;
    }
    if fused(&[qkv]) {
        let mask = (p > 0.0).then(|| Mask::new(p, key));
        let sizes = Sizes { b, t, h: n_heads, d };
        let op = Attention { sizes, tables: tables.cloned(), mask, log_sums: OnceLock::new() };
        return qkv.contiguous()?.apply_op1(op);
    }
    let part = |i: usize| {
        qkv.narrow(2, i * c, c)?.reshape((b, t, n_heads, d))?.transpose(1, 2)?.contiguous()
    };
    let turned = |x: Tensor| match tables {
        Some(tables) => rope(&x, tables, 0),
        None => Ok(x),
    };
    let (q, k, v) = (turned(part(0)?)?, turned(part(1)?)?, part(2)?); // (B, H, T, D)
    let probs = causal_probs(&q, &k)?; // (B, H, T, T)
    let y = dropout(&probs, p, key)?.matmul(&v)?; // (B, H, T, D)
    y.transpose(1, 2)?.reshape((b, t, c))
}

/// Probabilities of rotated queries over rotated keys, later keys masked with the lowest finite
/// value: `(B, H, T, D)` twice to `(B, H, T, T)`.
fn causal_probs(q: &Tensor, k: &Tensor) -> Result<Tensor> {
    let (_, _, t, d) = q.dims4()?;
    let later: Vec<f32> = (0..t * t).map(|i| if i % t > i / t { f32::MIN } else { 0.0 }).collect();
    let later = Tensor::from_vec(later, (t, t), &Device::Cpu)?
        .to_dtype(q.dtype())?
        .to_device(q.device())?;
    let scores = (q.matmul(&k.transpose(D::Minus2, D::Minus1)?)? / (d as f64).sqrt())?;
    softmax(&scores.broadcast_add(&later)?)
}

#[derive(Clone, Copy)]
struct Sizes {
    b: usize,
    t: usize,
    h: usize,
    d: usize,
}

impl Sizes {
    fn c(self) -> usize {
        self.h * self.d
    }
}

struct Attention {
    sizes: Sizes,
    tables: Option<Rope>,
    mask: Option<Mask>,
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
    /// Gathers one head out of the rows of qkv.
    fn head(&self, qkv: &[f32], b: usize, h: usize) -> Head {
        let Sizes { t, d, .. } = self.sizes;
        let c = self.sizes.c();
        let part = |which: usize| {
            fill(t * d, |out| {
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
            })
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
            let weights: &[f32] = if self.mask.is_some() { dropped } else { probs };
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
        let Sizes { b, t, h, d } = self.sizes;
        let c = self.sizes.c();
        let block = vec![0.0; BLOCK.min(t) * t];
        let mut scratch = Scratch { probs: block.clone(), dropped: block.clone(), dprobs: block };
        let zeros = vec![0.0; t * d];
        let mut to = Head { q: zeros.clone(), k: zeros.clone(), v: zeros };
        // Every (position, part, head) is written once.
        let dx = fill(xs.slice().len(), |dx| {
            for bi in 0..b {
                for hi in 0..h {
                    let head = self.head(xs.slice(), bi, hi);
                    to.q.fill(0.0);
                    to.k.fill(0.0);
                    to.v.fill(0.0);
                    let log_sums = &log_sums[(bi * h + hi) * t..][..t];
                    let dy = &dys.slice()[bi * t * c + hi * d..];
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
