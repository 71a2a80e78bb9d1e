//! A trainer that does nothing but take memory and time for each sample, for measurements whose
//! results are known beforehand.

use std::thread::sleep;
use std::time::Duration;

use schemars::JsonSchema;
use sdk::{
    Artifacts, Batching, Error, Forecast, PhaseContext, Result, Schedule, StateVisitor, Stateful,
    StepReport, Trainer,
};
use serde::{Deserialize, Serialize};

/// Memory and time of a step.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// How a step is cut.
    batch: Batch,
    /// Memory of a sample in KiB.
    sample_kib: usize,
    /// Microseconds that a sample takes.
    sample_us: u64,
    /// Microseconds that a micro-batch takes besides its samples.
    micro_batch_us: u64,
    /// Whether memory and operations are forecast.
    forecasts: bool,
    /// Above so many samples at once the process dies.
    dies_above: Option<usize>,
    /// Above so many samples at once a step never ends.
    hangs_above: Option<usize>,
    /// Above so many samples at once a step fails.
    fails_above: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: Batch::default(),
            sample_kib: 1,
            sample_us: 0,
            micro_batch_us: 500,
            forecasts: false,
            dies_above: None,
            hangs_above: None,
            fails_above: None,
        }
    }
}

/// How a step is cut.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Batch {
    /// Samples at once.
    #[schemars(range(min = 1, max = 4096))]
    size: usize,
    /// Micro-batches of a step.
    #[schemars(range(min = 1))]
    accumulation: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 4, accumulation: 1 }
    }
}

struct Ballast {
    config: Config,
    held: Vec<u8>,
}

impl Stateful for Ballast {
    fn state(&mut self, _: &mut StateVisitor<'_>) -> Result<()> {
        Ok(())
    }
}

impl Ballast {
    fn misbehave(&self) -> Result<()> {
        let is_above = |most: Option<usize>| most.is_some_and(|most| self.config.batch.size > most);
        if is_above(self.config.dies_above) {
            std::process::abort();
        }
        while is_above(self.config.hangs_above) {
            sleep(Duration::from_secs(1));
        }
        if is_above(self.config.fails_above) {
            return Err(Error::new("ballast::full", "out of device memory"));
        }
        Ok(())
    }
}

impl Trainer for Ballast {
    type Config = Config;

    fn batching() -> Option<Batching> {
        Some(Batching::new("batch.size").accumulation("batch.accumulation"))
    }

    fn prepare(config: Config, _: &Artifacts, _: &PhaseContext) -> Result<Self> {
        Ok(Self { config, held: Vec::new() })
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(2)
    }

    fn forecast(&self) -> Forecast {
        let Config { batch, sample_kib, forecasts, .. } = &self.config;
        Forecast {
            units_per_step: Some((batch.size * batch.accumulation) as u64),
            memory_bytes: forecasts.then(|| (batch.size * sample_kib * 1024) as u64),
            flops_per_unit: forecasts.then_some(1000),
            ..Forecast::default()
        }
    }

    fn step(&mut self, _: u64, cx: &PhaseContext) -> Result<StepReport> {
        self.misbehave()?;
        let Config { batch, sample_kib, sample_us, micro_batch_us, .. } = &self.config;
        for _ in 0..batch.accumulation {
            self.held.resize(batch.size * sample_kib * 1024, 1);
            cx.stages().done("load");
            sleep(Duration::from_micros(micro_batch_us + sample_us * batch.size as u64));
            cx.stages().done("wait");
        }
        Ok(StepReport::new(1.0, (batch.size * batch.accumulation) as u64))
    }
}

sdk::register_trainer!("ballast", Ballast);
