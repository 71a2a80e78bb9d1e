//! SentencePiece models give the ids and texts that the library itself gives.
//!
//! `fixtures/make.py` made the models and the expected values, with sentencepiece 0.2.3.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::path::PathBuf;

use serde_json::Value;
use tokenizer::{PieceKind, SpecialTexts, SpecialTokens, Tokenizer, TokenizerConfig};

const MODELS: [&str; 3] = ["unigram", "bpe", "plain"];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn expected(model: &str) -> Value {
    let file = std::fs::read_to_string(fixture("sentencepiece.json")).unwrap();
    serde_json::from_str::<Value>(&file).unwrap()[model].clone()
}

fn config(model: &str, special: Option<SpecialTexts>) -> TokenizerConfig {
    let path = fixture(&format!("{model}.model"));
    TokenizerConfig::SentencePiece { path, special, expected: None }
}

fn open(model: &str) -> Tokenizer {
    Tokenizer::open(&config(model, None)).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn ids_are_those_of_the_library() {
    let mut wrong = Vec::new();
    for model in MODELS {
        let tokenizer = open(model);
        let cases = expected(model)["encoded"].as_array().unwrap().clone();
        assert!(cases.len() >= 50);
        for case in cases {
            let text = case[0].as_str().unwrap();
            let found = tokenizer.encode(text);
            if found != ids(&case[1]) {
                wrong.push(format!("{model} {text:?}: {found:?}, not {}", case[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_are_those_of_the_library() {
    let mut wrong = Vec::new();
    for model in MODELS {
        let tokenizer = open(model);
        let expected = expected(model);
        let encoded = expected["encoded"].as_array().unwrap().iter();
        let encoded = encoded.map(|case| (ids(&case[1]), case[2].as_str().unwrap()));
        let decoded = expected["decoded"].as_array().unwrap().iter();
        let decoded = decoded.map(|case| (ids(&case[0]), case[1].as_str().unwrap()));
        for (ids, text) in encoded.chain(decoded) {
            let found = tokenizer.decode(&ids);
            if found != text {
                wrong.push(format!("{model} {ids:?}: {found:?}, not {text:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_special_pieces_are_found_by_their_texts() {
    let tokenizer = open("unigram");
    assert_eq!(tokenizer.special().all(), [3, 4, 5, 6]);
    assert_eq!(
        tokenizer.vocab_size(),
        expected("unigram")["vocab_size"].as_u64().unwrap() as usize
    );
    assert!(tokenizer.special_texts().sys.starts_with("<|ngpt_sys_84a5023f"));
    assert_eq!(tokenizer.decode(&[4, 263, 6]), tokenizer.decode(&[263]));
    let kinds: Vec<PieceKind> =
        tokenizer.vocabulary().unwrap()[..8].iter().map(|piece| piece.kind).collect();
    use PieceKind::{Byte, Control, Unknown};
    assert_eq!(kinds, [Unknown, Control, Control, Control, Control, Control, Control, Byte]);
}

#[test]
fn a_special_text_in_a_text_is_text() {
    for model in MODELS {
        let tokenizer = open(model);
        let special = tokenizer.special_texts().usr.clone();
        let text = format!("Mira {special} hid");
        assert_eq!(tokenizer.find_special(&text), Some(("usr", 5)));
        let ids = tokenizer.encode(&text);
        assert!(!ids.iter().any(|id| tokenizer.special().all().contains(id)), "{model}: {ids:?}");
        if model != "plain" {
            assert_eq!(tokenizer.decode(&ids), text, "{model}");
        }
    }
}

fn special(texts: [&str; 4]) -> Option<SpecialTexts> {
    let [sys, usr, asst, eot] = texts.map(str::to_owned);
    Some(SpecialTexts { sys, usr, asst, eot })
}

#[test]
fn special_pieces_that_are_none_are_refused() {
    let own = open("unigram").special_texts().clone();
    let [sys, usr, asst, _] = own.all();
    let code = |texts| Tokenizer::open(&config("unigram", special(texts))).unwrap_err().code;
    assert_eq!(code([sys, usr, asst, "<|eot|>"]), "tokenizer::special_missing");
    assert_eq!(code([sys, usr, asst, asst]), "tokenizer::special_same");
    assert_eq!(code([sys, usr, asst, "<unk>"]), "tokenizer::special_missing");
    // A control piece is a piece of its own; text that is found in texts is none.
    let with_control = Tokenizer::open(&config("unigram", special([sys, usr, asst, "</s>"])));
    assert_eq!(with_control.unwrap().special().eot, 2);
    // A piece that texts become through merges can't be kept from them.
    let pieces = open("bpe").vocabulary().unwrap();
    let merged = &pieces.iter().find(|p| p.kind == PieceKind::Normal && p.text.len() == 2).unwrap();
    let error = Tokenizer::open(&config("bpe", special([sys, usr, asst, &merged.text])));
    assert_eq!(error.unwrap_err().code, "tokenizer::special_plain");

    let TokenizerConfig::SentencePiece { path, .. } = config("unigram", None) else {
        unreachable!()
    };
    let expected = Some(SpecialTokens { sys: 3, usr: 4, asst: 5, eot: 7 });
    let error = Tokenizer::open(&TokenizerConfig::SentencePiece { path, special: None, expected });
    let error = error.unwrap_err();
    assert_eq!(error.code, "tokenizer::special_id");
    assert!(error.message.ends_with("`eot` has id 6, expected: 7"), "{}", error.message);
}

#[test]
fn a_model_travels_as_description_and_file() {
    let tokenizer = open("bpe");
    let (description, model) = (tokenizer.description(), tokenizer.model().unwrap());
    assert_eq!(model, std::fs::read(fixture("bpe.model")).unwrap());
    let again = Tokenizer::from_parts(&description, Some(model)).unwrap();
    assert_eq!(again.encode("Mira hid"), tokenizer.encode("Mira hid"));
    let other = open("unigram");
    let error = Tokenizer::from_parts(&description, other.model()).unwrap_err();
    assert_eq!(error.code, "tokenizer::mismatch");
}

#[test]
fn a_damaged_file_is_refused_and_never_panics() {
    let good = std::fs::read(fixture("unigram.model")).unwrap();
    let description = open("unigram").description();
    for at in (0..good.len()).step_by(23) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        // The hash refuses every change; what matters is to come so far.
        assert!(Tokenizer::from_parts(&description, Some(&bad)).is_err(), "byte {at}");
        assert!(Tokenizer::from_parts(&description, Some(&good[..at])).is_err(), "cut at {at}");
    }
    let config =
        TokenizerConfig::SentencePiece { path: "no.model".into(), special: None, expected: None };
    assert_eq!(Tokenizer::open(&config).unwrap_err().code, "tokenizer::file");
}
