//! `host plugins …`: what is there, what was refused and why.

use std::fmt::Write as _;
use std::path::Path;

use sdk::{DeviceKind, PhaseDescription};
use serde_json::{Value, json};

use super::{note, print, print_json};
use crate::cli::Plugins;
use crate::config::{KeyBlock, Request, escaped_lines, key_blocks};
use crate::registry::{self, Added, Inspected, Locked, Plugin, Registry, Store, library_name};
use crate::run::RunError;
use crate::scaffold;

pub(super) fn exec(command: Plugins) -> Result<u8, RunError> {
    match command {
        Plugins::List { json } => list(json),
        Plugins::Inspect { plugin, json } => inspect(&plugin, json),
        Plugins::New { name, template, out, sdk } => {
            new(&scaffold::Request { name, template, directory: out, sdk })
        }
        Plugins::Check { file, profile, config, overrides, threads, json } => {
            let overrides = overrides.0;
            let request = Request { profile, file: config, overrides, ..Request::default() };
            super::check::exec(&file, &request, threads, json)
        }
        Plugins::Add { file } => add(&file),
        Plugins::Trust { plugin } => trust(&plugin),
        Plugins::Remove { plugin } => remove(&plugin),
    }
}

/// The process in which a library is examined before any other loads it.
pub(super) fn exec_examination(file: &Path) -> Result<u8, RunError> {
    registry::perform_examination(file)?;
    Ok(0)
}

fn store() -> Result<Store, RunError> {
    let help = "set HOME, or XDG_CONFIG_HOME and XDG_DATA_HOME";
    Store::of_user().ok_or_else(|| RunError::usage("there is no place to install plugins", help))
}

fn add(file: &Path) -> Result<u8, RunError> {
    let store = store()?;
    let added = store.add(file)?;
    let added = added.map_err(|reason| refused(&file.display().to_string(), &reason))?;
    let (plugin, path) = (&added.plugin, store.path(&added.plugin));
    match &added.replaced {
        Some(old) if old.blake3 == plugin.blake3 => {
            note(&format!("`{}` {} is installed already", plugin.name, plugin.version));
        }
        Some(old) => note(&format!(
            "installed `{}` {} in the place of {} of {}",
            plugin.name, plugin.version, old.version, old.added
        )),
        None => note(&format!("installed `{}` {}", plugin.name, plugin.version)),
    }
    warn_of_sections(&added);
    note(&format!("  library: {}", path.display()));
    note(&format!("  blake3: {}", plugin.blake3));
    Ok(0)
}

fn warn_of_sections(added: &Added) {
    for phase in added.changed_silently() {
        note(&format!(
            "warning: the section of phase `{phase}` has other keys than before, under the same version: files of before may not fit it"
        ));
    }
}

fn trust(name: &str) -> Result<u8, RunError> {
    let trusted = store()?.trust(name)?.map_err(|reason| refused(name, &reason))?;
    warn_of_sections(&trusted);
    match &trusted.replaced {
        Some(old) if old.blake3 == trusted.plugin.blake3 => {
            note(&format!("`{name}` has not changed since it was added on {}", old.added));
        }
        _ => {
            let Locked { name, version, blake3, .. } = &trusted.plugin;
            note(&format!("`{name}` {version} is trusted as it is now, {blake3}"));
        }
    }
    Ok(0)
}

fn remove(name: &str) -> Result<u8, RunError> {
    if store()?.remove(name)? {
        note(&format!("removed `{name}`"));
        return Ok(0);
    }
    let help = "`host plugins list` shows where plugins lie; those beside the host and on the plugin path are files of yours";
    Err(RunError::usage(format!("`{name}` is not installed"), help))
}

fn refused(what: &str, reason: &str) -> RunError {
    RunError::Record(format!("refused: {what}: {reason}"))
}

fn new(request: &scaffold::Request) -> Result<u8, RunError> {
    let directory = scaffold::create(request)?;
    let (name, shown) = (&request.name, directory.display());
    let library = format!("{shown}/target/release/{}", library_name(name));
    note(&format!("made the plugin `{name}` in `{shown}`; build it, install it, run it:"));
    note(&format!("  cargo build --release --manifest-path {shown}/Cargo.toml"));
    note(&format!("  host plugins add {library}"));
    note(&format!("  host run --config {shown}/run.toml"));
    Ok(0)
}

/// Exit code 1 says that something on the plugin path is not usable.
fn list(as_json: bool) -> Result<u8, RunError> {
    let registry = Registry::discover();
    if as_json {
        print_json(&registry_json(&registry))?;
    } else {
        print(&escaped_lines(&table(&registry)))?;
        for line in &registry.notes {
            note(&format!("note: {line}"));
        }
        for problem in registry.search.problems.iter().chain(&registry.conflicts) {
            note(&format!("error: {problem}"));
        }
        if registry.plugins.is_empty() {
            let searched: Vec<String> =
                registry.search.directories.iter().map(|d| d.display().to_string()).collect();
            note(&format!("no plugins found in: {}", searched.join(", ")));
            note(
                "help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH",
            );
        }
    }
    let is_clean = registry.refused.is_empty()
        && registry.conflicts.is_empty()
        && registry.search.problems.is_empty();
    Ok(u8::from(!is_clean))
}

fn table(registry: &Registry) -> String {
    let mut text = String::new();
    let names = registry.plugins.iter().map(|plugin| plugin.name.len());
    let width = names.max().unwrap_or(0);
    for plugin in &registry.plugins {
        let phases: Vec<&str> = plugin.phases.iter().map(|phase| phase.phase.as_str()).collect();
        let _ = writeln!(
            text,
            "{:<width$}  {}  phases: {}{}{}  {}",
            plugin.name,
            plugin.version,
            phases.join(", "),
            accelerators(plugin),
            plugin.source.level().map(|level| format!("  level: {level}")).unwrap_or_default(),
            plugin.source
        );
    }
    for refused in &registry.refused {
        let _ = writeln!(text, "refused: {}: {}", refused.path.display(), refused.reason);
    }
    text
}

/// What its trainers compute on, where that isn't the CPU alone, as with nearly all.
fn accelerators(plugin: &Plugin) -> String {
    let on_cpu_alone = |phase: &PhaseDescription| phase.devices == [DeviceKind::Cpu];
    match plugin.phases.iter().find(|phase| !on_cpu_alone(phase)) {
        Some(phase) => format!("  on: {}", devices(phase)),
        None => String::new(),
    }
}

fn devices(phase: &PhaseDescription) -> String {
    let names = phase.devices.iter().map(|device| device.name());
    names.collect::<Vec<_>>().join(", ")
}

fn registry_json(registry: &Registry) -> Value {
    let refused: Vec<Value> = registry
        .refused
        .iter()
        .map(|refused| json!({ "path": refused.path, "reason": refused.reason }))
        .collect();
    json!({
        "schema": 1,
        "plugins": registry.plugins.iter().map(|plugin| plugin_json(plugin, false)).collect::<Vec<_>>(),
        "refused": refused,
        "conflicts": registry.conflicts,
        "notes": registry.notes,
        "searched": registry.search.directories,
        "problems": registry.search.problems,
    })
}

fn plugin_json(plugin: &Plugin, is_whole: bool) -> Value {
    let path = plugin.source.path();
    let phases: Vec<Value> = plugin
        .phases
        .iter()
        .map(|phase| {
            if is_whole {
                return serde_json::to_value(phase).unwrap_or_default();
            }
            json!({
                "phase": phase.phase,
                "capabilities": phase.capabilities,
                "devices": phase.devices,
            })
        })
        .collect();
    json!({
        "name": plugin.name,
        "version": plugin.version,
        "description": plugin.description,
        "source": if path.is_some() { "library" } else { "bundled" },
        "path": path,
        "blake3": plugin.source.blake3(),
        "level": plugin.source.level(),
        "sdk_version": plugin.library.sdk_version,
        "rustc": plugin.library.rustc,
        "target": plugin.library.target,
        "phases": phases,
    })
}

/// Of a file, what it says without being loaded; of a plugin on the plugin path, its keys too.
fn inspect(wanted: &str, as_json: bool) -> Result<u8, RunError> {
    if wanted.contains(std::path::MAIN_SEPARATOR) || Path::new(wanted).is_file() {
        return inspect_file(wanted, as_json);
    }
    let mut registry = Registry::discover();
    registry.plugins.retain(|plugin| plugin.name == wanted);
    if registry.plugins.is_empty() {
        let message = format!("no plugin `{wanted}`");
        return Err(RunError::usage(message, "`host plugins list` shows those that there are"));
    }
    if as_json {
        let plugins: Vec<Value> = registry.plugins.iter().map(|p| plugin_json(p, true)).collect();
        print_json(&json!({ "schema": 1, "plugins": plugins }))?;
    } else {
        for plugin in &registry.plugins {
            print(&escaped_lines(&description(plugin)))?;
        }
    }
    Ok(0)
}

/// Exit code 1 says that this host would not load it.
fn inspect_file(file: &str, as_json: bool) -> Result<u8, RunError> {
    let inspected = registry::inspect(Path::new(file)).map_err(|reason| refused(file, &reason))?;
    let Inspected { records, refusal, blake3 } = &inspected;
    if as_json {
        print_json(&json!({
            "schema": 1,
            "path": file,
            "blake3": blake3,
            "refusal": refusal,
            "trainers": records,
        }))?;
    } else {
        print(&escaped_lines(&records_text(file, &inspected)))?;
        if let Some(reason) = refusal {
            note(&format!("this host does not load it: {reason}"));
        }
    }
    Ok(u8::from(refusal.is_some()))
}

fn records_text(file: &str, inspected: &Inspected) -> String {
    let mut text = String::new();
    let mut last = "";
    for record in &inspected.records {
        if record.plugin != last {
            let _ = writeln!(text, "{} {} — {}", record.plugin, record.version, record.description);
            let _ = writeln!(text, "file: {file}");
            let _ = writeln!(text, "blake3: {}", inspected.blake3);
            let _ = writeln!(
                text,
                "built with: SDK {}, {}, {}, {}, panic = {}",
                record.sdk_version, record.abi, record.rustc, record.target, record.panic
            );
        }
        last = &record.plugin;
        let _ = writeln!(text, "\nphase {}", record.phase);
        let lists = [
            ("computes on", &record.devices),
            ("trains in", &record.dtypes),
            ("mixed precision", &record.amp_dtypes),
            ("capabilities", &record.capabilities),
            ("build", &record.build),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            let _ = writeln!(text, "  {name}: {}", list.join(", "));
        }
        let _ = writeln!(text, "  version of the section: {}", record.section_version);
        let _ = writeln!(text, "  version of the state: {}", record.state_version);
    }
    text
}

fn description(plugin: &Plugin) -> String {
    let library = &plugin.library;
    let mut text = format!("{} {} — {}\n", plugin.name, plugin.version, plugin.description);
    let _ = writeln!(text, "source: {}", plugin.source);
    if let Some(blake3) = plugin.source.blake3() {
        let _ = writeln!(text, "blake3: {blake3}");
    }
    if let Some(level) = plugin.source.level() {
        let _ = writeln!(text, "level: {level}");
    }
    let _ = writeln!(
        text,
        "built with: SDK {}, {}, {}",
        library.sdk_version, library.rustc, library.target
    );
    for phase in &plugin.phases {
        let _ = writeln!(text, "\nphase {}", phase.phase);
        let _ = writeln!(text, "  computes on: {}", devices(phase));
        for (name, version) in &phase.build {
            let _ = writeln!(text, "  {name}: {}", version.as_str().unwrap_or_default());
        }
        if !phase.capabilities.is_empty() {
            let _ = writeln!(text, "  capabilities: {}", phase.capabilities.join(", "));
        }
        for profile in &phase.profiles {
            let _ = writeln!(text, "  carries profile: {}", profile.name);
        }
        let _ = writeln!(text, "  keys, with defaults:");
        for block in key_blocks(&phase.schema, &phase.defaults) {
            write_keys(&mut text, &block);
        }
    }
    text
}

/// One line for each key: dotted path, default, description, what it takes.
fn write_keys(text: &mut String, block: &KeyBlock) {
    let kind = block.when.as_ref().map(|(key, value)| format!(" ({key}: {value})"));
    let kind = kind.unwrap_or_default();
    let prefix = if block.path.is_empty() { String::new() } else { format!("{}.", block.path) };
    for key in block.keys.iter().filter(|key| !key.is_default_in_block) {
        let default = match &key.default {
            _ if key.is_required => " (required)".to_owned(),
            Some(default) => format!(" = {default}"),
            None => String::new(),
        };
        let facts = [&key.takes, &key.limits].into_iter().chain(&key.unit);
        let facts: Vec<&str> = facts.map(String::as_str).filter(|fact| !fact.is_empty()).collect();
        let facts = facts.join(", ").replace('`', "");
        let about = key.about.trim_end_matches('.');
        let _ = writeln!(text, "    {prefix}{}{kind}{default}  {about} ({facts})", key.name);
    }
}
