//! Differentiable operations.
//!
//! For f32 on the CPU each is one candle custom operation with a hand-written backward pass, run
//! on the thread that calls it. For other types and devices it is composed of candle's own
//! operations. Both are differentiable and agree within rounding.
//!
//! The gradients of weights (arguments called `w`, `b`, `table`) go straight into the buffers of
//! [`crate::Gradients`] while [`crate::Workers`] runs, and through candle's tape otherwise.
//!
//! Legend: B batch, T sequence length, C width, H heads, D = C / H, V vocabulary, N rows.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, StorageRef, Tensor, bail};

mod activation;
mod attention;
mod compute;
mod dropout;
mod embedding;
mod fused_attention;
mod linear;
mod loss;
mod norm;
mod recompute;
mod rope;
mod softmax;
mod swiglu;

use product::{Precision, Products};
pub(crate) use sdk_transformer::{kernels, product};

pub use activation::{gelu, relu};
pub use attention::{attention, attention_probs, causal_attention};
pub use compute::Compute;
pub use dropout::{Keys, add_dropout, dropout};
pub use embedding::embedding;
pub use linear::linear;
pub use loss::cross_entropy_sum;
pub use norm::{layer_norm, rms_norm};
pub use recompute::recompute;
pub use rope::{Rope, rope};
pub use softmax::{log_softmax, softmax};
pub use swiglu::swiglu;

/// Whether the fused kernels can take these.
pub(crate) fn fused(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|t| t.device().is_cpu() && t.dtype() == DType::F32)
}

/// The elements of an argument of a custom operation.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("a fused operation wants contiguous f32"),
    }
}

/// A borrowed contiguous f32 tensor on the CPU.
pub(crate) struct View<'a> {
    storage: StorageRef<'a>,
    start: usize,
    end: usize,
}

impl<'a> View<'a> {
    /// `None` when `tensor` is anything else.
    pub(crate) fn of(tensor: &'a Tensor) -> Option<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let (start, end) = layout.contiguous_offsets()?;
        matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))).then_some(Self {
            storage,
            start,
            end,
        })
    }

    pub(crate) fn of_f32(tensor: &'a Tensor) -> Result<Self> {
        match Self::of(tensor) {
            Some(view) => Ok(view),
            None => bail!("a fused operation wants contiguous f32"),
        }
    }

    pub(crate) fn slice(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.start..self.end],
            _ => &[],
        }
    }
}

thread_local! {
    static PRODUCTS: RefCell<Option<Products>> = const { RefCell::new(None) };
}

/// Lets `run` multiply with this thread's products, which keep the memory that they pack into.
fn with_products<R>(run: impl FnOnce(&mut Products) -> R) -> R {
    let fresh = Products::new(Precision::F32);
    let kept = PRODUCTS.take().filter(|kept| kept.packs() == fresh.packs());
    let mut products = kept.unwrap_or(fresh);
    let result = run(&mut products);
    PRODUCTS.set(Some(products));
    result
}

/// `n` elements that `write` has written, every one of them.
fn fill(n: usize, write: impl FnOnce(&mut kernels::Out)) -> Vec<f32> {
    let mut values = Vec::<f32>::with_capacity(n);
    let out: &mut [MaybeUninit<f32>] = &mut values.spare_capacity_mut()[..n];
    write(out);
    // SAFETY: the capacity is at least `n`, and `write` fills all of it: the kernels' contract.
    unsafe { values.set_len(n) };
    values
}

#[cfg(test)]
pub(crate) mod check {
    //! Compares the fused f32 path with the composed f64 one, values and gradients.

    use candle_core::{DType, Device, Result, Tensor, Var};

    /// Numbers in [-1, 1] without a pattern.
    pub(crate) fn wave(shape: &[usize], seed: usize) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f64> =
            (0..n).map(|i| (i as f64 * 12.9898 + seed as f64 * 78.233).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn flat(t: &Tensor) -> Vec<f64> {
        t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    fn run(
        args: &[Tensor],
        dtype: DType,
        op: &impl Fn(&[Tensor]) -> Result<Tensor>,
        seeds: Option<&Tensor>,
    ) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
        let vars: Vec<Var> = args
            .iter()
            .map(|t| Var::from_tensor(&t.to_dtype(dtype)?.copy()?))
            .collect::<Result<_>>()?;
        let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let y = op(&tensors)?;
        // A weighted sum, so that every element's gradient is its own.
        let weights = seeds.cloned().unwrap_or_else(|| wave(y.dims(), 99)).to_dtype(dtype)?;
        let store = (&y * weights)?.sum_all()?.backward()?;
        let grads = vars.iter().map(|v| flat(store.get(v).expect("every argument has a gradient")));
        Ok((flat(&y), grads.collect()))
    }

    /// Asserts that values agree to 1e-6 and gradients to 1e-5 between f32 (fused) and f64
    /// (composed), and the latter's gradients with central differences.
    pub(crate) fn agree(args: &[Tensor], op: impl Fn(&[Tensor]) -> Result<Tensor>) {
        let (single, single_grads) = run(args, DType::F32, &op, None).unwrap();
        let (double, double_grads) = run(args, DType::F64, &op, None).unwrap();
        close("value", &single, &double, 1e-6);
        for (i, (a, b)) in single_grads.iter().zip(&double_grads).enumerate() {
            close(&format!("gradient {i}"), a, b, 1e-5);
            assert!(b.iter().any(|g| *g != 0.0), "gradient {i} is zero");
        }
        for (i, gradient) in double_grads.iter().enumerate() {
            for j in (0..gradient.len()).step_by(gradient.len() / 5 + 1) {
                let h = 1e-5;
                let at = |delta: f64| {
                    let mut moved = args.to_vec();
                    let mut values = flat(&args[i]);
                    values[j] += delta;
                    moved[i] = Tensor::from_vec(values, args[i].shape(), &Device::Cpu).unwrap();
                    let y = op(&moved).unwrap();
                    let weights = wave(y.dims(), 99);
                    (y * weights).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
                };
                let numeric = (at(h) - at(-h)) / (2.0 * h);
                close(&format!("difference {i}/{j}"), &[gradient[j]], &[numeric], 1e-6);
            }
        }
    }

    /// How far two operations are apart, as a share of the largest value.
    #[derive(Debug)]
    pub(crate) struct Apart {
        pub(crate) value: f64,
        pub(crate) gradients: Vec<f64>,
    }

    /// Compares `op` in f32 with `want` in f64, their results weighted with `seeds`.
    pub(crate) fn apart(
        args: &[Tensor],
        seeds: &Tensor,
        op: impl Fn(&[Tensor]) -> Result<Tensor>,
        want: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) -> Apart {
        let (value, gradients) = run(args, DType::F32, &op, Some(seeds)).unwrap();
        let (exact, exact_gradients) = run(args, DType::F64, &want, Some(seeds)).unwrap();
        let far = |a: &[f64], b: &[f64]| {
            let largest = b.iter().fold(0f64, |m, b| m.max(b.abs()));
            a.iter().zip(b).fold(0f64, |m, (a, b)| m.max((a - b).abs())) / largest
        };
        let gradients = gradients.iter().zip(&exact_gradients).map(|(a, b)| far(a, b)).collect();
        Apart { value: far(&value, &exact), gradients }
    }

    pub(crate) fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
        assert_eq!(got.len(), want.len(), "{what}");
        for (i, (a, b)) in got.iter().zip(want).enumerate() {
            let bound = tolerance * b.abs().max(1.0);
            assert!((a - b).abs() <= bound, "{what} {i}: {a} {b}");
        }
    }
}
