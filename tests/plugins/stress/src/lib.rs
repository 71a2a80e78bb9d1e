//! A plugin that misbehaves on request: the host must end each case with the right code and an
//! intact run directory.

use std::time::Duration;

use schemars::JsonSchema;
use sdk::{
    Artifact, Artifacts, Best, Error, Evaluation, Generator, Goal, Metrics, PhaseContext, Result,
    Schedule, StateVisitor, Stateful, StepReport, TensorHandle, Trainer,
};
use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    None,
    PanicInCheck,
    PanicInPromises,
    PanicInPrepare,
    PanicInSchedule,
    PanicInStep,
    PanicInEvaluate,
    PanicInState,
    PanicInArtifacts,
    PanicInDrop,
    ErrorInPrepare,
    ErrorInStep,
    NanInStep,
    SlowPrepare,
    SlowEvaluate,
    Talk,
}

/// A trainer that misbehaves.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// What goes wrong.
    mode: Mode,
    /// Which step it goes wrong at.
    at_step: u64,
    /// Optimizer updates.
    total_steps: u64,
    /// Milliseconds that a step takes.
    step_ms: u64,
    /// Values in the state.
    state_values: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::None, at_step: 2, total_steps: 5, step_ms: 0, state_values: 3 }
    }
}

struct Stress {
    config: Config,
    state: Vec<f32>,
    noise: Generator,
}

impl Drop for Stress {
    fn drop(&mut self) {
        assert!(self.config.mode != Mode::PanicInDrop, "dropped");
    }
}

impl Stateful for Stress {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        assert!(self.config.mode != Mode::PanicInState, "asked for the state");
        visitor.vec("state", &mut self.state)?;
        visitor.generator("noise", &mut self.noise)
    }
}

impl Trainer for Stress {
    type Config = Config;

    fn check(config: &Config, _: &Artifacts) -> Vec<Error> {
        assert!(config.mode != Mode::PanicInCheck, "asked to check");
        if config.at_step > config.total_steps {
            let message = "`at_step` lies behind the last step";
            return vec![Error::new("stress::at_step", message).at("at_step")];
        }
        Vec::new()
    }

    fn promises(config: &Config, _: &Artifacts) -> Vec<Artifact> {
        assert!(config.mode != Mode::PanicInPromises, "asked for promises");
        Vec::new()
    }

    fn prepare(config: Config, _: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        assert!(config.mode != Mode::PanicInPrepare, "asked to prepare");
        if config.mode == Mode::ErrorInPrepare {
            return Err(Error::new("stress::prepare", "no data").help("bring some"));
        }
        if config.mode == Mode::Talk {
            log::warn!("a warning of the plugin");
            log::debug!("a detail of the plugin");
            print!("no newline behind this");
        }
        if config.mode == Mode::SlowPrepare {
            for done in 0..1000 {
                cx.check_cancelled()?;
                cx.progress("waiting", done, 1000);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let state = vec![0.0; config.state_values];
        Ok(Self { config, state, noise: cx.generator("noise") })
    }

    fn schedule(&self) -> Schedule {
        assert!(self.config.mode != Mode::PanicInSchedule, "asked for the schedule");
        let evaluates = self.config.mode == Mode::SlowEvaluate;
        let best = Best { metric: "size".to_owned(), goal: Goal::Min };
        Schedule {
            log_every_steps: 1,
            eval_every_steps: if evaluates { 2 } else { 0 },
            checkpoint_every_steps: 1,
            best: evaluates.then_some(best),
            ..Schedule::new(self.config.total_steps)
        }
    }

    fn step(&mut self, step: u64, _: &PhaseContext) -> Result<StepReport> {
        std::thread::sleep(Duration::from_millis(self.config.step_ms));
        let draw = self.noise.normal() as f32;
        for value in &mut self.state {
            *value = 0.5 * *value + draw;
        }
        if step == self.config.at_step {
            match self.config.mode {
                Mode::PanicInStep => panic!("the step went wrong\nwith a second line"),
                Mode::ErrorInStep => {
                    return Err(Error::new("stress::step", "asked to fail").help("ask for less"));
                }
                Mode::NanInStep => return Ok(StepReport::new(f64::NAN, 1)),
                _ => {}
            }
        }
        Ok(StepReport::new(f64::from(draw * draw), 1))
    }

    fn evaluate(&mut self, _: Evaluation, cx: &PhaseContext) -> Result<Metrics> {
        assert!(self.config.mode != Mode::PanicInEvaluate, "asked to evaluate");
        if self.config.mode != Mode::SlowEvaluate {
            return Ok(Metrics::new());
        }
        log::info!("measuring");
        for _ in 0..25 {
            cx.check_cancelled()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok([("size".to_owned(), f64::from(self.state[0].abs()))].into())
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        assert!(self.config.mode != Mode::PanicInArtifacts, "asked to hand on");
        let state = TensorHandle::from_vec(self.state.clone(), &[self.state.len()])?;
        Ok(vec![Artifact::new("state", "stress", ().into()).tensor("state", state)])
    }
}

sdk::register_trainer!(
    "stress",
    Stress,
    profiles: [("smoke-stress", "phases = ['stress']\n[profile]\ndescription = 'carried by the plugin'\n")]
);
