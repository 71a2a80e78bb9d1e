//! Where a key that is wrong in its place would be right.
//!
//! In another mapping of its section, at the top of the file, in `global`, or in the section of
//! another phase. A section by itself knows the first three; the last takes the whole run.

use super::check::Subject;
use super::document::join;
use super::error::{ConfigError, alike, listed, nearest};
use super::plan::{Plan, PlannedPhase};
use super::schema::{Alternatives, Schema};
use super::{Catalogue, KnownPhase, global, profile};

/// Keys of the whole file.
const TOP_KEYS: [&str; 4] = ["phases", global::NAME, profile::BLOCK, "$schema"];
/// Keys of every section that the host reads.
const SECTION_KEYS: [&str; 3] = ["extends", "phase", super::shape::VERSION_KEY];
/// What a help begins with that only lists the keys there are.
pub(super) const KNOWN_KEYS: &str = "known keys: ";

/// Where the key of a mapping would be right as far as its section tells.
pub(super) fn in_section(subject: Subject<'_>, key: &str, parent: &[String]) -> Option<String> {
    let belongs = |place: &str| Some(format!("`{key}` belongs under `{place}`"));
    let is_section = ![global::NAME, profile::BLOCK].contains(&subject.name);
    match Schema::new(subject.schema).owner_of(key) {
        Some(owner) if owner.is_empty() && !parent.is_empty() => return belongs(subject.name),
        Some(owner) if owner != parent.join(".") => return belongs(&join(subject.name, &owner)),
        _ => {}
    }
    if TOP_KEYS.contains(&key) {
        return Some(format!("`{key}` belongs at the top of the file"));
    }
    if is_section && SECTION_KEYS.contains(&key) {
        return belongs(subject.name);
    }
    if is_section && global::is_key(key) {
        return belongs(global::NAME);
    }
    // `0,001` between braces is the value 0 and the key 001.
    let is_digits = key.chars().all(|c| c.is_ascii_digit()) && !key.is_empty();
    is_digits.then(|| "a comma ends a value: numbers take a dot, as in `0.5`".to_owned())
}

/// The kind of mapping that has a key, where the key's own mapping is of another kind.
pub(super) fn other_kind(subject: Subject<'_>, key: &str, parent: &[String]) -> Option<String> {
    let place = Schema::new(subject.schema).at(parent);
    let has_key = |kind: &Alternatives<'_>| kind.keys().contains(&key);
    let kinds: Vec<Alternatives<'_>> = place.each().filter(has_key).collect();
    let (tag, kind) = kinds.iter().find_map(Alternatives::tag).filter(|(tag, _)| *tag != key)?;
    Some(format!("`{key}` is a key of `{tag}: {kind}`"))
}

/// Answers unknown keys and sections for which nothing better was found, with the phases that have
/// such a key.
pub(super) fn answer(errors: &mut [ConfigError], plan: Option<&Plan>, catalogue: &Catalogue) {
    let run = plan.map(|plan| plan.phases.as_slice()).unwrap_or_default();
    let search = Search { run, catalogue };
    for error in errors.iter_mut().filter(|error| is_unanswered(error)) {
        let (owner, key) = error.key.rsplit_once('.').unwrap_or(("", &error.key));
        if error.message.contains(&format!("`{key}`"))
            && let Some(help) = search.help(owner, key)
        {
            error.help = Some(help);
            error.expected = None;
        } else if error.code == "config::unknown_phase" {
            let help = "a section with a name of its own says its phase with the key `phase`";
            error.help = Some(help.to_owned());
        }
    }
}

fn is_unanswered(error: &ConfigError) -> bool {
    let is_unknown = error.code == "config::unknown_key"
        || (error.code == "config::unknown_phase" && error.message.starts_with("unknown section"));
    is_unknown && error.help.as_ref().is_none_or(|help| help.starts_with(KNOWN_KEYS))
}

struct Search<'a> {
    run: &'a [PlannedPhase],
    catalogue: &'a Catalogue,
}

impl Search<'_> {
    /// Where a key of a section, or of the top of the file, would be right; `owner` is the dotted
    /// path of the mapping it stands in.
    fn help(&self, owner: &str, key: &str) -> Option<String> {
        if self.is_section(key) && !owner.is_empty() {
            return Some(format!(
                "`{key}` is a section of its own: write it at the top of the file"
            ));
        }
        let section = owner.split('.').next().unwrap_or_default();
        let own = self.run.iter().find(|planned| planned.name == section);
        let own = own.and_then(|planned| self.catalogue.phase(&planned.phase));
        if own.is_some_and(|known| owner_of(known, key).is_some()) {
            return None;
        }
        self.in_the_run(own, key)
            .or_else(|| self.outside_of_the_run(own, key))
            .or_else(|| self.near_section(key).filter(|_| owner == section && !owner.is_empty()))
    }

    /// The sections of the run that have such a key.
    fn in_the_run(&self, own: Option<&KnownPhase>, key: &str) -> Option<String> {
        let others = self.run.iter().filter(|planned| is_other(own, &planned.phase));
        let here: Vec<(&str, String)> = others
            .filter_map(|planned| {
                let owner = owner_of(self.catalogue.phase(&planned.phase)?, key)?;
                let place = join(&planned.name, &owner).trim_end_matches('.').to_owned();
                Some((planned.phase.as_str(), place))
            })
            .collect();
        let places = listed(here.iter().map(|(_, place)| place.as_str()));
        match here.as_slice() {
            [] => None,
            [(phase, place)] if own.is_some() => {
                Some(format!("`{key}` is a key of phase `{phase}`: it belongs under `{place}`"))
            }
            [_] => Some(format!("`{key}` belongs under {places}")),
            _ => Some(format!("`{key}` belongs under one of {places}")),
        }
    }

    /// The phases that have such a key and are not part of the run.
    fn outside_of_the_run(&self, own: Option<&KnownPhase>, key: &str) -> Option<String> {
        let others = self.catalogue.phases.iter().filter(|known| is_other(own, &known.phase));
        let with_key = others.filter(|known| owner_of(known, key).is_some());
        let phases: Vec<&str> = with_key.map(|known| known.phase.as_str()).collect();
        match phases.as_slice() {
            [] => None,
            [only] => Some(format!("`{key}` is a key of phase `{only}`, which does not run here")),
            several => Some(format!(
                "`{key}` is a key of phases that do not run here: {}",
                listed(several.iter().copied())
            )),
        }
    }

    /// A key of a section that resembles a section's name was meant to be one.
    fn near_section(&self, key: &str) -> Option<String> {
        let names = self.run.iter().map(|planned| planned.name.as_str());
        nearest(key, names.chain([global::NAME]))
            .map(|near| format!("did you mean section `{near}`?"))
    }

    fn is_section(&self, key: &str) -> bool {
        self.catalogue.phase(key).is_some()
            || self.run.iter().any(|planned| alike(&planned.name) == alike(key))
    }
}

fn is_other(own: Option<&KnownPhase>, phase: &str) -> bool {
    own.is_none_or(|own| own.phase != phase)
}

fn owner_of(known: &KnownPhase, key: &str) -> Option<String> {
    Schema::new(&known.schema).owner_of(key)
}
