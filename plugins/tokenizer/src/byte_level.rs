//! GPT-2's way to write any byte as a character, and its `tokenizer.json` parts.
//!
//! Bytes that print stand for themselves; the others follow from U+0100 on, in order. A space is
//! `Ġ`, a newline `Ċ`.

use serde_json::{Value, json};

/// The character that a byte is written as.
pub(crate) fn char_of(byte: u8) -> char {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(&byte) {
        return byte.into();
    }
    let before = (0..byte).filter(|byte| !printable(byte)).count();
    let code = u32::try_from(0x100 + before).unwrap_or_default();
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// All 256 characters, by byte.
pub(crate) fn alphabet() -> [char; 256] {
    let mut chars = ['\0'; 256];
    for byte in 0..=u8::MAX {
        chars[usize::from(byte)] = char_of(byte);
    }
    chars
}

/// The bytes that a token stands for; a token with other characters stands for itself.
pub(crate) fn bytes_of(token: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
    bytes.unwrap_or_else(|| token.as_bytes().to_vec())
}

fn byte_of(char: char) -> Option<u8> {
    match u8::try_from(u32::from(char)) {
        Ok(byte) if char_of(byte) == char => Some(byte),
        Ok(_) => None,
        Err(_) => (0..=u8::MAX).find(|byte| char_of(*byte) == char),
    }
}

/// The pre-tokenizer and the decoder of a `tokenizer.json`.
pub(crate) fn json(use_regex: bool) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": false,
        "trim_offsets": true,
        "use_regex": use_regex,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        for byte in 0..=u8::MAX {
            assert_eq!(byte_of(char_of(byte)), Some(byte));
        }
        assert_eq!((char_of(b' '), char_of(b'\n'), char_of(0xAD)), ('Ġ', 'Ċ', 'Ń'));
        assert_eq!(bytes_of("ĠÃ©"), " é".as_bytes());
        assert_eq!(bytes_of("<a b>"), b"<a b>");
    }
}
