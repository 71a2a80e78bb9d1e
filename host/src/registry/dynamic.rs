//! Loading one plugin library, in the order that lets the most be refused before it runs.
//!
//! Headers and metadata first, without loading; then `dlopen` (constructors run here),
//! the root symbol, the SDK's version, the layout of every type that crosses, and what the plugin
//! says of itself. A library whose code may have run is never unloaded.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use abi_stable::library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use object::read::ReadCache;
use sdk::PluginDescription;
use sdk::abi::PluginRoot_Ref;
use sdk::metadata::{PluginRecord, SDK_VERSION};

use super::{elf, metadata};
use crate::atomic_write::reason;

/// What a library says without being loaded, when this host could load it.
///
/// # Errors
/// A one-line reason; none of the library's code has run.
pub(super) fn look(file: &File) -> Result<Vec<PluginRecord>, String> {
    let bytes = ReadCache::new(file);
    elf::check(&bytes)?;
    let records = metadata::read(&bytes)?;
    metadata::check(&records)?;
    Ok(records)
}

/// Loads the library at `path` and asks what it says of itself.
///
/// # Errors
/// A one-line reason.
pub(super) fn load(path: &Path) -> Result<PluginDescription, String> {
    let (records, root) = load_root(path)?;
    let description = describe(root)?;
    compare(&records, &description)?;
    Ok(description)
}

/// Loads the library at `path`.
///
/// # Errors
/// A one-line reason.
pub(super) fn load_root(path: &Path) -> Result<(Vec<PluginRecord>, PluginRoot_Ref), String> {
    let unreadable = |e: &std::io::Error| format!("can't be read: {}", reason(e));
    let file = File::open(path).map_err(|e| unreadable(&e))?;
    let records = look(&file)?;
    // The linker would look for a bare name elsewhere.
    let root = open(&std::path::absolute(path).map_err(|e| unreadable(&e))?)?;
    Ok((records, root))
}

/// Holds what the file says against what the code says: a decision made by the one must hold for the
/// other.
fn compare(records: &[PluginRecord], description: &PluginDescription) -> Result<(), String> {
    let of_file: BTreeSet<_> = records
        .iter()
        .map(|r| (&r.phase, &r.plugin, &r.version, r.section_version, r.state_version))
        .collect();
    let phases = description.phases.iter();
    let of_code: BTreeSet<_> = phases
        .map(|p| (&p.phase, &p.plugin, &p.version, p.section_version, p.state_version))
        .collect();
    if of_code.len() < description.phases.len() {
        return Err("it registers one phase twice".to_owned());
    }
    if records.iter().any(|record| record.panic != description.panic) {
        return Err("its metadata and its code disagree about its panic strategy".to_owned());
    }
    let different = of_file.symmetric_difference(&of_code).next();
    different.map_or(Ok(()), |(phase, plugin, ..)| {
        Err(format!(
            "its metadata and its code disagree about phase `{phase}` of plugin `{plugin}`"
        ))
    })
}

/// What the plugins behind a root module say of themselves.
pub(super) fn describe(root: PluginRoot_Ref) -> Result<PluginDescription, String> {
    let json = root.describe()().into_result().map_err(|fault| fault.into_error().message)?;
    serde_json::from_str(&json).map_err(|e| format!("its description can't be read: {e}"))
}

#[cfg(unix)]
fn open(path: &Path) -> Result<PluginRoot_Ref, String> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

    // RTLD_NOW: a missing symbol is an error here and not the end of the process at a later call.
    // SAFETY: constructors of the library run here; the user named it, or put it on the plugin
    // path, which is the trust this host asks for.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|e| loader_reason(path, &e))?;
    // SAFETY: a symbol of this name is only ever an `AbiHeaderRef`; the header carries a magic
    // number that `upgrade` checks before anything else of it is used.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) }
            .map(|symbol| *symbol);
    // Never closed: values of the plugin hold pointers into it for as long as the process lives.
    std::mem::forget(library);
    let header =
        header.map_err(|_| "not a trainer plugin: it exports no plugin root".to_owned())?;
    let header = header
        .upgrade()
        .map_err(|_| "built with another version of abi_stable, needs 0.11".to_owned())?;
    let version = header.version_strings().version.to_string();
    if !metadata::same_minor(&version, SDK_VERSION) {
        return Err(metadata::sdk_differs(&version));
    }
    header.init_root_module::<PluginRoot_Ref>().map_err(|e| layout_reason(&e.to_string()))
}

#[cfg(not(unix))]
fn open(_: &Path) -> Result<PluginRoot_Ref, String> {
    Err("plugin libraries are not supported on this platform; build the host with `bundled`"
        .to_owned())
}

/// Why the dynamic linker would not have the library at `path`, on one line, without repeating it.
fn loader_reason(path: &Path, error: &libloading::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let text = source.unwrap_or_else(|| error.to_string());
    let text = text.lines().next().unwrap_or("unknown reason").trim_matches('"');
    if let Some(library) = missing_library(path, text) {
        return lacks(library);
    }
    let text = text.rsplit_once(".so: ").map_or(text, |(_, reason)| reason);
    format!("can't be loaded: {text}")
}

/// The library that the linker looked for on behalf of the one at `path` and did not find.
///
/// glibc begins with its name, musl puts it behind `library`; both go on with a colon.
fn missing_library<'a>(path: &Path, text: &'a str) -> Option<&'a str> {
    if !text.contains("No such file") {
        return None;
    }
    let (before, _) = text.split_once(": ")?;
    let name = before.rsplit(' ').next()?;
    (Path::new(name) != path && name.contains(".so")).then_some(name)
}

/// That `library` isn't there. Those of CUDA are missing on every machine without a GPU, and a user
/// knows neither their names nor who asks for them.
fn lacks(library: &str) -> String {
    let way_out = if library.starts_with("libcuda.so") {
        "install NVIDIA's driver"
    } else if ["libcu", "libnvrtc", "libnccl"].iter().any(|start| library.starts_with(start)) {
        "install CUDA's libraries"
    } else {
        return format!("needs the library `{library}`, which isn't on this machine");
    };
    format!(
        "built for CUDA, and the library `{library}` isn't on this machine: {way_out}, or use the \
         build of this plugin for CPUs"
    )
}

/// abi_stable reports a layout difference in up to thousands of lines: name the first type only.
fn layout_reason(report: &str) -> String {
    let first_type = report
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("Layout of expected type"))
        .find_map(|line| line.strip_prefix("type:"))
        .map(|name| name.trim().rsplit("::").next().unwrap_or(name).to_owned());
    let what = first_type.map_or_else(String::new, |name| format!(" (first difference: `{name}`)"));
    format!("its boundary types have another layout{what}; rebuild it with SDK {SDK_VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_found_in_what_the_linkers_say() {
        let path = Path::new("/p/libtrainer.so");
        let glibc =
            |name| format!("{name}: cannot open shared object file: No such file or directory");
        let musl = "Error loading shared library libcuda.so.1: No such file or directory \
                    (needed by /p/libtrainer.so)";
        assert_eq!(missing_library(path, &glibc("libcuda.so.1")), Some("libcuda.so.1"));
        assert_eq!(missing_library(path, musl), Some("libcuda.so.1"));
        assert_eq!(missing_library(path, &glibc("/p/libtrainer.so")), None);
        assert_eq!(missing_library(path, "/p/libtrainer.so: undefined symbol: cuInit"), None);
    }

    #[test]
    fn a_library_of_cuda_is_told_as_one() {
        let driver = "built for CUDA, and the library `libcuda.so.1` isn't on this machine: install \
                      NVIDIA's driver, or use the build of this plugin for CPUs";
        assert_eq!(lacks("libcuda.so.1"), driver);
        assert!(lacks("libcublas.so.13").contains("install CUDA's libraries"));
        let other = "needs the library `libzmq.so.5`, which isn't on this machine";
        assert_eq!(lacks("libzmq.so.5"), other);
    }
}
