//! RMSNorm and LayerNorm over the last axis.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor};

use super::{View, fill, fused, kernels, slice};
use crate::sink;

/// `x / √(mean(x²) + eps) · w` over the last axis (Zhang and Sennrich 2019).
///
/// # Shapes
/// - `x`: `(…, C)`
/// - `w`: `(C)`
/// - returns: as `x`
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[3f32, 4.0]], &Device::Cpu)?;
/// let w = Tensor::new(&[1f32, 2.0], &Device::Cpu)?;
/// let y = sdk_numerics::ops::rms_norm(&x, &w, 0.0)?.to_vec2::<f32>()?;
/// assert!((y[0][0] - 3.0 / 12.5f32.sqrt()).abs() < 1e-6);
/// assert!((y[0][1] - 8.0 / 12.5f32.sqrt()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When `w` does not have the width of `x`.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    w.shape().dims1().and_then(|c| check_width(x, c))?;
    if fused(&[x, w]) {
        return x.contiguous()?.apply_op2(&w.contiguous()?, RmsNorm(eps as f32));
    }
    let root = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    x.broadcast_div(&root)?.broadcast_mul(w)
}

/// `(x − mean) / √(var + eps) · w + b` over the last axis, biased variance (Ba et al. 2016).
///
/// # Shapes
/// - `x`: `(…, C)`
/// - `w`, `b`: `(C)`
/// - returns: as `x`
///
/// # Errors
/// When `w` or `b` does not have the width of `x`.
pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f64) -> Result<Tensor> {
    w.shape().dims1().and_then(|c| check_width(x, c))?;
    b.shape().dims1().and_then(|c| check_width(x, c))?;
    if fused(&[x, w, b]) {
        let (w, b) = (w.contiguous()?, b.contiguous()?);
        return x.contiguous()?.apply_op3(&w, &b, LayerNorm(eps as f32));
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let root = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    centred.broadcast_div(&root)?.broadcast_mul(w)?.broadcast_add(b)
}

fn check_width(x: &Tensor, c: usize) -> Result<()> {
    if x.dim(D::Minus1)? != c {
        candle_core::bail!("a norm of width {c} can't take a tensor of shape {:?}", x.dims());
    }
    Ok(())
}

struct RmsNorm(f32);

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (slice(s1, l1)?, slice(s2, l2)?);
        let y = fill(x.len(), |y| kernels::rms_norm(x, w, self.0, y));
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (xs, ws, dys) = (View::of_f32(x)?, View::of_f32(w)?, View::of_f32(&dy)?);
        let mut dx = vec![0.0; xs.slice().len()];
        let dw = sink::accumulate(w, |dw| {
            let (x, w, dy) = (xs.slice(), ws.slice(), dys.slice());
            kernels::add_rms_norm_backward(x, w, self.0, dy, &mut dx, dw);
        })?;
        Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), dw))
    }
}

struct LayerNorm(f32);

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w, b) = (slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
        let y = fill(x.len(), |y| kernels::layer_norm(x, w, b, self.0, y));
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (xs, ws, dys) = (View::of_f32(x)?, View::of_f32(w)?, View::of_f32(&dy)?);
        let (mut dx, mut bias) = (vec![0.0; xs.slice().len()], vec![0.0; b.elem_count()]);
        let dw = sink::accumulate(w, |dw| {
            let (x, w, dy) = (xs.slice(), ws.slice(), dys.slice());
            kernels::add_layer_norm_backward(x, w, self.0, dy, &mut dx, dw, &mut bias);
        })?;
        let db = sink::accumulate(b, |db| kernels::add_assign(db, &bias))?;
        Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), dw, db))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{agree, wave};

    #[test]
    fn fused_agrees_with_composed() {
        for c in [1, 2, 7, 32, 45] {
            agree(&[wave(&[2, 3, c], 1), wave(&[c], 2)], |x| rms_norm(&x[0], &x[1], 1e-2));
        }
        for c in [2, 7, 32, 45] {
            agree(&[wave(&[2, 3, c], 1), wave(&[c], 2), wave(&[c], 3)], |x| {
                layer_norm(&x[0], &x[1], &x[2], 1e-2)
            });
        }
    }

    #[test]
    fn widths_must_agree() {
        assert!(rms_norm(&wave(&[2, 3], 1), &wave(&[4], 1), 1e-5).is_err());
        assert!(layer_norm(&wave(&[2, 3], 1), &wave(&[3], 1), &wave(&[4], 1), 1e-5).is_err());
    }
}
