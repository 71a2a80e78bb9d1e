//! Supervised fine-tuning of a GPT: conversations, of which only the assistant's turns are learned.
//!
//! The model comes from an earlier phase that hands on a `gpt`; without one it starts from fresh
//! weights.

use gpt::config::{ModelConfig, TrainingConfig};
use gpt::data::{Batch, ChatSource, SftData, SftDataConfig};
use gpt::handover::{Handover, differences};
use gpt::learner::Learner;
use gpt::tokenizer::{Tokenizer, TokenizerConfig};
use gpt::world::World;
use gpt::{check_sections, generation, log_reports, loss_metrics};
use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Error, Evaluation, GenerateReply, GenerateRequest, Metrics, PhaseContext,
    Result, Schedule, StateVisitor, Stateful, StepReport, Trainer,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Held-back questions of the built-in world that the last evaluation asks.
const N_QUESTIONS: usize = 100;

/// Supervised fine-tuning of a GPT.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Sizes of the model; left out, they are those of the model handed on.
    model: Option<ModelConfig>,
    /// How to train it.
    training: TrainingConfig,
    /// What to learn from.
    data: SftDataConfig,
    /// What ids mean.
    tokenizer: TokenizerConfig,
}

impl Default for Config {
    fn default() -> Self {
        let training = TrainingConfig {
            total_steps: 1889,
            base_lr: 1e-4,
            warmup_steps: 189,
            min_lr: 1e-5,
            weight_decay: 0.05,
            ..TrainingConfig::default()
        };
        Self {
            model: None,
            training,
            data: SftDataConfig::default(),
            tokenizer: TokenizerConfig::default(),
        }
    }
}

impl Config {
    /// Sizes of the model: as given, as handed on, or the defaults.
    fn model(&self, given: &Artifacts) -> Result<ModelConfig> {
        if let Some(model) = &self.model {
            return Ok(model.clone());
        }
        Ok(Handover::latest(given)?.map(|(handover, _)| handover.model).unwrap_or_default())
    }

    /// Whether the built-in world is among the sources that are drawn from.
    fn asks_about_world(&self) -> bool {
        self.data
            .mix
            .keys()
            .any(|name| matches!(self.data.sources.get(name), Some(ChatSource::World { .. })))
    }

    /// The held-back questions of the built-in world.
    fn questions(&self, seed: u64, n: usize) -> Vec<(String, String)> {
        if self.asks_about_world() { World::new(seed).questions(n) } else { Vec::new() }
    }
}

/// Trains a GPT on conversations.
pub struct Sft {
    config: Config,
    handover: Handover,
    data: SftData,
    held_back: Vec<Batch>,
    questions: Vec<(String, String)>,
    learner: Learner,
}

impl Stateful for Sft {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        self.learner.state(visitor)?;
        visitor.nested("data", &mut self.data)
    }
}

impl Trainer for Sft {
    type Config = Config;

    const CAPABILITIES: &'static [&'static str] = &[sdk::capability::GENERATE];
    const BUILD_FACTS: &'static [(&'static str, &'static str)] = &[("candle", gpt::CANDLE_VERSION)];

    fn check(config: &Config, upstream: &Artifacts) -> Vec<Error> {
        let mut faults = check_sections(config.model.as_ref(), &config.training, &config.tokenizer);
        faults.extend(config.data.check().err());
        faults.extend(check_upstream(config, upstream));
        faults
    }

    fn promises(config: &Config, upstream: &Artifacts) -> Vec<Artifact> {
        let promise = || {
            let handover = Handover {
                model: config.model(upstream)?,
                tokenizer: Tokenizer::open(&config.tokenizer)?,
                is_chat: true,
                example_prompt: None,
            };
            Ok::<_, Error>(handover.promise())
        };
        promise().into_iter().collect()
    }

    fn prepare(config: Config, given: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        if let Some(fault) = check_upstream(&config, given).into_iter().next() {
            return Err(fault);
        }
        let tokenizer = Tokenizer::open(&config.tokenizer)?;
        let model = config.model(given)?;
        let data = SftData::open(&config.data, &tokenizer, model.context, cx.seed())?;
        log_reports(&data.reports());
        let training = &config.training;
        let held_back = data.eval_batches(training.eval_steps, training.eval_batch());
        let learner = Learner::new(&model, training, cx)?;
        match Handover::latest(given)? {
            Some((_, tensors)) => learner.model.params().load_tensors(tensors)?,
            None => log::warn!("no model was handed on: fine-tuning starts from fresh weights"),
        }
        let questions = config.questions(cx.seed(), N_QUESTIONS);
        let example_prompt = questions.first().map(|(question, _)| question.clone());
        let handover = Handover { model, tokenizer, is_chat: true, example_prompt };
        Ok(Self { config, handover, data, held_back, questions, learner })
    }

    fn schedule(&self) -> Schedule {
        self.config.training.cadence()
    }

    fn facts(&self) -> Map<String, Value> {
        let conversations: usize = self.data.reports().iter().map(|report| report.n_train).sum();
        let mut facts = Map::new();
        facts.insert("parameters".to_owned(), self.handover.model.parameter_count().into());
        facts.insert("conversations".to_owned(), conversations.into());
        facts
    }

    fn step(&mut self, step: u64, _: &PhaseContext) -> Result<StepReport> {
        let batches = self.config.training.micro_batches(|n| self.data.next_batch(n));
        self.learner.step(step, &batches)
    }

    fn evaluate(&mut self, when: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        let mut metrics = loss_metrics(self.learner.evaluate(&self.held_back, cx)?);
        if when == Evaluation::Final && !self.questions.is_empty() {
            let tokenizer = &self.handover.tokenizer;
            let right = generation::exact_match(&self.learner, tokenizer, &self.questions, cx)?;
            metrics.insert("exact_match".to_owned(), right);
        }
        Ok(metrics)
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        Ok(vec![self.handover.artifact(&self.learner.model)?])
    }

    fn generate(
        _: &Config,
        given: &Artifacts,
        request: &GenerateRequest,
        cx: &PhaseContext,
    ) -> Result<GenerateReply> {
        generation::generate(given, request, cx)
    }
}

/// Where the section disagrees with the model that an earlier phase hands on.
fn check_upstream(config: &Config, upstream: &Artifacts) -> Vec<Error> {
    let handover = match Handover::latest(upstream) {
        Err(e) => return vec![e],
        Ok(None) => return Vec::new(),
        Ok(Some((handover, _))) => handover,
    };
    let mut faults = Vec::new();
    if let Some(model) = &config.model {
        for (key, here, there) in differences(model, &handover.model) {
            let message = format!("`{key}` is {here}, but the model handed on has {there}");
            faults.push(
                Error::new("sft::model", message)
                    .at(format!("model.{key}"))
                    .help("leave `model` out to take the sizes of the model handed on"),
            );
        }
    }
    match Tokenizer::open(&config.tokenizer) {
        Ok(own) if own.description() != handover.tokenizer.description() => {
            let message = "the model handed on was trained with another tokenizer";
            faults.push(Error::new("sft::tokenizer", message).at("tokenizer"));
        }
        Ok(_) => {}
        Err(e) => faults.push(e),
    }
    faults
}

sdk::register_trainer!("sft", Sft);
