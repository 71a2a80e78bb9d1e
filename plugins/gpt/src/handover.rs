//! The model as artifacts: what one phase hands on, and what the next one finds.
//!
//! A GPT is one artifact of kind `gpt`: sizes, the tokenizer's description and what else belongs to
//! the weights as settings, and the weights. A tokenizer that is more than its description travels
//! beside it as an artifact of kind `tokenizer`, whose one tensor holds its bytes.

use std::collections::BTreeMap;

use candle_core::{DType, Device};
use sdk::{Artifact, Artifacts, EXAMPLE_PROMPT, Error, Generator, Result, TensorHandle};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::{GenerationConfig, ModelConfig};
use crate::model::Gpt;
use tokenizer::Tokenizer;

/// Kind of the artifact that holds a GPT.
pub const KIND: &str = "gpt";
/// Kind of the artifact that holds a tokenizer's bytes.
pub const TOKENIZER_KIND: &str = "tokenizer";
/// The one tensor of a tokenizer's artifact: u8, one axis.
const TOKENIZER_TENSOR: &str = "model";

/// What belongs to the weights of a GPT.
#[derive(Clone, Debug)]
pub struct Handover {
    /// Sizes.
    pub model: ModelConfig,
    /// What its ids mean.
    pub tokenizer: Tokenizer,
    /// Whether it was trained to answer, and not to continue.
    pub is_chat: bool,
    /// The chat template that it was trained with, in Jinja; none for the default one.
    pub chat_template: Option<String>,
    /// How the phase that trained it draws text.
    pub generation: Option<GenerationConfig>,
    /// A prompt that shows what it learned.
    pub example_prompt: Option<String>,
}

/// What is known of a GPT from its settings alone, before there are weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Promised {
    /// Sizes.
    pub model: ModelConfig,
    /// The tokenizer's description, as [`Tokenizer::description`] gives it; of one that is yet to
    /// be trained, `kind` and `vocab_size`.
    pub tokenizer: Value,
    /// Whether it will have been trained to answer.
    pub is_chat: bool,
}

impl Promised {
    /// The artifact without weights.
    pub fn artifact(&self) -> Artifact {
        let settings =
            json!({ "model": self.model, "tokenizer": self.tokenizer, "chat": self.is_chat });
        Artifact::new("model", KIND, settings)
    }

    /// What an artifact's settings say.
    ///
    /// # Errors
    /// When they are not those of a GPT.
    pub fn read(settings: &Value) -> Result<Self> {
        Ok(Self {
            model: field(settings, "model")?,
            tokenizer: settings["tokenizer"].clone(),
            is_chat: field::<Option<bool>>(settings, "chat")?.unwrap_or(false),
        })
    }
}

impl Handover {
    /// The artifacts without tensors: what a phase can promise before it has run.
    pub fn promises(&self) -> Vec<Artifact> {
        let tokenizer = self.tokenizer.description();
        let promised = Promised { model: self.model.clone(), tokenizer, is_chat: self.is_chat };
        let mut model = promised.artifact();
        if let Some(template) = &self.chat_template {
            model.settings["chat_template"] = template.as_str().into();
        }
        if let Some(generation) = &self.generation {
            model.settings["generation"] = json!(generation);
        }
        if let Some(prompt) = &self.example_prompt {
            model.settings[EXAMPLE_PROMPT] = prompt.as_str().into();
        }
        let mut promises = vec![model];
        if self.tokenizer.model().is_some() {
            let description = self.tokenizer.description();
            promises.push(Artifact::new("tokenizer", TOKENIZER_KIND, description));
        }
        promises
    }

    /// The artifacts, with a copy of the model's weights.
    ///
    /// # Errors
    /// When a weight can't be exported.
    pub fn artifacts(&self, model: &Gpt) -> Result<Vec<Artifact>> {
        let mut artifacts = self.promises();
        artifacts[0].tensors = model.params().to_tensors()?;
        if let (Some(artifact), Some(bytes)) = (artifacts.get_mut(1), self.tokenizer.model()) {
            let tensor = TensorHandle::from_vec(bytes.to_vec(), &[bytes.len()])?;
            artifact.tensors.insert(TOKENIZER_TENSOR.to_owned(), tensor);
        }
        Ok(artifacts)
    }

    /// What an artifact's settings say, with the tokenizer that they describe.
    ///
    /// # Errors
    /// When they are not those of a GPT, or describe another tokenizer than the bytes make.
    pub fn read(settings: &Value, tokenizer_bytes: Option<&[u8]>) -> Result<Self> {
        let promised = Promised::read(settings)?;
        Ok(Self {
            model: promised.model,
            tokenizer: Tokenizer::from_parts(&promised.tokenizer, tokenizer_bytes)?,
            is_chat: promised.is_chat,
            chat_template: field(settings, "chat_template")?,
            generation: field(settings, "generation")?,
            example_prompt: field(settings, EXAMPLE_PROMPT)?,
        })
    }

    /// The newest GPT among what was handed on, and its weights.
    ///
    /// # Errors
    /// When its settings can't be read, or its tokenizer's bytes are missing or another's.
    pub fn latest(given: &Artifacts) -> Result<Option<(Self, &BTreeMap<String, TensorHandle>)>> {
        let Some((phase, artifact)) = newest(given, |a| a.kind == KIND) else { return Ok(None) };
        let bytes = tokenizer_bytes(given, phase, &artifact.settings["tokenizer"])?;
        Ok(Some((Self::read(&artifact.settings, bytes.as_deref())?, &artifact.tensors)))
    }

    /// Sizes and tokenizer of the newest GPT that was handed on or promised.
    ///
    /// # Errors
    /// When its settings can't be read.
    pub fn promised(given: &Artifacts) -> Result<Option<Promised>> {
        given.latest(KIND).map(|artifact| Promised::read(&artifact.settings)).transpose()
    }
}

/// A setting of an artifact; one that may be missing is an `Option`.
fn field<T: DeserializeOwned>(settings: &Value, key: &str) -> Result<T> {
    serde_json::from_value(settings[key].clone())
        .map_err(|e| Error::new("gpt::artifact", format!("`{key}` of the model handed on: {e}")))
}

/// The newest artifact that is wanted, and the phase that made it.
fn newest(given: &Artifacts, is_wanted: impl Fn(&Artifact) -> bool) -> Option<(&str, &Artifact)> {
    given.iter().filter(|(_, artifact)| is_wanted(artifact)).last()
}

/// The bytes of the tokenizer that `phase` handed on beside its model; else of one that an earlier
/// phase handed on, when it is the one described.
fn tokenizer_bytes(given: &Artifacts, phase: &str, described: &Value) -> Result<Option<Vec<u8>>> {
    let all = || given.iter().filter(|(_, artifact)| artifact.kind == TOKENIZER_KIND);
    let beside = all().filter(|(made_by, _)| *made_by == phase).last();
    let earlier = || all().filter(|(_, artifact)| artifact.settings == *described).last();
    let Some((_, artifact)) = beside.or_else(earlier) else { return Ok(None) };
    if artifact.settings != *described {
        let name = |description: &Value| description["hash"].as_str().unwrap_or("?").to_owned();
        let message = format!(
            "tokenizer mismatch: the model was trained with `{}`, beside it lies `{}`",
            name(described),
            name(&artifact.settings)
        );
        return Err(Error::new("tokenizer::mismatch", message));
    }
    let Some(tensor) = artifact.tensors.get(TOKENIZER_TENSOR) else {
        return Err(Error::new("tokenizer::artifact", "the tokenizer handed on has no bytes"));
    };
    tensor.to_vec::<u8>().map(Some)
}

/// The model that was handed on, on the CPU, to generate with.
///
/// # Errors
/// When there is none, or its weights don't fit its sizes.
pub fn load(given: &Artifacts) -> Result<(Handover, Gpt)> {
    given.require(KIND)?;
    let Some((handover, tensors)) = Handover::latest(given)? else {
        return Err(Error::new("gpt::artifact", "no model was handed on"));
    };
    // The fresh weights are overwritten: any generator does.
    let mut init = Generator::new(0, "overwritten");
    let model = Gpt::new(&handover.model, &mut init, &Device::Cpu, DType::F32)?;
    model.params().load_tensors(tensors)?;
    Ok((handover, model))
}

/// Where two models differ that must be alike for weights to fit, as (key, here, there). Dropout
/// may differ: it has no weights.
pub fn differences(here: &ModelConfig, there: &ModelConfig) -> Vec<(&'static str, String, String)> {
    let pairs = [
        ("V", here.vocab as f64, there.vocab as f64),
        ("T", here.context as f64, there.context as f64),
        ("C", here.width as f64, there.width as f64),
        ("L", here.n_layers as f64, there.n_layers as f64),
        ("H", here.n_heads as f64, there.n_heads as f64),
        ("d_ff", here.d_ff as f64, there.d_ff as f64),
        ("rope_theta", here.rope_theta, there.rope_theta),
    ];
    pairs
        .into_iter()
        .filter(|(_, a, b)| a != b)
        .map(|(key, a, b)| (key, a.to_string(), b.to_string()))
        .collect()
}
