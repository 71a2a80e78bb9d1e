//! One GGUF file: what llama.cpp and the tools built on it load.
//!
//! The architecture is `llama`; its rotary positions turn adjacent channels as ours do, so rows
//! stay as they are (llama.cpp's converter undoes Hugging Face's order).

use std::fs::File;
use std::io::{BufWriter, Write};

use sdk::{Error, PhaseContext, Result};
use serde_json::Value as Json;
use tokenizer::{Piece, PieceKind};

use super::gguf_file::{self, Tensor, Value};
use super::{Source, unwritten};
use crate::config::ModelConfig;
use crate::llama::parts;
use crate::model::NORM_EPS;

/// llama.cpp's number of a file whose tensors are all f32.
const ALL_F32: u32 = 0;

pub(super) fn write(source: &Source<'_>, cx: &PhaseContext) -> Result<()> {
    let path = source.path("model.gguf");
    let mut metadata = hyperparameters(&source.handover.model);
    metadata.extend(tokenizer_metadata(source)?);
    let mut tensors = Vec::new();
    for part in parts(&source.handover.model) {
        let whole = source.tensors[&part.ours].as_bytes();
        let whole = whole.ok_or_else(|| Error::new("export::layout", "a tensor lies in pieces"))?;
        tensors.push(Tensor { bytes: part.of(whole), name: part.gguf, shape: part.shape });
    }
    let file = File::create_new(&path).map_err(|e| unwritten(&path, &e))?;
    let mut out = BufWriter::new(file);
    gguf_file::write(&mut out, &metadata, &tensors)
        .and_then(|()| out.flush())
        .map_err(|e| unwritten(&path, &e))?;
    cx.check_cancelled()
}

fn entry(key: &str, value: Value) -> (String, Value) {
    (key.to_owned(), value)
}

fn hyperparameters(model: &ModelConfig) -> Vec<(String, Value)> {
    let n = |size: usize| Value::U32(u32::try_from(size).unwrap_or(u32::MAX));
    let name = format!("GPT of {} parameters", model.parameter_count());
    vec![
        entry("general.architecture", Value::Text("llama".to_owned())),
        entry("general.name", Value::Text(name)),
        entry("general.file_type", Value::U32(ALL_F32)),
        entry("llama.vocab_size", n(model.vocab)),
        entry("llama.context_length", n(model.context)),
        entry("llama.embedding_length", n(model.width)),
        entry("llama.block_count", n(model.n_layers)),
        entry("llama.feed_forward_length", n(model.d_ff)),
        entry("llama.attention.head_count", n(model.n_heads)),
        entry("llama.attention.head_count_kv", n(model.n_heads)),
        entry("llama.attention.layer_norm_rms_epsilon", Value::F32(NORM_EPS as f32)),
        entry("llama.rope.dimension_count", n(model.head_width())),
        entry("llama.rope.freq_base", Value::F32(model.rope_theta as f32)),
    ]
}

fn tokenizer_metadata(source: &Source<'_>) -> Result<Vec<(String, Value)>> {
    let tokenizer = &source.handover.tokenizer;
    let json = tokenizer.huggingface_json()?;
    let family = Family::of(&json);
    warn_of_differences(family, &json);
    let mut pieces = tokenizer.vocabulary()?;
    let unknown = pieces.iter().position(|piece| piece.kind == PieceKind::Unknown);
    pieces.truncate(source.handover.model.vocab);
    let eot = Value::U32(tokenizer.special().eot);
    let mut metadata = vec![
        entry("tokenizer.ggml.model", Value::Text(family.name().to_owned())),
        entry("tokenizer.ggml.pre", Value::Text(family.pre_tokenizer().to_owned())),
        entry("tokenizer.ggml.tokens", Value::Texts(texts(&pieces, source.handover.model.vocab))),
        entry(
            "tokenizer.ggml.token_type",
            Value::I32s(types(&pieces, source.handover.model.vocab)),
        ),
        entry("tokenizer.ggml.bos_token_id", eot.clone()),
        entry("tokenizer.ggml.eos_token_id", eot.clone()),
        entry("tokenizer.ggml.eot_token_id", eot.clone()),
        entry("tokenizer.ggml.padding_token_id", eot),
        entry("tokenizer.ggml.add_bos_token", Value::Bool(false)),
        entry("tokenizer.ggml.add_eos_token", Value::Bool(false)),
        entry("tokenizer.ggml.add_space_prefix", Value::Bool(family.has_space_prefix())),
    ];
    if family.has_merges() {
        metadata.push(entry("tokenizer.ggml.merges", Value::Texts(tokenizer.merges()?)));
    } else {
        let scores = scores(&pieces, source.handover.model.vocab);
        metadata.push(entry("tokenizer.ggml.scores", Value::F32s(scores)));
    }
    if let Some(id) = unknown {
        metadata.push(entry("tokenizer.ggml.unknown_token_id", Value::U32(id as u32)));
    }
    if let Some(template) = &source.template {
        metadata.push(entry("tokenizer.chat_template", Value::Text(template.clone())));
    }
    Ok(metadata)
}

/// Says where llama.cpp's tokenizer may cut a text otherwise than ours.
fn warn_of_differences(family: Family, json: &Json) {
    if family == (Family::ByteBpe { is_gpt2: false }) {
        log::warn!("GGUF: the tokenizer splits text by rules of its own, llama.cpp by its default");
    }
    if json["normalizer"].to_string().contains("\"Precompiled\"") {
        log::warn!("GGUF: the tokenizer's table of normal forms is left out: send normalised text");
    }
}

/// The texts of `n` tokens; rows of the embeddings that no token has are named as padding.
fn texts(pieces: &[Piece], n: usize) -> Vec<String> {
    let padding = (pieces.len()..n).map(|id| format!("[PAD{id}]"));
    pieces.iter().map(|piece| piece.text.clone()).chain(padding).collect()
}

/// llama.cpp's numbers of what tokens stand for.
fn types(pieces: &[Piece], n: usize) -> Vec<i32> {
    const UNUSED: i32 = 5;
    let number = |piece: &Piece| match piece.kind {
        PieceKind::Normal => 1,
        PieceKind::Unknown => 2,
        PieceKind::Control => 3,
        PieceKind::UserDefined => 4,
        PieceKind::Byte => 6,
    };
    let padding = std::iter::repeat_n(UNUSED, n.saturating_sub(pieces.len()));
    pieces.iter().map(number).chain(padding).collect()
}

fn scores(pieces: &[Piece], n: usize) -> Vec<f32> {
    let padding = std::iter::repeat_n(0.0, n.saturating_sub(pieces.len()));
    pieces.iter().map(|piece| piece.score).chain(padding).collect()
}

/// Which of llama.cpp's tokenizers encodes as ours does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Merges of bytes, text cut by GPT-2's rules (true) or by others.
    ByteBpe { is_gpt2: bool },
    /// sentencepiece's BPE.
    Bpe { has_space_prefix: bool },
    /// sentencepiece's unigram, which llama.cpp names after T5.
    Unigram { has_space_prefix: bool },
}

impl Family {
    /// Looks at a `tokenizer.json`.
    fn of(json: &Json) -> Self {
        let text = [&json["normalizer"], &json["pre_tokenizer"]].map(Json::to_string).concat();
        let has_space_prefix = text.contains("\"Prepend\"")
            || (text.contains("\"Metaspace\"") && !text.contains("\"never\""));
        if json["model"]["type"] == "Unigram" {
            return Self::Unigram { has_space_prefix };
        }
        let pre_tokenizer = &json["pre_tokenizer"];
        if !pre_tokenizer.to_string().contains("\"ByteLevel\"") {
            return Self::Bpe { has_space_prefix };
        }
        Self::ByteBpe { is_gpt2: pre_tokenizer["type"] == "ByteLevel" }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ByteBpe { .. } => "gpt2",
            Self::Bpe { .. } => "llama",
            Self::Unigram { .. } => "t5",
        }
    }

    fn pre_tokenizer(self) -> &'static str {
        if self == (Self::ByteBpe { is_gpt2: true }) { "gpt-2" } else { "default" }
    }

    fn has_merges(self) -> bool {
        matches!(self, Self::ByteBpe { .. })
    }

    fn has_space_prefix(self) -> bool {
        match self {
            Self::ByteBpe { .. } => false,
            Self::Bpe { has_space_prefix } | Self::Unigram { has_space_prefix } => has_space_prefix,
        }
    }
}
