//! Pretraining of an encoder of spectra as a masked autoencoder (He et al. 2022).
//!
//! A part of each sample is hidden; the encoder sees the rest alone, and a small decoder predicts
//! what is hidden from that. The encoder is handed on with all that its tokens mean.
//!
//! The system that this one replaces scored what the encoder had seen. That is
//! `objective.loss_region: visible` here, for comparison.

mod basis;
mod config;
mod data;
mod evaluation;
mod history;
mod interpolation;
mod masking;
mod model;
mod objective;
mod outputs;

use std::collections::BTreeMap;

use candle_core::Device;
use sdk::{
    Artifact, Artifacts, Batching, Change, DType, DeviceKind, Error, Evaluation, ExportRequest,
    Forecast, Metrics, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, Trainer,
};
use sdk_numerics::ops::Compute;
use sdk_numerics::{AdamW, Gradients, Workers};
use serde_json::{Map, Value};

pub use basis::SpectralBasis;
pub use config::{
    Config, DecoderConfig, ErrorUnit, LossRegion, ObjectiveConfig, Predicts, TrainingConfig,
};
pub use data::{DataConfig, LibraryData};
pub use interpolation::{interpolated, leeway};
pub use masking::{MaskKind, MaskingConfig};
pub use objective::{Reduction, reconstruction_loss, spectral_smoothness};

use data::{Data, Example, Sample};
use evaluation::Findings;
use model::Autoencoder;

/// Tokens that a thread takes at once: what it keeps of them stays in its cache. A GPU takes all.
const SHARD_TOKENS: usize = 512;

/// Trains an encoder of spectra as a masked autoencoder.
pub struct Mae {
    config: Config,
    data: Data,
    model: Autoencoder,
    optimizer: AdamW,
    gradients: Gradients,
    workers: Workers,
    cx: PhaseContext,
    /// What the last evaluation found.
    findings: Findings,
}

impl Stateful for Mae {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.nested("model", self.model.params_mut())?;
        visitor.nested("optimizer", &mut self.optimizer)?;
        let own = self.data.digest().to_owned();
        let mut saved = own.clone();
        visitor.value("data", &mut saved)?;
        if saved == own {
            return Ok(());
        }
        let message = "the checkpoint was made from other spectra than these";
        Err(Error::new("mae::data", message).help("go on with the same files, or start a new run"))
    }
}

impl Trainer for Mae {
    type Config = Config;

    const CAPABILITIES: &'static [&'static str] = &["export/plots"];
    const DEVICES: &'static [DeviceKind] = sdk_numerics::DEVICES;
    const AMP_DTYPES: &'static [DType] = &[DType::Bf16];

    fn changes() -> Vec<Change> {
        history::changes()
    }

    fn batching() -> Option<Batching> {
        Some(Batching::new("train.batch_size"))
    }

    fn check(config: &Config, _: &Artifacts) -> Vec<Error> {
        config.check()
    }

    fn promises(config: &Config, _: &Artifacts) -> Vec<Artifact> {
        outputs::promised(config).into_iter().collect()
    }

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let device = sdk_numerics::device(cx.device())?;
        let data = Data::open(&config, cx)?;
        let mut init = cx.generator("model init");
        let compute = Compute::of_phase(cx.device())?;
        let model = Autoencoder::new(&config, &data.extents(), &mut init, &device, compute)?;
        let on_host = Workers::new(cx.device().threads);
        Ok(Self {
            optimizer: AdamW::new(model.params(), config.training.adamw()).workers(&on_host),
            gradients: Gradients::new(model.params()).workers(&on_host),
            findings: Findings::default(),
            cx: cx.clone(),
            // One feeds a GPU; the others would wait for it.
            workers: if device.is_cpu() { on_host } else { Workers::new(1) },
            model,
            data,
            config,
        })
    }

    fn schedule(&self) -> Schedule {
        self.config.training.cadence()
    }

    fn facts(&self) -> Map<String, Value> {
        let mut facts = Map::new();
        facts.insert("parameters".to_owned(), self.model.params().count().into());
        if let Some(n) = self.data.n_train() {
            facts.insert("train_samples".to_owned(), n.into());
        }
        facts
    }

    fn forecast(&self) -> Forecast {
        let n_tokens = self.data.extents().n_tokens;
        let n_seen = (n_tokens as f64 * self.part_seen()) as usize;
        let flops = n_seen as f64 * self.config.encoder.flops_per_token(n_seen)
            + n_tokens as f64 * self.config.decoder_stack().flops_per_token(n_tokens);
        let n_train = self.data.n_train();
        Forecast {
            parameters: Some(self.model.params().count() as u64),
            units_per_step: Some(self.config.training.batch_size as u64),
            units_per_pass: n_train.map(|n| n as u64),
            flops_per_unit: Some(flops as u64),
            ..Forecast::default()
        }
    }

    fn step(&mut self, step: u64, cx: &PhaseContext) -> Result<StepReport> {
        let lr = self.config.training.rates().schedule().lr(step);
        let examples = self.data.examples(step, &self.config, cx, cx.stages())?;
        let n_samples = examples.len();
        let loss = self.accumulate(step, examples)?;
        cx.stages().done("forward and backward");
        let grad_norm = self.gradients.clip(self.config.training.grad_clip);
        self.optimizer.step(self.model.params(), &self.gradients, lr)?;
        cx.stages().done("update");
        let report = StepReport::new(loss, n_samples as u64).metric("lr", lr);
        Ok(report.metric("grad_norm", grad_norm))
    }

    fn evaluate(&mut self, when: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        let n = match when {
            Evaluation::Periodic => self.config.training.eval_samples,
            Evaluation::Final => usize::MAX,
        };
        let held_out = self.data.held_out(n, cx)?;
        let mut metrics = Metrics::new();
        metrics.insert("loss".to_owned(), self.held_out_loss(&held_out, cx)?);
        if let Some(spectra) = self.data.spectra() {
            let config = &self.config;
            self.findings = evaluation::evaluate(&self.model, spectra, &held_out, config, cx)?;
            metrics.extend(self.findings.metrics());
        }
        Ok(metrics)
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        outputs::artifacts(&self.config, &mut self.data, &self.model, &self.findings, &self.cx)
    }

    fn export(
        _: &Config,
        given: &Artifacts,
        request: &ExportRequest,
        _: &PhaseContext,
    ) -> Result<()> {
        outputs::export(given, request)
    }
}

impl Mae {
    /// The part of a sample's tokens that the encoder sees.
    fn part_seen(&self) -> f64 {
        let masking = &self.config.masking;
        match self.data.spectra() {
            Some(_) => 1.0 - masking.spectral_ratio,
            None => 1.0 - masking.spatial(self.data.extents().n_tokens),
        }
    }

    /// Forward and backward passes of a step's examples; returns its loss.
    fn accumulate(&mut self, step: u64, examples: Vec<Example>) -> Result<f64> {
        self.gradients.zero();
        let counts = (examples.iter().map(|example| example.n_scored).sum(), examples.len());
        let per_shard = match self.model.params().device() {
            Device::Cpu => (SHARD_TOKENS / self.data.extents().n_tokens).max(1),
            _ => counts.1.max(1),
        };
        let mut noise = self.cx.generator(&format!("dropout {step}"));
        let shards: Vec<(Vec<Example>, Vec<u64>)> = chunks(examples, per_shard)
            .into_iter()
            .map(|shard| {
                let seeds = shard.iter().map(|_| noise.next_u64()).collect();
                (shard, seeds)
            })
            .collect();
        let model = &self.model;
        self.workers.gradients(model.params(), shards, &mut self.gradients, |(shard, seeds)| {
            model.loss(&shard, &seeds, counts)
        })
    }

    /// The loss of held-out samples under masks that are always the same, in the unit of the loss.
    fn held_out_loss(&self, held_out: &[Sample], cx: &PhaseContext) -> Result<f64> {
        let mut masks = cx.generator("held-out masks");
        let (mut total, mut n) = (0.0, 0);
        for samples in held_out.chunks(16) {
            cx.check_cancelled()?;
            let example = |sample: &Sample| {
                let mask = self.data.mask(sample, &self.config, &mut masks);
                self.data.example(sample, &mask, &self.config)
            };
            let examples = samples.iter().map(example).collect::<Result<Vec<_>>>()?;
            for (example, found) in examples.iter().zip(self.model.predict(&examples)?) {
                let errors = found.iter().zip(&example.target).zip(&example.weights);
                total += errors.map(|((y, x), w)| f64::from(w * (y - x).powi(2))).sum::<f64>();
                n += example.n_scored;
            }
        }
        Ok(total / n.max(1) as f64)
    }
}

/// Runs of at most `n`, in order.
fn chunks<T>(items: Vec<T>, n: usize) -> Vec<Vec<T>> {
    let mut runs: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    for (i, item) in items.into_iter().enumerate() {
        runs.entry(i / n).or_default().push(item);
    }
    runs.into_values().collect()
}

sdk::register_trainer!("mae", Mae);
