//! What a worker keeps: activations of a pass and scratch, all reused from pass to pass.

use std::sync::Arc;

use super::{Placement, Stack, StackConfig};
use crate::buffer::Buffer;
use crate::product::{Panels, Precision, Products};

/// What a layer keeps for its backward pass besides its input.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    /// Queries, keys (both rotated) and values: R × 3C.
    pub(super) qkv: Buffer,
    /// What attention gives: R × C.
    pub(super) y: Buffer,
    /// The log of the sum of each row of attention: n·H·T.
    pub(super) log_sums: Buffer,
    /// The sum behind attention: R × C. With norms in front it is also `middle`.
    pub(super) sum: Buffer,
    /// With norms behind: what the feed-forward part reads, R × C.
    pub(super) middle: Buffer,
    /// With norms behind: the sum behind the feed-forward part, R × C.
    pub(super) last_sum: Buffer,
    /// The feed-forward part before its non-linearity: R × F, gated R × 2F.
    pub(super) hidden: Buffer,
}

/// Memory that nothing outlives a stage in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// R × C.
    pub(super) normed: Buffer,
    /// R × C.
    pub(super) narrow: Buffer,
    /// R × 3C.
    pub(super) qkv: Buffer,
    /// R × F.
    pub(super) wide: Buffer,
    /// R × F.
    pub(super) active: Buffer,
    pub(super) attention: AttentionScratch,
}

/// Blocks of queries against keys, and one head's factors.
#[derive(Debug, Default)]
pub(super) struct AttentionScratch {
    pub(super) probs: Buffer,
    pub(super) dropped: Buffer,
    pub(super) dprobs: Buffer,
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
    pub(super) recomputes: bool,
    /// Inputs of the layers, and behind the last one its output: R × C each.
    pub(super) inputs: Vec<Buffer>,
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
            recomputes,
            inputs: vec![Buffer::default(); stack.config.layers + 1],
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
            input.resize(r * c);
        }
        let n_saved = if keeps && !self.recomputes { self.stack.config.layers } else { 1 };
        if self.saved.len() < n_saved {
            self.saved.resize_with(n_saved, Saved::default);
        }
        for saved in &mut self.saved[..n_saved] {
            saved.qkv.resize(r * 3 * c);
            saved.y.resize(r * c);
            saved.log_sums.resize(n * heads * t);
            saved.sum.resize(r * c);
            saved.hidden.resize(r * hidden);
            if is_behind {
                saved.middle.resize(r * c);
                saved.last_sum.resize(r * c);
            }
        }
        let scratch = &mut self.scratch;
        scratch.normed.resize(r * c);
        scratch.narrow.resize(r * c);
        scratch.active.resize(r * f);
        if keeps {
            scratch.qkv.resize(r * 3 * c);
            scratch.wide.resize(r * f);
        }
    }
}
