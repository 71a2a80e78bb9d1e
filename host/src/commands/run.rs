//! `host run`: resolves, runs, and sums up.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::selection::discover;
use super::{STOPPED, note, print};
use crate::cli::{Run, Selection};
use crate::progress::{self, Progress};
use crate::registry::Registry;
use crate::run::{
    Interrupt, Outcome, Resume, RunError, Status, catalogue, compose, find_run, run,
    settings_today, stored_settings,
};

pub(super) fn exec(args: Run) -> Result<u8, RunError> {
    if args.list_profiles {
        let phase = args.selection.phase;
        return super::profiles::exec(crate::cli::Profiles::List { phase, json: false });
    }
    if args.dry_run {
        return super::dry_run::exec(&args);
    }
    let resume = match args.resume.as_deref() {
        None => Resume::Fresh,
        Some("auto") => Resume::Auto,
        Some(run) => Resume::Run(run.to_owned()),
    };
    let interrupt = Interrupt::install()?;
    let registry = discover();
    // Settings of a run that goes on without a profile come from its directory.
    let stored = StoredSettings::of(&args.selection, &resume, &registry)?;
    let (selection, resume) = match &stored {
        Some(stored) => (&stored.selection, Resume::Run(stored.run.display().to_string())),
        None => (&args.selection, resume),
    };
    let composed = compose(&selection.request(), &registry, &interrupt)?;
    if let Some(said) = &composed.device_note {
        note(&format!("note: {said}"));
    }
    let readers = progress::reader(args.progress).into_iter().collect();
    let outcome = run(composed, &registry, &resume, readers)?;
    match outcome.status {
        Status::Stopped => {
            note(&format!("stopped; what is done is in {}", outcome.directory.display()));
            note("help: run the same command with `--resume` to go on");
            Ok(STOPPED)
        }
        Status::Done => {
            if args.progress != Progress::Json {
                print(&summary(&outcome))?;
            }
            Ok(0)
        }
    }
}

/// The settings of a run's directory, as a file that the configuration can read.
struct StoredSettings {
    run: PathBuf,
    selection: Selection,
    _file: TemporaryFile,
}

struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl StoredSettings {
    fn of(
        selection: &Selection,
        resume: &Resume,
        registry: &Registry,
    ) -> Result<Option<Self>, RunError> {
        let Resume::Run(wanted) = resume else { return Ok(None) };
        if !selection.is_empty() {
            return Ok(None);
        }
        let from_environment = std::env::var("HOST_OUTPUT_DIR").ok();
        let output_dir = selection.output_dir.clone().or(from_environment);
        let run = find_run(output_dir.as_deref().unwrap_or("runs").as_ref(), wanted)?;
        let mut settings = stored_settings(&run)?["settings"].take();
        settings_today(&mut settings, &catalogue(registry)).map_err(RunError::Config)?;
        // How far an attempt was to go is no part of what the run is.
        if let Some(global) = settings["global"].as_object_mut() {
            global.remove("max_steps");
        }
        let path = std::env::temp_dir().join(format!("host-resume-{}.json", std::process::id()));
        crate::atomic_write::write(&path, settings.to_string().as_bytes())?;
        let selection = Selection { config: Some(path.clone()), ..selection.clone() };
        Ok(Some(Self { run, selection, _file: TemporaryFile(path) }))
    }
}

/// What a user wants to know at the end: losses, where the run lies, and how to try the model.
fn summary(outcome: &Outcome) -> String {
    let mut text = String::new();
    let width = outcome.phases.iter().map(|phase| phase.name.len()).max().unwrap_or(0);
    for phase in &outcome.phases {
        let shown = phase.values.iter().filter(|(name, _)| {
            name.as_str() == "train/loss" || (name.starts_with("val/") && *name != "val/best")
        });
        let shown: Vec<String> =
            shown.map(|(name, value)| format!("{name} {}", progress::number(*value))).collect();
        let steps = progress::with_commas(phase.steps as i64);
        let _ = writeln!(text, "{:<width$}  {steps} steps · {}", phase.name, shown.join(" · "));
    }
    let run = outcome.directory.display();
    let _ = writeln!(text, "run: {run}");
    let generating = outcome
        .phases
        .iter()
        .rfind(|phase| phase.capabilities.iter().any(|c| c == sdk::capability::GENERATE));
    if let Some(phase) = generating {
        let prompt = phase.example_prompt.as_deref().unwrap_or("PROMPT");
        let program = std::env::args().next().unwrap_or_else(|| "host".to_owned());
        let _ = writeln!(text, "try it: {program} generate --run {run} {}", shell_quoted(prompt));
        let _ = writeln!(text, "talk to it: {program} chat --run {run}");
    }
    text
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
