//! What the two towers are.

use schemars::JsonSchema;
use sdk::Error;
use serde::{Deserialize, Serialize};
use towers::{EncoderConfig, FeedForward, InitRule, NormPlacement, PositionEncoding};

use super::{fault, out_of_range};

/// What a tower is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TowerKind {
    /// A transformer over the bands as tokens, and their mean: any bands, in any number.
    Transformer,
    /// Linear layers over the scaled values of all bands of the sensor, where both sides then lie.
    /// Many times faster, and for this one sensor only.
    Mlp,
}

/// The two towers. Each turns a spectrum into an embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// What a tower is.
    pub tower: TowerKind,
    /// Whether both sides go through the same tower instead of one each.
    pub shared: bool,
    /// Width of an embedding, and of a token inside of a transformer.
    #[schemars(range(min = 1, max = 8192), extend("x-unit" = "channels"))]
    pub embed_dim: usize,
    /// Number of layers: of the transformer, or hidden ones of the `mlp`.
    #[schemars(range(min = 1, max = 256))]
    pub depth: usize,
    /// Attention heads of a layer; they share the width evenly.
    #[schemars(range(min = 1, max = 256))]
    pub heads: usize,
    /// Width of a transformer's feed-forward parts, or of the `mlp`'s hidden layers; null takes four
    /// times `embed_dim`.
    #[schemars(range(min = 1, max = 65536), extend("x-unit" = "channels"))]
    pub d_ff: Option<usize>,
    /// Where the norms of a transformer's layer stand.
    pub norm: NormPlacement,
    /// The non-linearity between two linear layers.
    pub activation: FeedForward,
    /// Probability with which a transformer's attention weights and outputs are dropped.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    pub dropout: f64,
    /// How a transformer's token is told where it lies, besides by its own features.
    pub position: PositionEncoding,
    /// The values that parameters start with.
    pub init: InitRule,
    /// Weight of the cycle in the loss.
    #[schemars(range(min = 0.0))]
    pub cycle_weight: f64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        let EncoderConfig { embed_dim, depth, heads, d_ff, norm, activation, dropout, .. } =
            EncoderConfig::default();
        Self {
            tower: TowerKind::Transformer,
            shared: false,
            embed_dim,
            depth,
            heads,
            d_ff,
            norm,
            activation,
            dropout,
            // A band's own features say where it lies. What told it once more would be many times as
            // large as the values are at the start, and hide them.
            position: PositionEncoding::None,
            init: InitRule::Framework,
            cycle_weight: 1.0,
        }
    }
}

impl ModelConfig {
    /// The transformer of a tower.
    pub fn encoder(&self) -> EncoderConfig {
        EncoderConfig {
            embed_dim: self.embed_dim,
            depth: self.depth,
            heads: self.heads,
            d_ff: self.d_ff,
            norm: self.norm,
            activation: self.activation,
            dropout: self.dropout,
            position: self.position,
            init: self.init,
        }
    }

    pub(super) fn check(&self) -> Vec<Error> {
        let mut faults = match self.tower {
            TowerKind::Transformer => self.encoder().check(),
            TowerKind::Mlp => self.check_mlp(),
        };
        faults.extend(out_of_range(&[], &[("cycle_weight", self.cycle_weight)]));
        faults
    }

    fn check_mlp(&self) -> Vec<Error> {
        let sizes = [
            ("embed_dim", self.embed_dim as u64),
            ("depth", self.depth as u64),
            ("d_ff", self.encoder().feed_forward() as u64),
        ];
        let mut faults: Vec<Error> = super::zero_counts(&sizes).collect();
        if self.activation == FeedForward::Swiglu {
            let message = "an `mlp` has no `swiglu`: take `gelu` or `relu`";
            faults.push(fault("activation", message));
        }
        if self.dropout > 0.0 {
            faults.push(fault("dropout", "an `mlp` drops nothing: `dropout` must be 0"));
        }
        faults
    }
}
