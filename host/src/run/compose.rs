//! From a request to phases that are created, checked and ready to be prepared.
//!
//! Everything that can be known to be wrong before the first step is found here, for all phases
//! at once, and nothing is written.

use std::env;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sdk::{DeviceContext, PhaseDescription};
use serde_json::{Map, Value};

use super::services::StreamServices;
use super::{Interrupt, RunError, device, initial};
use crate::config::{
    Catalogue, ConfigError, ConfigErrors, KnownPhase, Plan, PlannedPhase, PluginProfile, Request,
    VERSION_KEY, survey,
};
use crate::events::EventStream;
use crate::registry::{
    HostServices, PhaseClient, PhaseSpec, Registry, SharedArtifact, user_config_dir,
};

/// A plan whose phases exist.
pub struct Composed {
    /// The plan.
    pub plan: Plan,
    /// Where it computes.
    pub device: DeviceContext,
    /// Why there, when that was for the host to choose and isn't plain.
    pub device_note: Option<String>,
    /// What the phases start from, before the first one hands anything on.
    pub initial: Vec<SharedArtifact>,
    /// The phases, in order.
    pub phases: Vec<ComposedPhase>,
    /// Where the plugins' words go, once the run has a stream.
    pub stream: Arc<OnceLock<Arc<EventStream>>>,
    /// Whether the run was asked to stop.
    pub interrupt: Interrupt,
}

/// One phase, created and checked.
pub struct ComposedPhase {
    /// Its name in the pipeline.
    pub name: String,
    /// What its plugin says of it.
    pub description: PhaseDescription,
    /// Its section, with all defaults.
    pub section: Value,
    /// The phase itself.
    pub client: PhaseClient,
    /// What it tells, on its way to the stream.
    pub services: Arc<StreamServices>,
}

/// Directories with profiles, lowest precedence first.
pub fn profile_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Ok(executable) = env::current_exe().and_then(std::fs::canonicalize) {
        // Beside the executable, and for a build in a checkout beside `target/`.
        let ancestors = executable.ancestors().skip(1).take(3);
        let found = ancestors.map(|dir| dir.join("configs")).find(|dir| dir.is_dir());
        dirs.extend(found);
    }
    dirs.extend(user_config_dir().map(|dir| dir.join("profiles")));
    dirs.extend(env::var_os("HOST_CONFIG_PATH").iter().flat_map(env::split_paths));
    dirs.push(PathBuf::from("configs"));
    let mut seen = std::collections::BTreeSet::new();
    dirs.retain(|dir| {
        dir.is_dir() && seen.insert(std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone()))
    });
    dirs
}

/// What the registry's plugins offer to configuration.
pub fn catalogue(registry: &Registry) -> Catalogue {
    let mut catalogue = Catalogue { profile_dirs: profile_dirs(), ..Catalogue::default() };
    for (plugin, phase) in registry.phases() {
        catalogue.phases.push(KnownPhase {
            phase: phase.phase.clone(),
            plugin: plugin.name.clone(),
            schema: phase.schema.clone(),
            defaults: phase.defaults.clone(),
            version: phase.section_version,
            changes: phase.changes.clone(),
            amp_dtypes: phase.amp_dtypes.clone(),
        });
        catalogue.plugin_profiles.extend(phase.profiles.iter().map(|profile| PluginProfile {
            plugin: plugin.name.clone(),
            name: profile.name.clone(),
            text: profile.text.clone(),
        }));
    }
    catalogue
}

/// Resolves the request, creates every phase and has each check its section.
///
/// # Errors
/// With every fault that was found in any phase.
pub fn compose(
    request: &Request,
    registry: &Registry,
    interrupt: &Interrupt,
) -> Result<Composed, RunError> {
    let catalogue = catalogue(registry);
    let (plan, mut errors) = match survey(request, &catalogue) {
        (Some(plan), errors) => (plan, errors),
        (None, errors) => return Err(explain_missing(ConfigErrors(errors), registry)),
    };
    let described: Vec<_> =
        plan.phases.iter().filter_map(|phase| Some(registry.find(&phase.phase)?.1)).collect();
    let (device, device_note) = device::context(&plan.global, &described);
    let mut composed = Composed {
        device,
        device_note,
        initial: Vec::new(),
        phases: Vec::new(),
        stream: Arc::default(),
        interrupt: interrupt.clone(),
        plan,
    };
    if !errors.is_empty() {
        let mut found = faults_before_the_first(&errors, &composed, registry);
        found.append(&mut errors);
        return Err(explain_missing(ConfigErrors(found), registry));
    }
    match initial(&composed.plan, &catalogue) {
        Ok(artifacts) => composed.initial = artifacts,
        Err(more) => errors.extend(more),
    }
    // A plugin that can't use such a device says so below, and that goes first.
    if described.iter().all(|phase| phase.devices.contains(&composed.device.kind)) {
        errors.extend(device::absence(&composed.plan, &composed.device));
    }
    let mut upstream = composed.initial.clone();
    for planned in composed.plan.phases.clone() {
        match compose_phase(&composed, &planned, registry, &mut upstream) {
            Ok(phase) => composed.phases.push(phase),
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(composed) } else { Err(RunError::Config(ConfigErrors(errors))) }
}

/// What plugins find in the sections before the first that has errors already: one look shows them
/// too. Behind it nothing can be said, since what that phase would hand on isn't known.
fn faults_before_the_first(
    errors: &[ConfigError],
    composed: &Composed,
    registry: &Registry,
) -> Vec<ConfigError> {
    let section = |error: &ConfigError| error.key.split('.').next().unwrap_or_default().to_owned();
    let faulty: Vec<String> = errors.iter().map(section).collect();
    let planned = composed.plan.phases.clone();
    let is_section = |name: &String| planned.iter().any(|phase| phase.name == *name);
    if !faulty.iter().all(is_section) || composed.plan.global.init_from.is_some() {
        return Vec::new();
    }
    let mut upstream = Vec::new();
    let sound = planned.iter().take_while(|phase| !faulty.contains(&phase.name));
    let found = sound.map(|phase| compose_phase(composed, phase, registry, &mut upstream));
    found.filter_map(Result::err).flatten().collect()
}

/// What `global.init_from` names.
fn initial(plan: &Plan, catalogue: &Catalogue) -> Result<Vec<SharedArtifact>, Vec<ConfigError>> {
    let Some(wanted) = &plan.global.init_from else { return Ok(Vec::new()) };
    let refuse = |message: &str, help: Option<&str>| {
        vec![plan.section_error("global", "init_from", message, help)]
    };
    let mut artifacts = initial::load(plan.global.output_dir.as_ref(), wanted)
        .map_err(|e| refuse(&e.message, e.help.as_deref()))?;
    for artifact in &mut artifacts {
        initial::bring_to_today(artifact, catalogue).map_err(|errors| {
            errors.0.iter().flat_map(|e| refuse(&e.message, e.help.as_deref())).collect::<Vec<_>>()
        })?;
    }
    Ok(artifacts)
}

fn compose_phase(
    composed: &Composed,
    planned: &PlannedPhase,
    registry: &Registry,
    upstream: &mut Vec<SharedArtifact>,
) -> Result<ComposedPhase, Vec<ConfigError>> {
    let plan = &composed.plan;
    let located = |e: &sdk::Error| {
        let path = e.path.as_deref().unwrap_or_default();
        plan.section_error(&planned.name, path, &e.message, e.help.as_deref())
    };
    let one = |e: sdk::Error| vec![located(&e)];
    let Some((_, description)) = registry.find(&planned.phase) else {
        let message = format!("no plugin registers phase `{}`", planned.phase);
        return Err(vec![ConfigError::new("config::unknown_phase", message)]);
    };
    let services = StreamServices::new(&planned.name, &composed.stream, &composed.interrupt);
    let services = Arc::new(services);
    let spec = PhaseSpec {
        name: &planned.name,
        section: &planned.section,
        seed: plan.global.seed,
        device: &composed.device,
        services: Arc::clone(&services) as Arc<dyn HostServices>,
    };
    let client = registry.create(&planned.phase, &spec).map_err(one)?;
    let mut errors = device::refusals(plan, &composed.device, description);
    errors.extend(client.check(upstream).map_err(one)?.iter().map(located));
    upstream.extend(client.promises(upstream).map_err(one)?);
    if !errors.is_empty() {
        return Err(errors);
    }
    let section = client.resolved().map_err(one)?;
    let description = description.clone();
    Ok(ComposedPhase { name: planned.name.clone(), description, section, client, services })
}

/// A phase may be unknown because its plugin was refused or clashes with another: say so.
fn explain_missing(mut errors: ConfigErrors, registry: &Registry) -> RunError {
    let refused = registry.refused.iter();
    let refused = refused.map(|r| format!("{}: {}", r.path.display(), r.reason));
    let reasons: Vec<String> = registry.conflicts.iter().cloned().chain(refused).collect();
    for error in &mut errors.0 {
        let is_named = |conflict: &&String| {
            let phase = conflict.split('`').nth(1).unwrap_or_default();
            error.message.contains(&format!("`{phase}`"))
        };
        match error.code {
            "config::unknown_phase" => {
                if let Some(conflict) = registry.conflicts.iter().find(is_named) {
                    error.message.clone_from(conflict);
                    error.expected = None;
                    error.help = Some("leave one of the two on the plugin path".to_owned());
                } else if !reasons.is_empty() {
                    error.help = Some(format!("not used: {}", reasons.join("; ")));
                }
            }
            "config::no_phase" if !reasons.is_empty() => {
                let help = error.help.take().map(|help| format!("{help}; ")).unwrap_or_default();
                error.help = Some(format!("{help}not used: {}", reasons.join("; ")));
            }
            _ => {}
        }
    }
    RunError::Config(errors)
}

impl Composed {
    /// Every setting, resolved: a configuration in the sectioned form that resolves to the same.
    pub fn settings(&self) -> Map<String, Value> {
        let mut settings = Map::new();
        let global = serde_json::to_value(&self.plan.global).unwrap_or_default();
        settings.insert("global".to_owned(), global);
        let names: Vec<Value> = self.phases.iter().map(|p| p.name.as_str().into()).collect();
        settings.insert("phases".to_owned(), names.into());
        for phase in &self.phases {
            let mut section = phase.section.clone();
            if phase.name != phase.description.phase
                && let Some(map) = section.as_object_mut()
            {
                map.insert("phase".to_owned(), phase.description.phase.as_str().into());
            }
            settings.insert(phase.name.clone(), section);
        }
        settings
    }

    /// What `resolved_settings.json` holds: every value, and where it came from.
    pub fn resolved_settings(&self) -> Value {
        let mut settings = self.settings();
        // The number of threads decides the last bits: keep the one that is used.
        settings["global"]["threads"] = self.device.threads.into();
        for phase in &self.phases {
            // A newer plugin brings the section to its own version when the run goes on.
            settings[&phase.name][VERSION_KEY] = phase.description.section_version.into();
        }
        serde_json::json!({
            "schema": 1,
            "profile": self.plan.profile.name,
            "source": self.plan.source,
            "settings": settings,
            "origins": self.origins(&settings),
        })
    }

    /// Where every value of the settings came from, in the form of the settings.
    fn origins(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        let of_document = || Value::from(self.plan.document_origin());
        let origins = settings.iter().map(|(name, section)| {
            if !section.is_object() {
                return (name.clone(), of_document());
            }
            let mut origins = self.plan.origins(name, section);
            // This key the host has put in itself.
            if let Some(phase) = origins.get_mut("phase") {
                *phase = of_document();
            }
            (name.clone(), origins.into())
        });
        origins.collect()
    }
}
