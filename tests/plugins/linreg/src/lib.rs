//! Linear regression by gradient descent: a plugin with the SDK as its only tool.
//!
//! It fits `y = w·x` to points whose true weights are the first elements of a tensor that an
//! earlier phase handed on, when there is one, so that a test can see that the tensor arrived.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Evaluation, Generator, Metrics, PhaseContext, Result, Schedule,
    StateVisitor, Stateful, StepReport, TensorHandle, Trainer,
};
use serde::{Deserialize, Serialize};

/// Number of weights.
const N: usize = 4;

/// Linear regression.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    total_steps: u64,
    /// Learning rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    learning_rate: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { total_steps: 200, learning_rate: 0.1 }
    }
}

/// Fits a line by gradient descent.
pub struct Regression {
    config: Config,
    truth: Vec<f32>,
    source: String,
    received: BTreeMap<String, f64>,
    weights: Vec<f32>,
    points: Generator,
}

impl Stateful for Regression {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.vec("model/weights", &mut self.weights)?;
        visitor.vec("data/truth", &mut self.truth)?;
        visitor.generator("points", &mut self.points)
    }
}

impl Trainer for Regression {
    type Config = Config;

    fn prepare(config: Config, given: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let mut received = BTreeMap::new();
        let mut truth = vec![1.0, -2.0, 0.5, 3.0];
        let mut source = "built in".to_owned();
        for (phase, artifact) in given.iter() {
            for (name, tensor) in &artifact.tensors {
                let values = tensor.to_vec::<f32>()?;
                let sum: f64 = values.iter().map(|v| f64::from(*v)).sum();
                received.insert(format!("{phase}.{name}"), sum);
                if values.len() >= N && source == "built in" {
                    truth = values[..N].to_vec();
                    source = format!("{phase}.{name}");
                }
            }
        }
        let points = cx.generator("points");
        Ok(Self { config, truth, source, received, weights: vec![0.0; N], points })
    }

    fn schedule(&self) -> Schedule {
        Schedule { log_every_steps: 50, ..Schedule::new(self.config.total_steps) }
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        let x: Vec<f32> = (0..N).map(|_| self.points.normal() as f32).collect();
        let dot = |w: &[f32]| w.iter().zip(&x).map(|(w, x)| w * x).sum::<f32>();
        let error = dot(&self.weights) - dot(&self.truth);
        let rate = self.config.learning_rate as f32;
        for (w, x) in self.weights.iter_mut().zip(&x) {
            *w -= rate * error * x;
        }
        Ok(StepReport::new(0.5 * f64::from(error * error), 1))
    }

    fn evaluate(&mut self, _: Evaluation, _: &PhaseContext) -> Result<Metrics> {
        let distance = self.weights.iter().zip(&self.truth).map(|(w, t)| (w - t).abs());
        let distance = f64::from(distance.fold(0.0, f32::max));
        let n = self.received.len() as f64;
        Ok([("distance_max".to_owned(), distance), ("tensors_received".to_owned(), n)].into())
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        let settings = serde_json::json!({ "source": self.source, "received": self.received });
        let weights = TensorHandle::from_vec(self.weights.clone(), &[N])?;
        Ok(vec![Artifact::new("line", "linreg", settings).tensor("weights", weights)])
    }
}

sdk::register_trainer!("linreg", Regression);
