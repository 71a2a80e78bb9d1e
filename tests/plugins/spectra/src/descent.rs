//! The toy that stands for a training: one number on its way to zero.

use sdk::{Generator, PhaseContext, Result, StateVisitor, Stateful, StepReport};

/// A number that each step makes smaller.
pub(crate) struct Descent {
    lr: f64,
    batch_size: u64,
    value: Vec<f32>,
    noise: Generator,
}

impl Descent {
    pub(crate) fn new(lr: f64, batch_size: u64, cx: &PhaseContext) -> Self {
        Self { lr, batch_size, value: vec![1.0], noise: cx.generator("noise") }
    }

    pub(crate) fn step(&mut self) -> StepReport {
        let noise = 0.01 * self.noise.normal();
        let value = f64::from(self.value[0]);
        self.value[0] = (value - self.lr * (value + noise)) as f32;
        StepReport::new(0.5 * value * value, self.batch_size).metric("lr", self.lr)
    }
}

impl Stateful for Descent {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.vec("value", &mut self.value)?;
        visitor.generator("noise", &mut self.noise)
    }
}
