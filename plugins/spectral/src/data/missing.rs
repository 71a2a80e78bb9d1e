//! What marks a value as missing. In memory a missing value is NaN.

/// The marker of deleted channels in the spectral libraries of the USGS.
pub const USGS_DELETED: f64 = -1.23e34;

/// Numbers that stand for a missing value; what is not finite is always missing.
///
/// ```
/// use spectral::data::{Markers, USGS_DELETED};
///
/// let markers = Markers::new(&[USGS_DELETED, -9999.0]);
/// assert!(markers.marks(-9999.0) && markers.marks(f64::NAN));
/// assert!(!markers.marks(0.25));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Markers(Vec<f64>);

impl Markers {
    /// These numbers mark missing values.
    pub fn new(markers: &[f64]) -> Self {
        Self(markers.to_vec())
    }

    /// These, and one more.
    #[must_use]
    pub fn and(&self, marker: Option<f64>) -> Self {
        Self(self.0.iter().copied().chain(marker).collect())
    }

    /// Whether `value` stands for a missing one.
    pub fn marks(&self, value: f64) -> bool {
        !value.is_finite() || self.0.contains(&value)
    }

    pub(super) fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().copied().map(change).collect())
    }
}
