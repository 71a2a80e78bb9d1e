//! The gated activation of SwiGLU (Shazeer 2020).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::{View, fill, fused, kernels, slice};

/// `silu(g) · a`, with `silu(g) = g / (1 + e^(−g))`.
///
/// # Shapes
/// `a` (value) and `g` (gate) the same, any.
///
/// # Errors
/// When the shapes differ.
pub fn swiglu(a: &Tensor, g: &Tensor) -> Result<Tensor> {
    if fused(&[a, g]) && a.shape() == g.shape() {
        return a.contiguous()?.apply_op2(&g.contiguous()?, Swiglu);
    }
    a.mul(&g.silu()?)
}

struct Swiglu;

impl CustomOp2 for Swiglu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, g) = (slice(s1, l1)?, slice(s2, l2)?);
        let y = fill(a.len(), |y| kernels::swiglu(a, g, y));
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        a: &Tensor,
        g: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (xs, gs, dys) = (View::of_f32(a)?, View::of_f32(g)?, View::of_f32(&dy)?);
        let n = a.elem_count();
        let mut da = Vec::new();
        let dg = fill(n, |dg| {
            da = fill(n, |da| {
                kernels::swiglu_backward(xs.slice(), gs.slice(), dys.slice(), da, dg);
            });
        });
        let da = Tensor::from_vec(da, a.shape(), a.device())?;
        Ok((Some(da), Some(Tensor::from_vec(dg, g.shape(), g.device())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{agree, wave};

    #[test]
    fn fused_agrees_with_composed() {
        for n in [1, 7, 64, 101] {
            agree(&[wave(&[n], 1), wave(&[n], 2)], |x| swiglu(&x[0], &(&x[1] * 4.0)?));
        }
        assert!(swiglu(&wave(&[2], 1), &wave(&[3], 1)).is_err());
    }
}
