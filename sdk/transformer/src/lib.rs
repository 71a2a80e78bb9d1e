//! A transformer stack for CPUs, with forward and backward passes written out over plain slices.
//!
//! It knows no tensor library. Parameters are slices in a fixed order ([`stack::Layout`]); a
//! [`stack::Worker`] takes whole sequences through all layers and back on one thread, into gradient
//! buffers of its own. [`language::LanguageModel`] puts a table of embeddings in front and the same
//! table behind. Below lie [`kernels`] and [`product`]s for the instructions that the machine has.
//!
//! ```
//! use sdk_transformer::product::{Precision, Products};
//! use sdk_transformer::stack::*;
//! use sdk_transformer::threads::Threads;
//!
//! let config = StackConfig {
//!     width: 8,
//!     heads: 2,
//!     feed_forward: 16,
//!     layers: 1,
//!     norm: Norm::Rms,
//!     norm_eps: 1e-5,
//!     placement: Placement::Before,
//!     activation: Activation::SwiGlu,
//!     is_causal: true,
//!     rope_theta: Some(10_000.0),
//!     attention_bias: false,
//!     feed_forward_bias: true,
//!     dropout: 0.0,
//! };
//! let stack = Stack::new(&config, 0, 4);
//! let values: Vec<Vec<f32>> = stack
//!     .layout
//!     .parameters
//!     .iter()
//!     .map(|parameter| vec![0.5; parameter.shape.iter().product()])
//!     .collect();
//! let values: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
//! let mut packed = PackedWeights::default();
//! packed.update(&values, &stack.layout, &Products::new(Precision::F32), &Threads::new(1));
//! let weights = Weights { values: &values, packed: &packed };
//!
//! // Two sequences of four positions, there and back.
//! let mut worker = Worker::new(&stack, Precision::F32, false);
//! let pass = Pass { sequences: 2, length: 4, lengths: &[], seeds: &[], keeps: true };
//! worker.input(&pass).fill(1.0);
//! let mut d: Vec<f32> = worker.forward(weights, &pass).to_vec();
//! assert_eq!(d.len(), 2 * 4 * 8);
//! let offsets = offsets(values.iter().map(|v| v.len()));
//! let mut gradients = vec![0.0; offsets[values.len()]];
//! let mut gradients = GradientsMut::new(&mut gradients, &offsets);
//! worker.backward(weights, &pass, &mut d, &mut gradients);
//! assert!((0..values.len()).all(|i| gradients[i].iter().any(|g| *g != 0.0)));
//! ```

mod buffer;
pub mod kernels;
pub mod language;
pub mod mask;
pub mod product;
pub mod simd;
pub mod stack;
pub mod threads;
