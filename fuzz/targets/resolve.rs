//! A tree of settings, written in each of the three formats: all three say the same.
//!
//! Where the targets of the formats mostly meet syntax errors, this one gets past the parsers.
#![no_main]

use arbitrary::Arbitrary;
use serde_json::{Map, Value, json};

use host::config::{to_toml, to_yaml};

#[derive(Arbitrary, Debug)]
enum Tree {
    Bool(bool),
    Integer(i64),
    Positive(u64),
    Number(f64),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>),
}

/// A key: most often one that stands in a schema, or nearly.
#[derive(Arbitrary, Debug)]
enum Key {
    Known(u8),
    Near(u8, char),
    Any(String),
}

const KEYS: [&str; 32] = [
    "global",
    "phases",
    "try",
    "practise",
    "phase",
    "extends",
    "profile",
    "training",
    "data",
    "tokenizer",
    "loss",
    "blocks",
    "total_steps",
    "offset",
    "base_lr",
    "betas",
    "eval_batches",
    "optimizer",
    "keep",
    "save_best",
    "note",
    "mix",
    "paths",
    "files",
    "anything",
    "path",
    "vocab_size",
    "kind",
    "gamma",
    "name",
    "size",
    "seed",
];

impl Key {
    fn text(self) -> String {
        let known = |idx: u8| KEYS[usize::from(idx) % KEYS.len()];
        match self {
            Self::Known(idx) => known(idx).to_owned(),
            Self::Near(idx, c) => format!("{}{c}", known(idx)),
            Self::Any(text) => text,
        }
    }
}

impl Tree {
    fn value(self) -> Value {
        match self {
            Self::Bool(value) => value.into(),
            Self::Integer(value) => value.into(),
            Self::Positive(value) => value.into(),
            Self::Number(value) => json!(if value.is_finite() { value } else { 0.5 }),
            Self::Text(value) => value.into(),
            Self::List(items) => items.into_iter().map(Self::value).collect(),
            Self::Map(entries) => Value::Object(map(entries)),
        }
    }
}

fn map(entries: Vec<(Key, Tree)>) -> Map<String, Value> {
    entries.into_iter().map(|(key, tree)| (key.text(), tree.value())).collect()
}

libfuzzer_sys::fuzz_target!(|input: (Vec<(Key, Tree)>, Vec<String>)| {
    let (entries, overrides) = input;
    let settings = map(entries);
    let value = Value::Object(settings.clone());
    let json = fuzz::check(&value.to_string(), "json", &overrides);
    let yaml = fuzz::check(&to_yaml(&value), "yaml", &overrides);
    let toml = fuzz::check(&to_toml(&settings), "toml", &overrides);
    assert_eq!(yaml, json, "YAML and JSON differ: {value}");
    assert_eq!(toml, json, "TOML and JSON differ: {value}");
});
