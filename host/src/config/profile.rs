//! Profiles: named configuration files and where they are found.
//!
//! Plugins carry some, directories hold the others; a later place wins over an earlier one of the
//! same name. A profile that cannot be read keeps its place in the list together with the reason,
//! so that one broken file neither hides nor breaks the others.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Catalogue;
use super::check::{Subject, check};
use super::document::{Document, EXTENSIONS, Node};
use super::error::{ConfigError, alike, listed, nearest};
use super::layers::{Layer, Layered, Origin, Place};
use super::schema::Schema;
use super::source::Source;
use crate::atomic_write::reason;

/// The key under which a file describes itself as a profile.
pub(super) const BLOCK: &str = "profile";

/// The groups that a name's first word may put a profile into.
const GROUPS: [&str; 5] = ["smoke", "dev", "prod", "minimal", "pipeline"];

/// What a file says about itself, completed from its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileInfo {
    /// The name to run it by.
    pub name: String,
    /// The group it is listed in.
    pub group: String,
    /// One line, possibly with `{dotted.key}` placeholders.
    pub description: String,
    /// More lines, possibly with placeholders.
    pub notes: String,
    /// The phase of a flat file.
    pub phase: Option<String>,
    /// File stems that the settings had in earlier systems: who asks for one is told the name.
    pub formerly: Vec<String>,
}

/// What a file says about itself as a profile; the host lists it by this.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Block {
    /// The name to run it by; the file's own if left out.
    #[schemars(length(min = 1))]
    name: Option<String>,
    /// The group to list it in; the first word of its name, where that is one, if left out.
    #[schemars(length(min = 1))]
    group: Option<String>,
    /// One line; `{PHASE.KEY}` in it is replaced by the setting's value.
    description: Option<String>,
    /// What else to know before running it; placeholders as in `description`.
    notes: Option<String>,
    /// The phase that a flat file belongs to.
    phase: Option<String>,
    /// Names that its file had in earlier systems: who asks for one is told the new name.
    formerly: Vec<String>,
}

/// The block's JSON Schema.
pub fn schema() -> Value {
    schemars::schema_for!(Block).to_value()
}

/// A profile that was found, readable or not.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) info: ProfileInfo,
    /// The file, or the plugin that carries it.
    pub(super) place: String,
    pub(super) document: Result<Document, Vec<ConfigError>>,
    /// Earlier places of the same name, which this one hides.
    pub(super) hides: Vec<String>,
}

/// All profiles, the winning ones only, in the order of their places.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    pub(super) all: Vec<Found>,
    /// Directories that exist and could not be listed.
    pub(super) unreadable: Vec<String>,
}

impl Profiles {
    /// Looks through all places.
    pub(super) fn load(catalogue: &Catalogue) -> Self {
        let mut profiles = Self::default();
        for carried in &catalogue.plugin_profiles {
            let place = format!("plugin {}: {}.toml", carried.plugin, carried.name);
            let document = Document::parse(Source::new(place.clone(), &carried.text), "toml");
            profiles.add(found(&carried.name, place, document));
        }
        for directory in &catalogue.profile_dirs {
            profiles.add_directory(directory);
        }
        profiles
    }

    /// The profile of a name; `-` and `_` are alike.
    pub(super) fn find(&self, name: &str) -> Option<&Found> {
        self.all.iter().find(|found| alike(&found.info.name) == alike(name))
    }

    /// The profile that went by this file stem in an earlier system.
    fn renamed(&self, stem: &str) -> Option<&Found> {
        self.all.iter().find(|found| found.info.formerly.iter().any(|old| old == stem))
    }

    /// Answers a file that is missing because it has another name now.
    pub(super) fn answer_old_name(&self, error: &mut ConfigError) {
        let stem =
            error.missing.as_deref().and_then(Path::file_stem).and_then(|stem| stem.to_str());
        if let Some(found) = stem.and_then(|stem| self.renamed(stem)) {
            error.help =
                Some(format!("it is now profile `{}`: `{}`", found.info.name, found.place));
        }
    }

    /// The error for a name that no profile has.
    pub(super) fn unknown(&self, name: &str) -> ConfigError {
        let names = || self.all.iter().map(|found| found.info.name.as_str());
        let known: HashSet<&str> = names().collect();
        let mut known: Vec<&str> = known.into_iter().collect();
        known.sort_unstable();
        let near = self
            .renamed(name)
            .map(|found| found.info.name.as_str())
            .or_else(|| nearest(name, names()));
        let error =
            ConfigError::new("config::unknown_profile", format!("unknown profile `{name}`"));
        let error = match known.as_slice() {
            [] => error.help("no profiles were found; `--config FILE` takes a file"),
            known => error.expected(format!("one of {}", listed(known.iter().copied()))),
        };
        let error = error.maybe_help(near.map(|near| format!("did you mean `{near}`?")));
        match self.unreadable.first() {
            Some(reason) => error.found(format!("a directory that is not readable: {reason}")),
            None => error,
        }
    }

    /// Adds a text, over any profile of its name, and says which name that is.
    pub(super) fn add_text(&mut self, text: &str, format: &str) -> String {
        const NAME: &str = "text";
        let found = found(NAME, NAME.to_owned(), Document::parse(Source::new(NAME, text), format));
        let name = found.info.name.clone();
        self.all.retain(|other| alike(&other.info.name) != alike(&name));
        self.all.push(found);
        name
    }

    fn add_directory(&mut self, directory: &Path) {
        let files = match configuration_files(directory) {
            Ok(files) => files,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                return self.unreadable.push(format!(
                    "`{}`: {}",
                    directory.display(),
                    reason(&error)
                ));
            }
        };
        let first = self.all.len();
        for path in files {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let document = Document::read(&path);
            let mut found = found(&stem, path.display().to_string(), document);
            if let Some(twin) = self.all[first.min(self.all.len())..]
                .iter()
                .find(|one| one.info.name == found.info.name)
            {
                found.document = Err(vec![ambiguous(&found.info.name, &twin.place, &found.place)]);
            }
            self.add(found);
        }
    }

    fn add(&mut self, mut found: Found) {
        let hidden =
            self.all.iter().position(|one| alike(&one.info.name) == alike(&found.info.name));
        if let Some(at) = hidden {
            let mut hidden = self.all.remove(at);
            found.hides.append(&mut hidden.hides);
            found.hides.push(hidden.place);
        }
        self.all.push(found);
    }
}

/// The configuration files of a directory, sorted by name.
fn configuration_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|ext| ext.to_str()).unwrap_or_default();
        if EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn ambiguous(name: &str, one: &str, other: &str) -> ConfigError {
    ConfigError::new(
        "config::ambiguous_profile",
        format!("two files of one directory are profile `{name}`: `{one}` and `{other}`"),
    )
    .help("rename one of them, or name the file with `--config`")
}

fn found(stem: &str, place: String, document: Result<Document, Vec<ConfigError>>) -> Found {
    let (info, document) = match document {
        Ok(document) => {
            let (info, errors) = info(&document, stem);
            (info, if errors.is_empty() { Ok(document) } else { Err(errors) })
        }
        Err(errors) => (complete(Block::default(), stem), Err(errors)),
    };
    Found { info, place, document, hides: Vec::new() }
}

/// What a document says about itself, and what is wrong with that.
pub(super) fn info(document: &Document, stem: &str) -> (ProfileInfo, Vec<ConfigError>) {
    let Some((key, node)) = document.root.get(BLOCK) else {
        return (complete(Block::default(), stem), Vec::new());
    };
    let schema = schema();
    let mut settings = Layered::default();
    let source = Arc::clone(&document.source);
    let place = Place::File { source, key: key.span, value: node.span };
    settings.apply(&as_map(node), &Origin { layer: Layer::File, place }, Schema::new(&schema));
    let errors = check(Subject { name: BLOCK, schema: &schema, settings: &settings });
    let block = serde_json::from_value(settings.value().clone()).unwrap_or_default();
    (complete(block, stem), errors)
}

/// An empty YAML block reads as null and means an empty mapping.
pub(super) fn as_map(node: &Node) -> Node {
    match node.value {
        super::document::NodeValue::Null => {
            Node { value: super::document::NodeValue::Map(Vec::new()), ..*node }
        }
        _ => node.clone(),
    }
}

fn complete(block: Block, stem: &str) -> ProfileInfo {
    let name = block.name.unwrap_or_else(|| stem.to_owned());
    let prefix = name.split(['-', '_']).next().unwrap_or_default();
    let by_name = GROUPS.iter().find(|group| **group == prefix).copied().unwrap_or("other");
    ProfileInfo {
        group: block.group.unwrap_or_else(|| by_name.to_owned()),
        name,
        description: block.description.unwrap_or_default(),
        notes: block.notes.unwrap_or_default(),
        phase: block.phase,
        formerly: block.formerly,
    }
}

/// Replaces every `{dotted.key}` by its value in `{"global": …, "INSTANCE": …}`; what names no value
/// stays as it is.
pub fn fill_placeholders(text: &str, resolved: &Value) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((key, behind)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        let value = key.split('.').try_fold(resolved, |value, segment| value.get(segment));
        match value {
            Some(value) => filled.push_str(&super::describe::literal(value)),
            None => filled.push_str(&format!("{{{key}}}")),
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled
}
