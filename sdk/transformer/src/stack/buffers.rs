//! What a worker keeps: activations of a pass and scratch, all reused from pass to pass.

use std::sync::Arc;

use super::{Placement, Stack, StackConfig};
use crate::product::{Panels, Precision, Products};

/// What a layer keeps for its backward pass besides its input.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    /// Queries, keys (both rotated) and values: R × 3C.
    pub(super) qkv: Vec<f32>,
    /// What attention gives: R × C.
    pub(super) y: Vec<f32>,
    /// The log of the sum of each row of attention: n·H·T.
    pub(super) log_sums: Vec<f32>,
    /// The sum behind attention: R × C. With norms in front it is also `middle`.
    pub(super) sum: Vec<f32>,
    /// With norms behind: what the feed-forward part reads, R × C.
    pub(super) middle: Vec<f32>,
    /// With norms behind: the sum behind the feed-forward part, R × C.
    pub(super) last_sum: Vec<f32>,
    /// The feed-forward part before its non-linearity: R × F, gated R × 2F.
    pub(super) hidden: Vec<f32>,
}

/// Memory that nothing outlives a stage in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// R × C.
    pub(super) normed: Vec<f32>,
    /// R × C.
    pub(super) narrow: Vec<f32>,
    /// R × 3C.
    pub(super) qkv: Vec<f32>,
    /// R × F.
    pub(super) wide: Vec<f32>,
    /// R × F.
    pub(super) active: Vec<f32>,
    pub(super) attention: AttentionScratch,
}

/// Blocks of queries against keys, and one head's factors.
#[derive(Debug, Default)]
pub(super) struct AttentionScratch {
    pub(super) probs: Vec<f32>,
    pub(super) dropped: Vec<f32>,
    pub(super) dprobs: Vec<f32>,
    pub(super) keys_turned: Panels,
    pub(super) keys: Panels,
    pub(super) values: Panels,
    pub(super) values_turned: Panels,
}

/// One thread's passes through a stack.
#[derive(Debug)]
pub struct Worker {
    pub(super) stack: Arc<Stack>,
    pub(super) products: Products,
    /// Attention is always multiplied in f32: it is a twentieth of the work.
    pub(super) attention: Products,
    pub(super) recomputes: bool,
    /// Inputs of the layers, and behind the last one its output: R × C each.
    pub(super) inputs: Vec<Vec<f32>>,
    pub(super) saved: Vec<Saved>,
    pub(super) scratch: Scratch,
}

impl Worker {
    /// A worker for a stack. With `recomputes` a layer keeps its input only and is computed again in
    /// backward: less memory, a third more work. It takes memory at its first pass.
    pub fn new(stack: &Arc<Stack>, precision: Precision, recomputes: bool) -> Self {
        Self {
            stack: Arc::clone(stack),
            products: Products::new(precision),
            attention: Products::new(Precision::F32),
            recomputes,
            inputs: vec![Vec::new(); stack.config.layers + 1],
            saved: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Makes room for `r` rows of `n` sequences; `keeps` says whether a backward pass follows.
    pub(super) fn make_room(&mut self, r: usize, n: usize, keeps: bool) {
        let StackConfig { width: c, feed_forward: f, heads, .. } = self.stack.config;
        let t = r / n.max(1);
        let hidden = self.stack.config.hidden();
        let is_behind = self.stack.config.placement == Placement::After;
        for input in &mut self.inputs {
            size(input, r * c);
        }
        let n_saved = if keeps && !self.recomputes { self.stack.config.layers } else { 1 };
        if self.saved.len() < n_saved {
            self.saved.resize_with(n_saved, Saved::default);
        }
        for saved in &mut self.saved[..n_saved] {
            size(&mut saved.qkv, r * 3 * c);
            size(&mut saved.y, r * c);
            size(&mut saved.log_sums, n * heads * t);
            size(&mut saved.sum, r * c);
            size(&mut saved.hidden, r * hidden);
            if is_behind {
                size(&mut saved.middle, r * c);
                size(&mut saved.last_sum, r * c);
            }
        }
        let scratch = &mut self.scratch;
        size(&mut scratch.normed, r * c);
        size(&mut scratch.narrow, r * c);
        size(&mut scratch.active, r * f);
        if keeps {
            size(&mut scratch.qkv, r * 3 * c);
            size(&mut scratch.wide, r * f);
        }
    }
}

/// Sets the length; memory is taken once and kept.
pub(crate) fn size(values: &mut Vec<f32>, n: usize) {
    values.resize(n, 0.0);
}
