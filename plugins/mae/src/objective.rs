//! The loss of a masked autoencoder.
//!
//! The first system divided by the number of elements of the mask as it was given, so a mask of rows
//! summed over columns instead of averaging. Here the count is that of the expanded mask.

use candle_core::{D, Result, Tensor, bail};

/// How squared errors become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean over what is selected; 0 where nothing is.
    Mean,
    /// Their sum.
    Sum,
}

/// Squared errors of what `mask` selects, weighed by it: `Σ m (y − x)²`, over `max(Σ m, 1)` for the
/// mean. A mask of fewer axes stands for all of the further ones.
///
/// # Shapes
/// - `recon`, `target`: the same
/// - `mask`: their first axes, in their type
/// - returns: scalar
///
/// ```
/// use candle_core::{Device, Tensor};
/// use mae::{Reduction, reconstruction_loss};
///
/// let recon = Tensor::arange_step(0f64, 1.15, 0.1, &Device::Cpu)?.reshape((1, 3, 4))?;
/// let target = recon.ones_like()?.affine(0.5, 0.0)?;
/// let rows = Tensor::new(&[[1f64, 0.0, 1.0]], &Device::Cpu)?;
/// let loss = reconstruction_loss(&recon, &target, Some(&rows), Reduction::Mean)?;
/// assert!((loss.to_scalar::<f64>()? - 0.175).abs() < 1e-12);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes disagree.
pub fn reconstruction_loss(
    recon: &Tensor,
    target: &Tensor,
    mask: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    let squared = (recon - target)?.sqr()?;
    let Some(mask) = mask else {
        return if reduction == Reduction::Sum { squared.sum_all() } else { squared.mean_all() };
    };
    let (rank, dims) = (mask.rank(), recon.dims());
    if rank > dims.len() || mask.dims() != &dims[..rank] {
        bail!("a mask of shape {:?} can't select from {dims:?}", mask.dims());
    }
    let mut shape = mask.dims().to_vec();
    shape.resize(dims.len(), 1);
    let mask = mask.reshape(shape)?.broadcast_as(dims)?;
    let sum = squared.mul(&mask)?.sum_all()?;
    match reduction {
        Reduction::Sum => Ok(sum),
        Reduction::Mean => sum / mask.sum_all()?.maximum(1.0)?,
    }
}

/// Roughness of rows: the mean of their squared second differences. A first difference counts as 0
/// where either neighbour is masked.
///
/// # Shapes
/// - `rows`: `(N, C)`, C at least 3
/// - `keep`: `(N, C)`, 1 or 0, in the same type
/// - returns: scalar
///
/// # Errors
/// When the shapes disagree.
pub fn spectral_smoothness(rows: &Tensor, keep: Option<&Tensor>) -> Result<Tensor> {
    let (_, c) = rows.dims2()?;
    if c < 3 {
        bail!("a second difference needs three values, not {c}");
    }
    let mut steps = differences(rows)?; // (N, C − 1)
    if let Some(keep) = keep {
        let both = (keep.narrow(D::Minus1, 1, c - 1)? * keep.narrow(D::Minus1, 0, c - 1)?)?;
        steps = (steps * both)?;
    }
    differences(&steps)?.sqr()?.mean_all()
}

fn differences(rows: &Tensor) -> Result<Tensor> {
    let n = rows.dim(D::Minus1)? - 1;
    rows.narrow(D::Minus1, 1, n)? - rows.narrow(D::Minus1, 0, n)?
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn loss(mask: Option<&[&[f64]]>) -> f64 {
        let recon = Tensor::arange_step(0f64, 1.15, 0.1, &Device::Cpu).unwrap();
        let recon = recon.reshape((1, 3, 4)).unwrap();
        let target = recon.ones_like().unwrap().affine(0.5, 0.0).unwrap();
        let mask = mask.map(|rows| {
            let flat: Vec<f64> = rows.concat();
            Tensor::from_vec(flat, (1, 3, 4), &Device::Cpu).unwrap()
        });
        let loss = reconstruction_loss(&recon, &target, mask.as_ref(), Reduction::Mean);
        loss.unwrap().to_scalar().unwrap()
    }

    /// The first system's own numbers, of the same tensors.
    #[test]
    fn golden_losses() {
        let close =
            |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
        close(loss(None), 0.121_666_7);
        let rows: [&[f64]; 3] = [&[1.0, 1.0, 0.0, 0.0], &[0.0; 4], &[1.0, 0.0, 1.0, 0.0]];
        close(loss(Some(&rows)), 0.1875);
        close(loss(Some(&[&[0.0; 4], &[0.0; 4], &[0.0; 4]])), 0.0);
    }

    #[test]
    fn golden_roughness() {
        let rows = [[0f64, 1.0, 4.0, 9.0, 16.0], [1.0, 1.0, 2.0, 3.0, 5.0]];
        let rows = Tensor::new(&rows, &Device::Cpu).unwrap();
        let keep = Tensor::new(&[[1f64, 1.0, 0.0, 1.0, 1.0]; 2], &Device::Cpu).unwrap();
        let number = |keep| spectral_smoothness(&rows, keep).unwrap().to_scalar::<f64>().unwrap();
        assert!((number(None) - 7.0 / 3.0).abs() < 1e-12);
        assert!((number(Some(&keep)) - 9.0).abs() < 1e-12);
    }

    #[test]
    fn a_mask_that_does_not_fit_is_refused() {
        let x = Tensor::zeros((2, 3), candle_core::DType::F64, &Device::Cpu).unwrap();
        let mask = Tensor::zeros(3, candle_core::DType::F64, &Device::Cpu).unwrap();
        let error = reconstruction_loss(&x, &x, Some(&mask), Reduction::Sum).unwrap_err();
        assert!(error.to_string().starts_with("a mask of shape [3] can't select from [2, 3]"));
    }
}
