//! Rotary position embedding of adjacent channels (Su et al. 2021).

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, D, DType, Device, Layout, Result, Shape, Tensor, bail};

use super::{View, fill, fused, kernels, slice};

/// Cosines and sines of the rotation angles: position times `theta^(−2i / D)` for pair i of D / 2.
///
/// Computed in f64 and kept in f32; cloning shares them.
#[derive(Clone, Debug)]
pub struct Rope {
    half: usize,
    cos: Arc<[f32]>,
    sin: Arc<[f32]>,
}

impl Rope {
    /// Tables for positions `0..positions` of heads with `head_width` channels.
    ///
    /// # Errors
    /// When `head_width` is odd.
    pub fn new(positions: usize, head_width: usize, theta: f64) -> Result<Self> {
        if !head_width.is_multiple_of(2) {
            bail!("a rotary head must have an even width, not {head_width}");
        }
        let half = head_width / 2;
        let angle = |k: usize| {
            let (position, i) = (k / half, k % half);
            position as f64 * theta.powf(-2.0 * i as f64 / head_width as f64)
        };
        let n = positions * half;
        Ok(Self {
            half,
            cos: (0..n).map(|k| angle(k).cos() as f32).collect(),
            sin: (0..n).map(|k| angle(k).sin() as f32).collect(),
        })
    }

    /// How many positions the tables hold.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }

    /// Channels of a head.
    pub fn head_width(&self) -> usize {
        2 * self.half
    }

    /// Cosines and sines of one position, D / 2 each.
    pub(crate) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }

    /// Refuses heads of another width and positions beyond the tables.
    pub(crate) fn check(&self, width: usize, end: usize) -> Result<()> {
        if width != self.head_width() || end > self.positions() {
            bail!(
                "rotary tables of width {} for {} positions can't rotate width {width} at {end}",
                self.head_width(),
                self.positions()
            );
        }
        Ok(())
    }

    fn tensor(&self, table: &[f32], start: usize, t: usize, like: &Tensor) -> Result<Tensor> {
        let rows = &table[start * self.half..(start + t) * self.half];
        Tensor::from_slice(rows, (t, self.half, 1), &Device::Cpu)?
            .to_dtype(like.dtype())?
            .to_device(like.device())
    }
}

/// Rotates the pairs (0, 1), (2, 3), … of each row by its position's angles, the first row's
/// position being `start`: `a' = a cos − b sin`, `b' = a sin + b cos`.
///
/// # Shapes
/// `(…, T, D)` to the same.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use sdk_numerics::ops::{Rope, rope};
///
/// let tables = Rope::new(4, 4, 10_000.0)?;
/// let q = Tensor::new(&[[1f32, 2.0, 3.0, 4.0]], &Device::Cpu)?;
/// let rotated = rope(&q, &tables, 1)?.to_vec2::<f32>()?;
/// assert!((rotated[0][0] + 1.1426396).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the tables are of another width or end before `start + T`.
pub fn rope(x: &Tensor, tables: &Rope, start: usize) -> Result<Tensor> {
    let (t, d) = (x.dim(D::Minus2)?, x.dim(D::Minus1)?);
    tables.check(d, start + t)?;
    if fused(&[x]) {
        return x.contiguous()?.apply_op1(Rotate { tables: tables.clone(), start, t });
    }
    let cos = tables.tensor(&tables.cos, start, t, x)?; // (T, D/2, 1)
    let sin = tables.tensor(&tables.sin, start, t, x)?;
    let mut paired = x.dims().to_vec();
    paired.pop();
    paired.extend([d / 2, 2]);
    let pairs = x.reshape(paired)?; // (…, T, D/2, 2)
    let (a, b) = (pairs.narrow(D::Minus1, 0, 1)?, pairs.narrow(D::Minus1, 1, 1)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (a.broadcast_mul(&sin)? + b.broadcast_mul(&cos)?)?;
    Tensor::cat(&[first, second], D::Minus1)?.reshape(x.shape())
}

struct Rotate {
    tables: Rope,
    start: usize,
    t: usize,
}

impl Rotate {
    fn run(&self, x: &[f32], sign: f32) -> Vec<f32> {
        let d = self.tables.head_width();
        fill(x.len(), |y| {
            for (row, (x, y)) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).enumerate() {
                let (cos, sin) = self.tables.at(self.start + row % self.t);
                kernels::rope_row(x, cos, sin, sign, y);
            }
        })
    }
}

impl CustomOp1 for Rotate {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.run(slice(x, layout)?, 1.0)), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.to_dtype(DType::F32)?.contiguous()?;
        let dys = View::of_f32(&dy)?;
        Tensor::from_vec(self.run(dys.slice(), -1.0), x.shape(), x.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{agree, wave};

    #[test]
    fn fused_agrees_with_composed() {
        let tables = Rope::new(9, 6, 100.0).unwrap();
        agree(&[wave(&[2, 3, 5, 6], 1)], |x| rope(&x[0], &tables, 0));
        agree(&[wave(&[5, 6], 1)], |x| rope(&x[0], &tables, 4));
    }

    #[test]
    fn golden_rotation() {
        let tables = Rope::new(4, 4, 10_000.0).unwrap();
        let q = Tensor::new(&[[1f32, 2.0, 3.0, 4.0]; 4], &Device::Cpu).unwrap();
        let got = rope(&q, &tables, 0).unwrap().to_vec2::<f32>().unwrap();
        let want = [
            [1.0, 2.0, 3.0, 4.0],
            [-1.142_639_6, 1.922_075_5, 2.959_850_8, 4.029_799_5],
            [-2.234_741_7, 0.077_003_7, 2.919_405_5, 4.059_196],
            [-1.272_232_5, -1.838_865, 2.878_668, 4.088_186_7f32],
        ];
        for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
    }

    /// Tables of 256 positions and 32 pairs, in f32, of angles that are taken in f64: in f32 the
    /// last position's are off by up to 1e-5.
    #[test]
    fn tables_have_an_angle_for_each_position_and_pair() {
        let tables = Rope::new(256, 64, 10_000.0).unwrap();
        assert_eq!((tables.positions(), tables.head_width()), (256, 64));
        assert_eq!((tables.cos.len(), tables.sin.len()), (256 * 32, 256 * 32));
        for position in [0, 1, 100, 255] {
            let (cos, sin): (&[f32], &[f32]) = tables.at(position);
            for pair in 0..32 {
                let angle = position as f64 / 10_000f64.powf(2.0 * pair as f64 / 64.0);
                assert!((f64::from(cos[pair]) - angle.cos()).abs() < 1e-7, "{position} {pair}");
                assert!((f64::from(sin[pair]) - angle.sin()).abs() < 1e-7, "{position} {pair}");
            }
        }
    }

    #[test]
    fn shape_and_type_stay_and_odd_widths_are_refused() {
        let tables = Rope::new(8, 64, 10_000.0).unwrap();
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
            let x = wave(&[2, 3, 8, 64], 1).to_dtype(dtype).unwrap();
            let y = rope(&x, &tables, 0).unwrap();
            assert_eq!((y.dims(), y.dtype()), (x.dims(), dtype));
        }
        let error = Rope::new(8, 63, 10_000.0).unwrap_err();
        assert_eq!(crate::error(error).message, "a rotary head must have an even width, not 63");
    }

    #[test]
    fn bounds_are_checked() {
        let tables = Rope::new(4, 4, 10.0).unwrap();
        assert!(rope(&wave(&[5, 4], 1), &tables, 0).is_err());
        assert!(rope(&wave(&[1, 4], 1), &tables, 4).is_err());
        assert!(rope(&wave(&[2, 6], 1), &tables, 0).is_err());
        assert!(Rope::new(4, 5, 10.0).is_err());
    }
}
