//! A finished phase of a run, opened again to be asked for text or exported.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sdk::{DeviceContext, PhaseDescription};
use serde_json::Value;

use crate::cli::TrainedRun;
use crate::registry::{HostServices, PhaseClient, PhaseSpec, Registry, SharedArtifact};
use crate::run::{
    PhaseDirectory, RunError, catalogue, find_run, read_finished, settings_today, stored_settings,
};

/// A finished phase that can do what is wanted of it.
pub(super) struct Trained {
    /// The run's directory.
    pub(super) run: PathBuf,
    /// The phase's name in the pipeline.
    pub(super) name: String,
    /// What it handed on.
    pub(super) artifacts: Vec<SharedArtifact>,
    phase: String,
    plugin: String,
    section: Value,
}

impl Trained {
    /// The phase asked for, or the last finished one whose plugin `can` do what is wanted;
    /// `wanted` says it in the words of "no finished phase can …".
    pub(super) fn find(
        args: &TrainedRun,
        registry: &Registry,
        can: impl Fn(&PhaseDescription) -> bool,
        wanted: &str,
    ) -> Result<Self, RunError> {
        let run = find_run(&args.output_dir, &args.run)?;
        let mut settings = stored_settings(&run)?["settings"].take();
        settings_today(&mut settings, &catalogue(registry)).map_err(RunError::Config)?;
        let settings = &settings;
        let names: Vec<&str> =
            settings["phases"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some(phase) = args.phase.as_deref().filter(|phase| !names.contains(phase)) {
            let message = format!("the run has no phase `{phase}`; it has: {}", names.join(", "));
            return Err(RunError::Usage { message, help: None });
        }
        let is_asked_for = |name: &str| args.phase.as_deref().is_none_or(|phase| phase == name);
        for (i, name) in names.iter().enumerate().rev().filter(|(_, name)| is_asked_for(name)) {
            let found = Self::read(&run, i + 1, name, settings, registry, &can)?;
            if let Some(trained) = found {
                return Ok(trained);
            }
        }
        let message = format!("no finished phase of `{}` can {wanted}", run.display());
        Err(RunError::usage(message, "let the run finish: `host run --resume`"))
    }

    fn read(
        run: &Path,
        number: usize,
        name: &str,
        settings: &Value,
        registry: &Registry,
        can: impl Fn(&PhaseDescription) -> bool,
    ) -> Result<Option<Self>, RunError> {
        let mut section = settings[name].clone();
        let own = section.as_object_mut().and_then(|map| map.remove("phase"));
        let phase = own.as_ref().and_then(Value::as_str).unwrap_or(name).to_owned();
        let Some((plugin, description)) = registry.find(&phase) else { return Ok(None) };
        if !can(description) {
            return Ok(None);
        }
        let directory = PhaseDirectory::new(run, number, name);
        let finished = read_finished(&directory.artifacts())?;
        Ok(finished.map(|(_, artifacts)| Self {
            run: run.to_owned(),
            name: name.to_owned(),
            artifacts,
            phase,
            plugin: plugin.name.clone(),
            section,
        }))
    }

    /// The phase's object in its plugin.
    pub(super) fn open(
        &self,
        registry: &Registry,
        services: Arc<dyn HostServices>,
    ) -> Result<PhaseClient, RunError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let device = DeviceContext { threads, ..DeviceContext::default() };
        let spec = PhaseSpec {
            name: &self.name,
            section: &self.section,
            // Nothing that is asked of a finished phase draws from the run's generators.
            seed: 0,
            device: &device,
            services,
        };
        registry.create(&self.phase, &spec).map_err(|e| self.failed("while opening", e))
    }

    /// An error of the plugin, with where it came from.
    pub(super) fn failed(&self, place: &str, error: sdk::Error) -> RunError {
        RunError::Phase {
            phase: self.name.clone(),
            plugin: self.plugin.clone(),
            place: place.to_owned(),
            error: Box::new(error),
        }
    }
}
