//! GELU and ReLU, element by element.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{View, fill, fused, kernels, slice};

/// Elements whose gradient is computed at once: what the kernel writes beside it stays in the
/// first-level cache.
const CHUNK: usize = 1024;

/// `x · Φ(x)` by its approximation with tanh (Hendrycks and Gimpel 2016):
/// `x / 2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
///
/// It is what GPT-2 and most that followed use, PyTorch's `gelu(x, approximate="tanh")`. The exact
/// one is candle's [`Tensor::gelu_erf`]; they differ by at most 5·10⁻⁴.
///
/// # Shapes
/// Any, to the same.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[-1f32, 0.0, 2.0], &Device::Cpu)?;
/// let y = sdk_numerics::ops::gelu(&x)?.to_vec1::<f32>()?;
/// for (y, want) in y.iter().zip([-0.158808, 0.0, 1.954598]) {
///     assert!((y - want).abs() < 1e-6);
/// }
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When candle can't compute with the element type.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if fused(&[x]) {
        return x.contiguous()?.apply_op1(Activation::Gelu);
    }
    x.gelu()
}

/// `max(x, 0)`; at 0 its gradient is 0.
///
/// # Shapes
/// Any, to the same.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[-1f32, 0.0, 2.0], &Device::Cpu)?;
/// assert_eq!(sdk_numerics::ops::relu(&x)?.to_vec1::<f32>()?, [0.0, 0.0, 2.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When candle can't compute with the element type.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if fused(&[x]) {
        return x.contiguous()?.apply_op1(Activation::Relu);
    }
    x.relu()
}

#[derive(Clone, Copy)]
enum Activation {
    Gelu,
    Relu,
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::Relu => "relu",
        }
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let y = fill(x.len(), |y| match self {
            Self::Gelu => kernels::gelu(x, y),
            Self::Relu => kernels::relu(x, y),
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (xs, dys) = (View::of_f32(x)?, View::of_f32(&dy)?);
        let mut dx = xs.slice().to_vec();
        let mut y = [0.0; CHUNK];
        for (dx, dy) in dx.chunks_mut(CHUNK).zip(dys.slice().chunks(CHUNK)) {
            let y = kernels::out(&mut y[..dx.len()]);
            match self {
                Self::Gelu => kernels::gelu_backward(dx, dy, y),
                Self::Relu => kernels::relu_backward(dx, dy, y),
            }
        }
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{agree, wave};

    #[test]
    fn fused_agrees_with_composed() {
        for n in [1, 7, 64, 101, CHUNK + 5] {
            agree(&[wave(&[n], 1)], |x| gelu(&(&x[0] * 4.0)?));
            agree(&[wave(&[n], 1).abs().unwrap()], |x| relu(&x[0]));
            let mixed = |x: &[Tensor]| relu(&(&x[0] - 0.5)?)? + &x[0];
            agree(&[wave(&[n], 1)], mixed);
        }
    }

    #[test]
    fn views_are_taken() {
        agree(&[wave(&[5, 9], 1)], |x| {
            gelu(&x[0].t()?.narrow(0, 2, 4)?)? + x[0].t()?.narrow(0, 2, 4)?
        });
    }

    /// Far out the approximation is 0 or the identity, not NaN.
    #[test]
    fn large_inputs_stay_finite() {
        let x = Tensor::new(&[-1e6f32, -30.0, 30.0, 1e6], &candle_core::Device::Cpu).unwrap();
        let y = gelu(&x).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(y[2..], [30.0, 1e6]);
        assert!(y[..2].iter().all(|y| y.abs() < 1e-6), "{y:?}");
    }
}
