//! Cross-entropy as a sum, so that the caller divides by what the step counts.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, D, DType, Device, Layout, Result, Shape, Tensor, bail};

use super::{View, fill, fused, kernels, log_softmax, slice};

/// Sum of −log softmax(logits)\[target\] in nats over the rows whose target is not `ignore`, and
/// how many rows those are.
///
/// Divide the sum by the valid targets of the *whole* step: then accumulation and sharding give
/// the gradient of one large batch. With no valid row the sum is 0 and so is its gradient.
///
/// # Shapes
/// - `logits`: `(N, V)`
/// - `targets`: `(N)`, u32
/// - returns: scalar in the dtype of `logits`; summed in f64 on the CPU
///
/// ```
/// use candle_core::{Device, Tensor};
/// use sdk_numerics::ops::cross_entropy_sum;
///
/// let logits = Tensor::zeros((3, 8), candle_core::DType::F32, &Device::Cpu)?;
/// let targets = Tensor::new(&[1u32, u32::MAX, 7], &Device::Cpu)?;
/// let (sum, valid) = cross_entropy_sum(&logits, &targets, Some(u32::MAX))?;
/// assert_eq!(valid, 2);
/// assert!((sum.to_scalar::<f32>()? - 2.0 * 8f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes disagree or a target is neither below V nor `ignore`.
pub fn cross_entropy_sum(
    logits: &Tensor,
    targets: &Tensor,
    ignore: Option<u32>,
) -> Result<(Tensor, usize)> {
    let (n, v) = logits.dims2()?;
    let ids = targets.to_vec1::<u32>()?;
    if ids.len() != n {
        bail!("{} targets do not fit logits of shape {:?}", ids.len(), logits.dims());
    }
    let valid = |id: &u32| Some(*id) != ignore;
    if let Some(id) = ids.iter().find(|id| valid(id) && **id as usize >= v) {
        bail!("target {id} is not in the vocabulary of {v}");
    }
    let count = ids.iter().filter(|id| valid(id)).count();
    if fused(&[logits]) {
        let targets = ids.iter().map(|id| valid(id).then_some(*id as usize)).collect();
        let op = CrossEntropy { targets, log_sums: OnceLock::new() };
        return Ok((logits.contiguous()?.apply_op1(op)?, count));
    }
    let mask: Vec<f32> = ids.iter().map(|id| f32::from(u8::from(valid(id)))).collect();
    let mask = Tensor::from_vec(mask, n, &Device::Cpu)?
        .to_dtype(logits.dtype())?
        .to_device(logits.device())?;
    let safe: Vec<u32> = ids.iter().map(|id| if valid(id) { *id } else { 0 }).collect();
    let safe = Tensor::from_vec(safe, (n, 1), logits.device())?;
    let picked = log_softmax(logits)?.gather(&safe, D::Minus1)?.squeeze(1)?; // (N)
    Ok((picked.mul(&mask)?.sum_all()?.neg()?, count))
}

struct CrossEntropy {
    /// None for rows that don't count.
    targets: Vec<Option<usize>>,
    /// log Σ eˣ of each row, from the forward pass; 0 where it doesn't count.
    log_sums: OnceLock<Vec<f32>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, v) = layout.shape().dims2()?;
        let logits = slice(logits, layout)?;
        let mut sum = 0f64;
        let log_sums = self.targets.iter().zip(logits.chunks_exact(v)).map(|(target, row)| {
            let Some(target) = *target else { return 0.0 };
            let log_sum = kernels::log_sum_exp(row);
            sum += f64::from(log_sum - row[target]);
            log_sum
        });
        let log_sums = log_sums.collect();
        // A second forward pass through the same operation would find the same values.
        let _ = self.log_sums.set(log_sums);
        Ok((CpuStorage::F32(vec![sum as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let scale = dy.to_dtype(DType::F32)?.to_scalar::<f32>()?;
        let (_, v) = logits.dims2()?;
        let xs = View::of_f32(logits)?;
        let Some(log_sums) = self.log_sums.get() else {
            bail!("cross-entropy went backward before forward")
        };
        let mut dx = fill(xs.slice().len(), |dx| {
            let rows = xs.slice().chunks_exact(v).zip(dx.chunks_exact_mut(v));
            for ((row, dx), (target, log_sum)) in rows.zip(self.targets.iter().zip(log_sums)) {
                let scale = if target.is_some() { scale } else { 0.0 };
                kernels::scaled_softmax(row, *log_sum, scale, dx);
            }
        });
        for (row, target) in self.targets.iter().enumerate() {
            if let Some(target) = target {
                dx[row * v + target] -= scale;
            }
        }
        Tensor::from_vec(dx, logits.shape(), logits.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{agree, wave};

    const IGNORE: u32 = 99;

    #[test]
    fn fused_agrees_with_composed() {
        for v in [3, 11, 32, 45] {
            let targets = Tensor::new(&[2u32, IGNORE, 0, 1, IGNORE], &Device::Cpu).unwrap();
            agree(&[wave(&[5, v], 1)], |x| {
                let (sum, valid) = cross_entropy_sum(&(&x[0] * 6.0)?, &targets, Some(IGNORE))?;
                assert_eq!(valid, 3);
                sum / 7.0
            });
        }
    }

    #[test]
    fn nothing_valid_is_zero_not_nan() {
        for dtype in [DType::F32, DType::F64] {
            let logits = candle_core::Var::from_tensor(&wave(&[2, 5], 1).to_dtype(dtype).unwrap());
            let logits = logits.unwrap();
            let targets = Tensor::new(&[IGNORE, IGNORE], &Device::Cpu).unwrap();
            let (sum, valid) = cross_entropy_sum(&logits, &targets, Some(IGNORE)).unwrap();
            assert_eq!(valid, 0);
            let store = sum.backward().unwrap();
            let gradient = store.get(&logits).unwrap().abs().unwrap().sum_all().unwrap();
            let value = |t: Tensor| t.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap();
            assert_eq!((value(sum), value(gradient)), (0.0, 0.0));
        }
    }

    #[test]
    fn targets_are_checked() {
        let logits = wave(&[2, 5], 1);
        let refuse = |targets: &[u32]| {
            let targets = Tensor::new(targets, &Device::Cpu).unwrap();
            cross_entropy_sum(&logits, &targets, None).unwrap_err().to_string()
        };
        assert!(refuse(&[1, 5]).starts_with("target 5 is not in the vocabulary of 5"));
        assert!(refuse(&[1]).starts_with("1 targets do not fit"));
    }
}
