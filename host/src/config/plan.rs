//! The resolved plan: what will run, and where every setting of it comes from.

use serde_json::{Map, Value};

use super::check::{dotted, pointer_segments};
use super::error::ConfigError;
use super::global::{self, Global};
use super::layers::{Layered, Part};
use super::profile::ProfileInfo;

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the profile or file says about itself.
    pub profile: ProfileInfo,
    /// The file, or the plugin that carries the profile.
    pub source: String,
    /// The shared settings.
    pub global: Global,
    /// The phases in the order in which they run; never empty.
    pub phases: Vec<PlannedPhase>,
    /// What the user should know though nothing is wrong, without `warning:`.
    pub warnings: Vec<String>,
    pub(super) global_settings: Layered,
}

/// One phase of a plan.
#[derive(Clone, Debug)]
pub struct PlannedPhase {
    /// The instance's name, unique in the plan.
    pub name: String,
    /// The phase as its plugin registered it.
    pub phase: String,
    /// The plugin.
    pub plugin: String,
    /// The section, merged from all layers; the plugin's defaults are not in it.
    pub section: Value,
    pub(super) settings: Layered,
}

impl Plan {
    /// The phase of an instance name.
    pub fn phase(&self, instance: &str) -> Option<&PlannedPhase> {
        self.phases.iter().find(|phase| phase.name == instance)
    }

    /// An error that a plugin reported about its section, with the place of the setting.
    ///
    /// `path` is relative to the section, dotted or a JSON pointer; empty for the section itself.
    pub fn section_error(
        &self,
        instance: &str,
        path: &str,
        message: &str,
        help: Option<&str>,
    ) -> ConfigError {
        let path = segments(path);
        let settings = self.settings(instance);
        ConfigError::new("config::refused", message)
            .at(settings.and_then(|settings| settings.pointer(&path, Part::Value)))
            .key(dotted(instance, &path))
            .maybe_help(help.map(str::to_owned))
    }

    /// The origin of every leaf of a section that the plugin has filled with its defaults, by dotted
    /// key relative to the section. `global` is an instance name here too.
    pub fn origins(&self, instance: &str, resolved: &Value) -> Map<String, Value> {
        let default = match self.phase(instance) {
            Some(phase) => format!("default of plugin {}", phase.plugin),
            None => "default of the host".to_owned(),
        };
        let mut origins = Map::new();
        let mut path = Vec::new();
        for_each_leaf(resolved, &mut path, &mut |path| {
            let origin = self.settings(instance).and_then(|settings| settings.origin(path));
            let text = origin.map_or_else(|| default.clone(), ToString::to_string);
            origins.insert(path.join("."), text.into());
        });
        origins
    }

    /// Every layer that gave a value for a key in the sectioned form, lowest first, as its origin
    /// and the value; the last one counts.
    pub fn layers_of(&self, key: &str) -> Vec<(String, Value)> {
        let mut path = segments(key);
        if path.is_empty() {
            return Vec::new();
        }
        let instance = path.remove(0);
        let Some(settings) = self.settings(&instance) else {
            return Vec::new();
        };
        let history = settings.history(&path);
        history.into_iter().map(|(origin, value)| (origin.to_string(), value.clone())).collect()
    }

    /// All settings as one document, for placeholders: `global` and a mapping for each instance.
    pub fn to_value(&self) -> Value {
        let mut document = Map::new();
        let global = serde_json::to_value(&self.global).unwrap_or_default();
        document.insert(global::NAME.to_owned(), global);
        document
            .extend(self.phases.iter().map(|phase| (phase.name.clone(), phase.section.clone())));
        Value::Object(document)
    }

    fn settings(&self, instance: &str) -> Option<&Layered> {
        if instance == global::NAME {
            return Some(&self.global_settings);
        }
        self.phase(instance).map(|phase| &phase.settings)
    }
}

fn segments(path: &str) -> Vec<String> {
    if path.starts_with('/') {
        return pointer_segments(path);
    }
    path.split('.').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

fn for_each_leaf(value: &Value, path: &mut Vec<String>, visit: &mut dyn FnMut(&[String])) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, child) in map {
                path.push(key.clone());
                for_each_leaf(child, path, visit);
                path.pop();
            }
        }
        _ => visit(path),
    }
}
