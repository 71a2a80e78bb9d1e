//! How far a file may lead to others: what lies below directories that the user chose.
//!
//! A file that somebody was given may name others, by `extends` or as the part of a pipeline. Those
//! must lie below its own directory, the working directory, or one with profiles, after all links
//! are followed: an error message quotes lines of a file, and a file elsewhere was not asked for.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::source::Source;

/// Refuses a file that lies elsewhere; one that is missing is left to its reader.
///
/// # Errors
/// With the place to which the path leads.
pub(super) fn check(
    path: &Path,
    from: &Source,
    profile_dirs: &[PathBuf],
) -> Result<(), Box<ConfigError>> {
    let Ok(resolved) = fs::canonicalize(path) else {
        return Ok(());
    };
    let here = [directory_of(from).to_owned(), PathBuf::from(".")];
    let chosen = here.iter().chain(profile_dirs).filter_map(|place| fs::canonicalize(place).ok());
    if chosen.into_iter().any(|place| resolved.starts_with(place)) {
        return Ok(());
    }
    Err(outside(path, &resolved, from).into())
}

/// The directory that relative paths in a file start from.
pub(super) fn directory_of(from: &Source) -> &Path {
    match Path::new(&from.name).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn outside(path: &Path, resolved: &Path, from: &Source) -> ConfigError {
    let message =
        format!("`{}` may not build on `{}`: it lies elsewhere", from.name, path.display());
    let here = directory_of(from);
    let near = match here == Path::new(".") {
        true => String::new(),
        false => format!("`{}`, ", here.display()),
    };
    ConfigError::new("config::outside", message)
        .found(format!("`{}`", resolved.display()))
        .expected(format!("a file below {near}the working directory or a directory with profiles"))
        .help("copy it there, or run from a directory that holds both")
}
