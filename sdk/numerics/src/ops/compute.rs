//! In which precision the factors of matrix products are taken.

use std::borrow::Cow;

use candle_core::{DType, Result, Tensor};
use sdk::Error;
use sdk_transformer::product::Precision;

use super::{fill, kernels};

/// The precision of matrix products: those of linear layers and of attention.
///
/// [`Compute::Bf16`] is mixed precision. Factors are rounded to bfloat16, sums run in f32, results
/// and the gradients handed down are rounded to bfloat16 again. Weights, their gradients, norms,
/// softmax, the residual stream and the loss stay in f32, so no scaling of the loss is needed:
/// bfloat16 has the range of f32.
///
/// Scores of attention are not rounded, since they never leave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compute {
    /// In the type of the tensors.
    #[default]
    Own,
    /// In bfloat16, summed in f32.
    Bf16,
}

impl Compute {
    /// The one that a device context asks for as its `amp_dtype`.
    ///
    /// # Errors
    /// For float16, whose range would need a scaled loss, and for types without meaning here.
    pub fn of(amp_dtype: Option<sdk::DType>) -> sdk::Result<Self> {
        match amp_dtype {
            None | Some(sdk::DType::F32) => Ok(Self::Own),
            Some(sdk::DType::Bf16) => Ok(Self::Bf16),
            Some(other) => {
                let message = format!("mixed precision can't compute in `{other}`");
                Err(Error::new("numerics::amp", message).help("use `bfloat16`, or leave it out"))
            }
        }
    }

    /// The one that a phase computes in, with a warning in the log where its CPU has no such
    /// products.
    ///
    /// # Errors
    /// As [`Compute::of`].
    pub fn of_phase(device: &sdk::DeviceContext) -> sdk::Result<Self> {
        let compute = Self::of(device.amp_dtype)?;
        if device.kind == sdk::DeviceKind::Cpu && !compute.precision().is_native() {
            log::warn!(
                "this CPU has no products of bfloat16 (AVX-512 BF16): they are emulated, which is \
                 slower than float32"
            );
        }
        Ok(compute)
    }

    /// The precision of the passes that are written out.
    pub fn precision(self) -> Precision {
        match self {
            Self::Own => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }

    /// What a product takes for `x`.
    pub(super) fn factor(self, x: &[f32]) -> Cow<'_, [f32]> {
        match self {
            Self::Own => Cow::Borrowed(x),
            Self::Bf16 => Cow::Owned(fill(x.len(), |y| kernels::round_bf16(x, y))),
        }
    }

    /// Rounds in place what a product takes or gives.
    pub(super) fn round(self, x: &mut [f32]) {
        if self == Self::Bf16 {
            kernels::round_bf16_in_place(x);
        }
    }

    /// The composed [`Compute::round`]. It rounds the gradient too.
    pub(super) fn rounded(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Own => Ok(x.clone()),
            Self::Bf16 => x.to_dtype(DType::BF16)?.to_dtype(x.dtype()),
        }
    }

    /// The composed product of two tensors; candle's own has no bfloat16 on the CPU.
    pub(super) fn matmul(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        match self {
            Self::Bf16 if !a.device().is_cpu() => {
                let product = a.to_dtype(DType::BF16)?.matmul(&b.to_dtype(DType::BF16)?)?;
                product.to_dtype(a.dtype())
            }
            _ => self.rounded(a)?.matmul(&self.rounded(b)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{apart, wave};
    use crate::ops::{Rope, causal_attention, linear};

    /// A tensor of values that bfloat16 holds.
    fn exact(shape: &[usize], seed: usize) -> Tensor {
        Compute::Bf16.rounded(&wave(shape, seed)).unwrap()
    }

    #[test]
    fn only_bfloat16_is_mixed() {
        assert_eq!(Compute::of(None).unwrap(), Compute::Own);
        assert_eq!(Compute::of(Some(sdk::DType::F32)).unwrap(), Compute::Own);
        assert_eq!(Compute::of(Some(sdk::DType::Bf16)).unwrap(), Compute::Bf16);
        let error = Compute::of(Some(sdk::DType::F16)).unwrap_err();
        assert_eq!(error.message, "mixed precision can't compute in `float16`");
    }

    /// On factors that bfloat16 holds, the results are those of f64 rounded once, and the
    /// gradients of weights those of f64 unrounded. Half a unit of bfloat16 is 2⁻⁹ of the value;
    /// where f32 and f64 fall on different sides of a tie it is a whole one.
    #[test]
    fn a_linear_layer_rounds_its_results_and_not_its_sums() {
        let args = [exact(&[2, 9, 40], 1), exact(&[24, 40], 2), exact(&[24], 3)];
        let bf16 = |x: &[Tensor]| Compute::Bf16.linear(&x[0], &x[1], Some(&x[2]));
        let own = |x: &[Tensor]| linear(&x[0], &x[1], Some(&x[2]));
        let seeds = exact(&[2, 9, 24], 99);
        let apart = apart(&args, &seeds, bf16, own);
        assert!(apart.value > 1e-4 && apart.value < 2f64.powi(-8), "{apart:?}");
        assert!(apart.gradients[0] > 1e-4 && apart.gradients[0] < 2f64.powi(-8), "{apart:?}");
        assert!(apart.gradients[1] < 2e-6 && apart.gradients[2] < 2e-6, "{apart:?}");
    }

    #[test]
    fn factors_are_rounded() {
        let args = [wave(&[5, 40], 1), wave(&[24, 40], 2)];
        let seeds = wave(&[5, 24], 99);
        let bf16 = |x: &[Tensor]| Compute::Bf16.linear(&x[0], &x[1], None);
        let after = |x: &[Tensor]| {
            let rounded = |x: &Tensor| Compute::Bf16.rounded(x);
            linear(&rounded(&x[0])?, &rounded(&x[1])?, None)
        };
        assert!(apart(&args, &seeds, bf16, after).value < 2f64.powi(-8));
        let far = apart(&args, &seeds, bf16, |x| linear(&x[0], &x[1], None));
        assert!(far.value > 2f64.powi(-9), "{far:?}");
        assert!(far.gradients.iter().all(|g| *g > 1e-4 && *g < 2e-2), "{far:?}");
    }

    #[test]
    fn attention_stays_within_the_bound_of_bfloat16() {
        let tables = Rope::new(70, 8, 100.0).unwrap();
        let qkv = [wave(&[2, 70, 3 * 16], 1)];
        let seeds = wave(&[2, 70, 16], 99);
        for p in [0.0, 0.25] {
            let run = |compute: Compute| {
                let tables = &tables;
                move |x: &[Tensor]| compute.causal_attention(&x[0], 2, Some(tables), p, 9)
            };
            let own = |x: &[Tensor]| causal_attention(&x[0], 2, Some(&tables), p, 9);
            let far = apart(&qkv, &seeds, run(Compute::Bf16), own);
            assert!(far.value > 1e-4 && far.value < 8e-3, "{far:?}");
            assert!(far.gradients[0] > 1e-4 && far.gradients[0] < 2e-2, "{far:?}");
            assert!(apart(&qkv, &seeds, run(Compute::Own), own).value < 1e-6);
            // The composed path, which other devices take, is as far from exact, and near this.
            let composed = run(Compute::Bf16);
            let near = apart(&qkv, &seeds, run(Compute::Bf16), composed);
            assert!(near.value < far.value && near.value < 4e-3, "{near:?} {far:?}");
        }
    }
}
