//! Where the samples of a spectrum lie: wavelengths or wavenumbers, with their unit.
//!
//! Inside of this crate everything is in nanometres; an [`Axis`] is what comes from outside and goes
//! back there.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

/// Nanometres times wavenumbers per centimetre: a wavelength of `x` nm has `1e7 / x` cm⁻¹.
const NM_PER_CM: f64 = 1e7;

/// Unit of an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AxisUnit {
    /// Wavelengths in nanometres.
    #[default]
    #[serde(rename = "nm")]
    Nanometers,
    /// Wavelengths in micrometres.
    #[serde(rename = "um")]
    Micrometers,
    /// Wavenumbers per centimetre.
    #[serde(rename = "cm-1")]
    Wavenumbers,
}

impl AxisUnit {
    /// A position of this unit in nanometres.
    ///
    /// ```
    /// use spectral::AxisUnit;
    ///
    /// assert_eq!(AxisUnit::Micrometers.to_nm(2.5), 2500.0);
    /// assert_eq!(AxisUnit::Wavenumbers.to_nm(4000.0), 2500.0);
    /// ```
    pub fn to_nm(self, position: f64) -> f64 {
        match self {
            Self::Nanometers => position,
            Self::Micrometers => position * 1e3,
            Self::Wavenumbers => NM_PER_CM / position,
        }
    }

    /// A wavelength in nanometres as a position of this unit.
    pub fn from_nm(self, wavelength_nm: f64) -> f64 {
        match self {
            Self::Nanometers => wavelength_nm,
            Self::Micrometers => wavelength_nm / 1e3,
            Self::Wavenumbers => NM_PER_CM / wavelength_nm,
        }
    }

    /// A width of this unit around `position` (of this unit) in nanometres. Of wavenumbers it is
    /// the width to first order, `1e7 · width / position²`.
    pub fn width_to_nm(self, width: f64, position: f64) -> f64 {
        match self {
            Self::Nanometers => width,
            Self::Micrometers => width * 1e3,
            Self::Wavenumbers => NM_PER_CM * width / (position * position),
        }
    }

    /// The unit of this name, in the spellings that files use; `None` where it is none of them.
    ///
    /// ```
    /// use spectral::AxisUnit;
    ///
    /// assert_eq!(AxisUnit::named("Micrometers"), Some(AxisUnit::Micrometers));
    /// assert_eq!(AxisUnit::named("cm⁻¹"), Some(AxisUnit::Wavenumbers));
    /// assert_eq!(AxisUnit::named("Index"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        match name.trim().to_lowercase().as_str() {
            "nm" | "nanometer" | "nanometers" | "nanometre" | "nanometres" => {
                Some(Self::Nanometers)
            }
            // Both signs that are read as micro: U+00B5 and the Greek letter.
            "um" | "\u{b5}m" | "\u{3bc}m" | "micron" | "microns" | "micrometer" | "micrometers"
            | "micrometre" | "micrometres" => Some(Self::Micrometers),
            "cm-1" | "cm^-1" | "cm**-1" | "cm\u{207b}\u{b9}" | "1/cm" | "/cm" | "wavenumber"
            | "wavenumbers" => Some(Self::Wavenumbers),
            _ => None,
        }
    }

    /// The name in settings and files: `nm`, `um` or `cm-1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nanometers => "nm",
            Self::Micrometers => "um",
            Self::Wavenumbers => "cm-1",
        }
    }
}

impl fmt::Display for AxisUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The positions of a spectrum's samples: finite, above 0, and strictly rising or falling.
///
/// An axis remembers what it was made from, so that a conversion there and back gives the same bits.
///
/// ```
/// use spectral::{Axis, AxisUnit};
///
/// let axis = Axis::new(vec![400.1, 500.3, 700.7], AxisUnit::Nanometers)?;
/// let there = axis.to(AxisUnit::Wavenumbers);
/// assert_eq!(there.values()[0], 1e7 / 400.1);
/// assert_eq!(there.to(AxisUnit::Nanometers), axis);
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Axis {
    values: Arc<[f64]>,
    unit: AxisUnit,
    /// What the axis was made from, and its unit.
    origin: (Arc<[f64]>, AxisUnit),
}

/// An axis as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    unit: AxisUnit,
    values: Vec<f64>,
}

impl Axis {
    /// An axis at these positions.
    ///
    /// # Errors
    /// When there are none, one is not a number above 0, or they neither rise nor fall throughout.
    pub fn new(values: Vec<f64>, unit: AxisUnit) -> Result<Self> {
        if let Some((idx, value)) =
            values.iter().enumerate().find(|(_, value)| !value.is_finite() || **value <= 0.0)
        {
            let message = format!("sample {} of the axis must be above 0 {unit}: {value}", idx + 1);
            return Err(Error::new("spectral::axis", message));
        }
        let Some((first, last)) = values.first().zip(values.last()) else {
            return Err(Error::new("spectral::axis", "the axis has no samples"));
        };
        let is_rising = first < last;
        let out_of_order = |pair: &[f64]| (pair[0] < pair[1]) != is_rising || pair[0] == pair[1];
        if let Some(idx) = values.windows(2).position(out_of_order) {
            let message = format!(
                "the axis must rise or fall throughout: sample {} is {}, sample {} is {} {unit}",
                idx + 1,
                values[idx],
                idx + 2,
                values[idx + 1]
            );
            return Err(Error::new("spectral::axis_order", message)
                .help("sort the samples by wavelength and drop those that stand twice"));
        }
        let values: Arc<[f64]> = values.into();
        Ok(Self { origin: (Arc::clone(&values), unit), values, unit })
    }

    /// An axis of wavelengths in nanometres.
    ///
    /// # Errors
    /// As of [`Axis::new`].
    pub fn nm(values: Vec<f64>) -> Result<Self> {
        Self::new(values, AxisUnit::Nanometers)
    }

    /// The same axis in another unit, in the same order: wavelengths that rise are wavenumbers that
    /// fall.
    #[must_use]
    pub fn to(&self, unit: AxisUnit) -> Self {
        let (given, given_unit) = &self.origin;
        let values = if unit == *given_unit {
            Arc::clone(given)
        } else {
            given.iter().map(|value| unit.from_nm(given_unit.to_nm(*value))).collect()
        };
        Self { values, unit, origin: self.origin.clone() }
    }

    /// The wavelengths in nanometres, in the order of the axis.
    pub fn to_nm(&self) -> Arc<[f64]> {
        self.to(AxisUnit::Nanometers).values
    }

    /// The positions, in [`Axis::unit`].
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The unit of [`Axis::values`].
    pub fn unit(&self) -> AxisUnit {
        self.unit
    }

    /// Number of samples; never 0.
    #[expect(clippy::len_without_is_empty, reason = "an axis is never empty")]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether wavelengths rise along the axis.
    pub fn is_rising_nm(&self) -> bool {
        let nm = self.to_nm();
        nm.len() < 2 || nm[0] < nm[1]
    }

    /// Shortest and longest wavelength, in nanometres.
    pub fn range_nm(&self) -> (f64, f64) {
        let nm = self.to_nm();
        let (first, last) = (nm[0], nm[nm.len() - 1]);
        (first.min(last), first.max(last))
    }
}

impl PartialEq for Axis {
    fn eq(&self, other: &Self) -> bool {
        self.unit == other.unit && self.values == other.values
    }
}

impl TryFrom<Parts> for Axis {
    type Error = Error;

    fn try_from(parts: Parts) -> Result<Self> {
        Self::new(parts.values, parts.unit)
    }
}

impl From<Axis> for Parts {
    fn from(axis: Axis) -> Self {
        Self { unit: axis.unit, values: axis.values.to_vec() }
    }
}

/// Positions at equal steps, or each by itself: `{start, stop, num}` or a list.
///
/// ```
/// use spectral::Grid;
///
/// let grid: Grid = serde_json::from_str(r#"{"start": 400, "stop": 800, "num": 5}"#)?;
/// assert_eq!(grid.positions(), [400.0, 500.0, 600.0, 700.0, 800.0]);
/// let listed: Grid = serde_json::from_str("[400, 450, 800]")?; // not 800 positions from 400
/// assert_eq!(listed.positions(), [400.0, 450.0, 800.0]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Grid {
    // First: a list of three numbers could be taken for the three parts of the other.
    /// Every position by itself.
    Listed(Vec<f64>),
    /// Positions at equal steps.
    Even(EvenGrid),
}

/// Positions at equal steps, both ends included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvenGrid {
    /// First position.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub start: f64,
    /// Last position.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub stop: f64,
    /// Number of positions.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub num: usize,
}

impl Grid {
    /// `num` positions from `start` to `stop`.
    pub fn even(start: f64, stop: f64, num: usize) -> Self {
        Self::Even(EvenGrid { start, stop, num })
    }

    /// The positions, in the unit that the grid is meant in.
    pub fn positions(&self) -> Vec<f64> {
        match self {
            Self::Even(EvenGrid { start, stop, num }) => evenly(*start, *stop, *num),
            Self::Listed(positions) => positions.clone(),
        }
    }

    /// The axis of these positions.
    ///
    /// # Errors
    /// When there are fewer than two, or as of [`Axis::new`].
    pub fn axis(&self, unit: AxisUnit) -> Result<Axis> {
        let positions = self.positions();
        if positions.len() < 2 {
            let message = format!("a grid needs at least 2 positions: {}", positions.len());
            return Err(Error::new("spectral::grid", message));
        }
        Axis::new(positions, unit)
    }
}

/// `num` values from `start` to `stop` at equal steps; the last is `stop` itself.
pub(crate) fn evenly(start: f64, stop: f64, num: usize) -> Vec<f64> {
    let step = (stop - start) / num.saturating_sub(1).max(1) as f64;
    let mut values: Vec<f64> = (0..num).map(|idx| start + idx as f64 * step).collect();
    if let [_, .., last] = values.as_mut_slice() {
        *last = stop;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(values: &[f64]) -> String {
        Axis::nm(values.to_vec()).unwrap_err().message
    }

    #[test]
    fn an_axis_is_finite_above_zero_and_in_order() {
        assert_eq!(fault(&[]), "the axis has no samples");
        assert_eq!(fault(&[400.0, f64::NAN]), "sample 2 of the axis must be above 0 nm: NaN");
        assert_eq!(fault(&[0.0, 1.0]), "sample 1 of the axis must be above 0 nm: 0");
        let order = "the axis must rise or fall throughout: sample 2 is 500, sample 3 is 450 nm";
        assert_eq!(fault(&[400.0, 500.0, 450.0]), order);
        assert!(fault(&[400.0, 400.0]).contains("rise or fall"));
        assert!(Axis::nm(vec![700.0, 500.0, 400.0]).is_ok());
    }

    #[test]
    fn conversions_there_and_back_give_the_same_bits() {
        let nm: Vec<f64> = (0..2000).map(|i| 350.1 + 1.07 * f64::from(i)).collect();
        for given in [AxisUnit::Nanometers, AxisUnit::Micrometers, AxisUnit::Wavenumbers] {
            let values = nm.iter().map(|x| given.from_nm(*x)).collect();
            let axis = Axis::new(values, given).unwrap();
            for other in [AxisUnit::Nanometers, AxisUnit::Micrometers, AxisUnit::Wavenumbers] {
                assert_eq!(axis.to(other).to(given), axis);
                assert_eq!(axis.to(other).to_nm(), axis.to_nm());
            }
        }
    }

    #[test]
    fn values_of_units_are_those_of_physics() {
        let axis = Axis::new(vec![0.5, 1.0, 2.5], AxisUnit::Micrometers).unwrap();
        assert_eq!(&*axis.to_nm(), [500.0, 1000.0, 2500.0]);
        assert_eq!(axis.to(AxisUnit::Wavenumbers).values(), [20_000.0, 10_000.0, 4000.0]);
        assert!(axis.is_rising_nm());
        assert!(!Axis::new(vec![4000.0, 5000.0], AxisUnit::Wavenumbers).unwrap().is_rising_nm());
        assert_eq!(axis.range_nm(), (500.0, 2500.0));
        // 10 cm⁻¹ at 1000 cm⁻¹ (10 µm) are 100 nm.
        assert_eq!(AxisUnit::Wavenumbers.width_to_nm(10.0, 1000.0), 100.0);
        assert_eq!(AxisUnit::Micrometers.width_to_nm(0.01, 2.0), 10.0);
    }

    #[test]
    fn an_axis_is_written_with_its_unit_and_read_back_checked() {
        let axis = Axis::new(vec![1000.0, 1200.0], AxisUnit::Wavenumbers).unwrap();
        let text = serde_json::to_string(&axis).unwrap();
        assert_eq!(text, r#"{"unit":"cm-1","values":[1000.0,1200.0]}"#);
        assert_eq!(serde_json::from_str::<Axis>(&text).unwrap(), axis);
        let wrong = serde_json::from_str::<Axis>(r#"{"unit":"nm","values":[2,1,3]}"#);
        assert!(wrong.unwrap_err().to_string().contains("rise or fall"));
    }

    #[test]
    fn grids_are_even_with_exact_ends_and_have_two_positions_at_least() {
        let grid = Grid::even(380.0, 2500.0, 256).positions();
        assert_eq!((grid.len(), grid[0], grid[255]), (256, 380.0, 2500.0));
        assert!((grid[1] - grid[0] - 8.313_725_490_196_08).abs() < 1e-9);
        let one = Grid::Listed(vec![400.0]).axis(AxisUnit::Nanometers).unwrap_err();
        assert_eq!(one.message, "a grid needs at least 2 positions: 1");
    }
}
