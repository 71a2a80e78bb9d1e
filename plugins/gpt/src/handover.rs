//! The model as an artifact: what one phase hands on, and what the next one finds.

use std::collections::BTreeMap;

use candle_core::{DType, Device};
use sdk::{Artifact, Artifacts, EXAMPLE_PROMPT, Error, Generator, Result, TensorHandle};
use serde_json::{Value, json};

use crate::config::ModelConfig;
use crate::model::Gpt;
use crate::tokenizer::Tokenizer;

/// Kind of the artifact that holds a GPT.
pub const KIND: &str = "gpt";

/// What belongs to the weights of a GPT.
#[derive(Clone, Debug)]
pub struct Handover {
    /// Sizes.
    pub model: ModelConfig,
    /// What its ids mean.
    pub tokenizer: Tokenizer,
    /// Whether it was trained to answer, and not to continue.
    pub is_chat: bool,
    /// A prompt that shows what it learned.
    pub example_prompt: Option<String>,
}

impl Handover {
    /// The artifact without weights: what a phase can promise before it has run.
    pub fn promise(&self) -> Artifact {
        let mut settings = json!({
            "model": self.model,
            "tokenizer": self.tokenizer.description(),
            "chat": self.is_chat,
        });
        if let Some(prompt) = &self.example_prompt {
            settings[EXAMPLE_PROMPT] = prompt.as_str().into();
        }
        Artifact::new("model", KIND, settings)
    }

    /// The artifact with a copy of the model's weights.
    ///
    /// # Errors
    /// When a weight can't be exported.
    pub fn artifact(&self, model: &Gpt) -> Result<Artifact> {
        Ok(Artifact { tensors: model.params().to_tensors()?, ..self.promise() })
    }

    /// What an artifact's settings say.
    ///
    /// # Errors
    /// When they are not those of a GPT.
    pub fn read(settings: &Value) -> Result<Self> {
        let model = serde_json::from_value(settings["model"].clone()).map_err(|e| {
            Error::new("gpt::artifact", format!("sizes of the model handed on: {e}"))
        })?;
        Ok(Self {
            model,
            tokenizer: Tokenizer::from_description(&settings["tokenizer"])?,
            is_chat: settings["chat"].as_bool().unwrap_or(false),
            example_prompt: settings[EXAMPLE_PROMPT].as_str().map(str::to_owned),
        })
    }

    /// The newest GPT among what was handed on.
    ///
    /// # Errors
    /// When its settings can't be read.
    pub fn latest(given: &Artifacts) -> Result<Option<(Self, &BTreeMap<String, TensorHandle>)>> {
        let Some(artifact) = given.latest(KIND) else { return Ok(None) };
        Ok(Some((Self::read(&artifact.settings)?, &artifact.tensors)))
    }
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
