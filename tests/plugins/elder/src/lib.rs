//! A plugin whose section has been through three versions: every kind of change is in its history.
//!
//! The first had all keys at the top, the second put them under `train`, the third calls that
//! `learning`. What it trains is one number that falls towards zero.

use schemars::JsonSchema;
use sdk::{
    Artifacts, Change, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, Trainer,
};
use serde::{Deserialize, Serialize};

/// A number that falls.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How it learns.
    learning: Learning,
    /// Where it begins.
    begin: Begin,
}

/// How it learns.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Learning {
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    steps: u64,
    /// The part that a step takes away.
    #[schemars(range(min = 0.0, max = 1.0))]
    rate: f64,
    /// How the part changes from step to step.
    schedule: Fall,
    /// Steps between two checkpoints; came with version 3.
    #[schemars(range(min = 1))]
    checkpoint_every: Option<u64>,
}

/// How the rate changes.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fall {
    /// Not at all.
    #[default]
    Constant,
    /// It halves at every step.
    Halving,
}

/// Where it begins.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Begin {
    /// At one.
    #[default]
    One,
    /// At a number of one's own.
    At {
        /// The number.
        number: f64,
    },
}

impl Default for Learning {
    fn default() -> Self {
        Self { steps: 4, rate: 0.5, schedule: Fall::Constant, checkpoint_every: None }
    }
}

/// The number.
pub struct Number {
    config: Config,
    number: f64,
    rate: f64,
}

impl Stateful for Number {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.value("number", &mut self.number)?;
        visitor.value("rate", &mut self.rate)
    }
}

impl Trainer for Number {
    type Config = Config;
    const SECTION_VERSION: u32 = 3;

    fn changes() -> Vec<Change> {
        vec![
            Change::moved(2, "lr", "train.rate"),
            Change::moved(2, "steps", "train.steps"),
            Change::removed(2, "momentum", "nothing read it").accepting([0.0]),
            Change::implied(2, "start", "begin.kind", "at"),
            Change::moved(2, "start", "begin.number"),
            Change::moved(3, "train", "learning"),
            Change::respelled(3, "learning.schedule", "none", "constant"),
        ]
    }

    fn prepare(config: Config, _: &Artifacts, _: &PhaseContext) -> Result<Self> {
        let number = match config.begin {
            Begin::One => 1.0,
            Begin::At { number } => number,
        };
        let rate = config.learning.rate;
        Ok(Self { config, number, rate })
    }

    fn schedule(&self) -> Schedule {
        let learning = &self.config.learning;
        let checkpoint_every_steps = learning.checkpoint_every.unwrap_or(0);
        Schedule { log_every_steps: 1, checkpoint_every_steps, ..Schedule::new(learning.steps) }
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        self.number *= 1.0 - self.rate;
        if self.config.learning.schedule == Fall::Halving {
            self.rate *= 0.5;
        }
        Ok(StepReport::new(self.number, 1))
    }
}

sdk::register_trainer!("elder", Number);
