//! Numerics for trainer plugins, on candle.
//!
//! What the loops of all trainers share: the device and tensor handles of the boundary turned into
//! candle's, named parameters, differentiable operations with hand-written CPU kernels, the
//! transformer stack as one of them, gradients of several shards at once, clipping, `AdamW` with
//! state that can be saved, and the learning-rate schedule. Model code returns
//! [`candle_core::Result`]; at the trainer's boundary it becomes the SDK's with
//! `.map_err(sdk_numerics::error)`.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use sdk_numerics::{AdamW, AdamWConfig, Gradients, Init, ParamKind, Params, Workers, ops};
//!
//! // One linear layer, two shards, one optimizer step.
//! let mut init = sdk::Generator::new(1, "model init");
//! let mut params = Params::new(&Device::Cpu, DType::F32);
//! params.declare("weight", ParamKind::Weight, &[1, 3], Init::Normal { std: 0.02 }, &mut init)?;
//! let mut optimizer = AdamW::new(&params, AdamWConfig::default());
//! let mut gradients = Gradients::new(&params);
//!
//! let loss = Workers::new(2).gradients(&params, vec![1f32, 2.0], &mut gradients, |x| {
//!     let run = || {
//!         let x = Tensor::full(x, (4, 3), &Device::Cpu)?;
//!         ops::linear(&x, params.get("weight"), None)?.sqr()?.sum_all()
//!     };
//!     run().map_err(sdk_numerics::error)
//! })?;
//! assert!(loss >= 0.0);
//! let grad_norm = gradients.clip(Some(1.0));
//! optimizer.step(&params, &gradients, 1e-3)?;
//! # assert!(grad_norm > 0.0);
//! # Ok::<(), sdk::Error>(())
//! ```

mod adamw;
mod device;
mod gradients;
mod handle;
mod in_place;
pub mod ops;
mod parallel;
mod params;
mod peak;
mod schedule;
mod sink;
pub mod stack;

pub use adamw::{AdamW, AdamWConfig};
pub use device::{DEVICES, device, device_peak_flops, from_candle_dtype, to_candle_dtype};
pub use gradients::Gradients;
pub use handle::{export, export_copy, import};
pub use in_place::Reader;
pub use parallel::Workers;
pub use params::{Init, ParamKind, Params};
pub use schedule::WarmupCosine;

/// Turns a candle error into the SDK's, with code `numerics`.
///
/// The orphan rule forbids a `From` between two foreign types, so model code returns
/// [`candle_core::Result`] and its caller writes `.map_err(sdk_numerics::error)` once.
#[expect(clippy::needless_pass_by_value, reason = "the signature that `map_err` wants")]
pub fn error(error: candle_core::Error) -> sdk::Error {
    // Debug output of a candle error may hold a backtrace; its first line says what happened.
    let text = error.to_string();
    sdk::Error::new("numerics", text.lines().next().unwrap_or("unknown candle error"))
}
