//! Claims the phase `linreg`, which the plugin of that name has.

use schemars::JsonSchema;
use sdk::{Artifacts, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, Trainer};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

struct Twin;

impl Stateful for Twin {
    fn state(&mut self, _: &mut StateVisitor<'_>) -> Result<()> {
        Ok(())
    }
}

impl Trainer for Twin {
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

sdk::register_trainer!("linreg", Twin);
