//! Planck's law, for thermal bands: temperatures in kelvin, wavelengths in nanometres, radiances in
//! W m⁻² sr⁻¹ µm⁻¹.

/// `2 h c²`, in W µm⁴ m⁻² sr⁻¹ (CODATA 2018; exact).
const FIRST: f64 = 1.191_042_972_397_188e8;

/// `h c / k`, in µm K (CODATA 2018; exact).
const SECOND: f64 = 1.438_776_877_503_933e4;

/// Radiance of a black body.
///
/// ```
/// let value = spectral::thermal::radiance(10_000.0, 300.0);
/// assert!((value - 9.9240).abs() < 1e-3);
/// ```
pub fn radiance(wavelength_nm: f64, temperature_k: f64) -> f64 {
    let um = wavelength_nm / 1e3;
    FIRST / um.powi(5) / (SECOND / (um * temperature_k)).exp_m1()
}

/// Temperature of the black body that has this radiance.
pub fn brightness_temperature_k(wavelength_nm: f64, radiance: f64) -> f64 {
    let um = wavelength_nm / 1e3;
    SECOND / um / (FIRST / um.powi(5) / radiance).ln_1p()
}

/// How much the radiance of a black body rises with its temperature, in W m⁻² sr⁻¹ µm⁻¹ K⁻¹.
pub fn radiance_per_k(wavelength_nm: f64, temperature_k: f64) -> f64 {
    let exponent = SECOND / (wavelength_nm / 1e3 * temperature_k);
    let rise = exponent / temperature_k / -(-exponent).exp_m1();
    radiance(wavelength_nm, temperature_k) * rise
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_lead_to_radiances_and_back() {
        for nm in [7500.0, 10_000.0, 12_000.0] {
            for kelvin in [250.0, 300.0, 350.0] {
                let back = brightness_temperature_k(nm, radiance(nm, kelvin));
                assert!((back - kelvin).abs() < 1e-9, "{back} for {kelvin} at {nm}");
                let slope = (radiance(nm, kelvin + 1e-3) - radiance(nm, kelvin - 1e-3)) / 2e-3;
                assert!((radiance_per_k(nm, kelvin) / slope - 1.0).abs() < 1e-7);
            }
        }
    }

    #[test]
    fn the_maximum_lies_where_wien_puts_it() {
        let peak = (5000..15_000).max_by(|a, b| {
            radiance(f64::from(*a), 300.0).total_cmp(&radiance(f64::from(*b), 300.0))
        });
        // 2897.771955 µm K.
        assert_eq!(peak, Some(9659));
    }
}
