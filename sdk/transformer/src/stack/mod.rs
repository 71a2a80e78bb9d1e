//! A transformer stack with forward and backward passes written out.
//!
//! A worker takes whole sequences through all layers and back, on its own thread, with activations
//! and gradients of its own: nothing is shared inside of a pass but the weights. Every buffer is
//! kept, so that a step after the first allocates nothing.
//!
//! Legend: n sequences of T positions, R = n·T rows; C width, H heads, D = C / H, F feed-forward
//! width, L layers. Matrices are row-major; a linear layer's weight is (outputs, inputs).
//!
//! A layer with its norms in front (Xiong et al. 2020), as they are computed:
//!
//! ```text
//! qkv    = norm1(x) Wqkvᵀ                                R × 3C, q and k rotated in place
//! y      = softmax(q kᵀ / √D) v                          R × C, per sequence and head
//! middle = x + dropout(y Wprojᵀ)                         R × C
//! hidden = norm2(middle) [Wup Wgate]ᵀ                    R × 2F
//! out    = middle + dropout((silu(gate) · up) Wdownᵀ)    R × C
//! ```
//!
//! With its norms behind (Vaswani et al. 2017): `middle = norm1(x + dropout(…))` and `out =
//! norm2(middle + dropout(…))`, without the two in front.

mod attention;
mod backward;
mod buffers;
mod forward;
mod layout;
mod parts;
mod rotation;
mod weights;

use std::sync::Arc;

use rotation::Rotation;

pub use buffers::Worker;
pub use forward::Pass;
pub(crate) use layout::LinearAt;
pub use layout::{Layout, Parameter, Role};
pub use weights::{GradientsMut, PackedWeights, Weights, offsets};

/// A stack: what it is made of, its parameters, and its tables. Shared by all workers.
#[derive(Debug)]
pub struct Stack {
    /// What it is made of.
    pub config: StackConfig,
    /// Its parameters.
    pub layout: Layout,
    rotation: Option<Rotation>,
}

impl Stack {
    /// A stack whose first parameter has position `first` in the model's list, for sequences of at
    /// most `positions`.
    pub fn new(config: &StackConfig, first: usize, positions: usize) -> Arc<Self> {
        let rotation =
            config.rope_theta.map(|theta| Rotation::new(positions, config.head_width(), theta));
        Arc::new(Self { config: config.clone(), layout: Layout::new(config, first), rotation })
    }
}

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// x / √(mean x² + eps) · gain (Zhang and Sennrich 2019).
    Rms,
    /// (x − mean) / √(var + eps) · gain + bias (Ba et al. 2016).
    Layer,
}

/// Where the norms of a layer stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In front of attention and feed-forward; a last one stands behind all layers.
    Before,
    /// Behind the sums.
    After,
}

/// The non-linearity of the feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// silu(gate) · up, of two matrices (Shazeer 2020).
    SwiGlu,
    /// x · Φ(x), by its tanh approximation.
    Gelu,
    /// max(x, 0).
    Relu,
}

/// What a stack is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct StackConfig {
    /// C.
    pub width: usize,
    /// H; must divide C.
    pub heads: usize,
    /// F.
    pub feed_forward: usize,
    /// L.
    pub layers: usize,
    /// Which norm.
    pub norm: Norm,
    /// Added under the norms' root.
    pub norm_eps: f64,
    /// Where norms stand.
    pub placement: Placement,
    /// The non-linearity.
    pub activation: Activation,
    /// Whether a position sees only itself and those before.
    pub is_causal: bool,
    /// Base of the rotary positions (Su et al. 2021); none without it.
    pub rope_theta: Option<f64>,
    /// Whether q, k, v and the projection have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward part has biases.
    pub feed_forward_bias: bool,
    /// Probability of attention weights and of both parts' outputs being dropped in training.
    pub dropout: f64,
}

impl StackConfig {
    /// D.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Columns of the feed-forward part before the non-linearity.
    pub(crate) fn hidden(&self) -> usize {
        if self.activation == Activation::SwiGlu {
            2 * self.feed_forward
        } else {
            self.feed_forward
        }
    }
}
