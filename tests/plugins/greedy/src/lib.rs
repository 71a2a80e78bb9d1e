//! Its section has a key that belongs to the host's `global` block: `seed`, or what the schema says
//! that the variable `GREEDY_SCHEMA` holds.

use std::borrow::Cow;
use std::env;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sdk::{Artifacts, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, Trainer};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// A seed of its own, of which the host would know nothing.
    seed: u64,
}

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "Config".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let told = env::var("GREEDY_SCHEMA").ok();
        let told = told.and_then(|text| serde_json::from_str(&text).ok());
        told.unwrap_or_else(|| json_schema!({"type": "object", "properties": {"seed": {}}}))
    }
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
