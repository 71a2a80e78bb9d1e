//! The checks of a library that come before any of a trainer: what its file says, and that it loads.

use std::fs::{self, File};
use std::path::Path;

use abi_stable::library::ROOT_MODULE_LOADER_NAME;
use object::read::{NameOrOrdinal, Object, ReadCache};
use sdk::testing::{Finding, Level, Outcome};

use super::cache::Cache;
use super::library::Library;
use super::{Registry, elf, metadata};
use crate::atomic_write::reason;

/// Checks the file at `path`, in a process of its own where its code runs; and its registry when it
/// can be used. The first check that fails is the last: those behind it make no sense then.
pub fn check_file(path: &Path) -> (Vec<Finding>, Option<Registry>) {
    let mut findings = Vec::new();
    let mut add = |check: &str, about: &str, result: Result<(), String>| {
        let is_passed = result.is_ok();
        findings.push(Finding {
            check: check.to_owned(),
            level: Level::Loads,
            about: about.to_owned(),
            outcome: result.map_or_else(Outcome::Failed, |()| Outcome::Passed(None)),
        });
        is_passed
    };
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let opened = File::open(path).map_err(|e| format!("can't be read: {}", reason(&e)));
    let file = match opened {
        Ok(file) => file,
        Err(reason) => {
            add("library", "is a whole library for this machine", Err(reason));
            return (findings, None);
        }
    };
    let bytes = ReadCache::new(&file);
    let is_library = add("library", "is a whole library for this machine", elf::check(&bytes));
    let records = is_library.then(|| metadata::read(&bytes));
    let about = "says what it is in a section that can be read without running it";
    let Some(records) = records else { return (findings, None) };
    let (result, records) = match records {
        Ok(records) => (Ok(()), records),
        Err(reason) => (Err(reason), Vec::new()),
    };
    let about_match = "was built for this boundary, SDK and machine, and unwinds when it panics";
    if !add("metadata", about, result) || !add("compatible", about_match, metadata::check(&records))
    {
        return (findings, None);
    }
    let library = Library::find_anew(path, &Cache::of_user());
    let about = "loads, and leaves directory, environment, signals and standard output alone";
    let found = library.refusal().map_or(Ok(()), |_| Err(library.what_happened()));
    if !add("loads", about, found) {
        return (findings, None);
    }
    // Such a library works, until another has the same symbol.
    let (check, about) = ("one-symbol".to_owned(), "exports one symbol, so that it can't clash");
    findings.push(Finding {
        check,
        level: Level::Conformant,
        about: about.to_owned(),
        outcome: one_symbol(&bytes).map_or_else(Outcome::Failed, |()| Outcome::Passed(None)),
    });
    let registry = Registry::of_library(library);
    (findings, Some(registry))
}

fn one_symbol<'data>(bytes: impl object::ReadRef<'data>) -> Result<(), String> {
    let file = object::File::parse(bytes).map_err(|e| e.to_string())?;
    let exports = file.exports().map_err(|e| e.to_string())?;
    let mut others = Vec::new();
    for export in exports {
        let name = match export.map_err(|e| e.to_string())?.name() {
            NameOrOrdinal::Name(name) => String::from_utf8_lossy(name).into_owned(),
            NameOrOrdinal::Ordinal(number) => format!("number {number}"),
        };
        if name != ROOT_MODULE_LOADER_NAME {
            others.push(name);
        }
    }
    match others.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "it exports {} more, `{first}` among them: another library's calls may end there",
            others.len()
        )),
    }
}
