//! Configuration: from what the user typed to a validated plan.
//!
//! A parsed document comes first (`source`, `document` and the three formats), a resolved [`Plan`]
//! second (`shape`, `layers`, `check`, `resolve`). Nothing in here knows a trainer: phases, their
//! schemas and the profiles that plugins carry come in through the [`Catalogue`]. Nothing prints,
//! loads or starts anything; the only side effect is reading files.

mod check;
mod compare;
mod describe;
mod document;
mod elsewhere;
mod error;
mod explain;
mod export;
mod extends;
mod fault;
mod flat;
mod global;
mod inputs;
mod intake;
mod json;
mod key_words;
mod layers;
mod lifted;
mod limits;
mod meant;
mod migrate;
mod missing;
mod number;
mod overrides;
mod phrases;
mod pipeline;
mod plan;
mod printable;
mod profile;
mod reference;
mod refusals;
mod resolve;
mod schema;
mod shape;
mod shared;
mod source;
mod spelling;
mod syntax;
mod text;
mod toml_print;
mod toml_text;
mod upgrade;
mod within;
mod written;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sdk::{Change, DType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::compare::{Difference, compare, leaves};
pub use self::error::{ConfigError, ConfigErrors, Location, Pointer};
pub use self::explain::{Explanation, Setting, explain};
pub use self::export::{flat_schema, sectioned_schema};
pub use self::global::{Global, schema as global_schema};
pub use self::migrate::{Migration, migrate};
pub use self::plan::{LayerValue, Plan, PlannedPhase};
pub use self::printable::{escaped, escaped_lines};
pub use self::profile::{ProfileInfo, fill_placeholders, schema as profile_schema};
pub use self::reference::{
    FormerKey, KeyBlock, KeyEntry, blocks as key_blocks, former_keys, section_keys,
};
pub use self::shape::VERSION_KEY;
pub use self::text::{inline, to_json};
pub use self::toml_print::{to_toml, unsayable};
pub use self::upgrade::stored as upgrade_stored;
pub use self::yaml::to_yaml;

use self::document::EXTENSIONS;
use self::error::alike;
use self::profile::{Found, Profiles};
use self::schema::{Alternatives, Schema};

/// What the user asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flag {
    /// The flag with its dashes.
    pub name: String,
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
#[derive(Clone, Debug, Default)]
pub struct KnownPhase {
    /// Its name.
    pub phase: String,
    /// The plugin's name.
    pub plugin: String,
    /// The JSON Schema (draft 2020-12) of its section.
    pub schema: Value,
    /// The section with all its defaults, as far as it has some.
    pub defaults: Value,
    /// Version of the section's schema.
    pub version: u32,
    /// How older sections become one of that version.
    pub changes: Vec<Change>,
    /// Types of mixed precision that it can compute in.
    pub amp_dtypes: Vec<DType>,
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

/// Resolves a configuration that is at hand as a text; `format` is what its file's name would end in.
///
/// The request says the rest: phase, overrides, flags and environment; its profile and file are not
/// looked at. A program that makes configurations can ask here before it writes one.
///
/// # Errors
/// As [`resolve`] has them; places are in a file called `text`.
pub fn check_text(
    text: &str,
    format: &str,
    request: &Request,
    catalogue: &Catalogue,
) -> Result<Plan, ConfigErrors> {
    let (request, profiles) = of_text(text, format, request, catalogue);
    resolve::resolve(&request, catalogue, &profiles)
}

/// What can be made of a text that may be faulty, as [`survey`] makes it of a request.
pub fn survey_text(
    text: &str,
    format: &str,
    request: &Request,
    catalogue: &Catalogue,
) -> (Option<Plan>, Vec<ConfigError>) {
    let (request, profiles) = of_text(text, format, request, catalogue);
    resolve::survey(&request, catalogue, &profiles)
}

/// A request for a text, and the profiles among which the text is one.
fn of_text(
    text: &str,
    format: &str,
    request: &Request,
    catalogue: &Catalogue,
) -> (Request, Profiles) {
    let mut profiles = Profiles::load(catalogue);
    let profile = Some(profiles.add_text(text, format));
    (Request { profile, file: None, ..request.clone() }, profiles)
}

/// What can be made of a request even if it is faulty, and all its faults; the plan is good for
/// showing where settings come from, and is missing only where no document could be read.
pub fn survey(request: &Request, catalogue: &Catalogue) -> (Option<Plan>, Vec<ConfigError>) {
    resolve::survey(request, catalogue, &Profiles::load(catalogue))
}

/// Whether a name is one of a configuration file, by its extension.
pub fn is_file_name(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.contains(&&*extension.to_ascii_lowercase()))
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

/// A section with what it leaves out, as far as that can be told without its plugin.
fn with_defaults(section: Value, known: &KnownPhase) -> Value {
    filled(section, &known.defaults, &Schema::new(&known.schema).top())
}

fn filled(value: Value, defaults: &Value, place: &Alternatives<'_>) -> Value {
    // Where the keys are of the user's choice, or depend on the kind, all there are have been said.
    let is_whole = place.is_open() || place.is_replaced_whole() || place.tag().is_some();
    match (value, defaults) {
        (Value::Object(mut map), Value::Object(defaults)) if !is_whole => {
            for (key, default) in defaults {
                let value =
                    map.shift_remove(key).map(|value| filled(value, default, &place.child(key)));
                map.insert(key.clone(), value.unwrap_or_else(|| default.clone()));
            }
            map.into()
        }
        (value, _) => value,
    }
}

fn entry(found: &Found, catalogue: &Catalogue, profiles: &Profiles) -> ProfileEntry {
    let request = Request { profile: Some(found.info.name.clone()), ..Request::default() };
    let plan = resolve::resolve(&request, catalogue, profiles);
    let mut info = found.info.clone();
    let mut phases = Vec::new();
    if let Ok(plan) = &plan {
        let settings = plan.with_defaults(catalogue);
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
