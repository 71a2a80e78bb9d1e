//! Which run to go on with.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::RunError;
use super::artifacts::read_finished;
use super::directory::find_run;
use crate::atomic_write::at;
use crate::config::compare;
use crate::config::{Catalogue, ConfigErrors, upgrade_stored};

/// What `--resume` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Not given: a new run.
    Fresh,
    /// `auto`: the newest unfinished run of the same profile, or a new one.
    Auto,
    /// `last`, a run's name, or a path.
    Run(String),
}

impl Resume {
    /// The directory to go on with, `None` for a new run.
    ///
    /// # Errors
    /// When the run that was asked for is not there.
    pub(super) fn target(
        &self,
        output_dir: &Path,
        settings: &Value,
    ) -> Result<Option<PathBuf>, RunError> {
        match self {
            Self::Fresh => Ok(None),
            Self::Auto => Ok(unfinished(output_dir, settings)),
            Self::Run(wanted) => find_run(output_dir, wanted).map(Some),
        }
    }
}

/// The newest run of the same source that has a phase to begin or to go on with.
fn unfinished(output_dir: &Path, settings: &Value) -> Option<PathBuf> {
    let mut runs: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(output_dir)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let stored = stored_settings(&path).ok()?;
            let is_same = stored["source"] == settings["source"];
            let phases = stored["settings"]["phases"].as_array()?;
            let is_finished = phases.iter().enumerate().all(|(i, name)| {
                let name = name.as_str().unwrap_or_default();
                let phase = super::PhaseDirectory::new(&path, i + 1, name);
                read_finished(&phase.artifacts())
                    .is_ok_and(|found| found.is_some_and(|(record, _)| !record.is_cut_short()))
            });
            let started =
                fs::metadata(path.join("resolved_settings.json")).ok()?.modified().ok()?;
            (is_same && !is_finished).then_some((started, path))
        })
        .collect();
    runs.sort();
    runs.pop().map(|(_, path)| path)
}

/// `resolved_settings.json` of a run.
///
/// # Errors
/// With the path.
pub fn stored_settings(run: &Path) -> Result<Value, RunError> {
    let path = run.join("resolved_settings.json");
    let text = fs::read(&path).map_err(at("reading", &path))?;
    serde_json::from_slice(&text)
        .map_err(|e| RunError::Record(format!("`{}` is damaged: {e}", path.display())))
}

/// Brings the sections of a run's stored settings to the versions that their plugins have today.
///
/// # Errors
/// When one is of a newer version, or has a setting that is gone and meant something.
pub fn settings_today(settings: &mut Value, catalogue: &Catalogue) -> Result<(), ConfigErrors> {
    let sections = settings.as_object_mut().into_iter().flatten();
    for (name, section) in sections.filter(|(name, _)| *name != "global") {
        today(section, name, catalogue)?;
    }
    Ok(())
}

/// Brings one stored section to today's version, and takes the version out.
pub(super) fn today(
    section: &mut Value,
    name: &str,
    catalogue: &Catalogue,
) -> Result<(), ConfigErrors> {
    let phase = section.get("phase").and_then(Value::as_str).unwrap_or(name);
    if let Some(known) = catalogue.phase(phase).filter(|_| section.is_object()) {
        *section = upgrade_stored(section, name, known)?;
    }
    Ok(())
}

/// Dotted keys of sections whose values differ between two settings; the `global` block may
/// differ in what has no say in the result.
pub(super) fn differences(old: &Value, new: &Value) -> Vec<String> {
    let harmless =
        ["global.output_dir", "global.run_name", "global.max_steps", "global.keep_checkpoints"];
    compare(old, new)
        .into_iter()
        // What a newer host or plugin has added, and is null, an older run did without.
        .filter(|found| found.a.clone().unwrap_or_default() != found.b.clone().unwrap_or_default())
        .map(|found| found.key)
        .filter(|key| !harmless.contains(&key.as_str()))
        .collect()
}
