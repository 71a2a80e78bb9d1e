//! Token ids of texts and conversations, as the phase that trained a model makes them.
//!
//! `cargo run -p gpt --example encode -- MODEL_DIR < LINES`
//!
//! `MODEL_DIR` is what `host export --format safetensors` wrote. Each line of the input is a JSON
//! string, to be encoded as text, or a list of messages, to be answered; each line of the output is
//! a list of ids. `tests/peers` compares it with other tools.

use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;

use corpus::chat::{ChatTemplate, Message};
use gpt::handover::Handover;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use sdk::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// A line of the input.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Text(String),
    Messages(Vec<Message>),
}

fn main() -> Result<()> {
    let directory = std::env::args()
        .nth(1)
        .ok_or_else(|| Error::new("encode::usage", "usage: encode MODEL_DIR < LINES"))?;
    let handover = read(Path::new(&directory))?;
    let template = ChatTemplate::new(handover.chat_template.as_deref(), &handover.tokenizer)?;
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let line = line.map_err(failed)?;
        let ids = match serde_json::from_str(&line).map_err(failed)? {
            Line::Text(text) => handover.tokenizer.encode(&text),
            Line::Messages(messages) => template.prompt(&messages)?,
        };
        writeln!(out, "{}", serde_json::json!(ids)).map_err(failed)?;
    }
    Ok(())
}

fn read(directory: &Path) -> Result<Handover> {
    let settings = std::fs::read(directory.join("model.json")).map_err(failed)?;
    let settings: Value = serde_json::from_slice(&settings).map_err(failed)?;
    let tokenizer = std::fs::read(directory.join("tokenizer.safetensors")).ok();
    let file = tokenizer.as_deref().map(SafeTensors::deserialize).transpose().map_err(failed)?;
    let bytes = file.as_ref().map(|file| file.tensor("model")).transpose().map_err(failed)?;
    Handover::read(&settings["settings"], bytes.as_ref().map(TensorView::data))
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::new("encode", e.to_string())
}
