//! Attention of one sequence and head at a time, forward and backward.
//!
//! Queries are worked on in blocks; under a causal mask the keys behind a block's last query are
//! left out. Of the probabilities only the log of each row's sum is kept (Dao et al. 2022):
//! backward computes them again.
//!
//! With S = q kᵀ / √D, P = softmax(S), y = P v and D the dropout mask on P:
//! dv = (P∘D)ᵀ dy, dP = (dy vᵀ)∘D, dS = P∘(dP − Σ P∘dP) / √D, dq = dS k, dk = dSᵀ q.

use super::StackConfig;
use super::buffers::{AttentionScratch, Saved};
use super::forward::Pass;
use super::parts::Noise;
use crate::kernels;
use crate::mask::Mask;
use crate::product::{Mat, Onto, Products, To};

/// Queries that are worked on at once: four tiles of the products.
const BLOCK: usize = 48;

/// One head of one sequence: where its parts begin in the rows of qkv and y.
struct Head<'a> {
    config: &'a StackConfig,
    /// T.
    length: usize,
    /// Keys that are no padding.
    valid: usize,
    /// H index.
    index: usize,
    mask: Option<Mask>,
}

impl Head<'_> {
    /// The rows of q, k or v (0, 1, 2), T × D and 3C apart.
    fn part<'q>(&self, qkv: &'q [f32], which: usize) -> Mat<'q> {
        let (c, d) = (self.config.width, self.config.head_width());
        Mat::rows(&qkv[which * c + self.index * d..], 3 * c)
    }

    /// The blocks of queries, as begin and end.
    fn blocks(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + use<> {
        let length = self.length;
        (0..length).step_by(BLOCK).map(move |begin| (begin, length.min(begin + BLOCK)))
    }

    /// Keys that the queries before `end` may see, as far as they are needed at once.
    fn keys(&self, end: usize) -> usize {
        if self.config.is_causal { end.min(self.valid).max(1) } else { self.valid }
    }

    /// Keys that query `i` sees.
    fn seen(&self, i: usize) -> usize {
        if self.config.is_causal { (i + 1).min(self.valid).max(1) } else { self.valid }
    }

    fn scale(&self) -> f32 {
        (1.0 / (self.config.head_width() as f64).sqrt()) as f32
    }

    /// Drops probabilities of query `i`.
    fn drop(&self, row: &mut [f32], i: usize) {
        if let Some(mask) = self.mask {
            let start = (self.index * self.length + i) * self.length;
            kernels::dropout_in_place(row, mask, start as u64);
        }
    }
}

/// `saved.y` and `saved.log_sums` from `saved.qkv`.
pub(super) fn forward(
    config: &StackConfig,
    (products, scratch): (&mut Products, &mut AttentionScratch),
    pass: &Pass<'_>,
    noise: Noise<'_>,
    saved: &mut Saved,
) {
    let (t, c, d) = (pass.length, config.width, config.head_width());
    scratch.probs.resize(BLOCK * t);
    for sequence in 0..pass.sequences {
        let qkv = &saved.qkv[sequence * t * 3 * c..(sequence + 1) * t * 3 * c];
        let y = &mut saved.y[sequence * t * c..(sequence + 1) * t * c];
        for index in 0..config.heads {
            let mask = noise.mask(sequence);
            let head = Head { config, length: t, valid: pass.valid(sequence), index, mask };
            let log_sums = &mut saved.log_sums[(sequence * config.heads + index) * t..][..t];
            head_forward(&head, products, scratch, qkv, &mut y[index * d..], log_sums);
        }
    }
}

fn head_forward(
    head: &Head<'_>,
    products: &mut Products,
    scratch: &mut AttentionScratch,
    qkv: &[f32],
    y: &mut [f32],
    log_sums: &mut [f32],
) {
    let (t, c, d) = (head.length, head.config.width, head.config.head_width());
    let (q, k, v) = (head.part(qkv, 0), head.part(qkv, 1), head.part(qkv, 2));
    products.pack((d, t), k.t(), &mut scratch.keys_turned);
    products.pack((t, d), v, &mut scratch.values);
    for (begin, end) in head.blocks() {
        let (n, keys) = (end - begin, head.keys(end));
        let probs = &mut scratch.probs[..n * keys];
        let right = (&scratch.keys_turned, k.t());
        products.by_panels((n, keys, d), q.from(begin, 0), right, &mut To::rows(probs, keys));
        for (row, i) in probs.chunks_exact_mut(keys).zip(begin..end) {
            let (seen, unseen) = row.split_at_mut(head.seen(i).min(keys));
            log_sums[i] = kernels::attention_row(seen, head.scale());
            unseen.fill(0.0);
            head.drop(seen, i);
        }
        let right = (&scratch.values, v);
        let left = Mat::rows(probs, keys);
        products.by_panels((n, d, keys), left, right, &mut To::rows(&mut y[begin * c..], c));
    }
}

/// dqkv from dy, both as in `saved`; `dqkv` is overwritten.
pub(super) fn backward(
    config: &StackConfig,
    (products, scratch): (&mut Products, &mut AttentionScratch),
    pass: &Pass<'_>,
    noise: Noise<'_>,
    saved: &Saved,
    dy: &[f32],
    dqkv: &mut [f32],
) {
    let (t, c, d) = (pass.length, config.width, config.head_width());
    for block in [&mut scratch.probs, &mut scratch.dropped, &mut scratch.dprobs] {
        block.resize(BLOCK * t);
    }
    for sequence in 0..pass.sequences {
        let rows = sequence * t..(sequence + 1) * t;
        let qkv = &saved.qkv[rows.start * 3 * c..rows.end * 3 * c];
        let dqkv = &mut dqkv[rows.start * 3 * c..rows.end * 3 * c];
        // Nothing attends to padding: the gradients of its keys and values are not written.
        if pass.valid(sequence) < t {
            dqkv[pass.valid(sequence) * 3 * c..].fill(0.0);
        }
        let dy = &dy[rows.start * c..rows.end * c];
        for index in 0..config.heads {
            let mask = noise.mask(sequence);
            let head = Head { config, length: t, valid: pass.valid(sequence), index, mask };
            let log_sums = &saved.log_sums[(sequence * config.heads + index) * t..][..t];
            head_backward(&head, products, scratch, qkv, &dy[index * d..], log_sums, dqkv);
        }
    }
}

fn head_backward(
    head: &Head<'_>,
    products: &mut Products,
    scratch: &mut AttentionScratch,
    qkv: &[f32],
    dy: &[f32],
    log_sums: &[f32],
    dqkv: &mut [f32],
) {
    let (t, c, d) = (head.length, head.config.width, head.config.head_width());
    let (q, k, v) = (head.part(qkv, 0), head.part(qkv, 1), head.part(qkv, 2));
    let [dq_at, dk_at, dv_at] = [0, 1, 2].map(|which| which * c + head.index * d);
    products.pack((d, t), k.t(), &mut scratch.keys_turned);
    products.pack((d, t), v.t(), &mut scratch.values_turned);
    products.pack((t, d), k, &mut scratch.keys);
    for (begin, end) in head.blocks().rev() {
        let (n, keys) = (end - begin, head.keys(end));
        let probs = &mut scratch.probs[..n * keys];
        let dropped = &mut scratch.dropped[..n * keys];
        let dprobs = &mut scratch.dprobs[..n * keys];
        let (q, dy) = (q.from(begin, 0), Mat::rows(&dy[begin * c..], c));
        let size = (n, keys, d);
        let right = (&scratch.keys_turned, k.t());
        products.by_panels(size, q, right, &mut To::rows(probs, keys));
        let right = (&scratch.values_turned, v.t());
        products.by_panels(size, dy, right, &mut To::rows(dprobs, keys));
        for (row, i) in (begin..end).enumerate() {
            let seen = row * keys..row * keys + head.seen(i).min(keys);
            let unseen = seen.end..(row + 1) * keys;
            kernels::attention_row_again(&mut probs[seen.clone()], head.scale(), log_sums[i]);
            probs[unseen.clone()].fill(0.0);
            dprobs[unseen.clone()].fill(0.0);
            if head.mask.is_some() {
                dropped[row * keys..(row + 1) * keys]
                    .copy_from_slice(&probs[row * keys..(row + 1) * keys]);
                head.drop(&mut dropped[seen.clone()], i);
                head.drop(&mut dprobs[seen.clone()], i);
            }
            let (probs, dprobs) = (&probs[seen.clone()], &mut dprobs[seen]);
            kernels::attention_row_backward(probs, dprobs, head.scale());
        }
        let weights: &[f32] = if head.mask.is_some() { dropped } else { probs };
        let (weights, dscores) = (Mat::rows(weights, keys), Mat::rows(dprobs, keys));
        // The last block comes first: its keys are all that any block has.
        let onto = if end == t { Onto::Zero } else { Onto::Itself };
        let (size, row) = ((keys, d, n), 3 * c);
        let mut dv = To { values: &mut dqkv[dv_at..], stride: row, onto };
        products.product(size, weights.t(), dy, &mut dv);
        let mut dk = To { values: &mut dqkv[dk_at..], stride: row, onto };
        products.product(size, dscores.t(), q, &mut dk);
        let mut dq = To::rows(&mut dqkv[begin * row + dq_at..], row);
        products.by_panels((n, d, keys), dscores, (&scratch.keys, k), &mut dq);
    }
}
