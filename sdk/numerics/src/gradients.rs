//! The gradient of a step: one f32 buffer per parameter, kept from step to step.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};
use sdk::{Error, Result};

use crate::params::Params;
use crate::sink::{Buffers, Ids};
use sdk_transformer::kernels::{add_assign, sum_of_squares};

/// Accumulated gradients of all parameters, in the order of the parameters.
///
/// Micro-batches add up, so each loss must already be divided by the valid tokens of the *whole*
/// step; the sum is then the gradient of the step's mean loss, however it was cut up.
///
/// The buffers are f32 in host memory whatever the parameters' device and dtype are.
#[derive(Debug)]
pub struct Gradients {
    names: Vec<String>,
    pub(crate) ids: Ids,
    pub(crate) buffers: Buffers,
    pub(crate) spare: Vec<Buffers>,
    scale: f64,
}

impl Gradients {
    /// Zero gradients for `params`.
    pub fn new(params: &Params) -> Self {
        let ids: HashMap<_, _> =
            params.iter().enumerate().map(|(i, (_, _, var))| (var.id(), i)).collect();
        Self {
            names: params.iter().map(|(name, _, _)| name.to_owned()).collect(),
            ids: Arc::new(ids),
            buffers: Buffers::new(params.iter().map(|(_, _, var)| var.elem_count())),
            spare: Vec::new(),
            scale: 1.0,
        }
    }

    /// Back to zero, before the first micro-batch of a step. Keeps the memory.
    pub fn zero(&mut self) {
        self.buffers.reset();
        self.scale = 1.0;
    }

    /// Adds the gradients that candle's `backward` returned.
    ///
    /// # Errors
    /// When a gradient can't be brought to f32 in host memory.
    pub fn add(&mut self, params: &Params, store: &GradStore) -> Result<()> {
        add_store(&mut self.buffers, params, store).map_err(crate::error)
    }

    /// Names of the parameters that got no gradient since [`Gradients::zero`].
    pub fn missing(&self) -> Vec<&str> {
        let pairs = self.names.iter().zip(&self.buffers.seen);
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
        let bad = self.buffers.values.iter().position(|v| !sum_of_squares(v).is_finite())?;
        Some(&self.names[bad])
    }

    /// Euclidean norm over all parameters, summed in f64 in the order of the parameters.
    pub fn global_norm(&self) -> f64 {
        let squares: f64 = self.buffers.values.iter().map(|v| sum_of_squares(v)).sum();
        squares.sqrt() * self.scale
    }

    /// Scales all gradients down to `max_norm` when their norm is larger, by `max_norm / (norm +
    /// 1e-6)` as PyTorch's `clip_grad_norm_` does, and returns the norm before. `None` only
    /// measures.
    ///
    /// The factor is kept beside the buffers and applied where they are read.
    pub fn clip(&mut self, max_norm: Option<f64>) -> f64 {
        let norm = self.global_norm();
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
        Some(self.buffers.values[i].iter().map(|g| g * scale).collect())
    }

    /// Unscaled values of parameter `i`.
    pub(crate) fn values(&self, i: usize) -> &[f32] {
        &self.buffers.values[i]
    }

    /// The factor that clipping left.
    pub(crate) fn scale(&self) -> f32 {
        self.scale as f32
    }

    /// Adds `others` to the buffers, in their order, on as many threads.
    pub(crate) fn merge(&mut self, others: &[Buffers]) {
        let sizes: Vec<usize> = self.buffers.values.iter().map(Vec::len).collect();
        let mut rest = self.buffers.values.as_mut_slice();
        std::thread::scope(|scope| {
            for range in balanced(&sizes, others.len() + 1) {
                let (mine, tail) = rest.split_at_mut(range.len());
                rest = tail;
                scope.spawn(move || {
                    for other in others {
                        for (to, from) in mine.iter_mut().zip(&other.values[range.clone()]) {
                            add_assign(to, from);
                        }
                    }
                });
            }
        });
        for other in others {
            for (seen, also) in self.buffers.seen.iter_mut().zip(&other.seen) {
                *seen |= also;
            }
        }
    }
}

/// Adds a tape's gradients to `buffers`.
pub(crate) fn add_store(
    buffers: &mut Buffers,
    params: &Params,
    store: &GradStore,
) -> candle_core::Result<()> {
    for (i, (_, _, var)) in params.iter().enumerate() {
        if let Some(gradient) = store.get(var) {
            add_tensor(&mut buffers.values[i], gradient)?;
            buffers.seen[i] = true;
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

/// Cuts `0..sizes.len()` into at most `n` consecutive ranges of about equal total size.
pub(crate) fn balanced(sizes: &[usize], n: usize) -> Vec<Range<usize>> {
    let total: usize = sizes.iter().sum();
    let target = total.div_ceil(n.max(1));
    let (mut ranges, mut start, mut sum) = (Vec::new(), 0, 0);
    for (i, size) in sizes.iter().enumerate() {
        sum += size;
        if sum >= target && ranges.len() + 1 < n {
            ranges.push(start..i + 1);
            (start, sum) = (i + 1, 0);
        }
    }
    if start < sizes.len() {
        ranges.push(start..sizes.len());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use sdk::Generator;

    use super::*;
    use crate::params::{Init, ParamKind};

    #[test]
    fn ranges_cover_everything_once() {
        for sizes in [vec![], vec![5], vec![1, 1, 100, 1], vec![3; 10], vec![100, 1, 1]] {
            for n in 1..6 {
                let ranges = balanced(&sizes, n);
                let all: Vec<usize> = ranges.iter().cloned().flatten().collect();
                assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>());
                assert!(ranges.len() <= n);
            }
        }
    }

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
