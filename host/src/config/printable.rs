//! Texts from outside, as a terminal can show them.
//!
//! A configuration may hold characters that a terminal obeys, that take no room, or that make a
//! line read in another order than it is written. A message that quotes one shows what is there.

use std::borrow::Cow;

/// Whether a character can't be seen, or does something else than stand there; spaces and the
/// joiners that some scripts are written with are none.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text with every hidden character spelled out, as `\n` or `\u{202e}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    spelled(text, is_hidden)
}

/// The same for a message of several lines: a line's end stays one, and so does a tab.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    spelled(text, |c| c != '\n' && c != '\t' && is_hidden(c))
}

/// A source line in which one character stands for each hidden one, so that columns stay; a tab
/// stays a tab.
pub(super) fn source_line(line: &str) -> String {
    line.chars()
        .map(|c| match c {
            '\t' => '\t',
            '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
            '\u{7f}' => '\u{2421}',
            c if is_hidden(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The first `chars_max` characters of a text, with `…` behind them if there are more.
pub(super) fn shortened(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn spelled(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) { spelled.extend(c.escape_default()) } else { spelled.push(c) }
    }
    Cow::Owned(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(escaped("a\u{1b}[2J\nb\u{202e}c"), r"a\u{1b}[2J\nb\u{202e}c");
        assert_eq!(escaped_lines("a\tb\n\r\0"), "a\tb\n\\r\\u{0}");
        assert!(matches!(escaped("häuser mit 👩\u{200d}💻"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_source_line_keeps_its_columns() {
        assert_eq!(source_line("\ta\0\u{1b}\u{7f}\u{9b}\u{202e}ä"), "\ta␀␛␡��ä");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äöü…");
    }
}
