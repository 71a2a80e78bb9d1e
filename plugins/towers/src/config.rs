//! What an encoder is made of, as it stands in a section.

use schemars::JsonSchema;
use sdk::{Error, Result};
use sdk_numerics::Init;
use sdk_numerics::stack::{Activation, Norm, Parameter, Placement, Role, StackConfig};
use serde::{Deserialize, Serialize};

/// Where the norms of a layer stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NormPlacement {
    /// In front of attention and feed-forward, and one behind all layers: trains without care.
    Before,
    /// Behind the sums, as in the first transformer: needs small rates and a warmup.
    After,
}

/// The non-linearity between the two halves of a feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeedForward {
    /// The Gaussian error linear unit.
    Gelu,
    /// The larger of the value and 0.
    Relu,
    /// A linear unit gated by a sigmoid; it has a third matrix.
    Swiglu,
}

/// How a token is told where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PositionEncoding {
    /// Not at all: the tokens are a set.
    None,
    /// By a learned vector for each place in the sample, counted over seen and masked tokens alike.
    TokenIndex,
    /// By sines and cosines of its wavelength in nanometres, or of its place where it has none.
    Wavelength,
}

/// The values that parameters start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InitRule {
    /// Matrices normal with deviation 0.02, biases 0.
    Normal,
    /// As PyTorch's layers start: the matrix of queries, keys and values by Xavier and Bengio's
    /// rule, all else uniform within 1 / √inputs; biases too, but for those of attention.
    Framework,
}

/// An encoder of token sets.
///
/// ```
/// let reference = towers::EncoderConfig::reference(256, 6, 8);
/// assert_eq!((reference.feed_forward(), reference.dropout), (2048, 0.1));
/// assert!(reference.check().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderConfig {
    /// Width of a token inside of the encoder.
    #[schemars(range(min = 1, max = 8192), extend("x-unit" = "channels"))]
    pub embed_dim: usize,
    /// Number of layers.
    #[schemars(range(min = 1, max = 256))]
    pub depth: usize,
    /// Attention heads of a layer; they share the width evenly.
    #[schemars(range(min = 1, max = 256))]
    pub heads: usize,
    /// Width of a layer's feed-forward part; null takes four times `embed_dim`.
    #[schemars(range(min = 1, max = 65536), extend("x-unit" = "channels"))]
    pub d_ff: Option<usize>,
    /// Where the norms of a layer stand.
    pub norm: NormPlacement,
    /// The non-linearity of the feed-forward part.
    pub activation: FeedForward,
    /// Probability with which attention weights and the outputs of a layer's parts are dropped.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    pub dropout: f64,
    /// How a token is told where it lies.
    pub position: PositionEncoding,
    /// The values that parameters start with.
    pub init: InitRule,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            embed_dim: 64,
            depth: 2,
            heads: 4,
            d_ff: None,
            norm: NormPlacement::Before,
            activation: FeedForward::Gelu,
            dropout: 0.0,
            position: PositionEncoding::Wavelength,
            init: InitRule::Normal,
        }
    }
}

/// Added under the root of a norm.
pub(crate) const NORM_EPS: f64 = 1e-5;

impl EncoderConfig {
    /// PyTorch's default layers: norms behind the sums, ReLU, a feed-forward part of 2048, dropout
    /// 0.1, and a learned vector for each place.
    pub fn reference(embed_dim: usize, depth: usize, heads: usize) -> Self {
        Self {
            embed_dim,
            depth,
            heads,
            d_ff: Some(2048),
            norm: NormPlacement::After,
            activation: FeedForward::Relu,
            dropout: 0.1,
            position: PositionEncoding::TokenIndex,
            init: InitRule::Framework,
        }
    }

    /// Width of a layer's feed-forward part.
    pub fn feed_forward(&self) -> usize {
        self.d_ff.unwrap_or(4 * self.embed_dim)
    }

    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let fault = |key: &str, message: String| Error::new("towers::encoder", message).at(key);
        let mut faults = Vec::new();
        let positive = [
            ("embed_dim", self.embed_dim),
            ("depth", self.depth),
            ("heads", self.heads),
            ("d_ff", self.feed_forward()),
        ];
        for (key, _) in positive.iter().filter(|(_, value)| *value == 0) {
            faults.push(fault(key, format!("`{key}` must be at least 1: 0")));
        }
        if self.heads > 0 && !self.embed_dim.is_multiple_of(self.heads) {
            let (width, heads) = (self.embed_dim, self.heads);
            let message = format!("{heads} heads can't share a width of {width} evenly");
            faults.push(fault("heads", message).help("take a divisor of `embed_dim`"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let message = format!("`dropout` must be at least 0 and below 1: {}", self.dropout);
            faults.push(fault("dropout", message));
        }
        if self.position == PositionEncoding::Wavelength && !self.embed_dim.is_multiple_of(2) {
            let message =
                format!("sines and cosines need an even `embed_dim`, not {}", self.embed_dim);
            let help = "take an even width, or `position: token_index`";
            faults.push(fault("embed_dim", message).help(help));
        }
        faults
    }

    /// The same for a caller that has no section: the first fault.
    pub(crate) fn checked(&self) -> Result<&Self> {
        match self.check().into_iter().next() {
            None => Ok(self),
            Some(fault) => Err(fault),
        }
    }

    pub(crate) fn stack(&self) -> StackConfig {
        StackConfig {
            width: self.embed_dim,
            heads: self.heads,
            feed_forward: self.feed_forward(),
            layers: self.depth,
            norm: Norm::Layer,
            norm_eps: NORM_EPS,
            placement: match self.norm {
                NormPlacement::Before => Placement::Before,
                NormPlacement::After => Placement::After,
            },
            activation: match self.activation {
                FeedForward::Gelu => Activation::Gelu,
                FeedForward::Relu => Activation::Relu,
                FeedForward::Swiglu => Activation::SwiGlu,
            },
            is_causal: false,
            rope_theta: None,
            attention_bias: true,
            feed_forward_bias: true,
            dropout: self.dropout,
        }
    }

    /// Operations of one token in a forward and a backward pass among `n_tokens`, by the formula
    /// of the products alone.
    pub fn flops_per_token(&self, n_tokens: usize) -> f64 {
        let (width, wide) = (self.embed_dim as f64, self.feed_forward() as f64);
        let matrices = if self.activation == FeedForward::Swiglu { 3.0 } else { 2.0 };
        let weights = 4.0 * width * width + matrices * width * wide;
        6.0 * self.depth as f64 * (weights + 2.0 * width * n_tokens as f64)
    }
}

impl InitRule {
    /// What a linear layer's matrix starts with.
    pub fn weight(self, n_inputs: usize) -> Init {
        match self {
            Self::Normal => Init::Normal { std: 0.02 },
            Self::Framework => Init::Uniform { bound: (n_inputs as f64).sqrt().recip() },
        }
    }

    /// What a linear layer's bias starts with.
    pub fn bias(self, n_inputs: usize) -> Init {
        match self {
            Self::Normal => Init::Zeros,
            Self::Framework => self.weight(n_inputs),
        }
    }

    /// What a parameter of a stack of width `width` starts with.
    pub(crate) fn of(self, parameter: &Parameter, config: &StackConfig) -> Init {
        let name = parameter.name.as_str();
        match (parameter.role, self) {
            (Role::Gain, _) => Init::Ones,
            (Role::Offset, _) => Init::Zeros,
            (Role::Weight, Self::Framework) if name.ends_with("qkv.weight") => {
                // Glorot and Bengio 2010: √(6 / (inputs + outputs)).
                let ends: usize = parameter.shape.iter().sum();
                Init::Uniform { bound: (6.0 / ends as f64).sqrt() }
            }
            (Role::Bias, _) if name.ends_with("qkv.bias") || name.ends_with("proj.bias") => {
                Init::Zeros
            }
            (Role::Weight, _) => self.weight(parameter.shape[1]),
            (Role::Bias, _) if name.ends_with("down.bias") => self.bias(config.feed_forward),
            (Role::Bias, _) => self.bias(config.width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_their_keys() {
        let config =
            EncoderConfig { embed_dim: 63, heads: 4, dropout: 1.0, depth: 0, ..Default::default() };
        let keys: Vec<_> = config.check().into_iter().filter_map(|fault| fault.path).collect();
        assert_eq!(keys, ["depth", "heads", "dropout", "embed_dim"]);
        assert!(EncoderConfig::default().check().is_empty());
    }
}
