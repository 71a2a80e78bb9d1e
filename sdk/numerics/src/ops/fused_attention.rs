//! Attention on the CPU, forward and backward.
//!
//! It never holds the probabilities of more than a block of queries, and skips the keys that no
//! query of the block sees. For the backward pass only the log of each row's sum is kept (as in Dao et al. 2022):
//! the probabilities are computed again.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use sdk_transformer::mask::Mask;

use super::product::{Mat, add_product};
use super::{Compute, Rope, View, fill, kernels, slice};

/// Queries that are worked on at once.
const BLOCK: usize = 64;

/// B, T, H and D.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) b: usize,
    pub(super) t: usize,
    pub(super) h: usize,
    pub(super) d: usize,
}

impl Sizes {
    /// Sizes of q, k and v side by side, for tables that fit them.
    pub(super) fn of(qkv: &Tensor, h: usize, tables: Option<&Rope>) -> Result<Self> {
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

    /// Channels of all heads.
    pub(super) fn c(self) -> usize {
        self.h * self.d
    }
}

/// Which keys a query sees: always the first few.
#[derive(Clone, Default)]
pub(super) struct Sight {
    /// Whether a position sees only itself and those before.
    pub(super) is_causal: bool,
    /// How many positions of each sequence are no padding, at least 1; all when empty.
    pub(super) lengths: Vec<usize>,
}

impl Sight {
    /// How many of `t` keys query `i` of sequence `b` sees. A later query sees no fewer.
    pub(super) fn keys(&self, b: usize, i: usize, t: usize) -> usize {
        let length = self.lengths.get(b).copied().unwrap_or(t);
        if self.is_causal { length.min(i + 1) } else { length }
    }

    /// Refuses lengths that don't fit.
    pub(super) fn check(&self, Sizes { b, t, .. }: Sizes) -> Result<()> {
        if !self.lengths.is_empty() && self.lengths.len() != b {
            bail!("{} lengths don't fit {b} sequences", self.lengths.len());
        }
        match self.lengths.iter().find(|length| !(1..=t).contains(*length)) {
            Some(length) => bail!("a sequence of {t} positions can't have a length of {length}"),
            None => Ok(()),
        }
    }
}

/// The operation on the CPU.
pub(super) struct Attention {
    sizes: Sizes,
    sight: Sight,
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
    /// Attention of these sizes, with rotary positions from `tables` and dropout by `mask`.
    pub(super) fn new(
        sizes: Sizes,
        sight: Sight,
        tables: Option<Rope>,
        mask: Option<Mask>,
        compute: Compute,
    ) -> Self {
        Self { sizes, sight, tables, mask, compute, log_sums: OnceLock::new() }
    }

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
            let (n, keys) = (end - start, self.sight.keys(b, end - 1, t));
            let scores = &mut scores[..n * keys];
            scores.fill(0.0);
            let queries = Mat::rows(&head.q[start * d..end * d], d);
            add_product((n, keys, d), queries, Mat::rows(&head.k, d).t(), scores, keys);
            for (row, i) in scores.chunks_exact_mut(keys).zip(start..end) {
                let (seen, unseen) = row.split_at_mut(self.sight.keys(b, i, t));
                log_sums[i] = kernels::attention_row(seen, self.scale());
                unseen.fill(0.0);
                if let Some(mask) = self.mask {
                    kernels::dropout_in_place(seen, mask, self.mask_start(b, h, i));
                }
                self.compute.round(seen);
            }
            let y = &mut y[start * c..];
            add_product((n, d, keys), Mat::rows(scores, keys), Mat::rows(&head.v, d), y, c);
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
            let (n, keys) = (end - start, self.sight.keys(b, end - 1, t));
            let probs = &mut scratch.probs[..n * keys];
            let dropped = &mut scratch.dropped[..n * keys];
            let dprobs = &mut scratch.dprobs[..n * keys];
            probs.fill(0.0);
            dprobs.fill(0.0);
            let queries = Mat::rows(&head.q[start * d..end * d], d);
            let dys = Mat::rows(&dy[start * c..], c);
            add_product((n, keys, d), queries, Mat::rows(&head.k, d).t(), probs, keys);
            add_product((n, keys, d), dys, Mat::rows(&head.v, d).t(), dprobs, keys);
            for (row, i) in (start..end).enumerate() {
                let seen = self.sight.keys(b, i, t);
                let row = row * keys..(row + 1) * keys;
                let (probs, dprobs) = (&mut probs[row.clone()], &mut dprobs[row.clone()]);
                kernels::attention_row_again(&mut probs[..seen], self.scale(), log_sums[i]);
                probs[seen..].fill(0.0);
                dprobs[seen..].fill(0.0);
                if let Some(mask) = self.mask {
                    let first = self.mask_start(b, h, i);
                    let dropped = &mut dropped[row];
                    dropped.copy_from_slice(probs);
                    kernels::dropout_in_place(&mut dropped[..seen], mask, first);
                    kernels::dropout_in_place(&mut dprobs[..seen], mask, first);
                }
                kernels::attention_row_backward(&probs[..seen], &mut dprobs[..seen], self.scale());
            }
            let weights = if self.mask.is_some() { dropped } else { probs };
            self.compute.round(weights);
            self.compute.round(dprobs);
            let weights: &[f32] = weights;
            add_product((keys, d, n), Mat::rows(weights, keys).t(), dys, &mut to.v, d);
            let dscores = Mat::rows(dprobs, keys);
            let dq = &mut to.q[start * d..end * d];
            add_product((n, d, keys), dscores, Mat::rows(&head.k, d), dq, d);
            add_product((keys, d, n), dscores.t(), queries, &mut to.k, d);
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
        "attention"
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
