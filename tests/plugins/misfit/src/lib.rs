//! A root module under the SDK's name and version, with another layout: what a plugin built
//! against a changed SDK of the same number looks like to the host.

#![allow(non_local_definitions, non_camel_case_types)]

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::RString;

#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRoot_Ref)))]
#[sabi(missing_field(panic))]
pub struct PluginRoot {
    pub describe: extern "C" fn(u64) -> RString,
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(u8) -> u32,
}

impl RootModule for PluginRoot_Ref {
    abi_stable::declare_root_module_statics! {PluginRoot_Ref}
    const BASE_NAME: &'static str = "trainer_plugin";
    const NAME: &'static str = "trainer_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

extern "C" fn describe(_: u64) -> RString {
    RString::new()
}

extern "C" fn create(_: u8) -> u32 {
    0
}

#[abi_stable::export_root_module]
pub fn root() -> PluginRoot_Ref {
    PluginRoot { describe, create }.leak_into_prefix()
}

/// What the library says of itself: all that can be told without loading it fits.
const TEXT: &str = concat!(
    "host-plugin-v1\n\0phase\0misfit\0plugin\0misfit\0version\0",
    env!("CARGO_PKG_VERSION"),
    "\0sdk\0",
    env!("CARGO_PKG_VERSION"),
    "\0abi\0abi_stable-0.11\0target\0",
    env!("MISFIT_TARGET"),
    "\0panic\0unwind\0section_version\x001\0state_version\x001\0\0",
);

#[used]
#[unsafe(link_section = ".host_plugin")]
static RECORD: [u8; TEXT.len()] = {
    let (mut record, mut i) = ([0; TEXT.len()], 0);
    while i < TEXT.len() {
        record[i] = TEXT.as_bytes()[i];
        i += 1;
    }
    record
};

/// A linker drops what nothing refers to.
#[unsafe(no_mangle)]
pub extern "C" fn misfit_record() -> *const u8 {
    RECORD.as_ptr()
}
