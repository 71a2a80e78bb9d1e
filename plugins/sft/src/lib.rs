//! Supervised fine-tuning of a GPT: conversations, of which only the assistant's turns are learned.
//!
//! The model comes from an earlier phase, or from what the run starts from; without one it starts
//! from fresh weights.

use corpus::chat::check_template;
use corpus::world::World;
use corpus::{Batch, ChatSource, PretrainData, SftData, SftDataConfig};
use gpt::config::{BestMetric, GenerationConfig, ModelConfig, TrainingConfig, history};
use gpt::generation::GptGenerator;
use gpt::handover::{Handover, Promised};
use gpt::learner::Learner;
use gpt::start::{Start, tokenizer_state, warn_of_unused_rows};
use gpt::{export, forecast, generation, import, log_reports, loss_metrics, within};
use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Batching, Change, DType, DeviceKind, Error, Evaluation, ExportRequest,
    Forecast, Metrics, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport,
    TextGenerator, Trainer,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use tokenizer::{Tokenizer, TokenizerConfig, TrainConfig};

/// Held-back questions of the built-in world that the last evaluation asks.
const N_QUESTIONS: usize = 100;

/// Supervised fine-tuning of a GPT.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Sizes of the model; left out, they are those of the model handed on.
    model: Option<ModelConfig>,
    /// How to train it.
    #[serde(deserialize_with = "over_defaults")]
    training: TrainingConfig,
    /// What to learn from.
    data: SftDataConfig,
    /// What ids mean; left out, it is the tokenizer of the model handed on.
    tokenizer: Option<TokenizerConfig>,
    /// How text is drawn from the model.
    generation: GenerationConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            training: default_training(),
            data: SftDataConfig::default(),
            tokenizer: None,
            generation: GenerationConfig::default(),
        }
    }
}

/// Fine-tuning is shorter and gentler than pretraining.
fn default_training() -> TrainingConfig {
    TrainingConfig {
        total_steps: 1889,
        base_lr: 1e-4,
        warmup_steps: 189,
        min_lr: 1e-5,
        weight_decay: 0.05,
        ..TrainingConfig::default()
    }
}

/// What is said of the training over the defaults of this phase: the type's own are those of
/// pretraining.
fn over_defaults<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TrainingConfig, D::Error> {
    let given = Map::deserialize(deserializer)?;
    let mut training = serde_json::to_value(default_training()).map_err(D::Error::custom)?;
    if let Some(training) = training.as_object_mut() {
        training.extend(given);
    }
    serde_json::from_value(training).map_err(D::Error::custom)
}

impl Config {
    fn start<'a>(&'a self, given: &'a Artifacts) -> Start<'a> {
        Start { model: self.model.as_ref(), tokenizer: self.tokenizer.as_ref(), given }
    }

    /// A metric to choose by must be one that is measured.
    fn check_best_metric(&self) -> Option<Error> {
        let metric = self.training.best_metric.filter(|m| *m != BestMetric::SftValLoss)?;
        if self.data.pretrain_val.is_some() {
            return None;
        }
        let message =
            format!("`val/{}` is not measured without `data.pretrain_val`", metric.name());
        let help = "give `data.pretrain_val` texts, or use `sft_val_loss`";
        Some(Error::new("config::best_metric", message).at("training.best_metric").help(help))
    }

    /// A broken template is told before anything starts.
    fn check_template(&self) -> Option<Error> {
        let opened = self.tokenizer.as_ref().and_then(|config| Tokenizer::open(config).ok());
        let tokenizer = opened.unwrap_or_else(Tokenizer::byte);
        check_template(self.data.chat_template.as_deref(), tokenizer.special_texts()).err()
    }

    /// The held-back questions of the built-in world, where it is among what is drawn from.
    fn questions(&self, seed: u64, n: usize) -> Vec<(String, String)> {
        let is_world =
            |name: &String| matches!(self.data.source(name), Some(ChatSource::World { .. }));
        if self.data.mix.keys().any(is_world) { World::new(seed).questions(n) } else { Vec::new() }
    }
}

/// A tokenizer is trained on texts, of which a phase of conversations has none.
fn no_training(_: &TrainConfig) -> Result<Tokenizer> {
    let message = "a tokenizer is trained in a pretraining phase, not here";
    Err(Error::new("tokenizer::untrained", message)
        .at("tokenizer.kind")
        .help("leave `tokenizer` out to take that of the model handed on"))
}

/// Trains a GPT on conversations.
pub struct Sft {
    config: Config,
    handover: Handover,
    data: SftData,
    held_back: HeldBack,
    learner: Learner,
}

/// What the model is measured on.
struct HeldBack {
    conversations: Vec<Batch>,
    texts: Vec<Batch>,
    questions: Vec<(String, String)>,
}

impl Stateful for Sft {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        tokenizer_state(&self.handover.tokenizer, visitor)?;
        self.learner.state(visitor)?;
        visitor.nested("data", &mut self.data)
    }
}

impl HeldBack {
    fn new(
        config: &Config,
        data: &SftData,
        handover: &Handover,
        cx: &PhaseContext,
    ) -> Result<Self> {
        let (n_batches, n) = (config.training.n_eval_batches(), config.training.eval_batch());
        let texts = match &config.data.pretrain_val {
            None => Vec::new(),
            Some(texts) => {
                let context = handover.model.context;
                PretrainData::open(texts, &handover.tokenizer, context, cx)
                    .map_err(in_pretrain_val)?
                    .eval_batches(n_batches, n)
            }
        };
        let conversations = data.eval_batches(n_batches, n);
        Ok(Self { conversations, texts, questions: config.questions(cx.seed(), N_QUESTIONS) })
    }
}

/// The texts to measure stand deeper in the section than a phase's own.
fn in_pretrain_val(error: Error) -> Error {
    match error.path.as_deref().and_then(|path| path.strip_prefix("data")) {
        Some(below) => {
            let path = format!("data.pretrain_val{below}");
            error.at(path)
        }
        None => error,
    }
}

impl Trainer for Sft {
    type Config = Config;

    const CAPABILITIES: &'static [&'static str] = gpt::CAPABILITIES;
    const DEVICES: &'static [DeviceKind] = gpt::DEVICES;
    const AMP_DTYPES: &'static [DType] = &[DType::Bf16];
    const BUILD_FACTS: &'static [(&'static str, &'static str)] = gpt::BUILD_FACTS;

    fn changes() -> Vec<Change> {
        history::sft()
    }

    fn batching() -> Option<Batching> {
        Some(TrainingConfig::batching())
    }

    fn check(config: &Config, given: &Artifacts) -> Vec<Error> {
        let mut faults = config.start(given).check();
        if let Some(training) = config.tokenizer.as_ref().and_then(TokenizerConfig::training) {
            faults.extend(no_training(&training).err());
        }
        faults.extend(within("training", config.training.check()));
        faults.extend(config.check_best_metric());
        faults.extend(config.data.check());
        faults.extend(config.check_template());
        faults.extend(within("generation", config.generation.check()));
        faults
    }

    fn promises(config: &Config, given: &Artifacts) -> Vec<Artifact> {
        let start = config.start(given);
        let promise = |tokenizer| {
            Ok::<_, Error>(Promised { model: start.sizes()?, tokenizer, is_chat: true }.artifact())
        };
        start.description().and_then(promise).into_iter().collect()
    }

    fn prepare(config: Config, given: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let initial = import::initial(given)?;
        let start = config.start(given);
        let tokenizer = start.open(initial.as_ref(), no_training)?;
        let model = start.sizes()?;
        warn_of_unused_rows(&model, &tokenizer);
        let data = SftData::open(&config.data, &tokenizer, model.context, cx)?;
        log_reports(&data.reports());
        let learner = Learner::new(&model, &config.training, cx)?;
        match initial {
            Some(initial) => {
                log::info!("starting from {}", initial.origin);
                initial.load_into(&learner.model)?;
            }
            None => log::warn!("no model was handed on: fine-tuning starts from fresh weights"),
        }
        let mut handover = Handover {
            model,
            tokenizer,
            is_chat: true,
            chat_template: Some(data.chat_template().source().to_owned()),
            generation: Some(config.generation.clone()),
            example_prompt: None,
        };
        let held_back = HeldBack::new(&config, &data, &handover, cx)?;
        handover.example_prompt = held_back.questions.first().map(|(question, _)| question.clone());
        Ok(Self { config, handover, data, held_back, learner })
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

    fn forecast(&self) -> Forecast {
        let HeldBack { conversations, texts, .. } = &self.held_back;
        let data = forecast::Data {
            memory_bytes: self.data.memory_bytes(),
            held_back: &[conversations, texts],
            tokens_per_pass: self.data.tokens_per_pass(&self.config.data.mix),
        };
        let (model, training) = (&self.handover.model, &self.config.training);
        forecast::forecast(model, training, &data, self.learner.on_what())
    }

    fn step(&mut self, step: u64, cx: &PhaseContext) -> Result<StepReport> {
        let batches = self.config.training.micro_batches(|n| self.data.next_batch(n));
        cx.stages().done("data");
        self.learner.step(step, &batches)
    }

    fn evaluate(&mut self, when: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        let sft_loss = self.learner.evaluate(&self.held_back.conversations, cx)?;
        let pretrain_loss = self.learner.evaluate(&self.held_back.texts, cx)?;
        let mut metrics = loss_metrics(sft_loss, None);
        metrics.extend(self.chosen_by(pretrain_loss, sft_loss));
        if when == Evaluation::Final && !self.held_back.questions.is_empty() {
            let (tokenizer, template) = (&self.handover.tokenizer, self.data.chat_template());
            let questions = &self.held_back.questions;
            let right = generation::exact_match(&self.learner, tokenizer, template, questions, cx)?;
            metrics.insert("exact_match".to_owned(), right);
        }
        Ok(metrics)
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        self.handover.artifacts(&self.learner.model)
    }

    fn text_generator(
        config: &Config,
        given: &Artifacts,
        _: &PhaseContext,
    ) -> Result<Box<dyn TextGenerator>> {
        Ok(Box::new(GptGenerator::open(given, &config.generation)?))
    }

    fn export(
        _: &Config,
        given: &Artifacts,
        request: &ExportRequest,
        cx: &PhaseContext,
    ) -> Result<()> {
        export::export(given, request, cx)
    }
}

impl Sft {
    /// The losses that the best checkpoint may be chosen by, as far as they are measured.
    fn chosen_by(&self, pretrain_loss: Option<f64>, sft_loss: Option<f64>) -> Metrics {
        let mut metrics = Metrics::new();
        let mut add = |metric: BestMetric, loss: Option<f64>| {
            metrics.extend(loss.map(|loss| (metric.name().to_owned(), loss)));
        };
        add(BestMetric::PretrainValLoss, pretrain_loss);
        let training = &self.config.training;
        if training.best_metric.is_some() || pretrain_loss.is_some() {
            add(BestMetric::SftValLoss, sft_loss);
        }
        if let (Some(weights), Some(pretrain), Some(sft)) =
            (&training.best_metric_weights, pretrain_loss, sft_loss)
        {
            add(BestMetric::Weighted, Some(weights.mean(pretrain, sft)));
        }
        metrics
    }
}

sdk::register_trainer!("sft", Sft);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_leaves_the_other_defaults_of_this_phase() {
        let config: Config = serde_json::from_str(r#"{"training": {"micro_B": 3}}"#).unwrap();
        let expected = TrainingConfig { micro_batch: 3, ..default_training() };
        assert_eq!(config.training, expected);
        assert_eq!((expected.total_steps, expected.base_lr), (1889, 1e-4));
        let none: Config = serde_json::from_str("{}").unwrap();
        assert_eq!(none.training, default_training());
        assert!(serde_json::from_str::<Config>(r#"{"training": {"micro_b": 3}}"#).is_err());
        assert!(serde_json::from_str::<Config>(r#"{"training": {"grad_clip": null}}"#).is_ok());
    }
}
