//! The guide's first step: a trainer that runs, and resumes exactly.

use schemars::JsonSchema;
use sdk::{
    Artifacts, Generator, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport,
    Trainer,
};
use serde::{Deserialize, Serialize};

// guide: config
/// Fits a polynomial to noisy points.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    total_steps: u64,
    /// Points of an update.
    #[schemars(range(min = 1, max = 100_000))]
    batch_size: usize,
    /// Highest power of the polynomial.
    #[schemars(range(min = 1, max = 9))]
    degree: usize,
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    learning_rate: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { total_steps: 400, batch_size: 16, degree: 3, learning_rate: 0.5 }
    }
}
// guide: end

// guide: state
/// The trainer: its settings, and everything that changes from step to step.
struct Polynomial {
    config: Config,
    coefficients: Vec<f64>,
    points: Generator,
}

impl Stateful for Polynomial {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.vec("model/coefficients", &mut self.coefficients)?;
        visitor.generator("points", &mut self.points)
    }
}
// guide: end

// guide: trainer
impl Trainer for Polynomial {
    type Config = Config;

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let coefficients = vec![0.0; config.degree + 1];
        Ok(Self { coefficients, points: cx.generator("points"), config })
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(self.config.total_steps)
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        let n = self.config.batch_size as f64;
        let mut gradient = vec![0.0; self.coefficients.len()];
        let mut loss = 0.0;
        for _ in 0..self.config.batch_size {
            let (x, y) = point(&mut self.points);
            let error = value(&self.coefficients, x) - y;
            loss += 0.5 * error * error / n;
            for (power, g) in gradient.iter_mut().enumerate() {
                *g += error * x.powi(power as i32) / n;
            }
        }
        for (c, g) in self.coefficients.iter_mut().zip(&gradient) {
            *c -= self.config.learning_rate * g;
        }
        Ok(StepReport::new(loss, self.config.batch_size as u64))
    }
}

/// A point of the curve that is looked for, with noise: x between -1 and 1.
fn point(generator: &mut Generator) -> (f64, f64) {
    let x = 2.0 * generator.uniform() - 1.0;
    (x, 1.0 - 2.0 * x + 0.5 * x * x * x + 0.05 * generator.normal())
}

fn value(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

sdk::register_trainer!("polynomial", Polynomial);
// guide: end

fn main() {
    // guide: drive
    sdk::testing::Conformance::new("polynomial", serde_json::json!({})).assert();
    // guide: end
}

#[cfg(test)]
mod tests {
    sdk::trainer_tests!("polynomial", serde_json::json!({ "batch_size": 4 }));
}
