//! The fields of a table: positions of an axis, and values.

use crate::axis::AxisUnit;
use crate::data::missing::Markers;
use crate::data::units::{unit_in, unit_named};

/// A position of an axis, and its unit where the field says it: `350`, `350.5 nm`, `0.45um`; `X350`
/// as R writes it. A decimal comma is read as a point.
pub(super) fn position(field: &str) -> Option<(f64, Option<AxisUnit>)> {
    let field = field.trim();
    let digits = field.strip_prefix(['X', 'x']).unwrap_or(field);
    let is_number = |c: char| c.is_ascii_digit() || ".,".contains(c);
    let end = digits.find(|c| !is_number(c)).unwrap_or(digits.len());
    if let Some(value) = number(digits, true) {
        return Some((value, None));
    }
    let unit = unit_named(&digits[end..])?;
    Some((number(&digits[..end], true)?, Some(unit)))
}

/// Whether a title is that of an axis.
pub(super) fn is_axis_title(title: &str) -> bool {
    let lower = title.to_lowercase();
    ["wavelength", "wavenumber", "lambda", "band center", "band centre"]
        .iter()
        .any(|word| lower.contains(word))
        || unit_in(title).is_some()
}

/// A finite number.
fn number(field: &str, has_decimal_comma: bool) -> Option<f64> {
    let parsed = field.parse().ok();
    let is_comma = has_decimal_comma && field.matches(',').count() == 1 && !field.contains('.');
    let parsed = parsed.or_else(|| field.replace(',', ".").parse().ok().filter(|_| is_comma));
    parsed.filter(|number: &f64| number.is_finite())
}

/// A value, NaN where it is missing; `None` where the field is no number.
pub(super) fn value(field: &str, has_decimal_comma: bool, missing: &Markers) -> Option<f64> {
    const WORDS: [&str; 7] = ["", "nan", "na", "n/a", "null", "inf", "-inf"];
    if WORDS.iter().any(|word| field.eq_ignore_ascii_case(word)) {
        return Some(f64::NAN);
    }
    let value = number(field, has_decimal_comma)?;
    Some(if missing.marks(value) { f64::NAN } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::missing::USGS_DELETED;

    #[test]
    fn positions_may_have_a_unit_and_a_letter_before_them() {
        let nm = Some(AxisUnit::Nanometers);
        assert_eq!(position("350"), Some((350.0, None)));
        assert_eq!(position("350,5"), Some((350.5, None)));
        assert_eq!(position("X350.5"), Some((350.5, None)));
        assert_eq!(position("350.5 nm"), Some((350.5, nm)));
        assert_eq!(position("1e3"), Some((1000.0, None)));
        assert_eq!(position("0.45um"), Some((0.45, Some(AxisUnit::Micrometers))));
        assert_eq!(position("1000 cm-1"), Some((1000.0, Some(AxisUnit::Wavenumbers))));
        for none in ["", "name", "X", "350 apples", "nm", "1,000,000", "NaN"] {
            assert_eq!(position(none), None, "{none}");
        }
    }

    #[test]
    fn values_are_missing_by_word_by_marker_and_where_nothing_stands() {
        let markers = Markers::new(&[USGS_DELETED, -999.0]);
        for field in ["", "NaN", "na", "N/A", "-inf", "-1.23e34", "-1.2300000E+034", "-999"] {
            assert!(value(field, false, &markers).unwrap().is_nan(), "{field}");
        }
        assert_eq!(value("0.25", false, &markers), Some(0.25));
        assert_eq!(value("0,25", true, &markers), Some(0.25));
        assert_eq!(value("0,25", false, &markers), None);
        assert_eq!(value("leaf", true, &markers), None);
    }
}
