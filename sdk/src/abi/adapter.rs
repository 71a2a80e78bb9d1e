//! A plain trainer behind the boundary's `Phase`, with a guard around every entry.
//!
//! A panic must not reach the `extern "C"` edge: it would end the process. It is caught here, its
//! payload forgotten (the payload's own Drop may panic), and the phase is poisoned.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RErr, ROk, RResult, RStr, RString, RVec};
use serde_json::json;

use super::convert::{artifacts_from_raw, artifacts_to_raw, metrics_to_raw};
use super::types::{Fault, Phase, Phase_TO, PhaseBox, RawArtifact, RawMetric, RawState, RawStep};
use crate::artifact::Artifacts;
use crate::capability;
use crate::context::PhaseContext;
use crate::error::{Error, Result};
use crate::generate::{GenerateReply, GenerateRequest, TextGenerator};
use crate::state::StateDict;
use crate::trainer::{Evaluation, Trainer};

/// Where a phase stands in its life.
enum Stage<T> {
    Configured,
    Ready(T),
    /// Not training, but asked for text.
    Generating(Box<dyn TextGenerator>),
    Poisoned,
}

struct Adapter<T: Trainer> {
    /// The section as it was given, with defaults: `prepare` reads its configuration from here.
    config: String,
    cx: PhaseContext,
    stage: Stage<T>,
}

pub(crate) fn new_phase<T: Trainer>(config: &T::Config, cx: PhaseContext) -> Result<PhaseBox> {
    let config = serde_json::to_string(config)?;
    let adapter = Adapter::<T> { config, cx, stage: Stage::Configured };
    Ok(Phase_TO::from_value(adapter, TD_Opaque))
}

impl<T: Trainer> Adapter<T> {
    fn config(&self) -> Result<T::Config> {
        Ok(serde_json::from_str(&self.config)?)
    }

    /// Asks the generator, which the first request opens.
    fn generate(&mut self, request: &GenerateRequest, given: &Artifacts) -> Result<GenerateReply> {
        if matches!(self.stage, Stage::Configured) {
            let generator = T::text_generator(&self.config()?, given, &self.cx)?;
            self.stage = Stage::Generating(generator);
        }
        match &mut self.stage {
            Stage::Generating(generator) => generator.generate(request, &self.cx),
            Stage::Poisoned => Err(poisoned()),
            _ => Err(Error::new("phase::order", "a phase that trains doesn't generate")),
        }
    }

    /// Runs `body` on the prepared trainer; a panic poisons the phase.
    fn ready<R>(
        &mut self,
        entry: &str,
        body: impl FnOnce(&mut T, &PhaseContext) -> Result<R>,
    ) -> RResult<R, Fault> {
        let Self { stage, cx, .. } = self;
        let result = guard(entry, || match stage {
            Stage::Ready(trainer) => body(trainer, cx),
            Stage::Configured | Stage::Generating(_) => {
                Err(Error::new("phase::order", format!("`{entry}` before `prepare`")))
            }
            Stage::Poisoned => Err(poisoned()),
        });
        self.poison_if_panicked(&result);
        result
    }

    fn poison_if_panicked<R>(&mut self, result: &RResult<R, Fault>) {
        if matches!(result, RErr(fault) if fault.panicked) {
            let trainer = std::mem::replace(&mut self.stage, Stage::Poisoned);
            // What a panicked trainer's Drop does is anybody's guess: leak it.
            std::mem::forget(trainer);
        }
    }
}

impl<T: Trainer> Phase for Adapter<T> {
    fn resolved(&self) -> RResult<RString, Fault> {
        ROk(self.config.as_str().into())
    }

    fn check(&self, upstream: RVec<RawArtifact>) -> RResult<RString, Fault> {
        guard("check", || {
            let findings = T::check(&self.config()?, &artifacts_from_raw(upstream)?);
            Ok(serde_json::to_string(&findings)?.into())
        })
    }

    fn promises(&self, upstream: RVec<RawArtifact>) -> RResult<RVec<RawArtifact>, Fault> {
        guard("promises", || {
            let promised = T::promises(&self.config()?, &artifacts_from_raw(upstream)?);
            Ok(artifacts_to_raw(self.cx.phase(), promised))
        })
    }

    fn prepare(&mut self, given: RVec<RawArtifact>) -> RResult<RString, Fault> {
        let result = guard("prepare", || {
            let trainer = T::prepare(self.config()?, &artifacts_from_raw(given)?, &self.cx)?;
            let reply = json!({
                "schedule": trainer.schedule(),
                "facts": trainer.facts(),
                "forecast": trainer.forecast(),
            });
            self.stage = Stage::Ready(trainer);
            Ok(reply.to_string().into())
        });
        self.poison_if_panicked(&result);
        result
    }

    fn step(&mut self, step: u64) -> RResult<RawStep, Fault> {
        self.ready("step", |trainer, cx| Ok(cx.stages().of_step(|| trainer.step(step, cx))?.into()))
    }

    fn evaluate(&mut self, when: RStr<'_>) -> RResult<RVec<RawMetric>, Fault> {
        self.ready("evaluate", |trainer, cx| {
            let when: Evaluation = serde_json::from_str(when.as_str())?;
            Ok(metrics_to_raw(trainer.evaluate(when, cx)?))
        })
    }

    fn save(&mut self) -> RResult<RawState, Fault> {
        self.ready("save", |trainer, _| StateDict::save(trainer)?.try_into())
    }

    fn restore(&mut self, state: RawState) -> RResult<(), Fault> {
        self.ready("restore", |trainer, _| StateDict::try_from(state)?.restore(trainer))
    }

    fn artifacts(&mut self) -> RResult<RVec<RawArtifact>, Fault> {
        self.ready("artifacts", |trainer, cx| {
            Ok(artifacts_to_raw(cx.phase(), trainer.artifacts()?))
        })
    }

    fn call(
        &mut self,
        name: RStr<'_>,
        request: RStr<'_>,
        given: RVec<RawArtifact>,
    ) -> RResult<RString, Fault> {
        let result = guard("call", || {
            if name.as_str() == capability::STAGES {
                return Ok(serde_json::to_string(&self.cx.stages().times())?.into());
            }
            if !T::CAPABILITIES.contains(&name.as_str()) {
                return Err(Error::new("capability::missing", format!("no capability `{name}`")));
            }
            let given: Artifacts = artifacts_from_raw(given)?;
            let request = request.as_str();
            if name.as_str() == capability::GENERATE {
                let request = serde_json::from_str(request)?;
                let reply = self.generate(&request, &given)?;
                return Ok(serde_json::to_string(&reply)?.into());
            }
            if name.as_str().starts_with(capability::EXPORT) {
                T::export(&self.config()?, &given, &serde_json::from_str(request)?, &self.cx)?;
                return Ok("null".into());
            }
            let message = format!("this SDK doesn't know capability `{name}`");
            Err(Error::new("capability::unknown", message))
        });
        self.poison_if_panicked(&result);
        result
    }
}

impl<T: Trainer> Drop for Adapter<T> {
    fn drop(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Poisoned);
        let _: RResult<(), Fault> = guard("drop", || {
            drop(stage);
            Ok(())
        });
    }
}

fn poisoned() -> Error {
    Error::new("phase::poisoned", "this phase panicked before and can't go on")
}

thread_local! {
    /// How deep this thread is inside guarded calls, and what its last panic said.
    static GUARDED: RefCell<(u32, Option<String>)> = const { RefCell::new((0, None)) };
}

/// Runs one entry of the boundary; errors and panics become a [`Fault`].
pub(super) fn guard<R>(entry: &str, body: impl FnOnce() -> Result<R>) -> RResult<R, Fault> {
    install_hook();
    GUARDED.with_borrow_mut(|guarded| guarded.0 += 1);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    let said = GUARDED.with_borrow_mut(|guarded| {
        guarded.0 -= 1;
        guarded.1.take()
    });
    let (panicked, error) = match outcome {
        Ok(Ok(value)) => return ROk(value),
        Ok(Err(error)) => (false, error),
        Err(payload) => {
            std::mem::forget(payload);
            let said = said.unwrap_or_else(|| "no message".to_owned());
            (
                true,
                Error::new("plugin::panic", format!("the plugin panicked in `{entry}`: {said}"))
                    .help("this is a defect of the plugin; set RUST_BACKTRACE=1 for the place"),
            )
        }
    };
    let error = serde_json::to_string(&error).unwrap_or_else(|_| error.to_string());
    RErr(Fault { panicked, error: error.into() })
}

/// Keeps what a panic inside a guard says, instead of printing it; prints as ever when
/// `RUST_BACKTRACE` is set, and for panics outside.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let kept = GUARDED.with_borrow_mut(|guarded| {
                if guarded.0 > 0 {
                    guarded.1 = Some(describe_panic(info));
                }
                guarded.0 > 0
            });
            if !kept || std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
                previous(info);
            }
        }));
    });
}

fn describe_panic(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message");
    let message = message.lines().next().unwrap_or_default();
    match info.location() {
        Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
        None => message.to_owned(),
    }
}
