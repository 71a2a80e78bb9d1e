//! How told values are compared with known ones, of which some are missing.
//!
//! Legend: B spectra, N values of each.

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor};

/// The sine of an angle is at least this where it is divided by: near 0 and π the angle has no
/// finite slope.
const LEAST_SINE: f64 = 1e-4;

/// Known values `(B, N)`, and which of them there are.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The values; 0 where one is missing.
    pub(crate) values: Tensor,
    /// 1 where a value is there, else 0.
    pub(crate) mask: Tensor,
    /// Number of values that are there, at least 1.
    count: f64,
}

impl Known {
    /// Those of rows in which a missing value is NaN.
    ///
    /// # Errors
    /// When the rows differ in length.
    pub(crate) fn of<'a>(
        rows: impl ExactSizeIterator<Item = &'a [f64]>,
        like: &Tensor,
    ) -> Result<Self> {
        let n_rows = rows.len();
        let values: Vec<f64> = rows.flatten().copied().collect();
        let shape = (n_rows, values.len() / n_rows.max(1));
        let mask: Vec<f64> =
            values.iter().map(|value| f64::from(u8::from(value.is_finite()))).collect();
        let count = mask.iter().sum::<f64>().max(1.0);
        let known = values.iter().map(|value| if value.is_finite() { *value } else { 0.0 });
        let tensor = |values: Vec<f64>| {
            Tensor::from_vec(values, shape, like.device())?.to_dtype(like.dtype())
        };
        Ok(Self { values: tensor(known.collect())?, mask: tensor(mask)?, count })
    }

    /// Other values of the same bands, of which the same are missing.
    ///
    /// # Errors
    /// When `values` have another shape.
    pub(crate) fn with(&self, values: &Tensor) -> Result<Self> {
        let values = self.masked(values)?;
        Ok(Self { values, mask: self.mask.clone(), count: self.count })
    }

    /// What follows from pairs of neighbouring bands: there where both are.
    ///
    /// # Errors
    /// What `of` returns.
    pub(crate) fn map_pairs(&self, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let n = self.mask.dim(D::Minus1)? - 1;
        let both = (self.mask.narrow(D::Minus1, 0, n)? * self.mask.narrow(D::Minus1, 1, n)?)?;
        let count = both.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?.max(1.0);
        Ok(Self { values: (of(&self.values)? * &both)?, mask: both, count })
    }

    /// What is told, without what can't be compared.
    fn masked(&self, told: &Tensor) -> Result<Tensor> {
        told * &self.mask
    }

    /// The mean squared difference.
    ///
    /// # Errors
    /// When `told` has another shape.
    pub(crate) fn mse(&self, told: &Tensor) -> Result<Tensor> {
        (self.masked(told)? - &self.values)?.sqr()?.sum_all()? / self.count
    }

    /// The mean size of the difference.
    ///
    /// # Errors
    /// When `told` has another shape.
    pub(crate) fn l1(&self, told: &Tensor) -> Result<Tensor> {
        (self.masked(told)? - &self.values)?.abs()?.sum_all()? / self.count
    }

    /// The mean spectral angle, in radians.
    ///
    /// # Errors
    /// When `told` has another shape.
    pub(crate) fn angle(&self, told: &Tensor) -> Result<Tensor> {
        mean_angle(&self.masked(told)?, &self.values)
    }
}

/// The mean angle between rows of `a`, which learns, and of `b`, which doesn't, in radians.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn mean_angle(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let to = |t: &Tensor| t.to_dtype(DType::F64)?.to_vec2::<f64>();
    let angles = Angles { to: to(&b.detach())? };
    a.to_dtype(DType::F64)?.contiguous()?.apply_op1(angles)?.mean_all()?.to_dtype(a.dtype())
}

/// The angle between each row and the one of `to`, in f64: `(B, N)` to `(B)`.
struct Angles {
    to: Vec<Vec<f64>>,
}

/// Lengths of two rows and the cosine between them.
fn sizes(a: &[f64], b: &[f64]) -> (f64, f64, f64) {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let floored = |square: f64| square.sqrt().max(1e-12);
    let (la, lb) = (floored(dot(a, a)), floored(dot(b, b)));
    (la, lb, (dot(a, b) / (la * lb)).clamp(-1.0, 1.0))
}

impl CustomOp1 for Angles {
    fn name(&self) -> &'static str {
        "spectral-angles"
    }

    fn cpu_fwd(&self, a: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n_rows, n) = layout.shape().dims2()?;
        let a = &a.as_slice::<f64>()?[layout.start_offset()..][..n_rows * n];
        let rows = a.chunks_exact(n.max(1)).zip(&self.to);
        let angles: Vec<f64> = rows.map(|(a, b)| sizes(a, b).2.acos()).collect();
        Ok((CpuStorage::F64(angles), n_rows.into()))
    }

    fn bwd(&self, a: &Tensor, _: &Tensor, d: &Tensor) -> Result<Option<Tensor>> {
        let (rows, d) = (a.to_vec2::<f64>()?, d.to_vec1::<f64>()?);
        let mut gradient = Vec::with_capacity(a.elem_count());
        for ((a, b), d) in rows.iter().zip(&self.to).zip(d) {
            let (la, lb, cosine) = sizes(a, b);
            // The angle's slope by its cosine is −1 / sine.
            let factor = -d / (1.0 - cosine * cosine).sqrt().max(LEAST_SINE);
            let of = |(a, b): (&f64, &f64)| factor * (b / (la * lb) - cosine * a / (la * la));
            gradient.extend(a.iter().zip(b).map(of));
        }
        Tensor::from_vec(gradient, a.shape(), a.device()).map(Some)
    }
}

/// Divides the continuum out of spectra: the straight line through two points of the axis.
#[derive(Clone, Debug)]
pub(crate) struct Continuum {
    /// A spectrum times this is its line, `(N, N)`.
    line: Tensor,
}

/// Lowest value of the line. A head that has just begun tells values around 0; over a line near 0
/// they would be so large that nothing else is learned.
const FLOOR: f64 = 1e-2;

impl Continuum {
    /// The line through the spectrum at both ends of a window; without one, of the axis, which rises.
    ///
    /// # Errors
    /// When the device has no memory left.
    pub(crate) fn new(nm: &[f64], window: Option<[f64; 2]>, like: &Tensor) -> Result<Self> {
        let [left, right] = window.unwrap_or([nm[0], nm[nm.len() - 1]]);
        let (at_left, at_right) = (weights(nm, left), weights(nm, right));
        let mut line = vec![0.0; nm.len() * nm.len()];
        for (column, x) in nm.iter().enumerate() {
            let part = (x - left) / (right - left);
            for (end, share) in [(&at_left, 1.0 - part), (&at_right, part)] {
                for (row, weight) in end {
                    line[row * nm.len() + column] += share * weight;
                }
            }
        }
        let line = Tensor::from_vec(line, (nm.len(), nm.len()), like.device())?;
        Ok(Self { line: line.to_dtype(like.dtype())? })
    }

    /// Each value over the line.
    ///
    /// # Errors
    /// When the spectra have another number of values.
    pub(crate) fn removed(&self, values: &Tensor) -> Result<Tensor> {
        values / values.matmul(&self.line)?.maximum(FLOOR)?
    }
}

/// Which samples the value at `x` is made of, and their shares; outside it is the nearest end.
fn weights(nm: &[f64], x: f64) -> [(usize, f64); 2] {
    let last = nm.len() - 1;
    let upper = nm.partition_point(|known| *known < x).clamp(1, last.max(1)).min(last);
    let lower = upper.saturating_sub(1);
    let width = nm[upper] - nm[lower];
    let part = if width > 0.0 { ((x - nm[lower]) / width).clamp(0.0, 1.0) } else { 0.0 };
    [(lower, 1.0 - part), (upper, part)]
}

/// Slopes between neighbouring values, per nanometre: `(B, N)` to `(B, N − 1)`.
///
/// # Errors
/// When the spectra have another number of values than `nm`.
pub(crate) fn slopes(nm: &[f64], values: &Tensor) -> Result<Tensor> {
    let n = nm.len() - 1;
    let steps: Vec<f64> = nm.windows(2).map(|pair| 1.0 / (pair[1] - pair[0]).max(1e-6)).collect();
    let steps = Tensor::from_vec(steps, n, values.device())?.to_dtype(values.dtype())?;
    let differences = (values.narrow(D::Minus1, 1, n)? - values.narrow(D::Minus1, 0, n)?)?;
    differences.broadcast_mul(&steps)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    const NM: [f64; 5] = [400.0, 500.0, 600.0, 700.0, 800.0];
    const VALUES: [[f64; 5]; 1] = [[0.4, 0.35, 0.30, 0.33, 0.38]];

    fn near(found: &Tensor, expected: &[f64], tolerance: f64) {
        let found = found.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let is_near = |(a, b): (&f64, &f64)| (a - b).abs() < tolerance;
        assert!(found.iter().zip(expected).all(is_near), "{found:?} for {expected:?}");
    }

    #[test]
    fn the_mean_angle_of_the_reference_and_its_gradient() {
        let a = Tensor::new(&[[1.0f64, 0.0, 0.0], [1.0, 2.0, 3.0]], &Device::Cpu).unwrap();
        let b = Tensor::new(&[[0.0f64, 1.0, 0.0], [2.0, 4.0, 6.1]], &Device::Cpu).unwrap();
        let a = Var::from_tensor(&a).unwrap();
        let angle = mean_angle(&a, &b).unwrap();
        // The reference computes in f32, whose arc cosine is off by some 1e-6.
        near(&angle, &[0.789_350_0], 5e-6);
        let gradient = angle.backward().unwrap().get(&a).unwrap().to_vec2::<f64>().unwrap();
        let moved = |by: f64| {
            let a = Tensor::new(&[[1.0f64, by, 0.0], [1.0, 2.0, 3.0]], &Device::Cpu).unwrap();
            mean_angle(&a, &b).unwrap().to_vec0::<f64>().unwrap()
        };
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((gradient[0][1] - slope).abs() < 1e-8, "{} for {slope}", gradient[0][1]);
    }

    #[test]
    fn equal_spectra_have_a_finite_gradient() {
        let a = Var::from_tensor(&Tensor::new(&VALUES, &Device::Cpu).unwrap()).unwrap();
        let angle = mean_angle(&a, &a.as_tensor().clone()).unwrap();
        let gradient = angle.backward().unwrap();
        let gradient = gradient.get(&a).unwrap().to_vec2::<f64>().unwrap();
        assert!(gradient[0].iter().all(|g| g.abs() < 1e-3), "{gradient:?}");
    }

    #[test]
    fn continua_and_slopes_of_the_reference() {
        let values = Tensor::new(&VALUES, &Device::Cpu).unwrap();
        let removed =
            |window| Continuum::new(&NM, window, &values).unwrap().removed(&values).unwrap();
        near(&removed(None), &[1.0, 0.886_075_8, 0.769_230_8, 0.857_142_9, 1.0], 1e-6);
        let expected = [1.057_268_7, 0.941_704_0, 0.821_917_8, 0.920_930_2, 1.080_568_7];
        near(&removed(Some([450.0, 750.0])), &expected, 1e-6);
        near(&slopes(&NM, &values).unwrap(), &[-0.0005, -0.0005, 0.0003, 0.0005], 1e-12);
    }

    #[test]
    fn missing_values_are_not_compared() {
        let told = Tensor::new(&[[0.5f64, 9.0], [0.25, 0.75]], &Device::Cpu).unwrap();
        let rows = [vec![0.25, f64::NAN], vec![0.25, 0.25]];
        let known = Known::of(rows.iter().map(Vec::as_slice), &told).unwrap();
        near(&known.mse(&told).unwrap(), &[(0.0625 + 0.25) / 3.0], 1e-15);
        near(&known.l1(&told).unwrap(), &[0.25], 1e-15);
    }
}
