//! Cuts a long text into pieces that are encoded one by one.

/// No piece is longer.
pub(super) const PIECE_BYTES: usize = 1 << 20;
/// How far from its end a piece looks for a good place to be cut.
const SEARCH_BYTES: usize = 4096;

/// Takes the first piece off a text that is longer than one.
///
/// The cut stands before a space between two words, where tokenizers split anyway, so that the
/// pieces encode to what the whole text would; where there is none, between two characters.
pub(super) fn take_piece(text: &mut String) -> Option<String> {
    if text.len() <= PIECE_BYTES {
        return None;
    }
    let rest = text.split_off(cut(text));
    Some(std::mem::replace(text, rest))
}

fn cut(text: &str) -> usize {
    let end = text.floor_char_boundary(PIECE_BYTES);
    let bytes = text.as_bytes();
    let is_word = |idx: usize| bytes.get(idx).is_some_and(u8::is_ascii_alphabetic);
    let is_between =
        |idx: &usize| bytes[*idx] == b' ' && is_word(idx.wrapping_sub(1)) && is_word(idx + 1);
    (end.saturating_sub(SEARCH_BYTES)..end).rev().find(is_between).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_text_and_are_cut_before_a_space() {
        let whole = "some words ".repeat(3 * PIECE_BYTES / 11);
        let mut text = whole.clone();
        let mut pieces = Vec::new();
        while let Some(piece) = take_piece(&mut text) {
            assert!(piece.len() <= PIECE_BYTES && piece.len() > PIECE_BYTES - 16);
            assert!(!piece.ends_with(' ') && text.starts_with(' '));
            pieces.push(piece);
        }
        assert_eq!((pieces.len(), pieces.concat() + &text == whole), (2, true));
    }

    #[test]
    fn a_text_without_words_is_cut_between_characters() {
        let mut text = "€".repeat(PIECE_BYTES / 2);
        let piece = take_piece(&mut text).unwrap();
        assert_eq!(piece.len(), PIECE_BYTES - PIECE_BYTES % 3);
        assert_eq!(take_piece(&mut "short".to_owned()), None);
    }
}
