//! The stack against the same formulas written out in f64, and against itself.

mod agreement;
mod language;
mod plain;

use sdk_transformer::stack::{Activation, Layout, Norm, Placement, StackConfig};

/// Numbers in [-1, 1] without a pattern.
fn wave(n: usize, seed: f64) -> Vec<f32> {
    (0..n).map(|i| (i as f64 * 12.9898 + seed * 78.233).sin() as f32).collect()
}

/// Parameters of a stack: gains about 1, everything else small.
fn parameters(config: &StackConfig) -> Vec<Vec<f32>> {
    let layout = Layout::new(config, 0);
    let values = layout.parameters.iter().enumerate().map(|(i, parameter)| {
        let n: usize = parameter.shape.iter().product();
        let (base, size) = match parameter.name.ends_with("gain") {
            true => (1.0, 0.1),
            false => (0.0, 0.3 / (parameter.shape[parameter.shape.len() - 1] as f32).sqrt()),
        };
        wave(n, i as f64 + 0.5).into_iter().map(|x| base + size * x).collect()
    });
    values.collect()
}

/// The gradients of each parameter.
fn by_parameter(gradients: &[f32], offsets: &[usize]) -> Vec<Vec<f32>> {
    offsets.windows(2).map(|range| gradients[range[0]..range[1]].to_vec()).collect()
}

/// The GPT's kind of stack.
fn gpt(width: usize, heads: usize, feed_forward: usize, layers: usize) -> StackConfig {
    StackConfig {
        width,
        heads,
        feed_forward,
        layers,
        norm: Norm::Rms,
        norm_eps: 1e-5,
        placement: Placement::Before,
        activation: Activation::SwiGlu,
        is_causal: true,
        rope_theta: Some(10_000.0),
        attention_bias: false,
        feed_forward_bias: true,
        dropout: 0.0,
    }
}

/// The kind that encoders are: norms behind, GELU, biases everywhere, no mask.
fn encoder(width: usize, heads: usize, feed_forward: usize, layers: usize) -> StackConfig {
    StackConfig {
        norm: Norm::Layer,
        placement: Placement::After,
        activation: Activation::Gelu,
        is_causal: false,
        rope_theta: None,
        attention_bias: true,
        ..gpt(width, heads, feed_forward, layers)
    }
}
