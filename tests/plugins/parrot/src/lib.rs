//! A plugin that makes text without a model, so that what the host does with text can be tested
//! apart from any trainer: it repeats what it hears, a word at a time.

use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, ChatRole, Error, ExportRequest, GenerateReply, GenerateRequest,
    GeneratedToken, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, StopReason,
    TensorHandle, TextGenerator, Trainer, capability,
};
use serde::{Deserialize, Serialize};

/// Repeats what it hears.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Milliseconds between two words.
    word_ms: u64,
    /// Messages before the prompt that it can keep in mind, the system's not counted.
    memory: usize,
    /// Words at most when the request says nothing.
    max_words: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { word_ms: 0, memory: 4, max_words: 100 }
    }
}

/// Learns one number, for something to hand on.
pub struct Parrot {
    ears: Vec<f32>,
}

impl Stateful for Parrot {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.vec("model/ears", &mut self.ears)
    }
}

impl Trainer for Parrot {
    type Config = Config;

    const CAPABILITIES: &'static [&'static str] =
        &[capability::GENERATE, "export/words", "export/torn"];

    fn prepare(_: Config, _: &Artifacts, _: &PhaseContext) -> Result<Self> {
        Ok(Self { ears: vec![0.0] })
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(2)
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        self.ears[0] += 1.0;
        Ok(StepReport::new(0.0, 1))
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        let ears = TensorHandle::from_vec(self.ears.clone(), &[1])?;
        Ok(vec![Artifact::new("ears", "parrot", ().into()).tensor("ears", ears)])
    }

    fn text_generator(
        config: &Config,
        given: &Artifacts,
        _: &PhaseContext,
    ) -> Result<Box<dyn TextGenerator>> {
        given.require("parrot")?;
        Ok(Box::new(Repeat { config: config.clone(), answers: 0 }))
    }

    fn export(
        _: &Config,
        given: &Artifacts,
        request: &ExportRequest,
        _: &PhaseContext,
    ) -> Result<()> {
        let ears = given.require("parrot")?.tensors["ears"].to_vec::<f32>()?;
        let path = Path::new(&request.directory).join("words.txt");
        std::fs::write(path, format!("{} words\n", ears[0]))?;
        if request.format == "torn" {
            return Err(Error::new("parrot::torn", "the words ran out").help("export as `words`"));
        }
        Ok(())
    }
}

struct Repeat {
    config: Config,
    /// Told with each answer: the model stays loaded between two requests.
    answers: usize,
}

impl TextGenerator for Repeat {
    fn generate(&mut self, request: &GenerateRequest, cx: &PhaseContext) -> Result<GenerateReply> {
        if request.prompt == "panic" {
            panic!("asked to panic");
        }
        if request.prompt.len() > 80 {
            let message = format!("the prompt is too long: {} bytes", request.prompt.len());
            return Err(Error::new("generate::long", message).help("say less"));
        }
        self.answers += 1;
        let system = request.history.iter().find(|message| message.role == ChatRole::System);
        let heard = request.history.len() - usize::from(system.is_some());
        let dropped_messages = heard.saturating_sub(self.config.memory);
        let said = format!(
            "{}answer {} after {} messages: {}",
            system.map(|message| format!("({}) ", message.content)).unwrap_or_default(),
            self.answers,
            heard - dropped_messages,
            request.prompt
        );
        let max = request.max_new_tokens.unwrap_or(self.config.max_words);
        let (mut text, mut steps) = (String::new(), Vec::new());
        let mut stop_reason = StopReason::Stop;
        for (i, word) in said.split_inclusive(' ').enumerate() {
            if i == max {
                stop_reason = StopReason::Length;
                break;
            }
            if cx.is_cancelled() {
                stop_reason = StopReason::Cancelled;
                break;
            }
            std::thread::sleep(Duration::from_millis(self.config.word_ms));
            cx.text(word);
            text += word;
            steps.push(GeneratedToken {
                id: i as u32,
                text: word.to_owned(),
                logprob: -0.5,
                attention: vec![vec![1.0]],
            });
        }
        let tokens = steps.len();
        if request.trace_layer.is_none() {
            steps.clear();
        }
        let prompt_tokens = request.prompt.split_whitespace().count();
        Ok(GenerateReply { text, tokens, prompt_tokens, dropped_messages, stop_reason, steps })
    }
}

sdk::register_trainer!("parrot", Parrot);
