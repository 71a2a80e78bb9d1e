//! The transformer stack of [`sdk_transformer`] in candle's graph, between layers of an author's own.
//!
//! For f32 on the CPU all layers are one candle operation: the passes that are written out, forward
//! and backward, on the thread that calls or spread over several. For other types and devices they are composed of
//! [`crate::ops`]. Both are differentiable and agree within rounding, dropout included.
//!
//! Legend: B sequences, T positions, C width, H heads, D = C / H, F feed-forward width.

mod composed;
mod fused;

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, bail};
use sdk::{Error, Generator};
use sdk_transformer::stack::Stack;
pub use sdk_transformer::stack::{Activation, Norm, Parameter, Placement, Role, StackConfig};
use sdk_transformer::threads::Threads;

use crate::ops::{self, Compute};
use crate::parallel::Workers;
use crate::params::{Init, ParamKind, Params};
use composed::Composed;
use fused::{Fused, Memory};

/// Layers of a transformer whose parameters are declared like any others.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use sdk_numerics::stack::{
///     Activation, Norm, Placement, Sequences, StackConfig, TransformerStack,
/// };
/// use sdk_numerics::{Gradients, Init, ParamKind, Params, Workers, error, ops};
///
/// // An encoder between a projection of 3 channels and a head of one number.
/// let config = StackConfig {
///     width: 16,
///     heads: 2,
///     feed_forward: 32,
///     layers: 2,
///     norm: Norm::Layer,
///     norm_eps: 1e-5,
///     placement: Placement::Before,
///     activation: Activation::Gelu,
///     is_causal: false,
///     rope_theta: None,
///     attention_bias: true,
///     feed_forward_bias: true,
///     dropout: 0.1,
/// };
/// let mut init = sdk::Generator::new(42, "model init");
/// let mut params = Params::new(&Device::Cpu, DType::F32);
/// let start = Init::Normal { std: 0.02 };
/// params.declare("embed", ParamKind::Weight, &[16, 3], start, &mut init)?;
/// let stack = TransformerStack::declare("encoder", &config, 10, start, &mut params, &mut init)?;
/// params.declare("head", ParamKind::Weight, &[1, 16], start, &mut init)?;
///
/// // Two sequences of 10 positions, of which the second one ends after 7.
/// let points = Tensor::ones((2, 10, 3), DType::F32, &Device::Cpu).map_err(error)?;
/// let mut gradients = Gradients::new(&params);
/// Workers::new(1).gradients(&params, vec![points], &mut gradients, |points| {
///     let loss = || {
///         let h = ops::linear(&points, params.get("embed"), None)?;
///         let sequences = Sequences { lengths: &[10, 7], seeds: &[1, 2] };
///         let h = stack.forward(&h, sequences)?; // (2, 10, 16)
///         ops::linear(&h.narrow(1, 0, 1)?, params.get("head"), None)?.sqr()?.sum_all()
///     };
///     loss().map_err(error)
/// })?;
/// assert!(gradients.get("encoder.layers.1.qkv.weight").is_some_and(|g| g[0] != 0.0));
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransformerStack {
    stack: Arc<Stack>,
    /// Positions that a sequence has at most.
    positions: usize,
    /// In the order of the layout.
    parameters: Arc<[Tensor]>,
    compute: Compute,
    threads: Threads,
    memory: Arc<Memory>,
    /// The same of passes in the parameters' own type, where training passes have another.
    own_memory: Arc<Memory>,
    composed: Composed,
}

/// What differs between the sequences of a call. The default is: all whole, no dropout.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequences<'a> {
    /// How many positions of each sequence are there, at least 1; all when empty. The others are
    /// padding: nothing attends to them, and what comes out at them means nothing.
    pub lengths: &'a [usize],
    /// A seed of dropout for each sequence, from a generator of the phase; no dropout when empty.
    /// Noise depends on the seed alone, not on the sequences beside it or the thread.
    pub seeds: &'a [u64],
}

impl TransformerStack {
    /// Declares the parameters under `name`, as in `encoder.layers.0.qkv.weight`, for sequences of
    /// at most `positions`. Matrices start as `weights` says, biases and offsets with 0, gains with 1.
    ///
    /// # Errors
    /// When the sizes don't fit together, or a name is taken.
    pub fn declare(
        name: &str,
        config: &StackConfig,
        positions: usize,
        weights: Init,
        params: &mut Params,
        init: &mut Generator,
    ) -> sdk::Result<Self> {
        let start = |parameter: &Parameter| match parameter.role {
            Role::Weight => weights,
            Role::Bias | Role::Offset => Init::Zeros,
            Role::Gain => Init::Ones,
        };
        Self::declare_with(name, config, positions, start, params, init)
    }

    /// As [`TransformerStack::declare`], where `start` says of each parameter what it starts with.
    ///
    /// # Errors
    /// When the sizes don't fit together, or a name is taken.
    pub fn declare_with(
        name: &str,
        config: &StackConfig,
        positions: usize,
        start: impl Fn(&Parameter) -> Init,
        params: &mut Params,
        init: &mut Generator,
    ) -> sdk::Result<Self> {
        check(config).map_err(|fault| Error::new("stack::config", fault))?;
        let stack = Stack::new(config, 0, positions);
        let mut parameters = Vec::new();
        for parameter in &stack.layout.parameters {
            let kind = match parameter.role {
                Role::Weight => ParamKind::Weight,
                Role::Bias => ParamKind::Bias,
                Role::Gain | Role::Offset => ParamKind::Norm,
            };
            let (name, start) = (format!("{name}.{}", parameter.name), start(parameter));
            parameters.push(params.declare(name, kind, &parameter.shape, start, init)?);
        }
        let composed = Composed::new(&stack, &parameters, positions).map_err(crate::error)?;
        let (compute, threads) = (Compute::Own, Threads::new(1));
        let (memory, own_memory) = (Arc::default(), Arc::default());
        let parameters = parameters.into();
        Ok(Self { stack, positions, parameters, compute, threads, memory, own_memory, composed })
    }

    /// The same stack, whose calls spread their sequences over the threads of `workers`: consecutive
    /// runs of sequences, one for each thread, whose gradients are added in their order. So the bits
    /// of a result depend on the number of threads and on nothing else.
    ///
    /// It is for losses that look at a whole batch at once, as a contrastive one does. Where the loss
    /// is a sum over sequences, [`crate::Workers::gradients`] on shards spreads all of the model.
    #[must_use]
    pub fn spread(self, workers: &Workers) -> Self {
        let (memory, own_memory) = (Arc::default(), Arc::default());
        Self { threads: workers.pool().clone(), memory, own_memory, ..self }
    }

    /// Where its parameters are.
    pub fn device(&self) -> &Device {
        self.parameters[0].device()
    }

    /// The same stack, whose training passes multiply in another precision.
    #[must_use]
    pub fn with_compute(self, compute: Compute) -> Self {
        Self { compute, memory: Arc::default(), ..self }
    }

    /// What it is made of.
    pub fn config(&self) -> &StackConfig {
        &self.stack.config
    }

    /// All layers, and with norms in front the last norm.
    ///
    /// # Shapes
    /// `(B, T, C)` to the same.
    ///
    /// # Errors
    /// When `x` has another width, more positions than were declared, or `sequences` are not B.
    pub fn forward(&self, x: &Tensor, sequences: Sequences<'_>) -> Result<Tensor> {
        self.check(x, sequences)?;
        if self.is_fused(x) {
            return Fused::new(self, x.dims3()?, sequences).apply(x);
        }
        self.composed.forward(&self.stack.config, x, sequences, self.compute)
    }

    /// As [`TransformerStack::forward`], without dropout, in the parameters' own type, and without
    /// anything that a backward pass would need. `lengths` as in [`Sequences`].
    ///
    /// # Errors
    /// As [`TransformerStack::forward`].
    pub fn infer(&self, x: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        let sequences = Sequences { lengths, seeds: &[] };
        self.check(x, sequences)?;
        if self.has_passes(x) {
            let fused = Fused::new(self, x.dims3()?, sequences);
            return match self.compute {
                Compute::Own => fused.infer(x),
                Compute::Bf16 => fused.in_own_type(&self.own_memory).infer(x),
            };
        }
        let y = self.composed.forward(&self.stack.config, &x.detach(), sequences, Compute::Own)?;
        Ok(y.detach())
    }

    fn is_fused(&self, x: &Tensor) -> bool {
        self.compute.precision().is_native() && self.has_passes(x)
    }

    /// Whether the passes that are written out take such an input.
    fn has_passes(&self, x: &Tensor) -> bool {
        self.parameters.first().is_some_and(|first| ops::fused(&[x, first]))
    }

    fn check(&self, x: &Tensor, sequences: Sequences<'_>) -> Result<()> {
        let (b, t, c) = x.dims3()?;
        if c != self.stack.config.width || t > self.positions {
            let (width, most) = (self.stack.config.width, self.positions);
            bail!("a stack of width {width} for {most} positions can't take {:?}", x.dims());
        }
        let Sequences { lengths, seeds } = sequences;
        if let Some(n) = [lengths.len(), seeds.len()].into_iter().find(|n| *n != 0 && *n != b) {
            bail!("{n} lengths or seeds don't fit {b} sequences");
        }
        if let Some(length) = lengths.iter().find(|n| !(1..=t).contains(*n)) {
            bail!("a sequence of {t} positions can't have a length of {length}");
        }
        Ok(())
    }
}

/// What is wrong with the sizes, if anything is.
fn check(config: &StackConfig) -> std::result::Result<(), String> {
    let StackConfig { width, heads, dropout, .. } = *config;
    if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
        return Err(format!("{heads} heads can't share a width of {width}"));
    }
    if config.rope_theta.is_some() && !config.head_width().is_multiple_of(2) {
        return Err(format!("a rotary head must have an even width, not {}", config.head_width()));
    }
    if !(0.0..1.0).contains(&dropout) {
        return Err(format!("a probability of dropout must be in [0, 1), not {dropout}"));
    }
    if config.layers == 0 || config.feed_forward == 0 {
        return Err("a stack needs a layer and a feed-forward width".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
