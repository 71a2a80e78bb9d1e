//! The linear layer, `x · wᵀ + b`.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

use super::product::{Mat, add_product, product};
use super::{View, fill, fused, kernels, slice};
use crate::sink;

/// `x · wᵀ + b` over the last axis, with `w` stored (out, in).
///
/// # Shapes
/// - `x`: `(…, K)`
/// - `w`: `(N, K)`
/// - `b`: `(N)`
/// - returns: `(…, N)`
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?;
/// let w = Tensor::new(&[[1f32, 0.0], [0.0, 1.0], [1.0, 1.0]], &Device::Cpu)?;
/// let b = Tensor::new(&[0f32, 0.0, 10.0], &Device::Cpu)?;
/// let y = sdk_numerics::ops::linear(&x, &w, Some(&b))?;
/// assert_eq!(y.to_vec2::<f32>()?, [[1.0, 2.0, 13.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes disagree.
pub fn linear(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
    let (n, k) = w.dims2()?;
    if x.dim(D::Minus1)? != k || b.is_some_and(|b| b.dims() != [n]) {
        let b = b.map(Tensor::dims);
        bail!("weights {:?} and bias {b:?} can't take a tensor of shape {:?}", w.dims(), x.dims());
    }
    if fused(&[x, w]) && b.is_none_or(|b| fused(&[b])) {
        let (x, w) = (x.contiguous()?, w.contiguous()?);
        return match b {
            Some(b) => x.apply_op3(&w, &b.contiguous()?, Linear),
            None => x.apply_op2(&w, Linear),
        };
    }
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = n;
    }
    let y = x.reshape(((), k))?.matmul(&w.t()?)?.reshape(shape)?;
    match b {
        Some(b) => y.broadcast_add(b),
        None => Ok(y),
    }
}

struct Linear;

fn forward(
    s1: &CpuStorage,
    l1: &Layout,
    s2: &CpuStorage,
    l2: &Layout,
    bias: Option<&[f32]>,
) -> Result<(CpuStorage, Shape)> {
    let (x, w) = (slice(s1, l1)?, slice(s2, l2)?);
    let (n, k) = l2.shape().dims2()?;
    let mut shape = l1.dims().to_vec();
    shape.pop();
    let rows = shape.iter().product();
    shape.push(n);
    let (a, b) = (Mat::rows(x, k), Mat::rows(w, k).t());
    let y = match bias {
        None => fill(rows * n, |y| product((rows, n, k), a, b, y, n)),
        Some(bias) => {
            let mut y = fill(rows * n, |y| {
                for y in y.chunks_exact_mut(n) {
                    y.write_copy_of_slice(bias);
                }
            });
            add_product((rows, n, k), a, b, &mut y, n);
            y
        }
    };
    Ok((CpuStorage::F32(y), shape.into()))
}

/// dx = dy · w and dw += dyᵀ · x.
fn backward(x: &Tensor, w: &Tensor, dy: &View<'_>) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (n, k) = w.dims2()?;
    let rows = x.elem_count() / k.max(1);
    let (xs, ws) = (View::of_f32(x)?, View::of_f32(w)?);
    let dys = Mat::rows(dy.slice(), n);
    let dw = sink::accumulate(w, |dw| {
        add_product((n, k, rows), dys.t(), Mat::rows(xs.slice(), k), dw, k);
    })?;
    let dx = fill(rows * k, |dx| product((rows, k, n), dys, Mat::rows(ws.slice(), k), dx, k));
    Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), dw))
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        forward(s1, l1, s2, l2, None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        backward(x, w, &View::of_f32(&dy)?)
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear-with-bias"
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
        forward(s1, l1, s2, l2, Some(slice(s3, l3)?))
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
        let dy = View::of_f32(&dy)?;
        let db = sink::accumulate(b, |db| kernels::add_rows_to(db, dy.slice()))?;
        let (dx, dw) = backward(x, w, &dy)?;
        Ok((dx, dw, db))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{agree, wave};

    #[test]
    fn fused_agrees_with_composed() {
        for (rows, k, n) in [(1, 1, 1), (5, 3, 7), (33, 17, 45), (6, 64, 32)] {
            let (x, w, b) = (wave(&[1, rows, k], 1), wave(&[n, k], 2), wave(&[n], 3));
            agree(&[x.clone(), w.clone()], |x| linear(&x[0], &x[1], None));
            agree(&[x, w, b], |x| linear(&x[0], &x[1], Some(&x[2])));
        }
    }

    #[test]
    fn views_are_taken_and_shapes_checked() {
        let (x, w) = (wave(&[3, 5], 1), wave(&[3, 4], 2));
        agree(&[x, w], |x| linear(&x[0].t()?, &x[1].t()?, None));
        assert!(linear(&wave(&[2, 3], 1), &wave(&[4, 5], 1), None).is_err());
        assert!(linear(&wave(&[2, 5], 1), &wave(&[4, 5], 1), Some(&wave(&[3], 1))).is_err());
    }
}
