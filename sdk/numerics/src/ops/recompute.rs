//! Activation checkpointing: a part of the model whose inside is computed again in backward
//! (Chen et al. 2016).

use std::sync::{Mutex, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, Var, bail,
};

use crate::sink;

/// `part(x)`, of which only the input is kept: the backward pass runs `part` once more.
///
/// Values and gradients are those of `part(x)`, with this module's fused operations bit for bit,
/// as long as `part` is a function of `x` alone: dropout keys are drawn before, and captured. Gradients of parameters
/// inside of `part` go to [`crate::Gradients`], so backward has to run inside of
/// [`crate::Workers`]; and `x` must depend on a parameter, or backward never comes by.
///
/// # Shapes
/// Whatever `part` makes of `x`.
///
/// # Errors
/// Those of `part`.
pub fn recompute<F>(x: &Tensor, part: F) -> Result<Tensor>
where
    F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    // Its tape, which knows the parameters, ends here, and with it everything inside.
    let y = part(&x.detach())?.detach();
    x.apply_op1(Recompute { y: Mutex::new(Some(y)), part })
}

struct Recompute<F> {
    /// The result, until the forward pass of this operation has taken it.
    y: Mutex<Option<Tensor>>,
    part: F,
}

impl<F> Recompute<F> {
    /// The result, once.
    fn take(&self) -> Result<Tensor> {
        let taken = self.y.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(y) = taken else { bail!("a recomputed part went forward twice") };
        Ok(y)
    }
}

impl<F: Fn(&Tensor) -> Result<Tensor>> CustomOp1 for Recompute<F> {
    fn name(&self) -> &'static str {
        "recompute"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.take()?.contiguous()?;
        let (storage, layout) = y.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            bail!("a recomputed part must stay on its device")
        };
        let storage = copy(storage, layout)?;
        Ok((storage, y.shape().clone()))
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        // In memory of its own, from the first element on: cloned whole.
        let y = self.take()?.force_contiguous()?;
        let (storage, layout) = y.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            bail!("a recomputed part must stay on its device")
        };
        Ok((storage.try_clone(layout)?, y.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let x = Var::from_tensor(&x.detach())?;
        let y = (self.part)(&x)?;
        let mut store = y.apply_op1(Seed(dy.clone()))?.backward()?;
        let dx = store.remove(&x);
        sink::accumulate_store(&store)?;
        Ok(dx)
    }
}

/// The elements of a contiguous tensor.
fn copy(storage: &CpuStorage, layout: &Layout) -> Result<CpuStorage> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("a recomputed part must give contiguous values")
    };
    Ok(match storage {
        CpuStorage::F32(values) => CpuStorage::F32(values[start..end].to_vec()),
        CpuStorage::F64(values) => CpuStorage::F64(values[start..end].to_vec()),
        _ => bail!("a recomputed part must give f32 or f64"),
    })
}

/// A scalar whose gradient of its argument is given: the end of a tape that begins elsewhere.
struct Seed(Tensor);

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let zero = match storage {
            CpuStorage::F64(_) => CpuStorage::F64(vec![0.0]),
            _ => CpuStorage::F32(vec![0.0]),
        };
        Ok((zero, Shape::from(())))
    }

    fn cuda_fwd(&self, storage: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let scalar = Shape::from(());
        Ok((storage.device().zeros_impl(&scalar, storage.dtype())?, scalar))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use sdk::Generator;

    use super::*;
    use crate::ops::check::wave;
    use crate::ops::{dropout, linear, rms_norm};
    use crate::{Gradients, Init, ParamKind, Params, Workers};

    fn params(dtype: DType) -> Params {
        let mut init = Generator::new(1, "model init");
        let mut params = Params::new(&Device::Cpu, dtype);
        let normal = Init::Normal { std: 0.5 };
        for name in ["first", "second", "head"] {
            params.declare(name, ParamKind::Weight, &[8, 8], normal, &mut init).unwrap();
        }
        params.declare("gain", ParamKind::Norm, &[8], Init::Ones, &mut init).unwrap();
        params
    }

    /// Loss and all gradients of two parts, each recomputed or not.
    fn run(params: &Params, is_recomputed: bool) -> (f64, Vec<Vec<f32>>) {
        let mut gradients = Gradients::new(params);
        let loss = Workers::new(2).gradients(params, vec![1, 2], &mut gradients, |seed| {
            let run = || {
                let mut h = wave(&[5, 8], seed).to_dtype(params.dtype())?;
                h = linear(&h, params.get("first"), None)?;
                for key in [3, 4] {
                    let (w, gain) = (params.get("second").clone(), params.get("gain").clone());
                    let part = move |h: &Tensor| {
                        let x = linear(&rms_norm(h, &gain, 1e-5)?, &w, None)?;
                        h.add(&dropout(&x, 0.3, key)?)
                    };
                    h = if is_recomputed { recompute(&h, part)? } else { part(&h)? };
                }
                linear(&h, params.get("head"), None)?.sqr()?.sum_all()
            };
            run().map_err(crate::error)
        });
        let names = params.iter().map(|(name, _, _)| gradients.get(name).unwrap()).collect();
        (loss.unwrap(), names)
    }

    #[test]
    fn value_and_gradients_are_the_same_bits() {
        let params = params(DType::F32);
        assert_eq!(run(&params, true), run(&params, false));
        assert!(run(&params, true).1.iter().all(|g| g.iter().any(|g| *g != 0.0)));
    }

    /// Here gradients come from the tapes, and those of the parts are added in f32.
    #[test]
    fn composed_operations_agree_too() {
        let params = params(DType::F64);
        let ((loss, gradients), (want, wanted)) = (run(&params, true), run(&params, false));
        assert_eq!(loss, want);
        for (a, b) in gradients.iter().flatten().zip(wanted.iter().flatten()) {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{a} {b}");
        }
    }

    #[test]
    fn gradients_without_a_place_are_an_error_and_not_lost() {
        let params = params(DType::F64);
        let w = params.get("second").clone();
        let x = params.get("first").clone();
        let y = recompute(&x, move |x| x.matmul(&w)).unwrap();
        let error = y.sum_all().unwrap().backward().unwrap_err();
        assert!(error.to_string().contains("need `Workers`"), "{error}");
    }
}
