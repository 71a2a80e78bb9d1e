//! Numbers from their text, with the reasons for which one is refused.
//!
//! A number that can't be held is never rounded to infinity or to zero behind the user's back. The
//! formats differ in what they call a number, not in which numbers there are.

use serde_json::Number;

/// NaN or an infinity, however it was written.
pub(super) const NOT_FINITE: &str = "the number is not finite";
/// An integer beyond 64 bits.
pub(super) const INTEGER_TOO_LARGE: &str = "the integer is too large";
/// A mark of a radix with nothing behind it, or with something else than digits.
pub(super) const NO_NUMBER: &str = "this is no number";
/// A decimal number beyond what double precision holds.
pub(super) const TOO_LARGE: &str = "the number is too large";
/// A decimal number that would be rounded to zero.
pub(super) const TOO_SMALL: &str = "the number is too small to be told from zero";

/// A decimal number.
pub(super) fn decimal(text: &str) -> Result<Number, &'static str> {
    let value: f64 = text.parse().map_err(|_| NOT_FINITE)?;
    if value == 0.0 && !is_zero(text) {
        return Err(TOO_SMALL);
    }
    let has_digits = text.contains(|c: char| c.is_ascii_digit());
    Number::from_f64(value).ok_or(if has_digits { TOO_LARGE } else { NOT_FINITE })
}

/// An integer of the given radix: what fits 64 bits, with or without a sign.
pub(super) fn integer(digits: &str, radix: u32) -> Result<Number, &'static str> {
    let unsigned = digits.trim_start_matches(['+', '-']);
    if unsigned.is_empty() || !unsigned.chars().all(|c| c.is_digit(radix)) {
        return Err(NO_NUMBER);
    }
    if let Ok(value) = i64::from_str_radix(digits, radix) {
        return Ok(value.into());
    }
    u64::from_str_radix(digits, radix).map(Number::from).map_err(|_| INTEGER_TOO_LARGE)
}

/// Whether the digits before the exponent are all zero.
fn is_zero(text: &str) -> bool {
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    !digits.contains(|c: char| matches!(c, '1'..='9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_taken_as_it_is_or_refused() {
        assert_eq!(decimal("1e-5"), Ok(Number::from_f64(1e-5).unwrap()));
        assert_eq!(decimal("-0.0e9"), Ok(Number::from_f64(-0.0).unwrap()));
        assert_eq!(decimal("5e-324"), Ok(Number::from_f64(5e-324).unwrap()));
        assert_eq!(decimal("1e-400"), Err(TOO_SMALL));
        assert_eq!(decimal("-1e400"), Err(TOO_LARGE));
        for text in ["nan", "-inf", "+Infinity", ""] {
            assert_eq!(decimal(text), Err(NOT_FINITE), "{text}");
        }
    }

    #[test]
    fn integers_take_64_bits() {
        assert_eq!(integer("-9223372036854775808", 10), Ok(i64::MIN.into()));
        assert_eq!(integer("ffffffffffffffff", 16), Ok(u64::MAX.into()));
        assert_eq!(integer("18446744073709551616", 10), Err(INTEGER_TOO_LARGE));
        assert_eq!(integer("-9223372036854775809", 10), Err(INTEGER_TOO_LARGE));
    }
}
