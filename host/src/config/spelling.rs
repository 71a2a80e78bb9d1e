//! Numbers and words that are spelled otherwise elsewhere, and how they are spelled here.
//!
//! Other languages, other formats and other countries write `0,001`, `10_000`, `.5`, `True` or
//! `None`. What was meant is plain enough to be said; it is never taken silently.

use super::error::alike;
use super::number;

/// Words that stand for true, for false and for nothing.
const WORDS: [(&str, &[&str]); 3] = [
    ("true", &["true", "yes", "on", "y"]),
    ("false", &["false", "no", "off", "n"]),
    ("null", &["null", "none", "nil", "~"]),
];
/// Letters that stand for many zeros.
const UNITS: [(char, usize); 3] = [('k', 3), ('m', 6), ('g', 9)];

/// `true`, `false` or `null`, where a text is another word for it.
pub(super) fn word_meant(text: &str) -> Option<&'static str> {
    let plain = alike(text.trim());
    let found = WORDS.iter().find(|(_, others)| others.contains(&plain.as_str()));
    found.map(|(word, _)| *word)
}

/// Advice on how a number is spelled that was written otherwise; nothing for what is no number.
pub(super) fn number_meant(text: &str, is_whole: bool) -> Option<String> {
    let text = text.trim();
    if !text.contains(|c: char| c.is_ascii_digit()) || text.len() > 40 {
        return None;
    }
    if let Some(plain) = plain(text) {
        // One that can't be held is refused for another reason than its spelling.
        return number::decimal(&plain).is_ok().then(|| format!("write `{plain}`"));
    }
    in_words(text)
        .or_else(|| with_dot(text, is_whole))
        .or_else(|| ungrouped(text))
        .or_else(|| hexadecimal(text))
}

/// Whether a word is a decimal number, however its sign, zeros and dot are written.
pub(super) fn is_number(word: &str) -> bool {
    plain(word).is_some()
}

/// The number without a plus, needless zeros and a bare dot.
fn plain(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let is_digits = digits.contains(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || "eE.+-".contains(c));
    if !is_digits || digits.parse::<f64>().is_err() {
        return None;
    }
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let digits = match digits.as_bytes().get(zeros) {
        Some(b'0'..=b'9') => &digits[zeros..],
        _ => &digits[zeros.saturating_sub(1)..],
    };
    let digits = digits.strip_prefix('.').map_or(digits.to_owned(), |rest| format!("0.{rest}"));
    let digits = digits.strip_suffix('.').map_or(digits.clone(), |whole| format!("{whole}.0"));
    Some(format!("{sign}{digits}"))
}

/// `10k` is ten thousand; `10%` is a tenth.
fn in_words(text: &str) -> Option<String> {
    let last = text.chars().last()?.to_ascii_lowercase();
    let number = &text[..text.len() - last.len_utf8()];
    let (_, zeros) = UNITS.iter().find(|(unit, _)| *unit == last)?;
    let is_whole = number.chars().all(|c| c.is_ascii_digit());
    is_whole.then(|| format!("write the number out: `{number}{}`", "0".repeat(*zeros)))
}

/// `0,001` has a comma for a dot, unless it is a whole number in groups of three digits.
fn with_dot(text: &str, is_whole: bool) -> Option<String> {
    let (before, after) = text.split_once(',')?;
    let dotted = plain(&format!("{before}.{after}"))?;
    let is_group = after.len() == 3 && !before.trim_start_matches(['+', '-']).starts_with('0');
    let groups = format!("{before}{after}");
    match (is_group, is_whole) {
        (true, true) => None,
        (true, false) => {
            Some(format!("numbers take a dot and no groups of digits: `{dotted}` or `{groups}`"))
        }
        (false, _) => Some(format!("numbers take a dot: `{dotted}`")),
    }
}

/// `10_000`, `10,000` and `10 000` have their digits in groups.
fn ungrouped(text: &str) -> Option<String> {
    let is_grouped = text.ends_with(|c: char| c.is_ascii_digit());
    let together = text.replace(['_', ',', ' ', '\''], "");
    let plain = plain(&together).filter(|_| is_grouped && together != text)?;
    Some(format!("write the digits without separators: `{plain}`"))
}

fn hexadecimal(text: &str) -> Option<String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    Some(format!("write it in decimal digits: `{number}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_spelled_otherwise_is_told_apart_from_a_text() {
        let cases = [
            ("500", "write `500`"),
            ("+3e-4", "write `3e-4`"),
            (".5", "write `0.5`"),
            ("-.5", "write `-0.5`"),
            ("5.", "write `5.0`"),
            ("007", "write `7`"),
            ("000", "write `0`"),
            ("0.10", "write `0.10`"),
            ("0,001", "numbers take a dot: `0.001`"),
            ("1,5e-1", "numbers take a dot: `1.5e-1`"),
            ("10,000", "numbers take a dot and no groups of digits: `10.000` or `10000`"),
            ("1,000,000", "write the digits without separators: `1000000`"),
            ("1_000", "write the digits without separators: `1000`"),
            ("2k", "write the number out: `2000`"),
            ("0x1F", "write it in decimal digits: `31`"),
        ];
        for (text, advice) in cases {
            assert_eq!(number_meant(text, false).as_deref(), Some(advice), "{text}");
        }
        assert_eq!(
            number_meant("10,000", true).as_deref(),
            Some("write the digits without separators: `10000`")
        );
        for text in ["", "many", "1a", "2024-12-24", "1.2.3", "1,2,", "e5", "--5"] {
            assert_eq!(number_meant(text, false), None, "{text}");
        }
    }
}
