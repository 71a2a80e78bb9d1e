//! What a section `extends`: the same phase's section of another profile or file, and so on down.

use std::path::PathBuf;

use super::Catalogue;
use super::document::{Document, EXTENSIONS, pointer};
use super::error::{ConfigError, alike};
use super::profile::{self, Profiles};
use super::shape::{Section, shape};
use super::source::Source;
use super::within;

/// How many files may build on each other; nobody finds their way through more.
const CHAIN_MAX: usize = 16;

/// The sections below a section, lowest first.
///
/// # Errors
/// When a base does not exist, lies elsewhere, is faulty, lacks the phase, or leads back to where it
/// was extended, and when there are too many.
pub(super) fn bases(
    section: &Section,
    catalogue: &Catalogue,
    profiles: &Profiles,
    warnings: &mut Vec<String>,
) -> Result<Vec<Section>, Vec<ConfigError>> {
    let mut chain: Vec<Section> = Vec::new();
    let mut visited = vec![identity(&section.source.name)];
    let mut names = vec![section.source.name.clone()];
    loop {
        let current = chain.last().unwrap_or(section);
        let Some((base, span)) = &current.extends else {
            break;
        };
        let refuse = |error: ConfigError| {
            vec![error.at(pointer(&current.source, *span)).key(format!("{}.extends", section.name))]
        };
        if names.len() > CHAIN_MAX {
            let message = format!("`extends` goes on through more than {CHAIN_MAX} files");
            return Err(refuse(ConfigError::new("config::too_deep", message)));
        }
        let document = open(base, &current.source, catalogue, profiles)
            .map_err(|errors| place_here(errors, &refuse))?;
        let place = identity(&document.source.name);
        names.push(document.source.name.clone());
        if visited.contains(&place) {
            return Err(refuse(ConfigError::new(
                "config::extends_cycle",
                format!("`extends` goes in a circle: {}", names.join(" -> ")),
            )));
        }
        visited.push(place);
        let base = section_of(&document, &section.phase, catalogue, warnings, &refuse)?;
        chain.push(base);
    }
    chain.reverse();
    Ok(chain)
}

/// The one section of a phase in a base document.
fn section_of(
    document: &Document,
    phase: &str,
    catalogue: &Catalogue,
    warnings: &mut Vec<String>,
    refuse: &dyn Fn(ConfigError) -> Vec<ConfigError>,
) -> Result<Section, Vec<ConfigError>> {
    let (info, mut errors) = profile::info(document, "");
    let hint =
        info.phase.as_deref().filter(|hint| catalogue.phase(hint).is_some()).unwrap_or(phase);
    let shaped = shape(document, Some(hint), catalogue);
    errors.extend(shaped.errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let file = &document.source.name;
    warnings.extend(shaped.lifted.iter().map(|lifted| {
        format!(
            "`{}` in `{file}` is not inherited: `extends` takes a section, not `global`",
            lifted.from
        )
    }));
    let mut sections =
        shaped.sections.into_iter().filter(|section| alike(&section.phase) == alike(phase));
    match (sections.next(), sections.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(refuse(ConfigError::new(
            "config::bad_base",
            format!("`{file}` has no section of phase `{phase}` to extend"),
        ))),
        (Some(_), Some(_)) => Err(refuse(ConfigError::new(
            "config::bad_base",
            format!("`{file}` has more than one section of phase `{phase}` to extend"),
        ))),
    }
}

fn open(
    base: &str,
    from: &Source,
    catalogue: &Catalogue,
    profiles: &Profiles,
) -> Result<Document, Vec<ConfigError>> {
    let is_file =
        base.contains('/') || EXTENSIONS.iter().any(|ext| base.ends_with(&format!(".{ext}")));
    if is_file {
        let directory = PathBuf::from(&from.name).parent().map(|parent| parent.join(base));
        let path = directory.unwrap_or_else(|| PathBuf::from(base));
        within::check(&path, from, &catalogue.profile_dirs).map_err(|error| vec![*error])?;
        return Document::read(&path);
    }
    match profiles.find(base) {
        Some(found) => found.document.clone(),
        None => Err(vec![profiles.unknown(base)]),
    }
}

/// An error without a place of its own is about the `extends` that led to it.
fn place_here(
    errors: Vec<ConfigError>,
    refuse: &dyn Fn(ConfigError) -> Vec<ConfigError>,
) -> Vec<ConfigError> {
    let placed = errors
        .into_iter()
        .map(|error| if error.location.is_none() { refuse(error) } else { vec![error] });
    placed.flatten().collect()
}

/// A name under which a file is the same however it was spelled.
fn identity(name: &str) -> PathBuf {
    std::fs::canonicalize(name).unwrap_or_else(|_| PathBuf::from(name))
}
