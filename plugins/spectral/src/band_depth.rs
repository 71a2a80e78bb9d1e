//! Depths of absorption bands: how far a spectrum dips below the straight line between two
//! shoulders.

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::sampling::linear;

/// Lowest value of the line between the shoulders.
const FLOOR: f64 = 1e-6;

/// Largest value over the line that counts: a depth is at least −4.
const LARGEST_RATIO: f64 = 5.0;

/// Distance of a shoulder from the centre where a band says none, in nanometres.
const DEFAULT_WIDTH_NM: f64 = 10.0;

/// The absorption bands to measure; what a file `banddepth.yaml` holds.
///
/// ```
/// use spectral::{BandDepths, DepthSampling};
///
/// let text = "bands:\n  - {name: a, center: 600, left: 400, right: 800}\n";
/// let bands = BandDepths::parse(text)?;
/// let (nm, values) = ([400.0, 500.0, 600.0, 700.0, 800.0], [0.4, 0.35, 0.3, 0.33, 0.38]);
/// let depths = bands.depths(&nm, &values, DepthSampling::Linear);
/// assert!((depths[0] - 0.230_769_2).abs() < 1e-7);
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandDepths {
    /// The bands.
    #[schemars(length(min = 1))]
    pub bands: Vec<DepthBand>,
}

/// One absorption band: its centre, and its shoulders or their distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthBand {
    /// Name, for metrics and plots.
    pub name: String,
    /// Where the band is deepest.
    #[schemars(extend("exclusiveMinimum" = 0, "x-unit" = "nm"))]
    pub center: f64,
    /// Shoulder at shorter wavelengths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-unit" = "nm"))]
    pub left: Option<f64>,
    /// Shoulder at longer wavelengths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-unit" = "nm"))]
    pub right: Option<f64>,
    /// Distance of both shoulders from the centre, instead of `left` and `right`; 10 where nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-unit" = "nm"))]
    pub width: Option<f64>,
}

/// Which value a spectrum has at a wavelength between its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DepthSampling {
    /// On the straight line between the samples on both sides.
    #[default]
    Linear,
    /// That of the first sample at or above it. On coarse axes centre and shoulders can be the same
    /// sample, and depths then mean nothing.
    AtOrAbove,
}

impl DepthBand {
    /// The shoulders, in nanometres.
    ///
    /// # Errors
    /// When `left`, `center` and `right` don't rise, or a shoulder is missing.
    pub fn shoulders(&self) -> Result<(f64, f64)> {
        let (left, right) = match (self.left, self.right, self.width) {
            (Some(left), Some(right), None) => (left, right),
            (None, None, width) => {
                let width = width.unwrap_or(DEFAULT_WIDTH_NM);
                (self.center - width, self.center + width)
            }
            _ => {
                let message = "a band needs both `left` and `right`, or `width` without them";
                return Err(self.fault(message.to_owned()));
            }
        };
        let center = self.center;
        if left < right && left <= center && center <= right {
            return Ok((left, right));
        }
        let message = format!("`left`, `center` and `right` must rise: {left}, {center}, {right}");
        Err(self.fault(message))
    }

    fn fault(&self, message: String) -> Error {
        Error::new("spectral::band_depth", message).context(format!("band `{}`", self.name))
    }

    /// How far the spectrum lies below the line between the shoulders, as a part of the line's
    /// height: 0 on the line, 1 at no light at all, negative above the line.
    fn depth(&self, nm: &[f64], values: &[f64], sampling: DepthSampling) -> f64 {
        let Ok((left, right)) = self.shoulders() else {
            return f64::NAN;
        };
        let at = |wavelength: f64| match sampling {
            DepthSampling::Linear => within(nm, wavelength, linear(nm, values, wavelength)),
            DepthSampling::AtOrAbove => {
                values[nm.partition_point(|known| *known < wavelength).min(nm.len() - 1)]
            }
        };
        let (at_left, at_right) = (at(left), at(right));
        let line = at_left + (at_right - at_left) * (self.center - left) / (right - left);
        let ratio = at(self.center) / floored(line);
        if ratio > LARGEST_RATIO { 1.0 - LARGEST_RATIO } else { 1.0 - ratio }
    }
}

/// `value` where the wavelength lies on the axis, else missing.
fn within(nm: &[f64], wavelength: f64, value: f64) -> f64 {
    if (nm[0]..=nm[nm.len() - 1]).contains(&wavelength) { value } else { f64::NAN }
}

/// At least the floor; what is missing stays missing.
fn floored(value: f64) -> f64 {
    if value < FLOOR { FLOOR } else { value }
}

impl BandDepths {
    /// The bands of a YAML text (JSON is YAML too).
    ///
    /// # Errors
    /// When it is no list of bands, or as of [`BandDepths::check`].
    pub fn parse(text: &str) -> Result<Self> {
        let bands: Self = serde_saphyr::from_str(text).map_err(|error| {
            Error::new("spectral::band_depth", format!("no list of absorption bands: {error}"))
        })?;
        bands.check()?;
        Ok(bands)
    }

    /// The bands of a YAML or JSON file.
    ///
    /// # Errors
    /// When it can't be read, or as of [`BandDepths::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("can't read the absorption bands `{}`: {error}", path.display());
            Error::new("spectral::band_depth", message)
        })?;
        Self::parse(&text).map_err(|error| error.context(path.display()))
    }

    /// Nothing, when there are bands and each has its centre between its shoulders.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<()> {
        if self.bands.is_empty() {
            return Err(Error::new("spectral::band_depth", "there are no absorption bands"));
        }
        self.bands.iter().try_for_each(|band| band.shoulders().map(|_| ()))
    }

    /// The depth of each band in a spectrum on rising wavelengths; missing (NaN) where a value that
    /// it needs is.
    ///
    /// # Panics
    /// When there is not one value for each wavelength.
    pub fn depths(&self, nm: &[f64], values: &[f64], sampling: DepthSampling) -> Vec<f64> {
        assert_eq!(nm.len(), values.len(), "one value for each wavelength");
        self.bands.iter().map(|band| band.depth(nm, values, sampling)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::evenly;
    use crate::continuum::straight;

    /// The reference's list, word for word.
    const REFERENCE: &str = "\
# Band-depth features for solid-phase absorptions (nm).
bands:
  - name: olivine_1
    center: 1020.0
    left: 980.0
    right: 1060.0
  - name: pyroxene_1
    center: 1200.0
    left: 1160.0
    right: 1240.0
  - name: spinel_2
    center: 1500.0
    left: 1450.0
    right: 1550.0
  - name: cpx_3
    center: 2000.0
    left: 1940.0
    right: 2060.0
";

    fn band(center: f64, left: f64, right: f64) -> BandDepths {
        let (left, right) = (Some(left), Some(right));
        let band = DepthBand { name: "a".to_owned(), center, left, right, width: None };
        BandDepths { bands: vec![band] }
    }

    fn fault(text: &str) -> String {
        BandDepths::parse(text).unwrap_err().message
    }

    #[test]
    fn depths_of_the_reference() {
        let (nm, values) = ([400.0, 500.0, 600.0, 700.0, 800.0], [0.4, 0.35, 0.30, 0.33, 0.38]);
        for (bands, expected) in
            [(band(600.0, 400.0, 800.0), 0.230_769_2), (band(610.0, 490.0, 720.0), 0.097_502_9)]
        {
            let found = bands.depths(&nm, &values, DepthSampling::AtOrAbove)[0];
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
        let nm = evenly(380.0, 2500.0, 256);
        let values: Vec<f64> = nm.iter().map(|nm| 0.5 + 0.3 * (nm / 200.0).sin()).collect();
        let bands = BandDepths::parse(REFERENCE).unwrap();
        let found = bands.depths(&nm, &values, DepthSampling::AtOrAbove);
        let expected = [0.031_461_1, 0.004_047_2, -0.011_299_6, 0.008_903_9];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
    }

    #[test]
    fn depths_agree_with_what_the_removed_continuum_leaves() {
        // The reference's own test allows 5e-3, since it takes samples for the wavelengths.
        let nm = evenly(380.0, 2500.0, 2121);
        let values: Vec<f64> = nm.iter().map(|nm| 0.5 + 0.3 * (nm / 200.0).sin()).collect();
        let bands = BandDepths::parse(REFERENCE).unwrap();
        let found = bands.depths(&nm, &values, DepthSampling::Linear);
        for (band, found) in bands.bands.iter().zip(found) {
            let (left, right) = band.shoulders().unwrap();
            let removed = straight(&nm, &values, Some([left, right])).removed;
            let expected = 1.0 - linear(&nm, &removed, band.center);
            assert!((found - expected).abs() < 1e-12, "{}: {found} for {expected}", band.name);
        }
    }

    #[test]
    fn on_coarse_axes_the_next_sample_misses_the_band() {
        // Ten bands 222 nm apart, as the reference's sensor had, and a spectrum that falls evenly:
        // nothing is absorbed.
        let nm = evenly(400.0, 2400.0, 10);
        let values: Vec<f64> = nm.iter().map(|nm| 0.6 - nm / 5000.0).collect();
        let depth = |sampling| band(1500.0, 1450.0, 1550.0).depths(&nm, &values, sampling)[0];
        assert!(depth(DepthSampling::Linear).abs() < 1e-12);
        let wrong = depth(DepthSampling::AtOrAbove);
        assert!((wrong + 0.080_645_2).abs() < 1e-6, "{wrong}");
    }

    #[test]
    fn ratios_are_bounded_and_gaps_are_missing() {
        let nm = [1.0, 2.0, 3.0];
        let depth =
            |values: [f64; 3]| band(2.0, 1.0, 3.0).depths(&nm, &values, DepthSampling::Linear)[0];
        assert_eq!(depth([0.1, 9.0, 0.1]), -4.0);
        assert_eq!(depth([0.0, 0.0, 0.0]), 1.0);
        assert!(depth([0.1, f64::NAN, 0.1]).is_nan() && depth([f64::NAN, 0.1, 0.1]).is_nan());
        let beyond = band(2.0, 1.0, 4.0).depths(&nm, &[0.1; 3], DepthSampling::Linear)[0];
        assert!(beyond.is_nan());
    }

    #[test]
    fn shoulders_follow_from_a_width() {
        let text = "bands: [{name: a, center: 600, width: 40}, {name: b, center: 700}]";
        let bands = BandDepths::parse(text).unwrap().bands;
        assert_eq!(bands[0].shoulders().unwrap(), (560.0, 640.0));
        assert_eq!(bands[1].shoulders().unwrap(), (690.0, 710.0));
    }

    #[test]
    fn faults_name_the_band() {
        assert_eq!(fault("bands: []"), "there are no absorption bands");
        let order = "band `a`: `left`, `center` and `right` must rise: 700, 600, 800";
        assert_eq!(fault("bands: [{name: a, center: 600, left: 700, right: 800}]"), order);
        let both = "band `a`: a band needs both `left` and `right`, or `width` without them";
        assert_eq!(fault("bands: [{name: a, center: 600, left: 500}]"), both);
        assert!(fault("bands: [{name: a, centre: 600}]").contains("centre"));
        let missing = BandDepths::read(Path::new("nowhere.yaml")).unwrap_err().message;
        assert!(missing.starts_with("can't read the absorption bands `nowhere.yaml`: "));
    }
}
