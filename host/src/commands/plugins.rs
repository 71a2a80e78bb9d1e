//! `host plugins …`: what is there, what was refused and why.

use std::fmt::Write as _;
use std::path::Path;

use sdk::{DeviceKind, PhaseDescription};
use serde_json::{Value, json};

use super::{note, print, print_json};
use crate::cli::Plugins;
use crate::config::{KeyBlock, key_blocks};
use crate::registry::{Plugin, Registry, Source};
use crate::run::RunError;
use crate::scaffold::{Request, create};

pub(super) fn exec(command: Plugins) -> Result<u8, RunError> {
    match command {
        Plugins::List { json } => list(json),
        Plugins::Inspect { plugin, json } => inspect(&plugin, json),
        Plugins::New { name, out, sdk } => new(&Request { name, directory: out, sdk }),
    }
}

fn new(request: &Request) -> Result<u8, RunError> {
    let directory = create(request)?;
    let directory = directory.display();
    note(&format!("made the plugin `{}` in `{directory}`; build it, then run it:", request.name));
    note(&format!("  cargo build --release --manifest-path {directory}/Cargo.toml"));
    let path = format!("HOST_PLUGIN_PATH={directory}/target/release");
    note(&format!("  {path} host run --config {directory}/run.toml"));
    Ok(0)
}

/// Exit code 1 says that something on the plugin path is not usable.
fn list(as_json: bool) -> Result<u8, RunError> {
    let registry = Registry::discover();
    if as_json {
        print_json(&registry_json(&registry))?;
    } else {
        print(&table(&registry))?;
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
            "{:<width$}  {}  phases: {}{}  {}",
            plugin.name,
            plugin.version,
            phases.join(", "),
            accelerators(plugin),
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
    let names = phase.devices.iter().map(|device| match device {
        DeviceKind::Cpu => "cpu",
        DeviceKind::Cuda => "cuda",
    });
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
    let (path, blake3) = match &plugin.source {
        Source::Library { path, blake3 } => (Some(path), blake3.hex()),
        Source::Bundled => (None, None),
    };
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
        "blake3": blake3,
        "sdk_version": plugin.library.sdk_version,
        "rustc": plugin.library.rustc,
        "target": plugin.library.target,
        "phases": phases,
    })
}

fn inspect(wanted: &str, as_json: bool) -> Result<u8, RunError> {
    let registry = if wanted.contains(std::path::MAIN_SEPARATOR) || Path::new(wanted).is_file() {
        Registry::from_file(wanted.into())
            .map_err(|reason| RunError::Record(format!("refused: {wanted}: {reason}")))?
    } else {
        let mut registry = Registry::discover();
        registry.plugins.retain(|plugin| plugin.name == wanted);
        registry
    };
    if registry.plugins.is_empty() {
        let message = format!("no plugin `{wanted}`");
        return Err(RunError::usage(message, "`host plugins list` shows those that there are"));
    }
    if as_json {
        let plugins: Vec<Value> = registry.plugins.iter().map(|p| plugin_json(p, true)).collect();
        print_json(&json!({ "schema": 1, "plugins": plugins }))?;
    } else {
        for plugin in &registry.plugins {
            print(&description(plugin))?;
        }
    }
    Ok(0)
}

fn description(plugin: &Plugin) -> String {
    let library = &plugin.library;
    let mut text = format!("{} {} — {}\n", plugin.name, plugin.version, plugin.description);
    let _ = writeln!(text, "source: {}", plugin.source);
    if let Source::Library { blake3, .. } = &plugin.source
        && let Some(blake3) = blake3.hex()
    {
        let _ = writeln!(text, "blake3: {blake3}");
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
