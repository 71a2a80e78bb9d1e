//! Finds the middle of some points by gradient descent, with another candle than everybody's.

use candle_core::{Device, Var};
use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Error, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport,
    TensorHandle, Trainer,
};
use serde::{Deserialize, Serialize};

/// The points, whose middle is 2.5.
const POINTS: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

/// Finds the middle of some points.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    total_steps: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { total_steps: 40 }
    }
}

struct Middle {
    config: Config,
    middle: Vec<f32>,
}

impl Stateful for Middle {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.vec("middle", &mut self.middle)
    }
}

impl Trainer for Middle {
    type Config = Config;

    const BUILD_FACTS: &'static [(&'static str, &'static str)] = &[("candle", "0.9")];

    fn prepare(config: Config, _: &Artifacts, _: &PhaseContext) -> Result<Self> {
        Ok(Self { config, middle: vec![0.0] })
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(self.config.total_steps)
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        let step = || {
            let middle = Var::new(self.middle.as_slice(), &Device::Cpu)?;
            let points = candle_core::Tensor::new(&POINTS, &Device::Cpu)?;
            let loss = points.broadcast_sub(&middle)?.sqr()?.mean_all()?;
            let gradients = loss.backward()?;
            let gradient = gradients
                .get(&middle)
                .ok_or_else(|| candle_core::Error::Msg("no gradient".into()))?;
            let moved = (middle.as_tensor() - (gradient * 0.2)?)?;
            candle_core::Result::Ok((loss.to_scalar::<f32>()?, moved.to_vec1::<f32>()?))
        };
        let (loss, middle) = step().map_err(|e| Error::new("candle", e.to_string()))?;
        self.middle = middle;
        Ok(StepReport::new(f64::from(loss), POINTS.len() as u64))
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        let middle = TensorHandle::from_vec(self.middle.clone(), &[1])?;
        Ok(vec![Artifact::new("middle", "middle", ().into()).tensor("middle", middle)])
    }
}

sdk::register_trainer!("other-candle", Middle);
