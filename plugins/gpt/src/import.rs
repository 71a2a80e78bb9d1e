//! Weights to start from: a run's model, a checkpoint of it, or a file of another system.
//!
//! The host hands them on as artifacts of three kinds. `gpt` is what a finished phase handed on;
//! `checkpoint` is the state of an unfinished one, with its section; `file` is a safetensors file,
//! in our names or a Llama's, or a PyTorch checkpoint of the system that this one replaces.

mod hugging_face;
mod pickle;
pub mod torch;

use std::collections::BTreeMap;
use std::path::Path;

use sdk::{Artifact, Artifacts, Error, Result, TensorHandle};
use serde_json::Value;

use crate::config::ModelConfig;
use crate::handover::{Handover, KIND, Promised, differences};
use crate::llama::EMBEDDING;
use crate::model::Gpt;
use crate::weights::Tensors;
use tokenizer::{Tokenizer, TokenizerConfig};
use torch::TorchCheckpoint;

/// Kind of the artifact that holds a checkpoint's state.
pub const CHECKPOINT_KIND: &str = "checkpoint";
/// Kind of the artifact that stands for a file.
pub const FILE_KIND: &str = "file";

/// Another name of the embeddings in files of other systems: the output head.
const HEAD: &str = "lm_head.weight";

/// Weights to start from, and what is known about them.
#[derive(Debug)]
pub struct Initial<'a> {
    /// Sizes, where what was given says them.
    pub sizes: Option<ModelConfig>,
    /// What the ids mean, where what was given says it.
    pub tokenizer: Option<Tokenizer>,
    /// The weights under our names.
    pub tensors: Tensors<'a>,
    /// Whence they come, in words.
    pub origin: String,
}

/// What is known of weights to start from before they are read: sizes, and the tokenizer's
/// description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Sizes, where what was given says them.
    pub sizes: Option<ModelConfig>,
    /// Description of the tokenizer, where what was given says it.
    pub tokenizer: Option<Value>,
    /// Whence they come, in words.
    pub origin: String,
}

/// The newest weights among what was handed on.
///
/// # Errors
/// When they can't be read, or are no GPT's.
pub fn initial(given: &Artifacts) -> Result<Option<Initial<'_>>> {
    let Some((phase, artifact)) = newest(given) else { return Ok(None) };
    match artifact.kind.as_str() {
        KIND => Ok(Handover::latest(given)?.map(|(handover, tensors)| Initial {
            sizes: Some(handover.model),
            tokenizer: Some(handover.tokenizer),
            tensors: Tensors::Borrowed(tensors),
            origin: format!("the model handed on by `{phase}`"),
        })),
        CHECKPOINT_KIND => from_checkpoint(artifact).map(Some),
        _ => from_file(artifact).map(Some),
    }
}

/// What [`initial`] will say, from what is known before anything ran; tensors may be missing.
///
/// # Errors
/// When settings or a file can't be read.
pub fn known(given: &Artifacts) -> Result<Option<Known>> {
    let Some((phase, artifact)) = newest(given) else { return Ok(None) };
    let known = match artifact.kind.as_str() {
        KIND => {
            let promised = Promised::read(&artifact.settings)?;
            Known {
                sizes: Some(promised.model),
                tokenizer: Some(promised.tokenizer),
                origin: format!("the model handed on by `{phase}`"),
            }
        }
        CHECKPOINT_KIND => Known {
            sizes: section_sizes(&artifact.settings)?,
            tokenizer: checkpoint_description(&artifact.settings),
            origin: checkpoint_origin(&artifact.settings),
        },
        _ => {
            let path = file_path(artifact)?;
            let sizes = match file_format(artifact)? {
                Format::Torch => Some(TorchCheckpoint::read_sizes(path)?),
                Format::Safetensors => hugging_face::sizes_beside(path)?,
            };
            Known { sizes, tokenizer: None, origin: file_origin(path) }
        }
    };
    Ok(Some(known))
}

impl Initial<'_> {
    /// Overwrites a model's weights.
    ///
    /// # Errors
    /// When the sizes differ (one error that lists each), or the tensors don't fit.
    pub fn load_into(self, model: &Gpt) -> Result<()> {
        if let Some(sizes) = &self.sizes {
            check_sizes(sizes, model.config(), &self.origin)?;
        }
        let tensors = self.tensors.into_f32()?;
        model.params().load_tensors(&tensors).map_err(|e| e.context(self.origin))
    }
}

/// Checks that weights fit a model: everything but dropout must be alike.
///
/// # Errors
/// One error that lists each field that differs, as `field: loaded=…, current=…`.
pub fn check_sizes(loaded: &ModelConfig, current: &ModelConfig, origin: &str) -> Result<()> {
    let differing: Vec<String> = differences(loaded, current)
        .into_iter()
        .map(|(field, loaded, current)| format!("{field}: loaded={loaded}, current={current}"))
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    let message = format!("{origin} doesn't fit the model: {}", differing.join("; "));
    Err(Error::new("gpt::sizes", message)
        .at("model")
        .help("give `model` the sizes of what it starts from"))
}

/// The newest artifact that holds weights, and the phase that made it.
fn newest(given: &Artifacts) -> Option<(&str, &Artifact)> {
    let kinds = [KIND, CHECKPOINT_KIND, FILE_KIND];
    given.iter().filter(|(_, artifact)| kinds.contains(&artifact.kind.as_str())).last()
}

fn from_checkpoint(artifact: &Artifact) -> Result<Initial<'_>> {
    let origin = checkpoint_origin(&artifact.settings);
    let Some(tensors) = model_part(&artifact.tensors) else {
        let message = format!("{origin} holds no GPT");
        return Err(Error::new("gpt::checkpoint", message)
            .help("name a checkpoint of a `pretrain` or `sft` phase"));
    };
    Ok(Initial {
        sizes: section_sizes(&artifact.settings)?,
        tokenizer: checkpoint_tokenizer(artifact)?,
        tensors: Tensors::Owned(tensors?),
        origin,
    })
}

/// The tensors of a learner's state that are the model's, without the prefix; none when there are
/// none.
fn model_part(
    state: &BTreeMap<String, TensorHandle>,
) -> Option<Result<BTreeMap<String, TensorHandle>>> {
    let part = state.iter().filter_map(|(name, t)| Some((name.strip_prefix("model/")?, t)));
    let mut part = part.peekable();
    part.peek()?;
    Some(part.map(|(name, tensor)| Ok((name.to_owned(), copy(tensor)?))).collect())
}

fn copy(tensor: &TensorHandle) -> Result<TensorHandle> {
    TensorHandle::from_bytes(&crate::weights::bytes(tensor), tensor.dtype(), tensor.shape())
}

fn checkpoint_origin(settings: &Value) -> String {
    let phase = settings["phase"].as_str().unwrap_or("unknown");
    format!("the checkpoint of phase `{phase}`")
}

/// The sizes in a checkpoint's section; a phase that took them from an earlier one has none.
fn section_sizes(settings: &Value) -> Result<Option<ModelConfig>> {
    serde_json::from_value(settings["section"]["model"].clone()).map_err(|e| {
        let origin = checkpoint_origin(settings);
        Error::new("gpt::checkpoint", format!("`model` in the section of {origin}: {e}"))
    })
}

/// The description of the tokenizer in a checkpoint's state, where the host passes that on.
fn described_tokenizer(settings: &Value) -> Option<&Value> {
    settings.get("values")?.get("tokenizer/description")
}

/// The tokenizer of a checkpoint's phase, from its state; else from its section, when it can be
/// opened here.
fn checkpoint_tokenizer(artifact: &Artifact) -> Result<Option<Tokenizer>> {
    let Some(described) = described_tokenizer(&artifact.settings) else {
        return Ok(section_tokenizer(&artifact.settings));
    };
    let bytes = artifact.tensors.get("tokenizer/model").map(TensorHandle::to_vec::<u8>);
    Tokenizer::from_parts(described, bytes.transpose()?.as_deref()).map(Some)
}

fn checkpoint_description(settings: &Value) -> Option<Value> {
    let from_section = || section_tokenizer(settings).map(|tokenizer| tokenizer.description());
    described_tokenizer(settings).cloned().or_else(from_section)
}

fn section_tokenizer(settings: &Value) -> Option<Tokenizer> {
    let section = settings["section"]["tokenizer"].clone();
    Tokenizer::open(&serde_json::from_value::<TokenizerConfig>(section).ok()?).ok()
}

/// Formats of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Safetensors,
    Torch,
}

fn file_format(artifact: &Artifact) -> Result<Format> {
    match artifact.settings["format"].as_str().unwrap_or_default() {
        "safetensors" => Ok(Format::Safetensors),
        "pt" | "pth" => Ok(Format::Torch),
        other => {
            let origin = file_origin(file_path(artifact)?);
            let message = format!("{origin} has no format known here: `{other}`");
            Err(Error::new("gpt::file", message).help("name a `.safetensors` or a `.pt` file"))
        }
    }
}

fn file_path(artifact: &Artifact) -> Result<&Path> {
    let path = artifact.settings["path"].as_str();
    path.map(Path::new).ok_or_else(|| Error::new("gpt::file", "a file was given without its path"))
}

fn file_origin(path: &Path) -> String {
    format!("the file `{}`", path.display())
}

fn from_file(artifact: &Artifact) -> Result<Initial<'_>> {
    let path = file_path(artifact)?;
    let origin = file_origin(path);
    let (sizes, tensors) = match file_format(artifact)? {
        Format::Torch => {
            let checkpoint = TorchCheckpoint::read(path)?;
            (Some(checkpoint.sizes), Tensors::Owned(checkpoint.tensors))
        }
        Format::Safetensors => {
            let sizes = hugging_face::sizes_beside(path)?;
            let tensors = from_safetensors(&artifact.tensors, sizes.as_ref())
                .map_err(|e| e.context(origin.as_str()))?;
            (sizes, tensors)
        }
    };
    Ok(Initial { sizes, tokenizer: None, tensors, origin })
}

/// The tensors of a safetensors file under our names, whichever names it uses.
fn from_safetensors<'a>(
    tensors: &'a BTreeMap<String, TensorHandle>,
    sizes: Option<&ModelConfig>,
) -> Result<Tensors<'a>> {
    if let Some(part) = model_part(tensors) {
        return part.map(Tensors::Owned);
    }
    if hugging_face::is_llama(tensors) {
        return hugging_face::to_ours(tensors, sizes).map(Tensors::Owned);
    }
    if !tensors.contains_key(HEAD) {
        return Ok(Tensors::Borrowed(tensors));
    }
    let copies = tensors.iter().map(|(name, tensor)| Ok((name.clone(), copy(tensor)?)));
    let mut tensors = copies.collect::<Result<_>>()?;
    drop_head(&mut tensors)?;
    Ok(Tensors::Owned(tensors))
}

/// Drops the output head's own tensor: here it is the table of embeddings.
///
/// # Errors
/// When its values are others than those of the table.
fn drop_head(tensors: &mut BTreeMap<String, TensorHandle>) -> Result<()> {
    let Some(head) = tensors.remove(HEAD) else { return Ok(()) };
    let is_tied = tensors.get(EMBEDDING).is_some_and(|table| {
        table.shape() == head.shape()
            && crate::weights::bytes(table) == crate::weights::bytes(&head)
    });
    if is_tied {
        return Ok(());
    }
    let message = format!("`{HEAD}` is no copy of the embeddings, as this model's head is");
    Err(Error::new("gpt::untied", message))
}
