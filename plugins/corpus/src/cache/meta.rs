//! What a cache says about itself, and the key that it is found by.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sdk::{Error, PhaseContext, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizer::Tokenizer;

use super::shards::Width;
use super::{cant, shard_path};
use crate::config::{HeldBack, ValSplitBy};
use crate::progress::Progress;
use crate::source::{BadRecord, FileSet, TextInput};

/// Raised whenever the same settings give other tokens or another layout.
const FORMAT_VERSION: u32 = 1;
const META: &str = "meta.json";

/// The content of `meta.json`. The fields stand in alphabetical order, and none of them says when or
/// where, so that two builds are equal to the byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    /// The first records that could not be used.
    pub(crate) bad_records: Vec<BadRecord>,
    /// The source that it was built for.
    pub(crate) dataset: String,
    /// How a token lies in a file.
    pub(crate) dtype: String,
    pub(crate) format_version: u32,
    pub(crate) key: String,
    /// How many records could not be used.
    pub(crate) n_bad: usize,
    /// How many records had a blank text.
    pub(crate) n_blank: usize,
    /// How many sequences of bytes were no UTF-8.
    pub(crate) n_replaced: usize,
    pub(crate) shard_tokens: usize,
    pub(crate) split_rule: String,
    /// The tokenizer's description.
    pub(crate) tokenizer: Value,
    pub(crate) train_bytes: u64,
    pub(crate) train_documents: usize,
    pub(crate) train_tokens: usize,
    /// Bytes of the texts that are held back, without what separates them.
    pub(crate) val_bytes: u64,
    pub(crate) val_documents: usize,
    pub(crate) val_tokens: usize,
}

impl Meta {
    /// Nothing yet, of this input and tokenizer.
    pub(super) fn new(
        name: &str,
        key: &str,
        input: &TextInput,
        tokenizer: &Tokenizer,
        shard_tokens: usize,
    ) -> Self {
        Self {
            bad_records: Vec::new(),
            dataset: name.to_owned(),
            dtype: Width::of(tokenizer.vocab_size()).name().to_owned(),
            format_version: FORMAT_VERSION,
            key: key.to_owned(),
            n_bad: 0,
            n_blank: 0,
            n_replaced: 0,
            shard_tokens,
            split_rule: split_rule(input.held_back),
            tokenizer: sorted(&tokenizer.description()),
            train_bytes: 0,
            train_documents: 0,
            train_tokens: 0,
            val_bytes: 0,
            val_documents: 0,
            val_tokens: 0,
        }
    }

    /// Reads `meta.json` of a cache.
    ///
    /// # Errors
    /// When it is missing, with the folders of the splits that are missing too, or malformed.
    pub(super) fn read(place: &Path) -> Result<Self> {
        let path = place.join(META);
        if !path.exists() {
            let parts = [META, "train", "val"];
            let missing = parts.into_iter().filter(|part| !place.join(part).exists());
            return Err(lacks(place, &missing.map(str::to_owned).collect::<Vec<_>>()));
        }
        let bytes = fs::read(&path).map_err(|error| cant("reading", &path, &error))?;
        let meta: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Error::new("data::cache_meta", format!("reading `{}`: {error}", path.display()))
        })?;
        let is_sound = meta.shard_tokens > 0 && Width::from_name(&meta.dtype).is_some();
        if meta.format_version != FORMAT_VERSION || !is_sound {
            let message = format!("token cache `{}` has another format", place.display());
            return Err(Error::new("data::cache_meta", message));
        }
        Ok(meta)
    }

    pub(super) fn write(&self, place: &Path) -> Result<()> {
        let path = place.join(META);
        let text = serde_json::to_string_pretty(self)? + "\n";
        let write = || {
            fs::write(&path, text)?;
            fs::File::open(&path)?.sync_all()
        };
        write().map_err(|error| cant("writing", &path, &error))
    }

    pub(super) fn width(&self) -> Width {
        Width::from_name(&self.dtype).unwrap_or(Width::U32)
    }

    /// Checks that the cache was built with this tokenizer.
    pub(super) fn check_tokenizer(&self, tokenizer: &Tokenizer) -> Result<()> {
        let description = sorted(&tokenizer.description());
        if self.tokenizer == description {
            return Ok(());
        }
        let hash = |of: &Value| of["hash"].as_str().unwrap_or("none").to_owned();
        let message = format!(
            "tokenizer hash mismatch: the cache of `{}` was built with `{}`, but this is `{}`",
            self.dataset,
            hash(&self.tokenizer),
            hash(&description)
        );
        Err(Error::new("data::cache_tokenizer", message))
    }

    /// Checks that every shard is there and has its size.
    ///
    /// # Errors
    /// With exactly the parts that are missing; where none is, with those of a wrong size.
    pub(super) fn check_parts(&self, place: &Path) -> Result<()> {
        let (mut missing, mut wrong) = (Vec::new(), Vec::new());
        for (split, n_tokens) in [("train", self.train_tokens), ("val", self.val_tokens)] {
            let n_shards = n_tokens.div_ceil(self.shard_tokens);
            for idx in 0..n_shards {
                let n = self.shard_tokens.min(n_tokens - idx * self.shard_tokens);
                let expected = (n * self.width().bytes()) as u64;
                let path = shard_path(Path::new(split), idx);
                match fs::metadata(place.join(&path)).map(|file| file.len()) {
                    Err(_) => missing.push(path.display().to_string()),
                    Ok(size) if size != expected => wrong.push(path.display().to_string()),
                    Ok(_) => {}
                }
            }
        }
        if !missing.is_empty() {
            return Err(lacks(place, &missing));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let message = format!(
            "token cache `{}` has parts of a wrong size: {}",
            place.display(),
            listed(&wrong)
        );
        Err(Error::new("data::cache_size", message))
    }
}

fn lacks(place: &Path, missing: &[String]) -> Error {
    let message = format!("token cache `{}` lacks {}", place.display(), listed(missing));
    Error::new("data::cache_missing", message)
}

fn listed(parts: &[String]) -> String {
    parts.iter().map(|part| format!("`{part}`")).collect::<Vec<_>>().join(", ")
}

fn split_rule(held_back: HeldBack) -> String {
    let HeldBack { val_fraction, val_split_by, is_given } = held_back;
    match val_split_by {
        _ if is_given => "given".to_owned(),
        _ if val_fraction == 0.0 => "none".to_owned(),
        ValSplitBy::Documents => format!("{val_fraction} of the documents, by their hashes"),
        ValSplitBy::Tail => format!("the last {val_fraction}"),
    }
}

/// The key of a cache: whatever changes one of its bytes changes the key.
pub(super) fn key(
    name: &str,
    input: &TextInput,
    tokenizer: &Tokenizer,
    cx: &PhaseContext,
) -> Result<String> {
    let total = input.train.size() + input.val.as_ref().map_or(0, FileSet::size);
    let mut done = 0;
    let mut progress = Progress::new(format!("reading {name}"), total, cx);
    let mut on_read = |n_bytes: u64| {
        done += n_bytes;
        progress.at(done)
    };
    let mut digests = |files: &FileSet| -> Result<Vec<Value>> {
        let digest = |file: &crate::source::DataFile| {
            let digest = file.digest(files.key(), &mut on_read)?;
            Ok(json!([format!("{:?}", file.format()), digest]))
        };
        files.files().iter().map(digest).collect()
    };
    let content = json!({
        "format_version": FORMAT_VERSION,
        "train": digests(&input.train)?,
        "val": input.val.as_ref().map(&mut digests).transpose()?,
        "rule": format!("{:?}", input.rule),
        "split": split_rule(input.held_back),
        "max_documents": input.max_documents,
        "max_tokens": input.max_tokens,
        "tokenizer": sorted(&tokenizer.description()),
    });
    Ok(blake3::hash(content.to_string().as_bytes()).to_hex()[..32].to_owned())
}

/// A value whose keys stand in order at every depth.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let keys: BTreeMap<&String, Value> =
                object.iter().map(|(key, value)| (key, sorted(value))).collect();
            keys.into_iter().map(|(key, value)| (key.clone(), value)).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
