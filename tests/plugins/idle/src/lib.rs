//! Trains nothing, so that what a run costs is the host's: the loop, the boundary, the events and
//! what is kept of them. A step reports numbers as a trainer's would, and nothing else.

use schemars::JsonSchema;
use sdk::{Artifacts, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, Trainer};
use serde::{Deserialize, Serialize};

/// Steps that do nothing.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// How many.
    #[schemars(range(min = 1))]
    total_steps: u64,
    /// Steps between two logged points; 0 logs the last step only.
    log_every_steps: u64,
    /// Numbers that each step reports beside its loss.
    numbers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { total_steps: 1, log_every_steps: 1, numbers: 3 }
    }
}

struct Idle {
    config: Config,
    names: Vec<String>,
}

impl Stateful for Idle {
    fn state(&mut self, _: &mut StateVisitor<'_>) -> Result<()> {
        Ok(())
    }
}

impl Trainer for Idle {
    type Config = Config;

    fn prepare(config: Config, _: &Artifacts, _: &PhaseContext) -> Result<Self> {
        let names = (0..config.numbers).map(|i| format!("number_{i}")).collect();
        Ok(Self { config, names })
    }

    fn schedule(&self) -> Schedule {
        let log_every_steps = self.config.log_every_steps;
        Schedule { log_every_steps, ..Schedule::new(self.config.total_steps) }
    }

    fn step(&mut self, step: u64, _: &PhaseContext) -> Result<StepReport> {
        let value = |i: usize| (step as f64 + i as f64).sqrt();
        let metrics = self.names.iter().enumerate().map(|(i, name)| (name.clone(), value(i)));
        let loss = 1.0 / (1.0 + step as f64);
        Ok(StepReport { metrics: metrics.collect(), ..StepReport::new(loss, 1) })
    }
}

sdk::register_trainer!("idle", Idle);
