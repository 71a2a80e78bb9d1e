//! Pretraining of a GPT: next-token prediction on a mix of texts.
//!
//! B sequences of T tokens a micro-batch; every position is learned from.

use gpt::config::{ModelConfig, TrainingConfig};
use gpt::data::{Batch, PretrainData, PretrainDataConfig};
use gpt::handover::Handover;
use gpt::learner::Learner;
use gpt::tokenizer::{Tokenizer, TokenizerConfig};
use gpt::{check_sections, generation, log_reports, loss_metrics};
use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Error, Evaluation, GenerateReply, GenerateRequest, Metrics, PhaseContext,
    Result, Schedule, StateVisitor, Stateful, StepReport, Trainer,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Pretraining of a GPT.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Sizes of the model.
    model: ModelConfig,
    /// How to train it.
    training: TrainingConfig,
    /// What to learn from.
    data: PretrainDataConfig,
    /// What ids mean.
    tokenizer: TokenizerConfig,
}

/// Trains a GPT on texts.
pub struct Pretrain {
    config: Config,
    tokenizer: Tokenizer,
    data: PretrainData,
    held_back: Vec<Batch>,
    learner: Learner,
}

impl Stateful for Pretrain {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        self.learner.state(visitor)?;
        visitor.nested("data", &mut self.data)
    }
}

impl Config {
    fn handover(&self, tokenizer: &Tokenizer) -> Handover {
        Handover {
            model: self.model.clone(),
            tokenizer: tokenizer.clone(),
            is_chat: false,
            example_prompt: None,
        }
    }
}

impl Trainer for Pretrain {
    type Config = Config;

    const CAPABILITIES: &'static [&'static str] = &[sdk::capability::GENERATE];
    const BUILD_FACTS: &'static [(&'static str, &'static str)] = &[("candle", gpt::CANDLE_VERSION)];

    fn check(config: &Config, _: &Artifacts) -> Vec<Error> {
        let mut faults = check_sections(Some(&config.model), &config.training, &config.tokenizer);
        faults.extend(config.data.check().err());
        faults
    }

    fn promises(config: &Config, _: &Artifacts) -> Vec<Artifact> {
        let tokenizer = Tokenizer::open(&config.tokenizer).ok();
        tokenizer.map(|tokenizer| config.handover(&tokenizer).promise()).into_iter().collect()
    }

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let tokenizer = Tokenizer::open(&config.tokenizer)?;
        let data = PretrainData::open(&config.data, &tokenizer, config.model.context, cx.seed())?;
        log_reports(&data.reports());
        let training = &config.training;
        let held_back = data.eval_batches(training.eval_steps, training.eval_batch());
        let learner = Learner::new(&config.model, training, cx)?;
        Ok(Self { config, tokenizer, data, held_back, learner })
    }

    fn schedule(&self) -> Schedule {
        self.config.training.cadence()
    }

    fn facts(&self) -> Map<String, Value> {
        let tokens: usize = self.data.reports().iter().map(|report| report.train_tokens).sum();
        let mut facts = Map::new();
        facts.insert("parameters".to_owned(), self.config.model.parameter_count().into());
        facts.insert("train_tokens".to_owned(), tokens.into());
        facts
    }

    fn step(&mut self, step: u64, _: &PhaseContext) -> Result<StepReport> {
        let batches = self.config.training.micro_batches(|n| self.data.next_batch(n));
        self.learner.step(step, &batches)
    }

    fn evaluate(&mut self, _: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        Ok(loss_metrics(self.learner.evaluate(&self.held_back, cx)?))
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        Ok(vec![self.config.handover(&self.tokenizer).artifact(&self.learner.model)?])
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

sdk::register_trainer!("pretrain", Pretrain);
