//! Pretraining of a GPT: next-token prediction on a mix of texts.
//!
//! B sequences of T tokens a micro-batch; every position is learned from. The weights are fresh, or
//! those of what was handed on.

use corpus::{Batch, PretrainData, PretrainDataConfig};
use gpt::config::{BestMetric, GenerationConfig, ModelConfig, TrainingConfig, history};
use gpt::generation::GptGenerator;
use gpt::handover::{Handover, Promised};
use gpt::learner::Learner;
use gpt::start::{Start, tokenizer_state, train_tokenizer, warn_of_unused_rows};
use gpt::{export, forecast, import, log_reports, loss_metrics, within};
use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Batching, Change, DType, DeviceKind, Error, Evaluation, ExportRequest,
    Forecast, Metrics, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport,
    TextGenerator, Trainer,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokenizer::{Tokenizer, TokenizerConfig};

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
    /// How text is drawn from the model.
    generation: GenerationConfig,
}

impl Config {
    fn start<'a>(&'a self, given: &'a Artifacts) -> Start<'a> {
        Start { model: Some(&self.model), tokenizer: Some(&self.tokenizer), given }
    }

    /// A phase of texts alone has no loss on conversations to choose by.
    fn check_best_metric(&self) -> Option<Error> {
        let metric = self.training.best_metric.filter(|m| *m != BestMetric::PretrainValLoss)?;
        let message = format!("a pretraining phase measures no `val/{}`", metric.name());
        let help = "use `pretrain_val_loss`, or leave `best_metric` out";
        Some(Error::new("config::best_metric", message).at("training.best_metric").help(help))
    }

    fn handover(&self, tokenizer: &Tokenizer) -> Handover {
        Handover {
            model: self.model.clone(),
            tokenizer: tokenizer.clone(),
            is_chat: false,
            chat_template: None,
            generation: Some(self.generation.clone()),
            example_prompt: None,
        }
    }
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
        tokenizer_state(&self.tokenizer, visitor)?;
        self.learner.state(visitor)?;
        visitor.nested("data", &mut self.data)
    }
}

impl Trainer for Pretrain {
    type Config = Config;

    const CAPABILITIES: &'static [&'static str] = gpt::CAPABILITIES;
    const DEVICES: &'static [DeviceKind] = gpt::DEVICES;
    const AMP_DTYPES: &'static [DType] = &[DType::Bf16];
    const BUILD_FACTS: &'static [(&'static str, &'static str)] = gpt::BUILD_FACTS;

    fn changes() -> Vec<Change> {
        history::pretrain()
    }

    fn batching() -> Option<Batching> {
        Some(TrainingConfig::batching())
    }

    fn check(config: &Config, given: &Artifacts) -> Vec<Error> {
        let mut faults = config.start(given).check();
        faults.extend(within("training", config.training.check()));
        faults.extend(config.check_best_metric());
        faults.extend(config.data.check());
        faults.extend(within("generation", config.generation.check()));
        faults
    }

    fn promises(config: &Config, given: &Artifacts) -> Vec<Artifact> {
        let model = config.model.clone();
        let promise = |tokenizer| Promised { model, tokenizer, is_chat: false }.artifact();
        config.start(given).description().map(promise).into_iter().collect()
    }

    fn prepare(config: Config, given: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let initial = import::initial(given)?;
        let train = |training: &_| train_tokenizer(training, &config.data, cx);
        let tokenizer = config.start(given).open(initial.as_ref(), train)?;
        warn_of_unused_rows(&config.model, &tokenizer);
        let data = PretrainData::open(&config.data, &tokenizer, config.model.context, cx)?;
        log_reports(&data.reports());
        let training = &config.training;
        let held_back = data.eval_batches(training.n_eval_batches(), training.eval_batch());
        let learner = Learner::new(&config.model, training, cx)?;
        if let Some(initial) = initial {
            log::info!("starting from {}", initial.origin);
            initial.load_into(&learner.model)?;
        }
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

    fn forecast(&self) -> Forecast {
        let data = forecast::Data {
            memory_bytes: self.data.memory_bytes(),
            held_back: &[&self.held_back],
            tokens_per_pass: self.data.tokens_per_pass(),
        };
        let Config { model, training, .. } = &self.config;
        forecast::forecast(model, training, &data, self.learner.on_what())
    }

    fn step(&mut self, step: u64, cx: &PhaseContext) -> Result<StepReport> {
        let batches = self.config.training.micro_batches(|n| self.data.next_batch(n));
        cx.stages().done("data");
        self.learner.step(step, &batches)
    }

    fn evaluate(&mut self, _: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        let loss = self.learner.evaluate(&self.held_back, cx)?;
        let mut metrics = loss_metrics(loss, self.data.val_bytes_per_token());
        if let (Some(loss), Some(metric)) = (loss, self.config.training.best_metric) {
            metrics.insert(metric.name().to_owned(), loss);
        }
        Ok(metrics)
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        self.config.handover(&self.tokenizer).artifacts(&self.learner.model)
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

sdk::register_trainer!("pretrain", Pretrain);
