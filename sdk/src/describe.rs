//! What a plugin says of itself: the JSON that crosses the boundary from `describe()`.
//!
//! Fields may be added, never renamed: an older host ignores what it doesn't know.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::device::{DType, DeviceKind};
use crate::section::Change;
use crate::trainer::Batching;

/// A plugin library.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PluginDescription {
    /// Version of the SDK it was built with.
    pub sdk_version: String,
    /// The compiler, as `rustc --version` prints it.
    pub rustc: String,
    /// Target triple.
    pub target: String,
    /// Panic strategy; `abort` is refused.
    pub panic: String,
    /// Its phases, sorted by name.
    pub phases: Vec<PhaseDescription>,
}

/// One phase that a plugin registers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PhaseDescription {
    /// Name of the phase and of its section.
    pub phase: String,
    /// The plugin crate that registered it.
    pub plugin: String,
    /// That crate's version.
    pub version: String,
    /// That crate's description.
    #[serde(default)]
    pub description: String,
    /// JSON Schema (draft 2020-12) of the section.
    pub schema: Value,
    /// The section with all defaults; null when a key is required.
    pub defaults: Value,
    /// Version of the section's schema.
    #[serde(default = "first_version")]
    pub section_version: u32,
    /// How older sections become one of that version.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Names from [`crate::capability`].
    pub capabilities: Vec<String>,
    /// Kinds of device it runs on.
    pub devices: Vec<DeviceKind>,
    /// Types of weights it trains in.
    pub dtypes: Vec<DType>,
    /// Types of mixed precision it can compute in.
    #[serde(default)]
    pub amp_dtypes: Vec<DType>,
    /// Which keys say how many samples are computed at once.
    #[serde(default)]
    pub batching: Option<Batching>,
    /// Version of the saved state.
    pub state_version: u32,
    /// Facts about the build.
    #[serde(default)]
    pub build: Map<String, Value>,
    /// Profiles that the plugin carries.
    #[serde(default)]
    pub profiles: Vec<CarriedProfile>,
}

fn first_version() -> u32 {
    1
}

/// A profile inside a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedProfile {
    /// Its name.
    pub name: String,
    /// Its text, TOML.
    pub text: String,
}
