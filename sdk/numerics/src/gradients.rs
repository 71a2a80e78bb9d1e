//! The gradient of a step: one f32 buffer for all parameters, kept from step to step.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};
use sdk::{Error, Result};
use sdk_transformer::kernels::{add_assign, sum_of_squares};
use sdk_transformer::threads::{Chunks, Items, Threads};

use crate::parallel::Workers;
use crate::params::Params;
use crate::sink::{Buffer, Ids};

/// Values that a thread adds up at once: 64 KiB.
const CHUNK: usize = 1 << 14;

/// Accumulated gradients of all parameters, in the order of the parameters.
///
/// Micro-batches add up, so each loss must already be divided by the valid tokens of the *whole*
/// step; the sum is then the gradient of the step's mean loss, however it was cut up.
///
/// The buffer is f32 in host memory whatever the parameters' device and dtype are.
#[derive(Debug)]
pub struct Gradients {
    names: Vec<String>,
    pub(crate) ids: Ids,
    offsets: Arc<[usize]>,
    /// The gradient, then the buffers of threads other than the first.
    pub(crate) shares: Vec<Share>,
    /// Of each parameter, while the norm is measured.
    squares: Vec<f64>,
    scale: f64,
    threads: Threads,
}

/// What one thread adds to, and its part of the loss.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) buffer: Buffer,
    pub(crate) loss: Result<f64>,
}

impl Share {
    fn new(offsets: &Arc<[usize]>) -> Self {
        Self { buffer: Buffer::new(offsets), loss: Ok(0.0) }
    }
}

impl Gradients {
    /// Zero gradients for `params`.
    pub fn new(params: &Params) -> Self {
        let ids: HashMap<_, _> =
            params.iter().enumerate().map(|(i, (_, _, var))| (var.id(), i)).collect();
        let offsets = Arc::from(params.offsets());
        Self {
            names: params.iter().map(|(name, _, _)| name.to_owned()).collect(),
            ids: Arc::new(ids),
            shares: vec![Share::new(&offsets)],
            offsets,
            squares: vec![0.0; params.len()],
            scale: 1.0,
            threads: Threads::new(1),
        }
    }

    /// Lets [`Gradients::zero`] and [`Gradients::clip`] use the threads of `workers`; the result is
    /// the same.
    #[must_use]
    pub fn workers(mut self, workers: &Workers) -> Self {
        self.threads = workers.threads.clone();
        self
    }

    /// Back to zero, before the first micro-batch of a step. Keeps the memory.
    pub fn zero(&mut self) {
        let Buffer { values, seen, .. } = &mut self.shares[0].buffer;
        self.threads.each(Chunks::new(values, CHUNK), |_, chunk| chunk.fill(0.0));
        seen.fill(false);
        self.scale = 1.0;
    }

    /// Adds the gradients that candle's `backward` returned.
    ///
    /// # Errors
    /// When a gradient can't be brought to f32 in host memory.
    pub fn add(&mut self, params: &Params, store: &GradStore) -> Result<()> {
        add_store(&mut self.shares[0].buffer, params, store).map_err(crate::error)
    }

    /// Names of the parameters that got no gradient since [`Gradients::zero`].
    pub fn missing(&self) -> Vec<&str> {
        let pairs = self.names.iter().zip(&self.shares[0].buffer.seen);
        pairs.filter(|(_, seen)| !**seen).map(|(name, _)| name.as_str()).collect()
    }

    /// Refuses parameters without a gradient: a layer that is not connected to the loss.
    pub(crate) fn check(&self) -> Result<()> {
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
        let message = format!("the loss gives no gradient to {}", names.join(", "));
        Err(Error::new("gradients::missing", message)
            .help("connect the parameter to the loss, or do not declare it"))
    }

    /// The first parameter whose gradient holds an infinity or a NaN.
    pub fn non_finite(&self) -> Option<&str> {
        let bad =
            (0..self.names.len()).position(|i| !sum_of_squares(self.values(i)).is_finite())?;
        Some(&self.names[bad])
    }

    /// Euclidean norm over all parameters, summed in f64 in the order of the parameters.
    pub fn global_norm(&self) -> f64 {
        let squares = (0..self.names.len()).map(|i| sum_of_squares(self.values(i)));
        squares.sum::<f64>().sqrt() * self.scale
    }

    /// Scales all gradients down to `max_norm` when their norm is larger, by `max_norm / (norm +
    /// 1e-6)` as PyTorch's `clip_grad_norm_` does, and returns the norm before. `None` only
    /// measures.
    ///
    /// The factor is kept beside the buffer and applied where it is read.
    pub fn clip(&mut self, max_norm: Option<f64>) -> f64 {
        let buffer = &self.shares[0].buffer;
        self.threads.each(Items::new(&mut self.squares), |i, squares| {
            *squares = sum_of_squares(buffer.of(i));
        });
        // As `global_norm` has it, bit for bit.
        let norm = self.squares.iter().sum::<f64>().sqrt() * self.scale;
        if let Some(max_norm) = max_norm
            && norm > max_norm
        {
            self.scale *= max_norm / (norm + 1e-6);
        }
        norm
    }

    /// The gradient of parameter `name`, after clipping, flat in row-major order.
    pub fn get(&self, name: &str) -> Option<Vec<f32>> {
        let i = self.names.iter().position(|n| n == name)?;
        let scale = self.scale as f32;
        Some(self.values(i).iter().map(|g| g * scale).collect())
    }

    /// Unscaled values of parameter `i`.
    pub(crate) fn values(&self, i: usize) -> &[f32] {
        self.shares[0].buffer.of(i)
    }

    /// The factor that clipping left.
    pub(crate) fn scale(&self) -> f32 {
        self.scale as f32
    }

    /// Buffers for `n` threads, the first of which is the gradient itself.
    pub(crate) fn shares(&mut self, n: usize) -> &mut [Share] {
        while self.shares.len() < n {
            self.shares.push(Share::new(&self.offsets));
        }
        &mut self.shares[..n]
    }

    /// Adds the buffers of the first `n` threads up, in their order.
    pub(crate) fn merge(&mut self, n: usize, threads: &Threads) {
        let Some((own, others)) = self.shares[..n].split_first_mut() else { return };
        if others.is_empty() {
            return;
        }
        threads.each(Chunks::new(&mut own.buffer.values, CHUNK), |i, to| {
            for other in &*others {
                add_assign(to, &other.buffer.values[i * CHUNK..][..to.len()]);
            }
        });
        for other in others {
            for (seen, also) in own.buffer.seen.iter_mut().zip(&other.buffer.seen) {
                *seen |= also;
            }
        }
    }
}

/// Adds a tape's gradients to `buffer`.
pub(crate) fn add_store(
    buffer: &mut Buffer,
    params: &Params,
    store: &GradStore,
) -> candle_core::Result<()> {
    for (i, (_, _, var)) in params.iter().enumerate() {
        if let Some(gradient) = store.get(var) {
            add_tensor(buffer.add_to(i), gradient)?;
        }
    }
    Ok(())
}

/// Adds one gradient of any type and device.
pub(crate) fn add_tensor(to: &mut [f32], gradient: &Tensor) -> candle_core::Result<()> {
    if let Some(view) = crate::ops::View::of(gradient) {
        add_assign(to, view.slice());
        return Ok(());
    }
    add_assign(to, &gradient.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use sdk::Generator;

    use super::*;
    use crate::params::{Init, ParamKind};

    #[test]
    fn norm_clip_and_missing() {
        let mut g = Generator::new(0, "g");
        let mut params = Params::new(&Device::Cpu, DType::F32);
        params.declare("a", ParamKind::Weight, &[2], Init::Ones, &mut g).unwrap();
        params.declare("b", ParamKind::Bias, &[1], Init::Ones, &mut g).unwrap();
        let mut gradients = Gradients::new(&params);
        let loss = (params.get("a") * 1.5f64).unwrap().sum_all().unwrap();
        gradients.add(&params, &loss.backward().unwrap()).unwrap();
        gradients.add(&params, &loss.backward().unwrap()).unwrap();
        assert_eq!(gradients.missing(), ["b"]);
        assert_eq!(gradients.check().unwrap_err().message, "the loss gives no gradient to `b`");
        assert_eq!(gradients.get("a").unwrap(), [3.0, 3.0]);
        assert_eq!(gradients.clip(None), 18f64.sqrt());
        assert_eq!(gradients.clip(Some(5.0)), 18f64.sqrt());
        assert_eq!(gradients.get("a").unwrap(), [3.0, 3.0]);
        assert_eq!(gradients.clip(Some(2.0)), 18f64.sqrt());
        let want = 3.0 * 2.0 / (18f64.sqrt() + 1e-6);
        assert!((f64::from(gradients.get("a").unwrap()[0]) - want).abs() < 1e-6);
        assert!((gradients.global_norm() - 2.0).abs() < 1e-5);
        gradients.zero();
        assert_eq!(gradients.global_norm(), 0.0);
        assert_eq!(gradients.missing(), ["a", "b"]);
        assert_eq!(gradients.non_finite(), None);
        let loss = (params.get("b") * f64::NAN).unwrap().sum_all().unwrap();
        gradients.add(&params, &loss.backward().unwrap()).unwrap();
        assert_eq!(gradients.non_finite(), Some("b"));
    }
}
