//! A `tokenizer.json` as Hugging Face writes it.

use std::path::Path;
use std::sync::Arc;

use sdk::{Error, Result};
use serde_json::{Value, json};

use crate::decode::{Invalid, Leading, Pieces};
use crate::engine::Engine;
use crate::special::{self, NAMES, REFERENCE, SpecialTexts, SpecialTokens, Vocabulary};
use crate::{Encoder, Tokenizer, byte_level};

struct File {
    engine: Engine,
    json: Arc<[u8]>,
    special: (SpecialTokens, SpecialTexts),
}

impl Encoder for File {
    fn encode(&self, text: &str) -> Vec<u32> {
        self.engine.encode(text)
    }

    fn huggingface_json(&self) -> Result<Value> {
        let mut json = parse(&self.json)?;
        add_special(&mut json, self.special.0, &self.special.1);
        json["truncation"] = Value::Null;
        json["padding"] = Value::Null;
        // Beginning and end of a text are framing, which is the template's business.
        json["post_processor"] = Value::Null;
        Ok(json)
    }
}

pub(crate) fn open(
    path: &Path,
    special: Option<&SpecialTexts>,
    expected: Option<SpecialTokens>,
) -> Result<Tokenizer> {
    let json = read(path)?;
    tokenizer("huggingface", json, special, expected)
        .map_err(|error| error.context(format!("reading `{}`", path.display())))
}

/// The bytes of a tokenizer's file.
pub(crate) fn read(path: &Path) -> Result<Arc<[u8]>> {
    let bytes = std::fs::read(path).map_err(|error| {
        let message = format!("can't read the tokenizer `{}`: {error}", path.display());
        Error::new("tokenizer::file", message).at("tokenizer.path")
    })?;
    Ok(bytes.into())
}

pub(crate) fn tokenizer(
    kind: &str,
    bytes: Arc<[u8]>,
    special: Option<&SpecialTexts>,
    expected: Option<SpecialTokens>,
) -> Result<Tokenizer> {
    let json = parse(&bytes)?;
    check_model(&json["model"])?;
    let full = Engine::full(json.clone())?;
    check_added(&json, &full.vocabulary())?;
    let texts = match special {
        Some(texts) => texts.clone(),
        None => usual_texts(&json, &full.vocabulary())?,
    };
    let ids = special::resolve(&full.vocabulary(), &texts, expected)?;
    let pieces = pieces(&json, &full.vocabulary(), ids)?;
    let engine = Engine::plain(json, &texts)?;
    check_plain(&engine, ids, &texts)?;
    let encoder = File { engine, json: Arc::clone(&bytes), special: (ids, texts.clone()) };
    Ok(Tokenizer::new(kind, (ids, texts), pieces, Some(bytes), Box::new(encoder)))
}

fn parse(bytes: &[u8]) -> Result<Value> {
    let fault = |message| Error::new("tokenizer::json", message);
    let json: Value = serde_json::from_slice(bytes)
        .map_err(|error| fault(format!("not a `tokenizer.json`: {error}")))?;
    if !json.is_object() {
        return Err(fault("not a `tokenizer.json`: no object".to_owned()));
    }
    Ok(json)
}

/// Refuses models that could fail on a text, or make a guess of it.
fn check_model(model: &Value) -> Result<()> {
    let fault = |message: String| Err(Error::new("tokenizer::model", message));
    // Old files leave the type out.
    let kind = model["type"].as_str().unwrap_or("BPE");
    if !["BPE", "Unigram"].contains(&kind) {
        return fault(format!("only `BPE` and `Unigram` models are supported, found: `{kind}`"));
    }
    if kind == "Unigram" && model["unk_id"].is_null() {
        return fault("a `Unigram` model needs an `unk_id`".to_owned());
    }
    if model["dropout"].as_f64().is_some_and(|dropout| dropout > 0.0) {
        return fault("a model with `dropout` gives other ids each time".to_owned());
    }
    Ok(())
}

/// Refuses added tokens whose ids in the file are not those that readers give them.
fn check_added(json: &Value, vocabulary: &dyn Vocabulary) -> Result<()> {
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        let text = token["content"].as_str().unwrap_or_default();
        let id = vocabulary.id(text);
        if id.map(u64::from) != token["id"].as_u64() {
            let message = format!(
                "the added token `{text}` has id {} in the file, but {} by its place",
                token["id"],
                id.map_or_else(|| "none".to_owned(), |id| id.to_string()),
            );
            return Err(Error::new("tokenizer::json", message));
        }
    }
    Ok(())
}

/// The special tokens of a file by usual names.
fn usual_texts(json: &Value, vocabulary: &dyn Vocabulary) -> Result<SpecialTexts> {
    const USUAL: [&[&str]; 4] = [
        &["<|sys|>", REFERENCE[0], "<|system|>"],
        &["<|usr|>", REFERENCE[1], "<|user|>"],
        &["<|asst|>", REFERENCE[2], "<|assistant|>"],
        &["<|eot|>", REFERENCE[3], "<|eot_id|>", "<|end|>", "<|endoftext|>", "</s>"],
    ];
    let find = |names: &[&'static str]| names.iter().find(|n| vocabulary.id(n).is_some()).copied();
    let found = USUAL.map(find);
    let missing = NAMES.iter().zip(found).filter(|(_, text)| text.is_none());
    let missing: Vec<String> = missing.map(|(name, _)| format!("`{name}`")).collect();
    if missing.is_empty() {
        return Ok(SpecialTexts::new(found.map(Option::unwrap_or_default)));
    }
    let added = json["added_tokens"].as_array().into_iter().flatten();
    let added = added.filter_map(|token| token["content"].as_str());
    let added: Vec<String> = added.map(|text| format!("`{text}`")).collect();
    let message = format!(
        "no token of a usual name for {}; added tokens of the file: {}",
        missing.join(", "),
        if added.is_empty() { "none".to_owned() } else { added.join(", ") },
    );
    Err(Error::new("tokenizer::special_missing", message)
        .at("tokenizer.special")
        .help("name the tokens with `special: {sys: …, usr: …, asst: …, eot: …}`"))
}

/// Checks that the text of a special token is only text to the encoder.
pub(crate) fn check_plain(engine: &Engine, ids: SpecialTokens, texts: &SpecialTexts) -> Result<()> {
    for (name, text) in NAMES.iter().zip(texts.all()) {
        if engine.encode(text).iter().any(|id| ids.all().contains(id)) {
            let message = format!("`{name}` is also what plain text becomes: `{text}`");
            return Err(Error::new("tokenizer::special_plain", message).at("tokenizer.special"));
        }
    }
    Ok(())
}

/// Adds the four special tokens to a file, or makes special what it has of them.
pub(crate) fn add_special(json: &mut Value, ids: SpecialTokens, texts: &SpecialTexts) {
    if !json["added_tokens"].is_array() {
        json["added_tokens"] = json!([]);
    }
    let Some(added) = json["added_tokens"].as_array_mut() else { return };
    for (id, text) in ids.all().into_iter().zip(texts.all()) {
        added.retain(|token| token["id"] != id);
        added.push(added_token(id, text, true));
    }
    added.sort_by_key(|token| token["id"].as_u64());
}

/// An entry of `added_tokens`.
pub(crate) fn added_token(id: u32, content: &str, is_special: bool) -> Value {
    json!({
        "id": id,
        "content": content,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": false,
        "special": is_special,
    })
}

/// What each id stands for, by the file's decoder.
fn pieces(json: &Value, vocabulary: &dyn Vocabulary, ids: SpecialTokens) -> Result<Pieces> {
    let decoder = Decoding::read(&json["decoder"])?;
    let added = json["added_tokens"].as_array().into_iter().flatten();
    let special = added.filter(|token| token["special"] == true);
    let mut special: Vec<u32> =
        special.filter_map(|token| u32::try_from(token["id"].as_u64()?).ok()).collect();
    special.extend(ids.all());

    let invalid = if decoder.has_byte_pieces { Invalid::EachByte } else { Invalid::EachSequence };
    let mut pieces = Pieces::new(decoder.leading, invalid);
    for id in 0..u32::try_from(vocabulary.size()).unwrap_or(u32::MAX) {
        match vocabulary.text(id) {
            Some(text) if !special.contains(&id) => pieces.push(&decoder.bytes_of(&text)),
            _ => pieces.push(&[]),
        }
    }
    Ok(pieces)
}

/// What the decoder of a file does, as far as it works token by token.
#[derive(Default)]
struct Decoding {
    is_byte_level: bool,
    has_byte_pieces: bool,
    replacement: Option<String>,
    leading: Leading,
}

impl Decoding {
    fn read(decoder: &Value) -> Result<Self> {
        let one = std::slice::from_ref(decoder);
        let parts = decoder["decoders"].as_array().map_or(one, Vec::as_slice);
        let mut decoding = Self::default();
        for part in parts {
            decoding.add(part).ok_or_else(|| {
                let message = format!("the decoder of the file is not supported: `{part}`");
                let known =
                    "`ByteLevel`, `Metaspace`, or `Replace`, `ByteFallback`, `Fuse` and `Strip`";
                Error::new("tokenizer::decoder", message).help(format!("supported are {known}"))
            })?;
        }
        Ok(decoding)
    }

    fn add(&mut self, part: &Value) -> Option<()> {
        match part["type"].as_str()? {
            "ByteLevel" => self.is_byte_level = true,
            "ByteFallback" => self.has_byte_pieces = true,
            "Fuse" => {}
            "Replace" if part["content"] == " " => {
                self.replacement = Some(part["pattern"]["String"].as_str()?.to_owned());
            }
            "Strip" if part["content"] == " " && part["start"] == 1 && part["stop"] == 0 => {
                self.leading = Leading::DropOne;
            }
            "Metaspace" => {
                self.replacement = Some(part["replacement"].as_str()?.to_owned());
                if part["prepend_scheme"] != "never" {
                    self.leading = Leading::DropOne;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn bytes_of(&self, token: &str) -> Vec<u8> {
        if self.is_byte_level {
            return byte_level::bytes_of(token);
        }
        if let Some(byte) = byte_piece(token).filter(|_| self.has_byte_pieces) {
            return vec![byte];
        }
        match &self.replacement {
            Some(replacement) => token.replace(replacement, " ").into_bytes(),
            None => token.as_bytes().to_vec(),
        }
    }
}

/// The byte of a token such as `<0x0A>`.
pub(crate) fn byte_piece(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}
