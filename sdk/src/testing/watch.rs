//! Drives a phase as the host does, in small, and writes down what there is to see.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::Settings;
use super::observed::{Looks, Observed, Part};
use super::records::{Witness, listen};
use crate::artifact::{Artifact, Artifacts};
use crate::capability;
use crate::context::PhaseContext;
use crate::device::DeviceContext;
use crate::error::{Error, Result};
use crate::generate::ExportRequest;
use crate::state::StateDict;
use crate::tensor::TensorHandle;
use crate::trainer::{Evaluation, Trainer};

/// Name of the phase in the contexts, and seed of the run.
const PHASE: (&str, u64) = ("phase", 42);

/// Drives a section twice.
///
/// # Errors
/// As [`once`].
pub(super) fn twice<T: Trainer>(settings: &Settings<T>, section: &Value) -> Result<Looks> {
    Ok(Looks(vec![once(settings, section)?, once(settings, section)?]))
}

/// Drives a section from its checks to its exports.
///
/// # Errors
/// When the section is refused, or the phase fails.
pub(super) fn once<T: Trainer>(settings: &Settings<T>, section: &Value) -> Result<Observed> {
    let mut seen = Observed::default();
    let (result, said) = listen(|| drive(settings, section, &mut seen));
    result?;
    for (what, n) in said {
        seen.see(Part::Log, &what, &n.into());
    }
    for (name, watch) in &settings.watched {
        seen.see(Part::Watched, name, &watch(section));
    }
    Ok(seen)
}

fn config<T: Trainer>(section: &Value) -> Result<T::Config> {
    serde_path_to_error::deserialize(section).map_err(|e| {
        let path = e.path().to_string();
        Error::new("config::value", e.into_inner().to_string()).at(path)
    })
}

fn drive<T: Trainer>(settings: &Settings<T>, section: &Value, seen: &mut Observed) -> Result<()> {
    let given = (settings.given)();
    if let Some(fault) = T::check(&config::<T>(section)?, &given).into_iter().next() {
        return Err(fault);
    }
    let cx = PhaseContext::new(PHASE.0, PHASE.1, DeviceContext::default(), Arc::new(Witness));
    for promise in T::promises(&config::<T>(section)?, &given) {
        see_artifact(seen, Part::Promise, &promise);
    }
    let mut trainer = T::prepare(config::<T>(section)?, &given, &cx)?;
    see_plan(&trainer, seen)?;
    let n_steps = trainer.schedule().total_steps.min(settings.n_steps);
    train(&mut trainer, n_steps, &cx, seen)?;
    let mut handed_on = given;
    for artifact in trainer.artifacts()? {
        see_artifact(seen, Part::Artifact, &artifact);
        handed_on.push(PHASE.0, artifact);
    }
    drop(trainer);
    generate(settings, section, &handed_on, &cx, seen)?;
    export::<T>(section, &handed_on, &cx, seen)
}

fn see_plan<T: Trainer>(trainer: &T, seen: &mut Observed) -> Result<()> {
    seen.see(Part::Schedule, "", &serde_json::to_value(trainer.schedule())?);
    seen.see(Part::Forecast, "", &serde_json::to_value(trainer.forecast())?);
    seen.see(Part::Fact, "", &trainer.facts().into());
    Ok(())
}

/// Some steps with evaluations after the first and the last, and the state that they lead to.
fn train<T: Trainer>(
    trainer: &mut T,
    n_steps: u64,
    cx: &PhaseContext,
    seen: &mut Observed,
) -> Result<()> {
    for step in 0..n_steps {
        let report = trainer.step(step, cx)?;
        seen.see(Part::Step, &format!("{step}.loss"), &exact(report.loss));
        seen.see(Part::Step, &format!("{step}.units"), &report.units.into());
        for (name, value) in report.metrics {
            seen.see(Part::Step, &format!("{step}.{name}"), &exact(value));
        }
        if step + 1 == n_steps {
            evaluate(trainer, Evaluation::Final, cx, seen)?;
        } else if step == 0 {
            evaluate(trainer, Evaluation::Periodic, cx, seen)?;
        }
    }
    see_state(trainer, seen)
}

fn evaluate<T: Trainer>(
    trainer: &mut T,
    when: Evaluation,
    cx: &PhaseContext,
    seen: &mut Observed,
) -> Result<()> {
    let prefix = format!("{when:?}").to_lowercase();
    for (name, value) in trainer.evaluate(when, cx)? {
        seen.see(Part::Evaluation, &format!("{prefix}.{name}"), &exact(value));
    }
    Ok(())
}

fn see_state<T: Trainer>(trainer: &mut T, seen: &mut Observed) -> Result<()> {
    let state = StateDict::save(trainer)?;
    for (name, tensor) in &state.tensors {
        seen.see(Part::Tensor, name, &of_tensor(tensor));
    }
    for (name, value) in &state.values {
        seen.see(Part::State, name, value);
    }
    Ok(())
}

fn generate<T: Trainer>(
    settings: &Settings<T>,
    section: &Value,
    given: &Artifacts,
    cx: &PhaseContext,
    seen: &mut Observed,
) -> Result<()> {
    if !T::CAPABILITIES.contains(&capability::GENERATE) {
        return Ok(());
    }
    let mut generator = T::text_generator(&config::<T>(section)?, given, cx)?;
    for (i, request) in settings.requests.iter().enumerate() {
        let reply = generator.generate(request, cx)?;
        seen.see(Part::Text, &format!("reply {i}"), &serde_json::to_value(reply)?);
    }
    Ok(())
}

/// Every export of the trainer; one that can't be made shows that.
fn export<T: Trainer>(
    section: &Value,
    given: &Artifacts,
    cx: &PhaseContext,
    seen: &mut Observed,
) -> Result<()> {
    let formats = T::CAPABILITIES.iter().filter_map(|name| name.strip_prefix(capability::EXPORT));
    for format in formats {
        let scratch = Scratch::new()?;
        let directory = scratch.0.display().to_string();
        let request = ExportRequest { format: format.to_owned(), directory };
        match T::export(&config::<T>(section)?, given, &request, cx) {
            Ok(()) => see_files(&scratch.0, format, seen)?,
            Err(error) => seen.see(Part::Export, format, &error.code.into()),
        }
    }
    Ok(())
}

fn see_artifact(seen: &mut Observed, part: Part, artifact: &Artifact) {
    seen.see(
        part,
        &artifact.name,
        &json!({ "kind": artifact.kind, "settings": artifact.settings }),
    );
    for (name, tensor) in &artifact.tensors {
        seen.see(Part::Tensor, &format!("{} {name}", artifact.name), &of_tensor(tensor));
    }
}

fn see_files(directory: &Path, name: &str, seen: &mut Observed) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let below = format!("{name}/{}", path.file_name().unwrap_or_default().display());
        if path.is_dir() {
            see_files(&path, &below, seen)?;
        } else {
            seen.see(Part::Export, &below, &digest(&fs::read(&path)?).into());
        }
    }
    Ok(())
}

/// All bits of a number; JSON has no NaN.
fn exact(number: f64) -> Value {
    format!("{number:?}").into()
}

fn of_tensor(tensor: &TensorHandle) -> Value {
    format!("{tensor:?} {}", digest(&tensor.to_bytes())).into()
}

/// Tells contents apart; quick also where nothing is optimised.
fn digest(bytes: &[u8]) -> String {
    let mix =
        |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let word = |chunk: &[u8]| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let chunks = bytes.chunks_exact(8);
    let rest = word(chunks.remainder());
    let whole = chunks.fold(0, |hash, chunk| match chunk.try_into() {
        Ok(chunk) => mix(hash, u64::from_le_bytes(chunk)),
        Err(_) => hash,
    });
    format!("{:016x}", mix(mix(whole, rest), bytes.len() as u64))
}

/// An empty directory that is removed when it is done with.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sdk-testing-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind lies among temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
