//! The phases of a run in order, from its directory to its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::artifacts::{self, PhaseRecord, read_finished};
use super::compose::catalogue;
use super::directory::{PhaseDirectory, RunDirectory};
use super::phase_loop::{LoopContext, LoopEnd, PhaseLoop, failed, find_checkpoint};
use super::resume::{Resume, differences, settings_today, stored_settings};
use super::{Composed, ComposedPhase, RunError, environment};
use crate::atomic_write::at;
use crate::events::{Event, EventStream, EventsFile, MetricsFile, Reader};
use crate::registry::{Registry, SharedArtifact};

/// How a run ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All phases are finished.
    Done,
    /// On request, after a complete checkpoint.
    Stopped,
}

/// A run that did not fail.
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Its directory.
    pub directory: PathBuf,
    /// Its finished phases.
    pub phases: Vec<PhaseSummary>,
}

/// What a finished phase came to.
#[derive(Clone, Debug)]
pub struct PhaseSummary {
    /// Its name.
    pub name: String,
    /// What its plugin can do.
    pub capabilities: Vec<String>,
    /// Steps it took.
    pub steps: u64,
    /// The last value of each metric.
    pub values: BTreeMap<String, f64>,
    /// A prompt that shows what the model learned, when its artifacts hold one.
    pub example_prompt: Option<String>,
}

/// Runs all phases. `readers` hear the events besides the run's own files.
///
/// # Errors
/// When the run can't go on. What is complete on disk stands.
pub fn run(
    mut composed: Composed,
    registry: &Registry,
    resume: &Resume,
    readers: Vec<Box<dyn Reader>>,
) -> Result<Outcome, RunError> {
    let settings = composed.resolved_settings();
    let global = composed.plan.global.clone();
    let output_dir = PathBuf::from(&global.output_dir);
    let target = resume.target(&output_dir, &settings)?;
    let mut warnings = composed.plan.warnings.clone();
    let directory = match &target {
        Some(path) => {
            let (mut old, mut new) = (stored_settings(path)?, settings.clone());
            for settings in [&mut old, &mut new] {
                settings_today(&mut settings["settings"], &catalogue(registry))
                    .map_err(RunError::Config)?;
            }
            warnings.extend(check_same(&old, &new)?);
            RunDirectory::open(path)?
        }
        None => RunDirectory::create(&output_dir, global.run_name.as_deref())?,
    };
    let attempt = next_attempt(&directory.path);
    if target.is_none() {
        directory.write_json("resolved_settings.json", &settings)?;
    }
    directory.make_last(&output_dir)?;
    directory.write_json("environment.json", &environment::describe(registry, &composed.device))?;
    let stream = open_stream(&directory, attempt, readers)?;
    let _ = composed.stream.set(Arc::clone(&stream));

    stream.emit(Event::RunStarted {
        host: env!("CARGO_PKG_VERSION").to_owned(),
        phases: composed.phases.iter().map(|phase| phase.name.clone()).collect(),
        directory: directory.path.display().to_string(),
        is_resumed: target.is_some(),
    });
    for message in warnings {
        stream.emit(Event::Warning { message });
    }
    let result = run_phases(&mut composed, &directory, &stream);
    let (status, error) = match &result {
        Ok((Status::Done, _)) => ("done", None),
        Ok((Status::Stopped, _)) => ("stopped", None),
        Err(e) => ("failed", Some(e.to_string())),
    };
    stream.emit(Event::RunFinished { status: status.to_owned(), error });
    let (status, phases) = result?;
    if let Some(e) = stream.failure() {
        return Err(RunError::Record(e));
    }
    Ok(Outcome { status, directory: directory.path, phases })
}

/// Going on with other phases makes no sense; with other settings it is the user's choice.
fn check_same(
    stored: &serde_json::Value,
    settings: &serde_json::Value,
) -> Result<Option<String>, RunError> {
    let (old, new) = (&stored["settings"], &settings["settings"]);
    if old["phases"] != new["phases"] {
        let message =
            format!("the run has other phases: {}, asked for: {}", old["phases"], new["phases"]);
        return Err(RunError::usage(
            message,
            "resume with the profile that the run was started with",
        ));
    }
    let keys = differences(old, new);
    if keys.is_empty() {
        return Ok(None);
    }
    let named: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    Ok(Some(format!(
        "resuming with other settings than the run was started with: {}",
        named.join(", ")
    )))
}

fn open_stream(
    directory: &RunDirectory,
    attempt: u32,
    mut readers: Vec<Box<dyn Reader>>,
) -> Result<Arc<EventStream>, RunError> {
    let open = |name: &str| directory.path.join(name);
    let (events, metrics) = (open("events.jsonl"), open("metrics.jsonl"));
    readers.push(Box::new(EventsFile::open(&events).map_err(at("opening", &events))?));
    readers.push(Box::new(MetricsFile::open(&metrics).map_err(at("opening", &metrics))?));
    Ok(Arc::new(EventStream::new(&directory.name, attempt, readers)))
}

/// Counts the starts of a run by its event file.
fn next_attempt(run: &Path) -> u32 {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap_or_default();
    let starts = text.lines().filter(|line| line.contains(r#""event":"run_started""#)).count();
    u32::try_from(starts).unwrap_or(u32::MAX - 1) + 1
}

fn run_phases(
    composed: &mut Composed,
    directory: &RunDirectory,
    stream: &EventStream,
) -> Result<(Status, Vec<PhaseSummary>), RunError> {
    let mut given: Vec<SharedArtifact> = composed.initial.clone();
    let mut summaries = Vec::new();
    let mut is_stale = false;
    let phases = std::mem::take(&mut composed.phases);
    let of = phases.len();
    for (index, mut phase) in phases.into_iter().enumerate() {
        if composed.interrupt.is_set() {
            return Ok((Status::Stopped, summaries));
        }
        let place = Place {
            composed,
            stream,
            directory,
            phase: directory.phase(index + 1, &phase.name),
            number: index + 1,
            of,
        };
        let finished = if is_stale { None } else { place.finished_phase(&phase)? };
        let (summary, artifacts) = match finished {
            Some((summary, artifacts)) => {
                let (phase, steps) = (summary.name.clone(), summary.steps);
                stream.emit(Event::PhaseSkipped { phase, steps });
                (summary, artifacts)
            }
            None => {
                if is_stale {
                    place.set_aside()?;
                }
                match place.run_phase(&mut phase, &given)? {
                    None => return Ok((Status::Stopped, summaries)),
                    Some(end) => {
                        // What came after an unfinished phase in an earlier attempt is out of date.
                        is_stale = true;
                        end
                    }
                }
            }
        };
        given.extend(artifacts);
        summaries.push(summary);
    }
    Ok((Status::Done, summaries))
}

type PhaseEnd = (PhaseSummary, Vec<SharedArtifact>);

/// One phase's place in the run.
struct Place<'a> {
    composed: &'a Composed,
    stream: &'a EventStream,
    directory: &'a RunDirectory,
    phase: PhaseDirectory,
    number: usize,
    of: usize,
}

impl Place<'_> {
    /// A phase that an earlier attempt finished with at least the steps asked for now.
    fn finished_phase(&self, phase: &ComposedPhase) -> Result<Option<PhaseEnd>, RunError> {
        let Some((record, artifacts)) = read_finished(&self.phase.artifacts())? else {
            return Ok(None);
        };
        let wanted = self.composed.plan.global.max_steps.unwrap_or(u64::MAX);
        if record.is_cut_short() && record.steps < wanted {
            return Ok(None);
        }
        let summary = PhaseSummary::new(phase, record.steps, record.values, &artifacts);
        Ok(Some((summary, artifacts)))
    }

    /// Takes away the record of a phase that an earlier one has overtaken; it begins again.
    fn set_aside(&self) -> Result<(), RunError> {
        let path = &self.phase.path;
        if !path.exists() {
            return Ok(());
        }
        let aside = (1u32..)
            .map(|n| path.with_extension(format!("superseded-{n}")))
            .find(|aside| !aside.exists())
            .unwrap_or_else(|| path.with_extension("superseded"));
        fs::rename(path, &aside).map_err(at("setting aside", path))?;
        Ok(())
    }

    /// `None` when the run was asked to stop.
    fn run_phase(
        &self,
        phase: &mut ComposedPhase,
        given: &[SharedArtifact],
    ) -> Result<Option<PhaseEnd>, RunError> {
        let begin = Instant::now();
        let global = &self.composed.plan.global;
        self.stream.emit(Event::PhaseStarted {
            phase: phase.name.clone(),
            number: self.number,
            of: self.of,
            plugin: phase.description.plugin.clone(),
        });
        let restored = find_checkpoint(&self.phase, self.stream)?;
        let cx = LoopContext {
            stream: self.stream,
            interrupt: &self.composed.interrupt,
            directory: self.phase.clone(),
            run: &self.directory.path,
            max_steps: global.max_steps,
            keep_checkpoints: global.keep_checkpoints,
        };
        let services = Arc::clone(&phase.services);
        let prepared = PhaseLoop::prepare(phase, given, restored, cx);
        services.tell_left_out();
        let prepared = match prepared {
            Err(RunError::Phase { error, .. }) if error.code == sdk::CANCELLED => return Ok(None),
            prepared => prepared?,
        };
        let is_cut_short = prepared.is_cut_short();
        let end = prepared.run();
        services.tell_left_out();
        let (steps, values) = match end? {
            LoopEnd::Stopped => return Ok(None),
            LoopEnd::Done { steps, values } => (steps, values),
        };
        let artifacts =
            phase.client.artifacts().map_err(|e| failed(phase, "while handing on", e))?;
        let record = PhaseRecord::new(&phase.name, steps, is_cut_short, &values);
        self.write_artifacts(record, &artifacts)?;
        self.stream.emit(Event::PhaseFinished {
            phase: phase.name.clone(),
            steps,
            values: values.clone(),
            seconds: begin.elapsed().as_secs_f64(),
        });
        Ok(Some((PhaseSummary::new(phase, steps, values, &artifacts), artifacts)))
    }

    fn write_artifacts(
        &self,
        record: PhaseRecord,
        artifacts: &[SharedArtifact],
    ) -> Result<(), RunError> {
        let directory = self.phase.artifacts();
        let record = artifacts::write(&directory, record, artifacts)?;
        for artifact in &record.artifacts {
            let path = directory.join(format!("{}.json", artifact.name));
            let path = path.strip_prefix(&self.directory.path).unwrap_or(&path);
            self.stream.emit(Event::ArtifactWritten {
                phase: record.phase.clone(),
                name: artifact.name.clone(),
                kind: artifact.kind.clone(),
                path: path.display().to_string(),
                blake3: artifact.digest(),
            });
        }
        Ok(())
    }
}

impl PhaseSummary {
    fn new(
        phase: &ComposedPhase,
        steps: u64,
        values: BTreeMap<String, f64>,
        artifacts: &[SharedArtifact],
    ) -> Self {
        let example = artifacts.iter().find_map(|a| a.settings.get(sdk::EXAMPLE_PROMPT)?.as_str());
        Self {
            name: phase.name.clone(),
            capabilities: phase.description.capabilities.clone(),
            steps,
            values,
            example_prompt: example.map(str::to_owned),
        }
    }
}
