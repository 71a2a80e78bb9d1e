//! Learns nothing and reports what the host gives it to work with, so that a test can see which of
//! the shared settings reach a plugin. It says that it can do everything.

use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, DType, DeviceKind, PhaseContext, Result, Schedule, StateVisitor, Stateful,
    StepReport, TensorHandle, Trainer,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Reports what it is given.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Steps that do nothing.
    #[schemars(range(min = 1))]
    total_steps: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { total_steps: 5 }
    }
}

struct Mirror {
    config: Config,
    seen: Value,
}

impl Stateful for Mirror {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.value("seen", &mut self.seen)
    }
}

impl Trainer for Mirror {
    type Config = Config;

    const DEVICES: &'static [DeviceKind] = &[DeviceKind::Cpu, DeviceKind::Cuda];
    const DTYPES: &'static [DType] = &[DType::F32, DType::F64];
    const AMP_DTYPES: &'static [DType] = &[DType::Bf16];

    fn prepare(config: Config, given: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        let given: Vec<_> = given.iter().map(|(_, artifact)| artifact.kind.clone()).collect();
        let shared = json!({ "seed": cx.seed(), "given": given });
        let mut seen = serde_json::to_value(cx.device())?;
        if let (Value::Object(seen), Value::Object(shared)) = (&mut seen, shared) {
            seen.extend(shared);
        }
        Ok(Self { config, seen })
    }

    fn schedule(&self) -> Schedule {
        Schedule { checkpoint_every_steps: 1, ..Schedule::new(self.config.total_steps) }
    }

    fn facts(&self) -> Map<String, Value> {
        self.seen.as_object().cloned().unwrap_or_default()
    }

    fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
        Ok(StepReport::new(0.0, 1))
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        let image = TensorHandle::from_vec(vec![0.0f32], &[1])?;
        Ok(vec![Artifact::new("image", "mirror", self.seen.clone()).tensor("image", image)])
    }
}

sdk::register_trainer!("mirror", Mirror);
