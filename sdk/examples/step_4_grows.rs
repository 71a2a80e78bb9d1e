//! The guide's fourth step: data that takes time to read, and a section that has grown older.

use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Best, Change, Error, Evaluation, Generator, Goal, Metrics, PhaseContext,
    Result, Schedule, StateVisitor, Stateful, StepReport, TensorHandle, Trainer,
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
    /// Points to make before the first step; each step draws from them.
    #[schemars(range(min = 1, max = 10_000_000))]
    points: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { total_steps: 400, batch_size: 16, degree: 3, learning_rate: 0.5, points: 10_000 }
    }
}

/// The trainer: its settings, and everything that changes from step to step.
struct Polynomial {
    config: Config,
    coefficients: Vec<f64>,
    data: Vec<(f64, f64)>,
    order: Generator,
}

impl Stateful for Polynomial {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.vec("model/coefficients", &mut self.coefficients)?;
        visitor.generator("order", &mut self.order)
    }
}

impl Trainer for Polynomial {
    type Config = Config;

    // guide: versions
    const SECTION_VERSION: u32 = 2;
    const STATE_VERSION: u32 = 2;

    fn changes() -> Vec<Change> {
        vec![Change::moved(2, "lr", "learning_rate")]
    }
    // guide: end

    fn check(config: &Config, upstream: &Artifacts) -> Vec<Error> {
        // What earlier phases will hand on, without tensors: nothing has run yet.
        if let Some(model) = upstream.latest("polynomial")
            && model.settings["degree"] != config.degree
        {
            let theirs = &model.settings["degree"];
            let message = format!("the model handed on has degree {theirs}, not {}", config.degree);
            return vec![Error::new("polynomial::degree", message).at("degree")];
        }
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

    fn promises(config: &Config, _: &Artifacts) -> Vec<Artifact> {
        vec![model(config)]
    }

    fn prepare(config: Config, given: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let coefficients = match given.latest("polynomial") {
            Some(model) => model.tensors["coefficients"].to_vec()?,
            None => vec![0.0; config.degree + 1],
        };
        // guide: data
        let mut generator = cx.generator("points");
        let mut data = Vec::new();
        for i in 0..config.points {
            if i % 1000 == 0 {
                cx.check_cancelled()?;
                cx.progress("points", i, config.points);
            }
            data.push(point(&mut generator));
        }
        log::info!("{} points made", data.len());
        // guide: end
        Ok(Self { coefficients, data, order: cx.generator("order"), config })
    }

    fn schedule(&self) -> Schedule {
        Schedule {
            eval_every_steps: 50,
            checkpoint_every_steps: 50,
            best: Some(Best { metric: "rmse".to_owned(), goal: Goal::Min }),
            ..Schedule::new(self.config.total_steps)
        }
    }

    fn step(&mut self, _: u64, cx: &PhaseContext) -> Result<StepReport> {
        let n = self.config.batch_size as f64;
        let mut gradient = vec![0.0; self.coefficients.len()];
        let mut loss = 0.0;
        for _ in 0..self.config.batch_size {
            // guide: draw
            let i = self.order.below(self.data.len() as u64) as usize;
            let (x, y) = self.data[i];
            // guide: end
            let error = value(&self.coefficients, x) - y;
            loss += 0.5 * error * error / n;
            for (power, g) in gradient.iter_mut().enumerate() {
                *g += error * x.powi(power as i32) / n;
            }
        }
        // guide: stages
        cx.stages().done("gradient");
        for (c, g) in self.coefficients.iter_mut().zip(&gradient) {
            *c -= self.config.learning_rate * g;
        }
        cx.stages().done("update");
        // guide: end
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        Ok(StepReport::new(loss, self.config.batch_size as u64).metric("grad_norm", norm))
    }

    fn evaluate(&mut self, _: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        // From its beginning each time: the same points, and those of the steps stay as they are.
        let mut held_out = cx.generator("held out");
        let squares = (0..256).map(|_| {
            let (x, y) = point(&mut held_out);
            (value(&self.coefficients, x) - y).powi(2)
        });
        Ok([("rmse".to_owned(), (squares.sum::<f64>() / 256.0).sqrt())].into())
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        let n = self.coefficients.len();
        let coefficients = TensorHandle::from_vec(self.coefficients.clone(), &[n])?;
        Ok(vec![model(&self.config).tensor("coefficients", coefficients)])
    }
}

/// What is handed on, without its tensors.
fn model(config: &Config) -> Artifact {
    let settings = serde_json::json!({ "degree": config.degree });
    Artifact::new("model", "polynomial", settings)
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

    sdk::trainer_tests!("polynomial", serde_json::json!({ "batch_size": 5, "points": 100 }));

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

    #[test]
    fn too_few_points_are_refused() {
        let config = Config { batch_size: 3, ..Config::default() };
        let faults = Polynomial::check(&config, &Artifacts::default());
        let message = "`batch_size` must be above `degree`: 3 points for 4 coefficients";
        assert_eq!(faults[0].message, message);
    }

    #[test]
    fn it_goes_on_from_a_model() {
        let cx = FakeHost::default().context("polynomial", 42);
        let trained = |given: &Artifacts| {
            let config = Config { total_steps: 50, ..Config::default() };
            let mut phase = Polynomial::prepare(config, given, &cx).unwrap();
            let first = phase.step(0, &cx).unwrap().loss;
            (1..50).for_each(|step| drop(phase.step(step, &cx).unwrap()));
            (first, phase.artifacts().unwrap().remove(0))
        };
        let (from_nothing, model) = trained(&Artifacts::default());
        let mut given = Artifacts::default();
        given.push("first", model);
        let (from_a_model, _) = trained(&given);
        assert!(from_a_model < 0.2 * from_nothing, "{from_nothing} and {from_a_model}");
        let config = Config { degree: 2, ..Config::default() };
        let faults = Polynomial::check(&config, &given);
        assert_eq!(faults[0].message, "the model handed on has degree 3, not 2");
    }

    #[test]
    fn every_setting_acts() {
        let section = serde_json::to_value(Config::default()).unwrap();
        let found = sdk::testing::Settings::<Polynomial>::new(section).find().unwrap();
        assert_eq!((found.unused, found.untried), (vec![], vec![]));
    }

    // guide: stops
    #[test]
    fn it_stops_while_it_reads() {
        let host = FakeHost::default().cancel_after(3);
        let given = Artifacts::default();
        let made = Polynomial::prepare(Config::default(), &given, &host.context("p", 42));
        assert_eq!(made.err().map(|e| e.code).as_deref(), Some(sdk::CANCELLED));
        assert_eq!(host.progress().len(), 3);
    }
    // guide: end
}
