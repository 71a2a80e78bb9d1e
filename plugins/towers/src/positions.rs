//! Vectors that tell tokens where they lie.

use candle_core::{Device, Result, Tensor};

/// The largest period is about this many radians' worth of the unit (Vaswani et al. 2017).
const BASE: f64 = 10_000.0;

/// Sines and cosines of each wavelength: `sin(λ · 10000^(−2i / E))` for i = 0 to E/2 − 1, then the
/// cosines.
///
/// # Shapes
/// `(N)` wavelengths, in nanometres, to N rows of E, which is even.
///
/// ```
/// let rows = towers::wavelength_encoding(&[500.0], 4);
/// let expected = [-0.4677718, -0.9589243, -0.8838493, 0.2836622];
/// assert!(rows.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-6));
/// ```
pub fn wavelength_encoding(wavelengths: &[f64], embed_dim: usize) -> Vec<f32> {
    let half = embed_dim / 2;
    let rates: Vec<f64> =
        (0..half).map(|i| BASE.powf(-2.0 * i as f64 / embed_dim as f64)).collect();
    let row = |wavelength: &f64| {
        let angles: Vec<f64> = rates.iter().map(|rate| wavelength * rate).collect();
        let cosines: Vec<f32> = angles.iter().map(|angle| angle.cos() as f32).collect();
        angles.into_iter().map(|angle| angle.sin() as f32).chain(cosines)
    };
    wavelengths.iter().flat_map(row).collect()
}

/// [`wavelength_encoding`] as a tensor `(N, E)`.
pub(crate) fn table(wavelengths: &[f64], embed_dim: usize, device: &Device) -> Result<Tensor> {
    let rows = wavelength_encoding(wavelengths, embed_dim);
    Tensor::from_vec(rows, (wavelengths.len(), embed_dim), device)
}
