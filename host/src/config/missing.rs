//! What a file or profile that does not exist was meant to be.
//!
//! A name that was mistyped, a profile asked for as a file, a file asked for as a profile. Old names
//! are answered before, by the profiles themselves.

use std::fs;
use std::path::Path;

use super::document::EXTENSIONS;
use super::error::{ConfigError, Pointer, nearest};
use super::profile::Profiles;

/// Answers an error about a name that nothing bears, unless it is answered already.
pub(super) fn answer(error: &mut ConfigError, profiles: &Profiles) {
    if error.help.is_some() {
        return;
    }
    let asked_from = match &error.location {
        Some(Pointer::File(location)) => location.file.as_str(),
        _ => "",
    };
    error.help = match (error.code, &error.missing) {
        ("config::missing_file", Some(path)) => file_meant(path, asked_from, profiles),
        ("config::unknown_format", _) => profile_meant(&error.message, profiles),
        ("config::unknown_profile", _) => config_meant(&error.message),
        _ => None,
    };
}

/// A file of a similar name in the same directory, or a profile of that name.
fn file_meant(path: &Path, asked_from: &str, profiles: &Profiles) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let there = names_in(directory.unwrap_or(Path::new(".")));
    // A file that asks for another one does not mean itself.
    let others = there.iter().filter(|name| !asked_from.ends_with(name.as_str()));
    let stems: Vec<(&str, &str)> =
        others.filter_map(|name| Some((name.rsplit_once('.')?.0, name.as_str()))).collect();
    if let Some(near) = nearest(stem, stems.iter().map(|(stem, _)| *stem)) {
        let (_, name) = stems.iter().find(|(stem, _)| *stem == near)?;
        let near = directory.map_or(Path::new(name).to_owned(), |directory| directory.join(name));
        return Some(format!("did you mean `{}`?", near.display()));
    }
    let profile = profiles.find(stem)?;
    Some(format!("there is a profile of that name: `--profile {}`", profile.info.name))
}

/// The configuration files of a directory.
fn names_in(directory: &Path) -> Vec<String> {
    const LOOKED_AT_MAX: usize = 1000;
    let entries = fs::read_dir(directory).into_iter().flatten().take(LOOKED_AT_MAX).flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_configuration(name)).collect();
    names.sort();
    names
}

fn is_configuration(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}

/// `--config dev` where `dev` is a profile.
fn profile_meant(message: &str, profiles: &Profiles) -> Option<String> {
    let name = Path::new(quoted(message)?).file_name()?.to_str()?;
    let profile = profiles.find(name)?;
    Some(format!("there is a profile of that name: `--profile {}`", profile.info.name))
}

/// `--profile FILE` where a file is meant.
fn config_meant(message: &str) -> Option<String> {
    let name = quoted(message)?;
    (is_configuration(name) || name.contains('/'))
        .then(|| format!("a file is given as `--config {name}`"))
}

/// What stands in backticks.
fn quoted(message: &str) -> Option<&str> {
    message.split('`').nth(1)
}
