//! `host plugins check`: whether a plugin keeps what the host relies on.
//!
//! The checks of a trainer are those of the SDK's test kit; here they run on a library, in a process of
//! its own, so that a crash is an answer.

mod process;

use std::path::Path;

use sdk::PhaseDescription;
use sdk::testing::{Finding, Level, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{ConfigErrors, Request, check_text, list_profiles, resolve};
use crate::registry::{Plugin, Registry, check_file};
use crate::run::{Interrupt, RunError, catalogue};

pub use process::perform;

/// What is checked of a trainer, as it goes to the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) file: std::path::PathBuf,
    pub(crate) plugin: String,
    pub(crate) phase: String,
    pub(crate) section: Value,
    pub(crate) threads: usize,
}

/// One trainer of a library, checked.
#[derive(Clone, Debug)]
pub struct CheckedPhase {
    /// Its phase.
    pub phase: String,
    /// Where its section came from: a profile, a file, or the defaults.
    pub section_from: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// A library, checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What was found of the file.
    pub file: Vec<Finding>,
    /// Of each trainer; none when the file can't be loaded.
    pub phases: Vec<CheckedPhase>,
    /// The plugin's name and version, when they are known.
    pub plugin: Option<(String, String)>,
    /// The level that all trainers reach.
    pub level: Option<Level>,
}

impl Checked {
    /// Everything that was found.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.file.iter().chain(self.phases.iter().flat_map(|phase| &phase.findings))
    }

    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        !self.findings().any(|finding| matches!(finding.outcome, Outcome::Failed(_)))
    }
}

/// A check of one library.
pub struct Check<'a> {
    /// The library.
    pub file: &'a Path,
    /// With which sections; without a profile or a file each trainer is checked with a profile `smoke…`
    /// that has it alone, or else with its defaults.
    pub request: &'a Request,
    /// Threads that a trainer may keep busy.
    pub threads: usize,
    /// Whether the user has had enough.
    pub interrupt: &'a Interrupt,
}

/// Hears of each finding as it comes, with the phase that it is about; of the file itself with none.
type Hear<'a> = &'a mut dyn FnMut(&str, &Finding);

impl Check<'_> {
    /// Does it.
    ///
    /// # Errors
    /// When the configuration is faulty, or the run was asked to stop. What is wrong with the plugin is
    /// no error.
    pub fn run(&self, on_finding: Hear<'_>) -> Result<Checked, RunError> {
        let (found, registry) = check_file(self.file);
        found.iter().for_each(|finding| on_finding("", finding));
        let mut checked = Checked { file: found, phases: Vec::new(), plugin: None, level: None };
        let Some(registry) = registry else { return Ok(checked) };
        for plugin in &registry.plugins {
            checked.plugin = Some((plugin.name.clone(), plugin.version.clone()));
            for phase in &plugin.phases {
                checked.phases.push(self.phase(plugin, phase, &registry, on_finding)?);
            }
        }
        let level = |phase: &CheckedPhase| {
            let all: Vec<Finding> = checked.file.iter().chain(&phase.findings).cloned().collect();
            Level::reached(&all)
        };
        checked.level = checked.phases.iter().map(level).min().flatten();
        registry.keep_level(checked.level.map(|level| level.to_string()).as_deref());
        Ok(checked)
    }

    fn phase(
        &self,
        plugin: &Plugin,
        phase: &PhaseDescription,
        registry: &Registry,
        on_finding: Hear<'_>,
    ) -> Result<CheckedPhase, RunError> {
        let name = phase.phase.as_str();
        let mut findings = Vec::new();
        let mut add = |finding: Finding| {
            on_finding(name, &finding);
            findings.push(finding);
        };
        let about = "its schema is a JSON Schema that the defaults keep to";
        add(of_text("schema-valid", about, schema(phase)));
        add(of_text("profiles", "the profiles that it carries can be read", profiles(phase)));
        let (section, section_from) = section(phase, registry, self.request)?;
        let task = Task {
            file: self.file.to_owned(),
            plugin: plugin.name.clone(),
            phase: name.to_owned(),
            section,
            threads: self.threads,
        };
        process::run(&task, self.interrupt, &mut add)?;
        Ok(CheckedPhase { phase: name.to_owned(), section_from, findings })
    }
}

fn of_text(check: &str, about: &str, result: Result<Option<String>, String>) -> Finding {
    let outcome = result.map_or_else(Outcome::Failed, Outcome::Passed);
    let (check, about) = (check.to_owned(), about.to_owned());
    Finding { check, level: Level::Conformant, about, outcome }
}

fn schema(phase: &PhaseDescription) -> Result<Option<String>, String> {
    jsonschema::meta::validate(&phase.schema).map_err(|e| e.to_string())?;
    let validator = jsonschema::validator_for(&phase.schema).map_err(|e| e.to_string())?;
    if phase.defaults.is_null() {
        return Ok(Some("some keys have no default".to_owned()));
    }
    let error = validator.iter_errors(&phase.defaults).next();
    match error {
        Some(e) => Err(format!("the default at `{}`: {e}", e.instance_path())),
        None => Ok(None),
    }
}

fn profiles(phase: &PhaseDescription) -> Result<Option<String>, String> {
    for profile in &phase.profiles {
        let read = profile.text.parse::<toml::Table>();
        read.map_err(|e| format!("profile `{}`: {}", profile.name, e.message()))?;
    }
    Ok((!phase.profiles.is_empty()).then(|| format!("{} profiles", phase.profiles.len())))
}

/// What a trainer is checked with, and where that is from.
fn section(
    phase: &PhaseDescription,
    registry: &Registry,
    request: &Request,
) -> Result<(Value, String), RunError> {
    let catalogue = catalogue(registry);
    let name = &phase.phase;
    let mut request = request.clone();
    if request.profile.is_none() && request.file.is_none() {
        let smoke = list_profiles(&catalogue).into_iter().find(|entry| {
            let is_alone = entry.phases == [name.clone()];
            is_alone && entry.status.is_ok() && entry.info.name.starts_with("smoke")
        });
        request.profile = smoke.map(|entry| entry.info.name);
    }
    let (plan, from) = match (&request.profile, &request.file) {
        (Some(profile), _) => (resolve(&request, &catalogue), format!("profile `{profile}`")),
        (None, Some(file)) => (resolve(&request, &catalogue), format!("`{}`", file.display())),
        (None, None) if phase.defaults.is_null() && request.overrides.is_empty() => {
            let message = format!("phase `{name}` has keys without a default");
            return Err(RunError::usage(message, "name a configuration with `--config FILE`"));
        }
        (None, None) => {
            let text = format!("phases = [\"{name}\"]\n[{name}]\n");
            (check_text(&text, "toml", &request, &catalogue), "its defaults".to_owned())
        }
    };
    let plan = plan.map_err(RunError::Config)?;
    let planned = plan.phases.into_iter().find(|planned| planned.phase == *name);
    let Some(planned) = planned else {
        let message =
            format!("the configuration has no phase `{name}`, which the plugin registers");
        let error = crate::config::ConfigError::new("config::no_phase", message);
        return Err(RunError::Config(ConfigErrors(vec![error])));
    };
    Ok((planned.section, from))
}
