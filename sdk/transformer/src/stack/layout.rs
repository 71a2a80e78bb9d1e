//! Which parameters a stack has, and where they stand in a list.

use super::{Activation, Norm, Placement, StackConfig};

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The matrix of a linear layer.
    Weight,
    /// The offset of a linear layer.
    Bias,
    /// The gain of a norm.
    Gain,
    /// The offset of a norm.
    Offset,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// `layers.0.qkv.weight` and so on.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its extents.
    pub shape: Vec<usize>,
}

/// The parameters of a stack in order, and where each part finds its own.
#[derive(Clone, Debug)]
pub struct Layout {
    /// All parameters.
    pub parameters: Vec<Parameter>,
    pub(super) layers: Vec<LayerAt>,
    pub(super) last_norm: Option<NormAt>,
}

/// Positions of a norm's parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormAt {
    pub(crate) gain: usize,
    pub(crate) offset: Option<usize>,
}

/// Positions of a linear layer's parameters, and its extents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearAt {
    pub(crate) weight: usize,
    pub(crate) bias: Option<usize>,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
}

/// Positions of a layer's parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerAt {
    pub(super) norm1: NormAt,
    pub(super) qkv: LinearAt,
    pub(super) proj: LinearAt,
    pub(super) norm2: NormAt,
    pub(super) up: LinearAt,
    pub(super) gate: Option<LinearAt>,
    pub(super) down: LinearAt,
}

struct Builder<'a> {
    config: &'a StackConfig,
    first: usize,
    list: Vec<Parameter>,
}

impl Layout {
    /// The layout of a stack whose first parameter has position `first` in the model's list.
    pub fn new(config: &StackConfig, first: usize) -> Self {
        let mut builder = Builder { config, first, list: Vec::new() };
        let layers = (0..config.layers).map(|i| builder.layer(&format!("layers.{i}"))).collect();
        let last_norm = (config.placement == Placement::Before).then(|| builder.norm("last_norm"));
        Self { parameters: builder.list, layers, last_norm }
    }
}

impl Layout {
    /// All linear layers.
    pub(crate) fn linears(&self) -> Vec<LinearAt> {
        let of = |at: &LayerAt| [Some(at.qkv), Some(at.proj), Some(at.up), at.gate, Some(at.down)];
        self.layers.iter().flat_map(of).flatten().collect()
    }
}

impl Builder<'_> {
    fn layer(&mut self, name: &str) -> LayerAt {
        let StackConfig { width: c, feed_forward: f, .. } = *self.config;
        let (attention, feed) = (self.config.attention_bias, self.config.feed_forward_bias);
        let is_gated = self.config.activation == Activation::SwiGlu;
        LayerAt {
            norm1: self.norm(&format!("{name}.norm1")),
            qkv: self.linear(&format!("{name}.qkv"), (3 * c, c), attention),
            proj: self.linear(&format!("{name}.proj"), (c, c), attention),
            norm2: self.norm(&format!("{name}.norm2")),
            up: self.linear(&format!("{name}.up"), (f, c), feed),
            gate: is_gated.then(|| self.linear(&format!("{name}.gate"), (f, c), feed)),
            down: self.linear(&format!("{name}.down"), (c, f), feed),
        }
    }

    fn norm(&mut self, name: &str) -> NormAt {
        let width = self.config.width;
        let gain = self.add(format!("{name}.gain"), Role::Gain, vec![width]);
        let offset = (self.config.norm == Norm::Layer)
            .then(|| self.add(format!("{name}.offset"), Role::Offset, vec![width]));
        NormAt { gain, offset }
    }

    fn linear(
        &mut self,
        name: &str,
        (outputs, inputs): (usize, usize),
        has_bias: bool,
    ) -> LinearAt {
        let weight = self.add(format!("{name}.weight"), Role::Weight, vec![outputs, inputs]);
        let bias = has_bias.then(|| self.add(format!("{name}.bias"), Role::Bias, vec![outputs]));
        LinearAt { weight, bias, outputs, inputs }
    }

    fn add(&mut self, name: String, role: Role, shape: Vec<usize>) -> usize {
        self.list.push(Parameter { name, role, shape });
        self.first + self.list.len() - 1
    }
}
