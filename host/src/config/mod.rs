//! Configuration: from what the user typed to a validated plan.
//!
//! A parsed document comes first (`source`, `document` and the three formats), a resolved [`Plan`]
//! second (`shape`, `layers`, `check`, `resolve`). Nothing in here knows a trainer: phases, their
//! schemas and the profiles that plugins carry come in through the [`Catalogue`]. Nothing prints,
//! loads or starts anything; the only side effect is reading files.

mod check;
mod describe;
mod document;
mod error;
mod extends;
mod fault;
mod flat;
mod global;
mod inputs;
mod json;
mod layers;
mod overrides;
mod pipeline;
mod plan;
mod profile;
mod refusals;
mod resolve;
mod schema;
mod shape;
mod shared;
mod source;
mod toml_text;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde_json::Value;

pub use self::error::{ConfigError, ConfigErrors, Location, Pointer};
pub use self::global::{Global, schema as global_schema};
pub use self::plan::{Plan, PlannedPhase};
pub use self::profile::{ProfileInfo, fill_placeholders};

use self::error::alike;
use self::profile::{Found, Profiles};

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `--profile NAME`.
    pub profile: Option<String>,
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// `--phase PHASE`.
    pub phase: Option<String>,
    /// `--set KEY=VALUE` and `KEY=VALUE`, in the order typed.
    pub overrides: Vec<String>,
    /// Flags with a name of their own, as `--seed 7`.
    pub flags: Vec<Flag>,
    /// The environment; only the `HOST_…` variables of `global` keys are looked at.
    pub environment: Vec<(String, String)>,
}

/// A flag that sets one setting.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag with its dashes.
    pub name: &'static str,
    /// The dotted key that it sets.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// What the plugins registered, and where profiles are looked for.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// All phases that can run.
    pub phases: Vec<KnownPhase>,
    /// Profiles that plugins carry, lowest in precedence.
    pub plugin_profiles: Vec<PluginProfile>,
    /// Directories with profiles; a later one wins over an earlier one.
    pub profile_dirs: Vec<PathBuf>,
}

/// A phase that a plugin registered.
#[derive(Clone, Debug)]
pub struct KnownPhase {
    /// Its name.
    pub phase: String,
    /// The plugin's name.
    pub plugin: String,
    /// The JSON Schema (draft 2020-12) of its section.
    pub schema: Value,
    /// The section with all its defaults, as far as it has some.
    pub defaults: Value,
}

/// A profile that a plugin carries.
#[derive(Clone, Debug)]
pub struct PluginProfile {
    /// The plugin's name.
    pub plugin: String,
    /// The profile's name.
    pub name: String,
    /// The profile as TOML.
    pub text: String,
}

impl Catalogue {
    /// The phase of a name; `-` and `_` are alike.
    pub fn phase(&self, name: &str) -> Option<&KnownPhase> {
        self.phases.iter().find(|known| alike(&known.phase) == alike(name))
    }
}

/// Turns a request into a plan.
///
/// # Errors
/// With every fault of every phase that could be found, in one go.
pub fn resolve(request: &Request, catalogue: &Catalogue) -> Result<Plan, ConfigErrors> {
    resolve::resolve(request, catalogue, &Profiles::load(catalogue))
}

/// One line of a list of profiles.
#[derive(Clone, Debug)]
pub struct ProfileEntry {
    /// What the profile says about itself; placeholders are filled where the settings tell.
    pub info: ProfileInfo,
    /// The file, or the plugin that carries it.
    pub place: String,
    /// Places of profiles of the same name that this one hides.
    pub hides: Vec<String>,
    /// Instance names of its phases; empty when it does not resolve.
    pub phases: Vec<String>,
    /// Whether it resolves, and if not, why.
    pub status: Result<(), ConfigErrors>,
}

/// All profiles, sorted by name; each is resolved, and one that is faulty says why.
pub fn list_profiles(catalogue: &Catalogue) -> Vec<ProfileEntry> {
    let profiles = Profiles::load(catalogue);
    let mut entries: Vec<ProfileEntry> =
        profiles.all.iter().map(|found| entry(found, catalogue, &profiles)).collect();
    entries.sort_by(|one, other| one.info.name.cmp(&other.info.name));
    entries
}

/// A section with what it leaves out.
fn with_defaults(section: Value, defaults: &Value) -> Value {
    let Value::Object(defaults) = defaults else { return section };
    let Value::Object(mut section) = section else { return section };
    for (key, default) in defaults {
        let value = section.remove(key).map(|value| with_defaults(value, default));
        section.insert(key.clone(), value.unwrap_or_else(|| default.clone()));
    }
    Value::Object(section)
}

fn entry(found: &Found, catalogue: &Catalogue, profiles: &Profiles) -> ProfileEntry {
    let request = Request { profile: Some(found.info.name.clone()), ..Request::default() };
    let plan = resolve::resolve(&request, catalogue, profiles);
    let mut info = found.info.clone();
    let mut phases = Vec::new();
    if let Ok(plan) = &plan {
        let mut settings = plan.to_value();
        for phase in &plan.phases {
            if let Some(known) = catalogue.phase(&phase.phase) {
                let section = settings[&phase.name].take();
                settings[&phase.name] = with_defaults(section, &known.defaults);
            }
        }
        info.description = fill_placeholders(&info.description, &settings);
        info.notes = fill_placeholders(&info.notes, &settings);
        phases.extend(plan.phases.iter().map(|phase| phase.name.clone()));
    }
    ProfileEntry {
        info,
        place: found.place.clone(),
        hides: found.hides.clone(),
        phases,
        status: plan.map(|_| ()),
    }
}
