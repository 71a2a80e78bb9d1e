//! Alignment: spectra of a laboratory and what a sensor sees of them, brought to the same place.
//!
//! Two towers turn both sides into embeddings, and a contrastive loss tells each pair from all
//! others of the batch. Beside it, as far as they are switched on, heads tell the other side's
//! spectrum (the cycle) and depths of absorption bands. Held-back materials show how often a
//! spectrum's own partner is found, beside what the spectral angle and the correlation find.

mod comparison;
pub mod config;
mod evaluation;
mod heads;
mod info_nce;
mod learner;
mod pairs;
mod pictures;
mod tower;

use sdk::{
    Artifact, Artifacts, Batching, Change, DType, Error, Evaluation, ExportRequest, Forecast,
    Generator, Metrics, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport,
    Trainer,
};
use serde_json::{Map, Value, json};
use spectral::{AxisUnit, Band, Provenance, ProvenanceKind, Sensor, ValueNorm, ValueStats, Widths};
use towers::SpectralEncoder;

pub use config::Config;
use config::TowerKind;
use learner::{Learner, SENSOR, Sides};
use pairs::Pairs;
use tower::{Side, encoder_name, tokenizer};

/// Kind of the artifact with all that an alignment learned.
pub const KIND: &str = "spectral-alignment";

/// Trains two towers on pairs of spectra.
pub struct Alignment {
    config: Config,
    pairs: Pairs,
    sides: Sides,
    learner: Learner,
    /// What is drawn for the pairs of a step.
    draws: Generator,
    stats: Option<ValueStats>,
}

impl Stateful for Alignment {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        self.learner.state(visitor)?;
        visitor.generator("pairs", &mut self.draws)
    }
}

impl Trainer for Alignment {
    type Config = Config;

    const SECTION_VERSION: u32 = config::VERSION;
    const CAPABILITIES: &'static [&'static str] = &["export/plots"];
    const AMP_DTYPES: &'static [DType] = &[DType::Bf16];

    fn changes() -> Vec<Change> {
        config::changes()
    }

    fn batching() -> Option<Batching> {
        Some(Batching::new("trainer.batch_size"))
    }

    fn check(config: &Config, upstream: &Artifacts) -> Vec<Error> {
        let mut faults = config.check();
        if faults.is_empty() {
            faults.extend(check_handover(config, upstream).err());
        }
        faults
    }

    fn promises(config: &Config, _: &Artifacts) -> Vec<Artifact> {
        let encoder = config.data.opened().ok().and_then(|sensor| encoder(config, &sensor, None));
        encoder.map(|encoder| encoder.promise()).into_iter().collect()
    }

    fn prepare(config: Config, given: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let pairs = Pairs::open(&config.data, config.trainer.batch_size, cx)?;
        let handed = SpectralEncoder::latest(given)?;
        let stats = stats(&config, &pairs, handed.as_ref().map(|(trained, _)| trained), cx)?;
        let sides = sides(&config, &pairs, stats)?;
        let learner = Learner::new(&config, &sides, cx)?;
        if let Some((trained, tensors)) = handed {
            check_fit(&config, &pairs.sensor, &trained)?;
            learner.start_from(tensors)?;
            log::info!("the sensor's tower starts with the encoder of an earlier phase");
        }
        Ok(Self { draws: cx.generator("pairs"), config, pairs, sides, learner, stats })
    }

    fn schedule(&self) -> Schedule {
        self.config.trainer.cadence()
    }

    fn facts(&self) -> Map<String, Value> {
        let mut facts = Map::new();
        facts.insert("parameters".to_owned(), self.learner.model.params.count().into());
        facts.insert("bands".to_owned(), self.pairs.sensor.n_bands().into());
        if let Some(n_train) = self.pairs.n_train() {
            facts.insert("train_spectra".to_owned(), n_train.into());
        }
        let held_back = self.pairs.held_back.first().and_then(|setting| setting.views.first());
        facts.insert("held_back_spectra".to_owned(), held_back.map_or(0, Vec::len).into());
        if let Some(digest) = self.pairs.digest() {
            facts.insert("spectra_digest".to_owned(), digest.into());
        }
        facts
    }

    fn forecast(&self) -> Forecast {
        Forecast {
            parameters: Some(self.learner.model.params.count() as u64),
            units_per_step: Some(self.config.trainer.batch_size as u64),
            units_per_pass: self.pairs.n_train().map(|n| n as u64),
            memory_bytes: None,
            flops_per_unit: Some(flops(&self.config, &self.sides) as u64),
        }
    }

    fn step(&mut self, step: u64, cx: &PhaseContext) -> Result<StepReport> {
        let pairs = self.pairs.next(self.config.trainer.batch_size, &mut self.draws)?;
        cx.stages().done("data");
        self.learner.step(step, &self.sides, &pairs, cx)
    }

    fn evaluate(&mut self, _: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        let mut loss = 0.0;
        for held_back in &self.pairs.held_back {
            let own = evaluation::measure(&self.learner.model, &self.sides, held_back, cx)?;
            loss += own[&format!("{}/infonce", held_back.name)];
            metrics.extend(own);
        }
        metrics.insert("loss".to_owned(), loss / self.pairs.held_back.len().max(1) as f64);
        Ok(metrics)
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        let params = &self.learner.model.params;
        let settings = json!({
            "model": self.config.model,
            "tokenizer": self.config.tokenizer,
            "value_stats": self.stats,
            "sensor": self.pairs.sensor.name(),
            "sensor_nm": self.sides.sensor.nm,
            "lab_nm": self.sides.lab.nm,
        });
        let all = Artifact::new("alignment", KIND, settings);
        let tensors = params.to_tensors()?.into_iter();
        let mut artifacts = vec![tensors.fold(all, |all, (name, t)| all.tensor(name, t))];
        if let Some(encoder) = encoder(&self.config, &self.pairs.sensor, self.stats) {
            artifacts.push(encoder.artifact(params, &encoder_name(SENSOR))?);
        }
        let (model, held_back) = (&self.learner.model, &self.pairs.held_back);
        artifacts.extend(pictures::pictures(model, &self.sides, held_back)?);
        Ok(artifacts)
    }

    fn export(
        _: &Config,
        given: &Artifacts,
        request: &ExportRequest,
        _: &PhaseContext,
    ) -> Result<()> {
        towers::write_files(given, request, &[])
    }
}

/// What the sensor's tower is, for phases before and after; none where it is no transformer.
fn encoder(config: &Config, sensor: &Sensor, stats: Option<ValueStats>) -> Option<SpectralEncoder> {
    (config.model.tower == TowerKind::Transformer).then(|| SpectralEncoder {
        encoder: config.model.encoder(),
        tokenizer: config.tokenizer.clone(),
        value_stats: stats,
        sensor: Some(sensor.name().to_owned()),
        axis_nm: sensor.centers_nm(),
    })
}

/// Whether the encoder that an earlier phase will hand on fits the sensor's tower.
fn check_handover(config: &Config, upstream: &Artifacts) -> Result<()> {
    match SpectralEncoder::latest(upstream)? {
        Some((trained, _)) => check_fit(config, &config.data.opened()?, &trained),
        None => Ok(()),
    }
}

/// Whether an encoder fits the sensor's tower; the error stands at a key of this section.
fn check_fit(config: &Config, sensor: &Sensor, trained: &SpectralEncoder) -> Result<()> {
    match encoder(config, sensor, None) {
        Some(own) => own.check(trained).map_err(|error| {
            let path = match error.path.as_deref().and_then(|path| path.split_once('.')) {
                Some(("encoder", key)) => format!("model.{key}"),
                Some((block, key)) => format!("{block}.{key}"),
                None => "data.sensor".to_owned(),
            };
            error.at(path)
        }),
        None => {
            Err(Error::new("alignment::tower", "an `mlp` can't start with a transformer's weights")
                .at("model.tower")
                .help("take `tower: transformer`, or leave the phase before this one out"))
        }
    }
}

/// Mean and deviation of the training values, where the tokenizer wants them: those that an encoder
/// was trained with, else measured.
fn stats(
    config: &Config,
    pairs: &Pairs,
    handed: Option<&SpectralEncoder>,
    cx: &PhaseContext,
) -> Result<Option<ValueStats>> {
    if config.tokenizer.value_norm != ValueNorm::GlobalZscore {
        return Ok(None);
    }
    if let Some(stats) = handed.and_then(|trained| trained.value_stats) {
        return Ok(Some(stats));
    }
    let seen = pairs.next(config.trainer.batch_size, &mut cx.generator("value stats"))?;
    Ok(ValueStats::of(seen.iter().flat_map(|pair| pair.sensor.iter().copied())))
}

/// The bands of both sides.
fn sides(config: &Config, pairs: &Pairs, stats: Option<ValueStats>) -> Result<Sides> {
    let kind = config.model.tower;
    let tokenizer = tokenizer(kind, &config.tokenizer, stats)?;
    let (nm, centers) = (&pairs.lab_nm, pairs.sensor.centers_nm());
    let unit = AxisUnit::Nanometers;
    let width = Widths::Same(config.data.lab_fwhm_nm);
    let at = |error: Error| error.at("tokenizer");
    let instrument = laboratory(nm, config.data.lab_fwhm_nm).map_err(at)?;
    let grid = tokenizer.bands(nm, unit, Some(width), Some(&instrument)).map_err(at)?;
    let bands = tokenizer.bands(&centers, unit, None, Some(&pairs.sensor)).map_err(at)?;
    let grid = Side::new(kind, grid, nm);
    let sensor = Side::new(kind, bands, &centers).of_bands(&pairs.is_seen);
    let is_on_bands = kind == TowerKind::Mlp;
    let lab = if is_on_bands { sensor.clone() } else { grid.clone() };
    Ok(Sides { lab, sensor, grid, is_on_bands })
}

/// The laboratory's instrument, with a band at each place of its grid.
fn laboratory(nm: &[f64], fwhm_nm: f64) -> Result<Sensor> {
    let note = "bands as wide as the configuration says".to_owned();
    let provenance = Provenance { kind: ProvenanceKind::Nominal, note };
    let bands = nm.iter().map(|center| Band::gaussian(*center, fwhm_nm)).collect();
    Sensor::new("laboratory", provenance, bands)
}

/// Operations of one pair in a step, forward and backward, by the formula of the products alone.
fn flops(config: &Config, sides: &Sides) -> f64 {
    let encoder = config.model.encoder();
    let (wide, width) = (encoder.feed_forward() as f64, config.model.embed_dim as f64);
    let of_side = |side: &Side| {
        let n = side.nm.len();
        match config.model.tower {
            TowerKind::Transformer => n as f64 * encoder.flops_per_token(n),
            TowerKind::Mlp => {
                let inner = wide * wide * (config.model.depth as f64 - 1.0);
                6.0 * (2.0 * n as f64 * wide + inner + wide * width)
            }
        }
    };
    of_side(&sides.lab) + of_side(&sides.sensor)
}

sdk::register_trainer!("alignment", Alignment);
