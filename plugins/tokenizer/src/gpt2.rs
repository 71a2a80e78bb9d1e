//! The vocabulary of GPT-2: 50,257 tokens, which come with the crate `tiktoken-rs`.
//!
//! `<|endoftext|>` ends messages. The three roles are tokens that GPT-2 has and no text can have:
//! the single bytes 0xF8 to 0xFA, which UTF-8 doesn't use and no merge contains.

use std::collections::HashMap;
use std::sync::LazyLock;

use sdk::{Error, Result};
use serde_json::{Map, Value, json};
use tiktoken_rs::CoreBPE;

use crate::decode::Pieces;
use crate::huggingface::add_special;
use crate::special::{SpecialTexts, SpecialTokens};
use crate::words::{Pattern, WordEncoder};
use crate::{Encoder, Tokenizer, byte_level};

pub(crate) const VOCAB_SIZE: usize = 50_257;
const SPECIAL: SpecialTokens = SpecialTokens { sys: 180, usr: 181, asst: 182, eot: 50_256 };
/// The bytes that the three roles are.
const ROLE_BYTES: [u8; 3] = [0xF8, 0xF9, 0xFA];

/// Read once: it takes some 30 ms and 10 MB.
static TOKENIZER: LazyLock<Result<Tokenizer>> = LazyLock::new(load);

struct Gpt2 {
    bpe: CoreBPE,
    words: WordEncoder,
}

impl Encoder for Gpt2 {
    fn encode(&self, text: &str) -> Vec<u32> {
        self.words.encode(text, |word| self.bpe.encode_ordinary(word))
    }

    fn huggingface_json(&self) -> Result<Value> {
        let tokens = tokens(&self.bpe)?;
        let mut json = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": byte_level::json(true),
            "post_processor": null,
            "decoder": byte_level::json(true),
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "",
                "fuse_unk": false,
                "byte_fallback": false,
                "vocab": vocab(&tokens),
                "merges": merges(&tokens),
            },
        });
        add_special(&mut json, SPECIAL, &texts());
        Ok(json)
    }
}

pub(crate) fn tokenizer() -> Result<Tokenizer> {
    TOKENIZER.clone()
}

fn texts() -> SpecialTexts {
    SpecialTexts { eot: "<|endoftext|>".to_owned(), ..SpecialTexts::plain() }
}

fn load() -> Result<Tokenizer> {
    let bpe = tiktoken_rs::r50k_base().map_err(|error| fault(&error))?;
    let tokens = tokens(&bpe)?;
    for (id, byte) in SPECIAL.roles().into_iter().zip(ROLE_BYTES) {
        if tokens[id as usize] != [byte] {
            return Err(fault(&format!("token {id} is not the byte {byte:#04X}")));
        }
    }
    let mut pieces = Pieces::default();
    for (id, bytes) in tokens.iter().enumerate() {
        let is_special = SPECIAL.all().iter().any(|special| *special as usize == id);
        pieces.push(if is_special { &[] } else { bytes });
    }
    let encoder = Gpt2 { bpe, words: WordEncoder::new(Pattern::Gpt2)? };
    Ok(Tokenizer::new("gpt2", (SPECIAL, texts()), pieces, None, Box::new(encoder)))
}

fn fault(error: &dyn std::fmt::Display) -> Error {
    Error::new("tokenizer::gpt2", format!("the vocabulary of GPT-2 is damaged: {error}"))
}

/// The bytes of every token, by id, which is its rank.
fn tokens(bpe: &CoreBPE) -> Result<Vec<Vec<u8>>> {
    let ids = 0..u32::try_from(VOCAB_SIZE).unwrap_or_default();
    ids.map(|id| bpe.decode_bytes(&[id]).map_err(|error| fault(&error))).collect()
}

/// The `vocab` of a BPE model; the special tokens have their texts in it.
fn vocab(tokens: &[Vec<u8>]) -> Map<String, Value> {
    let texts = texts();
    let named: HashMap<u32, &str> = SPECIAL.all().into_iter().zip(texts.all()).collect();
    let entries = (0_u32..).zip(tokens).map(|(id, bytes)| {
        let text = named.get(&id).map_or_else(|| written(bytes), |text| (*text).to_owned());
        (text, id.into())
    });
    entries.collect()
}

fn written(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| byte_level::char_of(*byte)).collect()
}

/// The merge that made each token: what its bytes become when only older tokens are known.
fn merges(tokens: &[Vec<u8>]) -> Vec<[String; 2]> {
    let ranks: HashMap<&[u8], usize> =
        tokens.iter().enumerate().map(|(rank, bytes)| (bytes.as_slice(), rank)).collect();
    let eot = SPECIAL.eot as usize;
    let merged = tokens[..eot].iter().filter(|bytes| bytes.len() > 1);
    merged.map(|bytes| halves(bytes, &ranks).map(written)).collect()
}

/// The two parts that `token` was merged from.
fn halves<'a>(token: &'a [u8], ranks: &HashMap<&[u8], usize>) -> [&'a [u8]; 2] {
    let mut ends: Vec<usize> = (1..=token.len()).collect();
    while ends.len() > 2 {
        let start = |idx: usize| idx.checked_sub(1).map_or(0, |before: usize| ends[before]);
        let rank = |idx: &usize| ranks.get(&token[start(*idx)..ends[idx + 1]]).copied();
        let pairs = (0..ends.len() - 1).filter_map(|idx| Some((rank(&idx)?, idx)));
        let Some((_, idx)) = pairs.min() else { break };
        ends.remove(idx);
    }
    let (left, right) = token.split_at(ends[0]);
    [left, right]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    const TEXTS: [&str; 6] = [
        "",
        "Hello world, it's 2024!",
        "naïve café 🦊👩‍👩‍👧 日本語 \u{10FFFF}\0",
        "  leading, trailing   \n\n\t x  ",
        "<|sys|> <|endoftext|> </s>",
        "def f(x):\n    return x ** 2\r\n",
    ];

    #[test]
    fn known_texts_have_known_ids() {
        // tiktoken 0.14.0: tiktoken.get_encoding("gpt2").encode_ordinary(text)
        let encode = |text| tokenizer().unwrap().encode(text);
        assert_eq!(encode("Hello world, it's 2024!"), [15496, 995, 11, 340, 338, 48609, 0]);
        assert_eq!(encode("<|endoftext|>"), [27, 91, 437, 1659, 5239, 91, 29]);
    }

    #[test]
    fn text_survives_a_round_trip_without_special_tokens() {
        let tokenizer = tokenizer().unwrap();
        assert_eq!(tokenizer.vocab_size(), VOCAB_SIZE);
        for text in TEXTS {
            let ids = tokenizer.encode(text);
            assert_eq!(tokenizer.decode(&ids), text);
            assert_eq!(tiktoken_rs::r50k_base().unwrap().encode_ordinary(text), ids);
            assert!(!ids.iter().any(|id| SPECIAL.all().contains(id)), "{text}");
        }
    }

    #[test]
    fn no_other_token_has_the_bytes_of_the_roles() {
        let TokensOf(tokens) = TokensOf::new();
        for (id, bytes) in tokens.iter().enumerate() {
            let has_role = bytes.iter().any(|byte| ROLE_BYTES.contains(byte));
            assert_eq!(has_role, (180..=182).contains(&id), "{id}: {bytes:?}");
        }
    }

    struct TokensOf(Vec<Vec<u8>>);

    impl TokensOf {
        fn new() -> Self {
            Self(tokens(&tiktoken_rs::r50k_base().unwrap()).unwrap())
        }
    }

    #[test]
    fn merges_are_those_of_gpt2() {
        let TokensOf(tokens) = TokensOf::new();
        let merges = merges(&tokens);
        // The first lines of `vocab.bpe`, and how many it has.
        assert_eq!(merges.len(), 50_000);
        assert_eq!(merges[..3], [["Ġ", "t"], ["Ġ", "a"], ["h", "e"]].map(|m| m.map(String::from)));
    }

    #[test]
    fn the_export_gives_the_same_ids() {
        let tokenizer = tokenizer().unwrap();
        let json = tokenizer.huggingface_json().unwrap();
        let plain = Engine::plain(json.clone(), tokenizer.special_texts()).unwrap();
        for text in TEXTS {
            assert_eq!(plain.encode(text), tokenizer.encode(text), "{text}");
        }
        let full = Engine::full(json).unwrap();
        assert_eq!(full.encode("<|usr|>Hello<|endoftext|>"), [181, 15496, 50_256]);
    }
}
