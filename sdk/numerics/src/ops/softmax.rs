//! Softmax and its logarithm over the last axis.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};

use super::{View, fill, fused, kernels, slice};

/// `eˣ / Σ eˣ` over the last axis.
///
/// # Shapes
/// `(…, C)` to the same, C at least 1.
///
/// # Errors
/// When `x` is a scalar.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if fused(&[x]) {
        return x.contiguous()?.apply_op1(Softmax { log: false, width: x.dim(D::Minus1)? });
    }
    let top = x.max_keepdim(D::Minus1)?.detach();
    let e = x.broadcast_sub(&top)?.exp()?;
    e.broadcast_div(&e.sum_keepdim(D::Minus1)?)
}

/// `x − log Σ eˣ` over the last axis.
///
/// # Shapes
/// `(…, C)` to the same, C at least 1.
///
/// # Errors
/// When `x` is a scalar.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    if fused(&[x]) {
        return x.contiguous()?.apply_op1(Softmax { log: true, width: x.dim(D::Minus1)? });
    }
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

struct Softmax {
    log: bool,
    width: usize,
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let kernel = if self.log { kernels::log_softmax } else { kernels::softmax };
        let y = fill(x.len(), |y| kernel(x, self.width, y));
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (ys, dys) = (View::of_f32(y)?, View::of_f32(&dy)?);
        let kernel =
            if self.log { kernels::log_softmax_backward } else { kernels::softmax_backward };
        let dx = fill(ys.slice().len(), |dx| kernel(ys.slice(), dys.slice(), self.width, dx));
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{agree, wave};

    #[test]
    fn fused_agrees_with_composed() {
        for c in [2, 7, 32, 45] {
            agree(&[wave(&[2, 3, c], 1)], |x| softmax(&(&x[0] * 5.0)?));
            agree(&[wave(&[2, 3, c], 1)], |x| log_softmax(&(&x[0] * 5.0)?));
        }
    }

    #[test]
    fn large_inputs_do_not_overflow() {
        let x = (wave(&[3, 5], 1) * 1e4).unwrap().to_dtype(candle_core::DType::F32).unwrap();
        let y = softmax(&x).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((y - 3.0).abs() < 1e-5);
        let y = log_softmax(&x).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(y.is_finite());
    }
}
