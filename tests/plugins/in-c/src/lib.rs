//! A line, fitted in C: what a plugin in another language looks like under its skin of Rust.

use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Generator, PhaseContext, Result, Schedule, StateVisitor, Stateful,
    StepReport, TensorHandle, Trainer,
};
use serde::{Deserialize, Serialize};

unsafe extern "C" {
    fn in_c_step(line: *mut f64, x: *const f64, y: *const f64, n: usize, rate: f64) -> f64;
}

/// Fits a line to points.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    total_steps: u64,
    /// Learning rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    learning_rate: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { total_steps: 100, learning_rate: 0.3 }
    }
}

/// Points of a step.
const POINTS: usize = 16;

struct Line {
    config: Config,
    line: Vec<f64>,
    points: Generator,
}

impl Stateful for Line {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.vec("model/line", &mut self.line)?;
        visitor.generator("points", &mut self.points)
    }
}

impl Trainer for Line {
    type Config = Config;

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        Ok(Self { config, line: vec![0.0; 2], points: cx.generator("points") })
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(self.config.total_steps)
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        self.line.resize(2, 0.0);
        let x: Vec<f64> = (0..POINTS).map(|_| self.points.normal()).collect();
        let y: Vec<f64> = x.iter().map(|x| 3.0 * x - 1.0).collect();
        let rate = self.config.learning_rate;
        // SAFETY: the line has two numbers, and `x` and `y` have as many as is said.
        let loss =
            unsafe { in_c_step(self.line.as_mut_ptr(), x.as_ptr(), y.as_ptr(), POINTS, rate) };
        Ok(StepReport::new(loss, POINTS as u64))
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        let line = TensorHandle::from_vec(self.line.clone(), &[self.line.len()])?;
        Ok(vec![Artifact::new("line", "line", ().into()).tensor("line", line)])
    }
}

sdk::register_trainer!("in-c", Line);
