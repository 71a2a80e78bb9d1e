//! Everything that crosses the edge between host and plugin library.
//!
//! This module and the host's loader are the only places that know `abi_stable`; authors see none
//! of it. The root module is two functions and never grows: what is new goes into the JSON of
//! `describe`, into capability names, or into a new versioned object.
//!
//! Nothing here is covered by the SDK's promise of stability towards authors; towards libraries
//! it is frozen within one `major.minor` of the SDK.

mod adapter;
mod bridge;
mod client;
mod convert;
#[expect(
    non_local_definitions,
    non_camel_case_types,
    unused_qualifications,
    reason = "what the macros of abi_stable 0.11.3 expand to"
)]
mod types;

pub(crate) use adapter::new_phase;
pub use client::{HostServices, PhaseClient, PhaseSpec, Prepared, SharedArtifact};
pub use types::{
    Fault, Phase, Phase_TO, PhaseBox, PluginRoot, PluginRoot_Ref, RawArtifact, RawContext,
    RawMetric, RawNamedTensor, RawState, RawStep, RawTensor, Services, Services_TO, ServicesArc,
};

use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{RResult, RStr, RString};

/// What two sides must have in common besides the SDK's `major.minor`: the series of `abi_stable` whose
/// types cross.
pub(crate) const NAME: &str = "abi_stable-0.11";

use self::adapter::guard;
use self::bridge::Bridge;
use crate::context::PhaseContext;
use crate::registration::{create_registered, describe_image};

/// The root module of this binary image: exported from every plugin library, and called directly
/// by a host that has plugins bundled.
#[abi_stable::export_root_module]
pub fn root_module() -> PluginRoot_Ref {
    PluginRoot { describe, create }.leak_into_prefix()
}

extern "C" fn describe() -> RResult<RString, Fault> {
    guard("describe", || Ok(serde_json::to_string(&describe_image())?.into()))
}

extern "C" fn create(
    phase: RStr<'_>,
    config: RStr<'_>,
    context: &RawContext,
) -> RResult<PhaseBox, Fault> {
    guard("create", || {
        let device = convert::device_context(context)?;
        let services = Bridge::install(context.services.clone());
        let cx = PhaseContext::new(&context.name, context.seed, device, services);
        create_registered(&context.plugin, phase.as_str(), config.as_str(), cx)
    })
}

#[cfg(test)]
mod layout_tests;
