//! Files of Hugging Face's `tokenizers`.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::path::Path;

use serde_json::{Value, json};
use tokenizer::{SpecialTexts, Tokenizer, TokenizerConfig, TrainConfig, TrainModel};

/// A file of a byte-level BPE with the special tokens of this crate.
fn bpe() -> Value {
    let config = TrainConfig { model: TrainModel::Bpe, vocab_size: 270, min_frequency: 1 };
    let mut texts = ["hello hello hello world", "it was the night, the world"].map(str::to_owned);
    let mut texts = texts.iter_mut().map(std::mem::take);
    let tokenizer = Tokenizer::train(&config, &mut texts, &mut |_| Ok(())).unwrap();
    tokenizer.huggingface_json().unwrap()
}

fn open_with(json: &Value, special: Option<SpecialTexts>) -> sdk::Result<Tokenizer> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, json.to_string()).unwrap();
    Tokenizer::open(&TokenizerConfig::HuggingFace { path, special, expected: None })
}

fn open(json: &Value) -> sdk::Result<Tokenizer> {
    open_with(json, None)
}

fn added(id: u32, content: &str, is_special: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": is_special})
}

fn push_added(json: &mut Value, token: Value) {
    json["added_tokens"].as_array_mut().unwrap().push(token);
}

#[test]
fn a_file_is_read_as_hugging_face_reads_it() {
    let json = bpe();
    let tokenizer = open(&json).unwrap();
    assert_eq!(tokenizer.vocab_size(), 270);
    assert_eq!(tokenizer.special().all(), [0, 1, 2, 3]);
    let theirs: tokenizers::Tokenizer = json.to_string().parse().unwrap();
    for text in ["hello world", " it's  the night\n", "été 🦊"] {
        let ids = theirs.encode(text, false).unwrap().get_ids().to_vec();
        assert_eq!(tokenizer.encode(text), ids);
        assert_eq!(tokenizer.decode(&ids), text);
    }
}

#[test]
fn added_tokens_that_are_not_special_are_found_in_text_and_special_ones_are_not() {
    let mut json = bpe();
    push_added(&mut json, added(270, "    ", false));
    push_added(&mut json, added(271, "<|tool|>", true));
    let tokenizer = open(&json).unwrap();
    assert_eq!(tokenizer.vocab_size(), 272);
    assert!(tokenizer.encode("a    b").contains(&270));
    assert_eq!(tokenizer.decode(&tokenizer.encode("a    b")), "a    b");
    for text in ["<|tool|>", "<|eot|>", "x<|usr|>y"] {
        let ids = tokenizer.encode(text);
        assert!(ids.iter().all(|id| (4..271).contains(id)), "{text}: {ids:?}");
        assert_eq!(tokenizer.decode(&ids), text);
    }
    assert_eq!(tokenizer.decode(&[271, 3]), "", "special tokens have no text");
    assert_eq!(tokenizer.decode(&[272]), "\u{FFFD}", "there is no such id");
}

#[test]
fn special_tokens_are_found_by_usual_names_or_asked_for() {
    let mut json = bpe();
    let names = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"];
    for (id, name) in (0..4).zip(names) {
        json["added_tokens"][id]["content"] = name.into();
        let vocab = json["model"]["vocab"].as_object_mut().unwrap();
        let old = ["<|sys|>", "<|usr|>", "<|asst|>", "<|eot|>"][id];
        vocab.remove(old);
        vocab.insert(name.to_owned(), id.into());
    }
    assert_eq!(open(&json).unwrap().special_texts().all(), names);

    json["added_tokens"][3]["content"] = "<|fin|>".into();
    let vocab = json["model"]["vocab"].as_object_mut().unwrap();
    vocab.remove("<|end|>");
    vocab.insert("<|fin|>".to_owned(), 3.into());
    let error = open(&json).unwrap_err();
    assert_eq!(error.code, "tokenizer::special_missing");
    let told = "no token of a usual name for `eot`; added tokens of the file: \
                `<|system|>`, `<|user|>`, `<|assistant|>`, `<|fin|>`";
    assert!(error.message.ends_with(told), "{}", error.message);

    let texts = |eot: &str| {
        let [sys, usr, asst] = [names[0], names[1], names[2]].map(str::to_owned);
        Some(SpecialTexts { sys, usr, asst, eot: eot.to_owned() })
    };
    assert_eq!(open_with(&json, texts("<|fin|>")).unwrap().special().eot, 3);
    let error = open_with(&json, texts("<|none|>")).unwrap_err();
    assert_eq!(error.path.as_deref(), Some("tokenizer.special.eot"));
}

#[test]
fn a_special_text_of_two_pieces_is_refused() {
    let mut json = bpe();
    json["added_tokens"].as_array_mut().unwrap().remove(3);
    let error = open(&json).unwrap_err();
    assert_eq!(error.code, "tokenizer::special_pieces");
    assert!(error.message.contains("must be exactly one piece id"), "{}", error.message);
}

#[test]
fn a_file_in_the_manner_of_llama_loses_the_space_that_encoding_adds() {
    let mut vocab = json!({"<unk>": 0, "<s>": 1, "</s>": 2});
    for byte in 0..=255 {
        vocab[format!("<0x{byte:02X}>")] = json!(3 + byte);
    }
    for (id, token) in (259..).zip(["\u{2581}", "h", "i", "hi", "\u{2581}hi"]) {
        vocab[token] = json!(id);
    }
    let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
    let space = json!({"String": "\u{2581}"});
    let json = json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 2,
            "strategy": "LongestFirst", "stride": 0}, "padding": null,
        "added_tokens": [added(0, "<unk>", true), added(1, "<s>", true), added(2, "</s>", true),
            added(264, "<|sys|>", true), added(265, "<|usr|>", true), added(266, "<|asst|>", true)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u{2581}"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"}]},
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": space, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, strip]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
            "vocab": vocab, "merges": ["h i", "\u{2581} hi"]},
    });
    let tokenizer = open(&json).unwrap();
    assert_eq!(tokenizer.special().eot, 2);
    assert_eq!(tokenizer.encode("hi hi"), [263, 263]);
    assert_eq!(tokenizer.decode(&[263, 263]), "hi hi");
    let text = "é </s> <0x41> hi";
    assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
}

#[test]
fn what_can_not_be_encoded_or_decoded_exactly_is_refused() {
    let code = |change: &dyn Fn(&mut Value)| {
        let mut json = bpe();
        change(&mut json);
        open(&json).unwrap_err().code
    };
    let pieces = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    assert_eq!(code(&|json| json["decoder"] = pieces.clone()), "tokenizer::decoder");
    assert_eq!(code(&|json| json["decoder"] = Value::Null), "tokenizer::decoder");
    assert_eq!(code(&|json| json["model"]["type"] = json!("WordLevel")), "tokenizer::model");
    assert_eq!(code(&|json| json["model"]["dropout"] = json!(0.1)), "tokenizer::model");
    assert_eq!(code(&|json| json["model"]["merges"] = json!([["no", "pe"]])), "tokenizer::json");
    assert_eq!(code(&|json| *json = json!([1])), "tokenizer::json");
    let gap = |json: &mut Value| push_added(json, added(275, "<|later|>", true));
    assert_eq!(code(&gap), "tokenizer::json");

    let config = |path: &str| TokenizerConfig::HuggingFace {
        path: Path::new(path).into(),
        special: None,
        expected: None,
    };
    let error = Tokenizer::open(&config("none.json")).unwrap_err();
    assert_eq!(error.code, "tokenizer::file");
    assert!(error.message.starts_with("can't read the tokenizer `none.json`: "));
}
