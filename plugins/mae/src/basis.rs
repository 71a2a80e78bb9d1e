//! A spectrum of any bands as a vector of one length: its values, averaged under learned Gaussians.

use candle_core::{Result, Tensor};
use sdk::Generator;
use sdk_numerics::{Init, ParamKind, Params, error};

/// K Gaussians over an axis, with learned centres and widths.
///
/// For wavelengths λ, values v and a mask m, with `g_k = exp(−½ ((λ − c_k) / w_k)²)`:
/// `φ_k = Σ m g_k v / max(Σ m g_k, 1e-8)`.
#[derive(Clone, Debug)]
pub struct SpectralBasis {
    /// `(K)`, in nanometres.
    centers: Tensor,
    /// `(K)`, logarithms of nanometres.
    log_widths: Tensor,
}

impl SpectralBasis {
    /// Declares `name.centers`, evenly from `low_nm` to `high_nm`, and `name.log_widths`, all as wide
    /// as the K-th part of that.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn declare(
        name: &str,
        n_basis: usize,
        (low_nm, high_nm): (f64, f64),
        params: &mut Params,
        init: &mut Generator,
    ) -> sdk::Result<Self> {
        let range = high_nm - low_nm;
        let step = range / n_basis.saturating_sub(1).max(1) as f64;
        let centers = (0..n_basis).map(|k| low_nm + step * k as f64).collect();
        let width = (range / n_basis as f64).ln();
        let mut declare = |part: &str, values: Vec<f64>| -> sdk::Result<Tensor> {
            let name = format!("{name}.{part}");
            params.declare(name.as_str(), ParamKind::Norm, &[n_basis], Init::Zeros, init)?;
            set(params, &name, values).map_err(error)?;
            Ok(params.get(&name).clone())
        };
        let centers = declare("centers", centers)?;
        Ok(Self { centers, log_widths: declare("log_widths", vec![width; n_basis])? })
    }

    /// The coefficients of some spectra on one axis.
    ///
    /// # Shapes
    /// - `wavelengths`: `(C)`, in nanometres
    /// - `values`, `mask`: `(B, C)`; 1 is kept
    /// - returns: `(B, K)`; zeros where nothing is kept
    ///
    /// # Errors
    /// When the shapes disagree.
    pub fn project(&self, wavelengths: &Tensor, values: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let distance = wavelengths.unsqueeze(1)?.broadcast_sub(&self.centers.unsqueeze(0)?)?; // (C, K)
        let widths = (self.log_widths.exp()? + 1e-9)?;
        let g = (distance.broadcast_div(&widths.unsqueeze(0)?)?.sqr()? * -0.5)?.exp()?;
        let total = mask.matmul(&g)?.maximum(1e-8)?; // (B, K)
        (values * mask)?.matmul(&g)? / total
    }
}

fn set(params: &Params, name: &str, values: Vec<f64>) -> Result<()> {
    let tensor = Tensor::new(values, params.device())?.to_dtype(params.dtype())?;
    let Some((_, _, var)) = params.iter().find(|(own, ..)| *own == name) else { return Ok(()) };
    var.set(&tensor)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn coefficients(mask: [f64; 4]) -> Vec<f64> {
        let mut params = Params::new(&Device::Cpu, DType::F64);
        let mut init = Generator::new(0, "model init");
        let basis = SpectralBasis::declare("basis", 4, (400.0, 2400.0), &mut params, &mut init);
        let tensor = |values: [f64; 4]| Tensor::new(&values, &Device::Cpu).unwrap();
        let nm = tensor([500.0, 900.0, 1500.0, 2300.0]);
        let (values, mask) = (tensor([0.1, 0.4, 0.2, 0.8]), tensor(mask));
        let row = |t: Tensor| t.unsqueeze(0).unwrap();
        let found = basis.unwrap().project(&nm, &row(values), &row(mask)).unwrap();
        found.squeeze(0).unwrap().to_vec1().unwrap()
    }

    /// The first system's own numbers.
    #[test]
    fn golden_coefficients() {
        let cases = [
            ([1.0; 4], [0.214_152_7, 0.274_870_0, 0.409_746_4, 0.696_049_1]),
            ([1.0, 1.0, 1.0, 0.0], [0.213_896_8, 0.263_260_9, 0.237_773_0, 0.210_244_2]),
            ([0.0; 4], [0.0; 4]),
        ];
        for (mask, wanted) in cases {
            for (found, wanted) in coefficients(mask).iter().zip(wanted) {
                assert!((found - wanted).abs() < 1e-6, "{found} for {wanted}");
            }
        }
    }

    #[test]
    fn any_number_of_bands_gives_as_many_coefficients() {
        let mut params = Params::new(&Device::Cpu, DType::F64);
        let mut init = Generator::new(0, "model init");
        let basis = SpectralBasis::declare("basis", 64, (400.0, 2500.0), &mut params, &mut init);
        let basis = basis.unwrap();
        let project = |n: usize| {
            let nm: Vec<f64> = (0..n).map(|i| 400.0 + 2100.0 * i as f64 / (n - 1) as f64).collect();
            let values: Vec<f64> = nm.iter().map(|nm| 0.3 + 1e-4 * nm).collect();
            let row = |values: Vec<f64>| Tensor::from_vec(values, (1, n), &Device::Cpu).unwrap();
            let nm = Tensor::new(nm, &Device::Cpu).unwrap();
            let found = basis.project(&nm, &row(values), &row(vec![1.0; n])).unwrap();
            found.squeeze(0).unwrap().to_vec1::<f64>().unwrap()
        };
        let (many, few) = (project(150), project(60));
        assert_eq!((many.len(), few.len()), (64, 64));
        // A line is read alike from both, but at its ends.
        for (many, few) in many[4..60].iter().zip(&few[4..60]) {
            assert!((many - few).abs() < 1e-3, "{many} {few}");
        }
    }
}
