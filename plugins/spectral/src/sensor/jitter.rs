//! Sensors that are not quite as their tables say.

use schemars::JsonSchema;
use sdk::{Error, Generator};
use serde::{Deserialize, Serialize};

use super::{Band, Provenance, ProvenanceKind, Sensor};

/// How far centres stay apart when they move, as a share of the smallest distance before.
const SPACING_KEPT: f64 = 0.2;

/// Random deviations of a sensor from its table, drawn once for each sensor that is made. All 0
/// leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SensorJitter {
    /// Standard deviation of the shift of each band's centre.
    #[schemars(range(min = 0.0), extend("x-unit" = "nm"))]
    pub center_shift_std_nm: f64,
    /// Standard deviation of the logarithm of the factor on each band's width.
    #[schemars(range(min = 0.0))]
    pub width_scale_std: f64,
    /// Standard deviation of the relative error of each sample of each response.
    #[schemars(range(min = 0.0))]
    pub shape_jitter_std: f64,
}

impl SensorJitter {
    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let settings = [
            ("center_shift_std_nm", self.center_shift_std_nm),
            ("width_scale_std", self.width_scale_std),
            ("shape_jitter_std", self.shape_jitter_std),
        ];
        let wrong = settings.into_iter().filter(|(_, value)| !value.is_finite() || *value < 0.0);
        wrong
            .map(|(name, value)| {
                let message = format!("`{name}` must be at least 0: {value}");
                Error::new("spectral::range", message).at(name)
            })
            .collect()
    }

    /// A sensor that deviates from `sensor`. Each deviation draws only when its setting is above 0.
    pub fn apply(&self, sensor: &Sensor, generator: &mut Generator) -> Sensor {
        if *self == Self::default() {
            return sensor.clone();
        }
        let mut blurred = sensor.clone();
        move_centers(&mut blurred.bands, self.center_shift_std_nm, generator);
        for band in &mut blurred.bands {
            if self.width_scale_std > 0.0 {
                band.fwhm_nm *= (self.width_scale_std * generator.normal()).exp();
            }
            if self.shape_jitter_std > 0.0 {
                *band = band.reshaped(|| 1.0 + self.shape_jitter_std * generator.normal());
            }
        }
        let note = format!("Random deviations from {}.", sensor.name());
        blurred.provenance = Provenance::new(ProvenanceKind::Virtual, note);
        blurred
    }
}

/// Moves the centres and keeps them in order, apart by a part of their smallest distance before.
fn move_centers(bands: &mut [Band], std_nm: f64, generator: &mut Generator) {
    if std_nm <= 0.0 {
        return;
    }
    let spacings = bands.windows(2).map(|pair| pair[1].center_nm - pair[0].center_nm);
    let apart = SPACING_KEPT * spacings.fold(f64::INFINITY, f64::min);
    let mut lowest = 0.5 * bands[0].center_nm;
    for band in bands {
        band.center_nm = (band.center_nm + std_nm * generator.normal()).max(lowest);
        lowest = band.center_nm + apart;
    }
}
