//! Its section has a key `seed`, which belongs to the host's `global` block.

use schemars::JsonSchema;
use sdk::{Artifacts, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, Trainer};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// A seed of its own, of which the host would know nothing.
    seed: u64,
}

struct Greedy;

impl Stateful for Greedy {
    fn state(&mut self, _: &mut StateVisitor<'_>) -> Result<()> {
        Ok(())
    }
}

impl Trainer for Greedy {
    type Config = Config;

    fn prepare(_: Config, _: &Artifacts, _: &PhaseContext) -> Result<Self> {
        Ok(Self)
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(1)
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        Ok(StepReport::default())
    }
}

sdk::register_trainer!("greedy", Greedy);
