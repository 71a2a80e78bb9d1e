//! The linear layer, `x · wᵀ + b`.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

use super::product::{Mat, Onto, To};
use super::{Compute, View, fused, kernels, slice, with_products};
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
    Compute::Own.linear(x, w, b)
}

impl Compute {
    /// [`linear`] in this precision. The bias is added before the result is rounded.
    ///
    /// # Errors
    /// As [`linear`].
    pub fn linear(self, x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
        let (n, k) = w.dims2()?;
        if x.dim(D::Minus1)? != k || b.is_some_and(|b| b.dims() != [n]) {
            let (w, b) = (w.dims(), b.map(Tensor::dims));
            bail!("weights {w:?} and bias {b:?} can't take a tensor of shape {:?}", x.dims());
        }
        if fused(&[x, w]) && b.is_none_or(|b| fused(&[b])) {
            let (x, w) = (x.contiguous()?, w.contiguous()?);
            return match b {
                Some(b) => x.apply_op3(&w, &b.contiguous()?, Linear(self)),
                None => x.apply_op2(&w, Linear(self)),
            };
        }
        let mut shape = x.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = n;
        }
        let y = self.matmul(&x.reshape(((), k))?, &w.t()?)?.reshape(shape)?;
        self.rounded(&match b {
            Some(b) => y.broadcast_add(b)?,
            None => y,
        })
    }
}

struct Linear(Compute);

impl Linear {
    fn forward(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (self.0.factor(slice(s1, l1)?), self.0.factor(slice(s2, l2)?));
        let (n, k) = l2.shape().dims2()?;
        let mut shape = l1.dims().to_vec();
        shape.pop();
        let rows = shape.iter().product();
        shape.push(n);
        let (a, b) = (Mat::rows(&x, k), Mat::rows(&w, k).t());
        let mut y = vec![0.0; rows * n];
        let onto = bias.map_or(Onto::Zero, |bias| Onto::Rows(bias, 0));
        with_products(|p| p.product((rows, n, k), a, b, &mut To::rows(&mut y, n).onto(onto)));
        self.0.round(&mut y);
        Ok((CpuStorage::F32(y), shape.into()))
    }

    /// dx = dy · w and dw += dyᵀ · x, from the `dy` that products take.
    fn backward(
        &self,
        x: &Tensor,
        w: &Tensor,
        dy: &[f32],
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (n, k) = w.dims2()?;
        let rows = x.elem_count() / k.max(1);
        let dys = Mat::rows(dy, n);
        let dw = {
            let xs = View::of_f32(x)?;
            let xs = self.0.factor(xs.slice());
            sink::accumulate(w, |dw| {
                let size = (n, k, rows);
                let mut to = To::sum(dw, k);
                with_products(|p| p.product(size, dys.t(), Mat::rows(&xs, k), &mut to));
            })?
        };
        // Data has no gradient to compute.
        if !x.track_op() {
            return Ok((None, dw));
        }
        let ws = View::of_f32(w)?;
        let ws = self.0.factor(ws.slice());
        let mut dx = vec![0.0; rows * k];
        let mut to = To::rows(&mut dx, k);
        with_products(|p| p.product((rows, k, n), dys, Mat::rows(&ws, k), &mut to));
        self.0.round(&mut dx);
        Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), dw))
    }
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
        self.forward(s1, l1, s2, l2, None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let dy = View::of_f32(&dy)?;
        self.backward(x, w, &self.0.factor(dy.slice()))
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
        self.forward(s1, l1, s2, l2, Some(slice(s3, l3)?))
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
        let dy = self.0.factor(dy.slice());
        let db = sink::accumulate(b, |db| kernels::add_columns(db, &dy, db.len()))?;
        let (dx, dw) = self.backward(x, w, &dy)?;
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
