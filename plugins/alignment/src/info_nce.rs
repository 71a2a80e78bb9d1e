//! The contrastive loss: each embedding of one side is told from all of the other (van den Oord and
//! others 2018, "Representation learning with contrastive predictive coding"), both ways.
//!
//! Legend: B pairs, E width of an embedding.

use candle_core::{D, Result, Tensor, bail};
use sdk_numerics::ops::cross_entropy_sum;

/// Smallest and largest temperature; beyond them it gets no gradient.
const TAU: (f64, f64) = (1e-3, 1e3);

/// The rows, each of length 1; one of zeros stays so.
///
/// # Errors
/// When `z` is no matrix.
pub(crate) fn normalised(z: &Tensor) -> Result<Tensor> {
    // What is added is too small to be seen beside any length, and keeps the root's slope finite.
    let lengths = (z.sqr()?.sum_keepdim(D::Minus1)? + 1e-24)?.sqrt()?;
    z.broadcast_div(&lengths)
}

/// The temperature of its logarithm, `(1)`.
///
/// # Errors
/// Never for a float tensor.
pub(crate) fn temperature(log_tau: &Tensor) -> Result<Tensor> {
    log_tau.clamp(TAU.0.ln(), TAU.1.ln())?.exp()
}

/// `½ (CE(lab → sensor) + CE(sensor → lab))` of the cosines over the temperature, in nats; the right
/// answers are on the diagonal.
///
/// # Shapes
/// - `z_lab`, `z_sensor`: `(B, E)`; `log_tau`: `(1)`
/// - returns: scalar
///
/// # Errors
/// When the shapes differ.
pub(crate) fn info_nce(z_lab: &Tensor, z_sensor: &Tensor, log_tau: &Tensor) -> Result<Tensor> {
    if z_lab.dims() != z_sensor.dims() || z_lab.rank() != 2 {
        bail!("embeddings of shapes {:?} and {:?} are no pairs", z_lab.dims(), z_sensor.dims());
    }
    let cosines = normalised(z_lab)?.matmul(&normalised(z_sensor)?.t()?)?; // (B, B)
    let logits = cosines.broadcast_div(&temperature(log_tau)?)?;
    let n = z_lab.dim(0)?;
    let own = Tensor::arange(0, n as u32, z_lab.device())?;
    let (to_sensor, _) = cross_entropy_sum(&logits, &own, None)?;
    let (to_lab, _) = cross_entropy_sum(&logits.t()?.contiguous()?, &own, None)?;
    (to_sensor + to_lab)? * (0.5 / n as f64)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    const Z_LAB: [[f64; 3]; 3] = [[1.0, 0.0, 0.5], [0.2, 1.0, -0.3], [-0.5, 0.4, 1.0]];
    const Z_SENSOR: [[f64; 3]; 3] = [[0.9, 0.1, 0.4], [0.1, 1.2, 0.0], [-0.4, 0.5, 0.7]];

    fn loss(log_tau: f64, dtype: DType) -> (f64, f64) {
        let of = |z: &[[f64; 3]; 3]| Tensor::new(z, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let log_tau = Tensor::new(&[log_tau], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let log_tau = Var::from_tensor(&log_tau).unwrap();
        let loss = info_nce(&of(&Z_LAB), &of(&Z_SENSOR), &log_tau).unwrap();
        let gradients = loss.backward().unwrap();
        let scalar = |t: &Tensor| t.to_dtype(DType::F64).unwrap().to_vec0::<f64>().unwrap();
        let gradient = gradients.get(&log_tau).unwrap().squeeze(0).unwrap();
        (scalar(&loss), scalar(&gradient))
    }

    #[test]
    fn losses_and_the_gradient_of_the_reference() {
        for dtype in [DType::F32, DType::F64] {
            for (tau, expected) in [(0.07f64, 3.639_86e-5), (0.5, 0.313_571_5), (0.2, 0.032_540_5)]
            {
                let (found, _) = loss(tau.ln(), dtype);
                assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
            }
            let (_, gradient) = loss(0.2f64.ln(), dtype);
            assert!((gradient - 0.124_919_1).abs() < 1e-6, "{gradient}");
        }
    }

    #[test]
    fn the_temperature_stays_within_its_bounds_and_has_no_gradient_beyond_them() {
        let (at_bound, gradient) = loss(1e-5f64.ln(), DType::F64);
        assert_eq!(gradient, 0.0);
        let (expected, _) = loss(1e-3f64.ln(), DType::F64);
        assert!((at_bound - expected).abs() < 1e-12);
        let log_tau = Tensor::new(&[1e-5f64.ln()], &Device::Cpu).unwrap();
        let tau = temperature(&log_tau).unwrap().to_vec1::<f64>().unwrap();
        assert!((tau[0] - 1e-3).abs() < 1e-12);
    }

    #[test]
    fn embeddings_of_different_numbers_are_refused() {
        let z = |n: usize| Tensor::ones((n, 3), DType::F32, &Device::Cpu).unwrap();
        let log_tau = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let error = info_nce(&z(2), &z(3), &log_tau).unwrap_err().to_string();
        assert!(
            error.starts_with("embeddings of shapes [2, 3] and [3, 3] are no pairs"),
            "{error}"
        );
    }

    #[test]
    fn it_falls_by_more_than_a_fifth_under_gradient_descent() {
        let wave = |seed: f64| {
            let values: Vec<f64> = (0..48).map(|i| (f64::from(i) * 12.9898 + seed).sin()).collect();
            Var::from_tensor(&Tensor::from_vec(values, (6, 8), &Device::Cpu).unwrap()).unwrap()
        };
        let (a, b) = (wave(1.0), wave(78.0));
        let log_tau =
            Var::from_tensor(&Tensor::new(&[0.07f64.ln()], &Device::Cpu).unwrap()).unwrap();
        let value = || info_nce(&a, &b, &log_tau).unwrap();
        let before = value().to_vec0::<f64>().unwrap();
        for _ in 0..80 {
            let gradients = value().backward().unwrap();
            for var in [&a, &b, &log_tau] {
                let step = (gradients.get(var).unwrap() * 0.3).unwrap();
                var.set(&(var.as_tensor() - step).unwrap()).unwrap();
            }
        }
        let after = value().to_vec0::<f64>().unwrap();
        assert!(before - after > 0.2, "{before} to {after}");
    }
}
