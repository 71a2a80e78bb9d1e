//! The guide's second step: it measures what it has learnt, and refuses what can't go well.

use schemars::JsonSchema;
use sdk::{
    Artifacts, Best, Error, Evaluation, Generator, Goal, Metrics, PhaseContext, Result, Schedule,
    StateVisitor, Stateful, StepReport, Trainer,
};
use serde::{Deserialize, Serialize};

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

impl Trainer for Polynomial {
    type Config = Config;

    // guide: check
    fn check(config: &Config, _: &Artifacts) -> Vec<Error> {
        if config.batch_size > config.degree {
            return Vec::new();
        }
        let message = format!(
            "`batch_size` must be above `degree`: {} points for {} coefficients",
            config.batch_size,
            config.degree + 1
        );
        vec![Error::new("polynomial::points", message).at("batch_size")]
    }
    // guide: end

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let coefficients = vec![0.0; config.degree + 1];
        Ok(Self { coefficients, points: cx.generator("points"), config })
    }

    // guide: schedule
    fn schedule(&self) -> Schedule {
        Schedule {
            eval_every_steps: 50,
            checkpoint_every_steps: 50,
            best: Some(Best { metric: "rmse".to_owned(), goal: Goal::Min }),
            ..Schedule::new(self.config.total_steps)
        }
    }
    // guide: end

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
        // guide: report
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        Ok(StepReport::new(loss, self.config.batch_size as u64).metric("grad_norm", norm))
        // guide: end
    }

    // guide: evaluate
    fn evaluate(&mut self, _: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        // From its beginning each time: the same points, and those of the steps stay as they are.
        let mut held_out = cx.generator("held out");
        let squares = (0..256).map(|_| {
            let (x, y) = point(&mut held_out);
            (value(&self.coefficients, x) - y).powi(2)
        });
        Ok([("rmse".to_owned(), (squares.sum::<f64>() / 256.0).sqrt())].into())
    }
    // guide: end
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

fn main() {
    sdk::testing::Conformance::new("polynomial", serde_json::json!({})).assert();
}

#[cfg(test)]
mod tests {
    use sdk::testing::FakeHost;
    use sdk::{Artifacts, Evaluation, Trainer};

    use super::{Config, Polynomial};

    sdk::trainer_tests!("polynomial", serde_json::json!({ "batch_size": 5 }));

    // guide: learns
    #[test]
    fn it_learns() {
        let cx = FakeHost::default().context("polynomial", 42);
        let mut phase = Polynomial::prepare(Config::default(), &Artifacts::default(), &cx).unwrap();
        for step in 0..400 {
            phase.step(step, &cx).unwrap();
        }
        // The noise alone is 0.05.
        assert!(phase.evaluate(Evaluation::Final, &cx).unwrap()["rmse"] < 0.1);
    }
    // guide: end

    #[test]
    fn too_few_points_are_refused() {
        let config = Config { batch_size: 3, ..Config::default() };
        let faults = Polynomial::check(&config, &Artifacts::default());
        let message = "`batch_size` must be above `degree`: 3 points for 4 coefficients";
        assert_eq!(faults[0].message, message);
    }
}
