//! Dropout whose mask is a function of a key and the element's index.
//!
//! Nothing is drawn from a shared generator inside of an operation: the backward pass computes the
//! same mask again, threads don't disturb each other, and a resumed run repeats the noise. Keys
//! come from [`Keys`], one per use.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use sdk_transformer::mask::{Mask, key};

use super::{View, fill, fused, kernels, slice};

/// The factors of a whole tensor, for the composed path.
fn factors(mask: Mask, like: &Tensor) -> Result<Tensor> {
    let mut factors = vec![1.0; like.elem_count()];
    kernels::dropout_in_place(&mut factors, mask, 0);
    Tensor::from_vec(factors, like.shape(), &candle_core::Device::Cpu)?
        .to_dtype(like.dtype())?
        .to_device(like.device())
}

/// Hands out the dropout keys of one forward pass, in the order of the calls.
///
/// Make one per shard from a value of the `dropout` stream, so that a shard's noise depends on
/// nothing but that value.
///
/// ```
/// use sdk_numerics::ops::Keys;
///
/// let mut stream = sdk::Generator::new(42, "dropout");
/// let seed = stream.next_u64();
/// let (mut a, mut b) = (Keys::new(seed), Keys::new(seed));
/// let first = a.next_key();
/// assert_eq!(first, b.next_key());
/// assert_ne!(first, a.next_key());
/// ```
#[derive(Clone, Debug)]
pub struct Keys {
    seed: u64,
    used: u64,
}

impl Keys {
    /// The keys that belong to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, used: 0 }
    }

    /// The next key.
    pub fn next_key(&mut self) -> u64 {
        self.used += 1;
        key(self.seed, self.used)
    }
}

/// Sets each element to zero with probability `p` and scales the others by `1 / (1 − p)`
/// (Srivastava et al. 2014, inverted). With `p` 0 it returns `x` itself.
///
/// # Shapes
/// Any; at most 2³² elements.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use sdk_numerics::ops::dropout;
///
/// let x = Tensor::ones(1000, candle_core::DType::F32, &Device::Cpu)?;
/// let y = dropout(&x, 0.25, 7)?.to_vec1::<f32>()?;
/// let kept = y.iter().filter(|y| **y > 0.0).count();
/// assert!((650..850).contains(&kept));
/// assert_eq!(y, dropout(&x, 0.25, 7)?.to_vec1::<f32>()?);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When candle can't compute with the element type.
///
/// # Panics
/// When `p` is not in `[0, 1)`.
pub fn dropout(x: &Tensor, p: f64, key: u64) -> Result<Tensor> {
    check(p);
    if p == 0.0 {
        return Ok(x.clone());
    }
    let mask = Mask::new(p, key);
    if fused(&[x]) {
        return x.contiguous()?.apply_op1(Dropout(mask));
    }
    x.mul(&factors(mask, x)?)
}

/// `residual + dropout(x, p, key)` in one pass.
///
/// # Shapes
/// Both the same.
///
/// # Errors
/// When the shapes differ.
///
/// # Panics
/// As [`dropout`].
pub fn add_dropout(residual: &Tensor, x: &Tensor, p: f64, key: u64) -> Result<Tensor> {
    check(p);
    if !fused(&[residual, x]) || residual.shape() != x.shape() {
        return residual.add(&dropout(x, p, key)?);
    }
    let mask = (p > 0.0).then(|| Mask::new(p, key));
    residual.contiguous()?.apply_op2(&x.contiguous()?, AddDropout(mask))
}

pub(crate) fn check(p: f64) {
    assert!((0.0..1.0).contains(&p), "dropout probability {p} is not in [0, 1)");
}

struct Dropout(Mask);

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let y = fill(x.len(), |y| kernels::dropout(x, self.0, 0, y));
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let dy = View::of_f32(&dy)?;
        let dx = fill(dy.slice().len(), |dx| kernels::dropout(dy.slice(), self.0, 0, dx));
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

struct AddDropout(Option<Mask>);

impl CustomOp2 for AddDropout {
    fn name(&self) -> &'static str {
        "add-dropout"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, x) = (slice(s1, l1)?, slice(s2, l2)?);
        let y = fill(x.len(), |y| match self.0 {
            Some(mask) => kernels::add_dropout(a, x, mask, y),
            None => kernels::add(a, x, y),
        });
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        x: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = match self.0 {
            Some(mask) => Dropout(mask).bwd(x, x, dy)?,
            None => Some(dy.clone()),
        };
        Ok((Some(dy.clone()), dx))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::ops::check::{agree, wave};

    #[test]
    fn fused_agrees_with_composed() {
        for p in [0.0, 0.3] {
            agree(&[wave(&[3, 5, 7], 1)], |x| dropout(&x[0], p, 11));
            agree(&[wave(&[33], 1), wave(&[33], 2)], |x| add_dropout(&x[0], &x[1], p, 5));
        }
    }

    #[test]
    fn share_mean_and_independence_of_keys() {
        let n = 100_000;
        let x = Tensor::ones(n, DType::F32, &Device::Cpu).unwrap();
        let mut keys = Keys::new(3);
        let draws: Vec<Vec<f32>> =
            (0..4).map(|_| dropout(&x, 0.1, keys.next_key()).unwrap().to_vec1().unwrap()).collect();
        for (i, a) in draws.iter().enumerate() {
            let dropped = a.iter().filter(|v| **v == 0.0).count() as f64 / n as f64;
            assert!((dropped - 0.1).abs() < 0.005, "{dropped}");
            // A mask neither repeats another's drops nor its own, shifted by a little.
            for (j, b) in draws.iter().enumerate() {
                for shift in 0..3 {
                    if (i, 0) == (j, shift) {
                        continue;
                    }
                    let pairs = a.iter().zip(&b[shift..]);
                    let both = pairs.filter(|(a, b)| **a == 0.0 && **b == 0.0).count();
                    let share = both as f64 / n as f64;
                    assert!((share - 0.01).abs() < 0.002, "{share}");
                }
            }
        }
    }
}
