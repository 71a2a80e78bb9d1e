//! The resolved plan: what will run, and where every setting of it comes from.

use serde_json::{Map, Value};

use super::check::{dotted, pointer_segments};
use super::compare::leaves;
use super::error::ConfigError;
use super::global::{self, Global};
use super::layers::{Layered, Part, Step, file_in_words};
use super::profile::ProfileInfo;
use super::schema::Schema;
use super::written::{Owner, Written};
use super::{Catalogue, filled, with_defaults};

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

/// What one layer says of a setting.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerValue {
    /// The layer: `default`, `extends`, `file`, `global`, `environment`, `override` or `flag`.
    pub layer: &'static str,
    /// Where it says so.
    pub place: String,
    /// The value as it was written; nothing where the layer replaced a mapping whole and left the
    /// setting out of it.
    pub value: Option<Value>,
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
        let mut written = Written::default();
        let origin = |(path, _): (Vec<String>, _)| {
            let origin = self.origin(instance, &path, &mut written);
            (path.join("."), origin.into())
        };
        leaves(resolved).into_iter().map(origin).collect()
    }

    /// Where the value at a path comes from: a place, or whose default it is.
    pub(super) fn origin(&self, instance: &str, path: &[String], written: &mut Written) -> String {
        let origin = self.settings(instance).and_then(|settings| settings.origin(path));
        match origin {
            Some(origin) => written.place(origin, self.owner(instance), path),
            None => self.default_of(instance),
        }
    }

    /// Every layer that had a say in the value at a path of an instance, lowest first; the defaults
    /// below them all are not among them.
    pub(super) fn history(&self, instance: &str, path: &[String]) -> Vec<LayerValue> {
        let mut written = Written::default();
        let owner = self.owner(instance);
        let steps = self.settings(instance).map(|settings| settings.history(path));
        let value = |step: Step<'_>| LayerValue {
            layer: step.origin.layer_name(),
            place: written.place_in_full(step.origin, owner, path),
            value: step.value.cloned(),
        };
        steps.into_iter().flatten().map(value).collect()
    }

    /// Every layer that gave a value for a key in the sectioned form, lowest first, as its origin
    /// and the value; the last one counts.
    pub fn layers_of(&self, key: &str) -> Vec<(String, Value)> {
        let mut path = segments(key);
        if path.is_empty() {
            return Vec::new();
        }
        let instance = path.remove(0);
        let steps = self.settings(&instance).map(|settings| settings.history(&path));
        let given = steps
            .into_iter()
            .flatten()
            .filter_map(|step| Some((step.origin.to_string(), step.value?.clone())));
        given.collect()
    }

    /// The origin of what the document says as a whole, such as the order of its phases.
    pub fn document_origin(&self) -> String {
        file_in_words(&self.source)
    }

    /// Whose defaults hold where nobody says anything, as `default of the host`.
    pub(super) fn default_of(&self, instance: &str) -> String {
        match self.phase(instance) {
            Some(phase) => format!("default of plugin {}", phase.plugin),
            None => "default of the host".to_owned(),
        }
    }

    /// `global` and every section with the defaults that are known, without asking a plugin.
    pub fn with_defaults(&self, catalogue: &Catalogue) -> Value {
        let mut document = Map::new();
        let defaults = serde_json::to_value(Global::default()).unwrap_or_default();
        let global = self.global_settings.value().clone();
        let global = filled(global, &defaults, &Schema::new(&global::schema()).top());
        document.insert(global::NAME.to_owned(), global);
        for phase in &self.phases {
            let section = phase.section.clone();
            let section = match catalogue.phase(&phase.phase) {
                Some(known) => with_defaults(section, known),
                None => section,
            };
            document.insert(phase.name.clone(), section);
        }
        Value::Object(document)
    }

    fn settings(&self, instance: &str) -> Option<&Layered> {
        if instance == global::NAME {
            return Some(&self.global_settings);
        }
        self.phase(instance).map(|phase| &phase.settings)
    }

    fn owner<'a>(&'a self, instance: &'a str) -> Owner<'a> {
        Owner { name: instance, phase: self.phase(instance).map(|phase| &*phase.phase) }
    }
}

fn segments(path: &str) -> Vec<String> {
    if path.starts_with('/') {
        return pointer_segments(path);
    }
    path.split('.').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}
