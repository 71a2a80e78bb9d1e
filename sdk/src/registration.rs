//! How a trainer becomes known: one macro call in the plugin crate.
//!
//! Registrations are collected by `inventory` inside one binary image: a plugin library sees its
//! own, a host with bundled plugins sees theirs. The boundary hands them out either way.

use std::collections::BTreeSet;

use crate::abi::{PhaseBox, new_phase};
use crate::context::PhaseContext;
use crate::describe::{CarriedProfile, PhaseDescription, PluginDescription};
use crate::error::{Error, Result};
use crate::metadata;
use crate::trainer::Trainer;

/// One registered trainer. Made by [`register_trainer!`](crate::register_trainer) only.
#[doc(hidden)]
pub struct Registration {
    pub phase: &'static str,
    pub plugin: &'static str,
    pub version: &'static str,
    pub description: &'static str,
    pub profiles: &'static [(&'static str, &'static str)],
    /// The record in the library's section of metadata: a linker drops what nothing refers to.
    pub record: &'static [u8],
    pub describe: fn(&Registration) -> PhaseDescription,
    pub create: fn(&str, PhaseContext) -> Result<PhaseBox>,
}

inventory::collect!(Registration);

/// Registers a trainer under a phase name, optionally with profiles (name and TOML text).
///
/// ```
/// # use sdk::{Artifacts, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, Trainer};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Config {}
/// struct Idle;
/// # impl Stateful for Idle {
/// #     fn state(&mut self, _: &mut StateVisitor<'_>) -> Result<()> { Ok(()) }
/// # }
/// # impl Trainer for Idle {
/// #     type Config = Config;
/// #     fn prepare(_: Config, _: &Artifacts, _: &PhaseContext) -> Result<Self> { Ok(Idle) }
/// #     fn schedule(&self) -> Schedule { Schedule::new(1) }
/// #     fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> { Ok(StepReport::default()) }
/// # }
///
/// sdk::register_trainer!("idle", Idle, profiles: [("smoke-idle", "phases = ['idle']\n[idle]\n")]);
/// ```
#[macro_export]
macro_rules! register_trainer {
    ($phase:literal, $trainer:ty $(, profiles: [$(($name:expr, $text:expr)),* $(,)?])? $(,)?) => {
        const _: () = {
            const SOURCE: $crate::__private::RecordSource =
                $crate::__private::RecordSource::of::<$trainer>(
                    $phase,
                    env!("CARGO_PKG_NAME"),
                    env!("CARGO_PKG_VERSION"),
                    env!("CARGO_PKG_DESCRIPTION"),
                );
            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__host_plugin"))]
            #[cfg_attr(windows, unsafe(link_section = ".hostplg"))]
            #[cfg_attr(
                not(any(target_vendor = "apple", windows)),
                unsafe(link_section = ".host_plugin")
            )]
            static RECORD: [u8; SOURCE.size()] = SOURCE.encode();

            $crate::__private::inventory::submit! {
                $crate::__private::Registration {
                    phase: $phase,
                    plugin: env!("CARGO_PKG_NAME"),
                    version: env!("CARGO_PKG_VERSION"),
                    description: env!("CARGO_PKG_DESCRIPTION"),
                    profiles: &[$($(($name, $text)),*)?],
                    record: &RECORD,
                    describe: $crate::__private::describe_phase::<$trainer>,
                    create: $crate::__private::create_phase::<$trainer>,
                }
            }
        };
    };
}

/// The registrations of this binary image, sorted by phase and plugin.
fn registrations() -> Vec<&'static Registration> {
    let mut all: Vec<&Registration> = inventory::iter::<Registration>.into_iter().collect();
    all.sort_by_key(|r| (r.phase, r.plugin, r.version));
    all
}

pub(crate) fn describe_image() -> PluginDescription {
    PluginDescription {
        sdk_version: metadata::SDK_VERSION.to_owned(),
        rustc: metadata::RUSTC.to_owned(),
        target: metadata::TARGET.to_owned(),
        panic: metadata::PANIC.to_owned(),
        phases: registrations().into_iter().map(|r| (r.describe)(r)).collect(),
    }
}

/// Creates the phase that `plugin` registered under `phase`.
pub(crate) fn create_registered(
    plugin: &str,
    phase: &str,
    config: &str,
    cx: PhaseContext,
) -> Result<PhaseBox> {
    let all = registrations();
    let found = all.iter().find(|r| r.phase == phase && r.plugin == plugin);
    let Some(registration) = found else {
        let known: BTreeSet<&str> = all.iter().map(|r| r.phase).collect();
        let message = format!("plugin `{plugin}` has no phase `{phase}`; it has: {known:?}");
        return Err(Error::new("plugin::no_phase", message));
    };
    (registration.create)(config, cx)
}

#[doc(hidden)]
pub fn describe_phase<T: Trainer>(registration: &Registration) -> PhaseDescription {
    let schema = schemars::schema_for!(T::Config);
    let defaults = serde_json::from_str::<T::Config>("{}").ok();
    PhaseDescription {
        phase: registration.phase.to_owned(),
        plugin: registration.plugin.to_owned(),
        version: registration.version.to_owned(),
        description: registration.description.to_owned(),
        schema: schema.to_value(),
        defaults: defaults.and_then(|config| serde_json::to_value(config).ok()).unwrap_or_default(),
        section_version: T::SECTION_VERSION,
        changes: T::changes(),
        capabilities: T::CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
        devices: T::DEVICES.to_vec(),
        dtypes: T::DTYPES.to_vec(),
        amp_dtypes: T::AMP_DTYPES.to_vec(),
        batching: T::batching(),
        state_version: T::STATE_VERSION,
        build: T::BUILD_FACTS.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect(),
        profiles: registration
            .profiles
            .iter()
            .map(|(name, text)| CarriedProfile {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
            })
            .collect(),
    }
}

#[doc(hidden)]
pub fn create_phase<T: Trainer>(config: &str, cx: PhaseContext) -> Result<PhaseBox> {
    let mut deserializer = serde_json::Deserializer::from_str(config);
    let config: T::Config = serde_path_to_error::deserialize(&mut deserializer).map_err(|e| {
        let path = e.path().to_string();
        let error = Error::new("config::value", e.into_inner().to_string());
        if path == "." { error } else { error.at(path) }
    })?;
    new_phase::<T>(&config, cx)
}
