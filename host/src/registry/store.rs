//! Installed plugins: copies under the hash of their bytes, and `plugins.lock`, which says what they are.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sdk::PhaseDescription;
use sdk::metadata::PluginRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use super::cache::{Cache, Fingerprint, blake3_of};
use super::examine::{Report, examine};
use super::{dynamic, trust, user_config_dir};
use crate::atomic_write::{self, at, rename};

const SCHEMA: u32 = 1;

/// `plugins.lock`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    schema: u32,
    #[serde(default, rename = "plugin")]
    plugins: Vec<Locked>,
}

/// A plugin that was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// BLAKE3 hash of its library, in hexadecimal digits.
    pub blake3: String,
    /// What it was built for, as a triple.
    pub target: String,
    /// The file that it was copied from.
    pub source: PathBuf,
    /// The day, `2026-11-26`.
    pub added: String,
    /// Name of the library in the store.
    pub file: String,
    /// The sections of its phases, as its code described them.
    #[serde(default, rename = "section")]
    pub sections: Vec<LockedSection>,
}

/// What a phase's section was when its plugin was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSection {
    /// The phase.
    pub phase: String,
    /// Version of the section.
    pub version: u32,
    /// BLAKE3 hash of its schema, without the words that only describe.
    pub schema: String,
}

impl LockedSection {
    fn of(phase: &PhaseDescription) -> Self {
        let mut keys = phase.schema.clone();
        without_words(&mut keys);
        let schema = blake3::hash(keys.to_string().as_bytes()).to_hex().to_string();
        Self { phase: phase.phase.clone(), version: phase.section_version, schema }
    }
}

/// Where installed plugins are.
#[derive(Clone, Debug)]
pub struct Store {
    lock: PathBuf,
    directory: PathBuf,
}

/// Takes what only describes out of a schema: other words make no other section.
fn without_words(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // A key of the section may be called `title` too: then its value is a schema.
            map.retain(|name, value| {
                let is_word = matches!(name.as_str(), "description" | "title" | "examples");
                let is_text = is_word && !value.is_object();
                !is_text && !name.starts_with("x-")
            });
            map.values_mut().for_each(without_words);
        }
        Value::Array(values) => values.iter_mut().for_each(without_words),
        _ => {}
    }
}

/// What became of a plugin that was added.
#[derive(Clone, Debug)]
pub struct Added {
    /// It, as the lock has it now.
    pub plugin: Locked,
    /// What it took the place of.
    pub replaced: Option<Locked>,
}

impl Added {
    /// Phases whose section is another than before, under the same version: files of before may not fit
    /// it, and nothing would carry them forward.
    pub fn changed_silently(&self) -> Vec<&str> {
        let before = self.replaced.iter().flat_map(|old| &old.sections);
        let changed = before.filter_map(|old| {
            let now = self.plugin.sections.iter().find(|now| now.phase == old.phase)?;
            let is_silent = now.version == old.version && now.schema != old.schema;
            is_silent.then_some(old.phase.as_str())
        });
        changed.collect()
    }
}

impl Store {
    /// This user's; none without a home.
    pub fn of_user() -> Option<Self> {
        let lock = user_config_dir()?.join("plugins.lock");
        Some(Self { lock, directory: trust::user_data_dir()?.join("plugins") })
    }

    /// What is installed.
    ///
    /// # Errors
    /// When the lock can't be read: nothing installed is loaded then.
    pub fn plugins(&self) -> io::Result<Vec<Locked>> {
        Ok(self.read()?.plugins)
    }

    fn read(&self) -> io::Result<LockFile> {
        let text = match fs::read_to_string(&self.lock) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(LockFile::default()),
            Err(e) => return Err(at("reading", &self.lock)(e)),
        };
        let lock: LockFile = toml::from_str(&text)
            .map_err(|e| at("reading", &self.lock)(io::Error::other(e.message().to_owned())))?;
        let is_sound = |p: &Locked| {
            let is_hash = p.blake3.len() == 64 && p.blake3.bytes().all(|b| b.is_ascii_hexdigit());
            is_hash && Path::new(&p.file).file_name() == Some(p.file.as_ref())
        };
        if lock.schema != SCHEMA || !lock.plugins.iter().all(is_sound) {
            let what = io::Error::other("written by another version of the host, or damaged");
            return Err(at("reading", &self.lock)(what));
        }
        Ok(lock)
    }

    fn write(&self, mut plugins: Vec<Locked>) -> io::Result<()> {
        plugins.sort_by(|a, b| a.name.cmp(&b.name));
        let lock = LockFile { schema: SCHEMA, plugins };
        let text = toml::to_string(&lock).map_err(io::Error::other)?;
        let head = "# Installed plugins. Written by `host plugins add`, `trust` and `remove`.\n";
        let parent = self.lock.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(at("making", parent))?;
        atomic_write::write(&self.lock, format!("{head}{text}").as_bytes())
    }

    /// Where the library of an installed plugin lies.
    pub fn path(&self, plugin: &Locked) -> PathBuf {
        self.directory.join(&plugin.blake3).join(&plugin.file)
    }

    /// One at a time changes what is installed.
    fn alone(&self) -> io::Result<File> {
        fs::create_dir_all(&self.directory).map_err(at("making", &self.directory))?;
        let path = self.directory.join(".changing");
        let open = || {
            let file = File::options().create(true).append(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(at("locking", &path))
    }

    /// Copies a library into the store and the lock, in the place of an earlier one of its name.
    ///
    /// It is examined where it will lie, after it was copied: what is trusted is what was looked at.
    ///
    /// # Errors
    /// `Ok(Err)` with a one-line reason when the file is refused. Nothing is changed by either.
    pub fn add(&self, source: &Path) -> io::Result<Result<Added, String>> {
        let whole = fs::canonicalize(source).map_err(at("reading", source))?;
        self.add_from(&whole, &whole)
    }

    /// Adds the library `from`, which came from `source` at first.
    fn add_from(&self, from: &Path, source: &Path) -> io::Result<Result<Added, String>> {
        let parent = from.parent().unwrap_or(Path::new("/"));
        if let Some(reason) = trust::distrust_file(from, parent) {
            return Ok(Err(reason));
        }
        let _alone = self.alone()?;
        // A lock that can't be read is no reason to put a library beside it.
        let mut plugins = self.plugins()?;
        let temporary = self.directory.join(format!(".tmp-{}", std::process::id()));
        let made = self.copy(from, source, &temporary);
        let _ = fs::remove_dir_all(&temporary);
        let (plugin, is_new) = match made? {
            Ok(made) => made,
            Err(reason) => return Ok(Err(reason)),
        };
        let before = plugins.iter().position(|p| p.name == plugin.name);
        let replaced = before.map(|i| plugins.remove(i));
        plugins.push(plugin.clone());
        if let Err(error) = self.write(plugins) {
            if is_new {
                let _ = fs::remove_dir_all(self.directory.join(&plugin.blake3));
            }
            return Err(error);
        }
        if let Some(old) = replaced.as_ref().filter(|old| old.blake3 != plugin.blake3) {
            let _ = fs::remove_dir_all(self.directory.join(&old.blake3));
        }
        self.carry_level(from, &plugin);
        Ok(Ok(Added { plugin, replaced }))
    }

    /// Copies a library into the store; all that is said of it is read from the copy. Returns also
    /// whether it wasn't there yet.
    fn copy(
        &self,
        from: &Path,
        source: &Path,
        temporary: &Path,
    ) -> io::Result<Result<(Locked, bool), String>> {
        let _ = fs::remove_dir_all(temporary);
        fs::create_dir(temporary).map_err(at("making", temporary))?;
        let copy = temporary.join("library");
        fs::copy(from, &copy).map_err(at("copying to", &copy))?;
        let records = match dynamic::look(&File::open(&copy).map_err(at("reading", &copy))?) {
            Ok(records) => records,
            Err(reason) => return Ok(Err(reason)),
        };
        let record = match the_plugin(&records) {
            Ok(record) => record,
            Err(reason) => return Ok(Err(reason)),
        };
        let file = library_name(&record.plugin);
        let named = temporary.join(&file);
        rename(&copy, &named)?;
        let mut permissions = fs::metadata(&named).map_err(at("reading", &named))?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&named, permissions).map_err(at("protecting", &named))?;
        File::open(&named).and_then(|file| file.sync_all()).map_err(at("flushing", &named))?;
        atomic_write::sync_directory(temporary)?;
        let blake3 = blake3_of(&named)?;
        let description = match examine(&named) {
            Report::Accepted(description) => description,
            Report::Refused(reason) => return Ok(Err(reason)),
            Report::Crashed { reason, .. } => {
                return Ok(Err(format!("{reason} while it was examined")));
            }
        };
        let place = self.directory.join(&blake3);
        // A run may be about to load what is there.
        let is_new = !blake3_of(&place.join(&file)).is_ok_and(|there| there == blake3);
        if is_new {
            if place.exists() {
                fs::remove_dir_all(&place).map_err(at("removing", &place))?;
            }
            rename(temporary, &place)?;
        }
        let plugin = Locked {
            name: record.plugin.clone(),
            version: record.version.clone(),
            blake3,
            target: record.target.clone(),
            source: source.to_owned(),
            added: today(),
            file,
            sections: description.phases.iter().map(LockedSection::of).collect(),
        };
        Ok(Ok((plugin, is_new)))
    }

    /// What was found of the file by `host plugins check` holds for its copy.
    fn carry_level(&self, source: &Path, plugin: &Locked) {
        let cache = Cache::of_user();
        let print = |path: &Path| fs::metadata(path).ok().map(|m| Fingerprint::of(&m));
        // `source` has no links in it.
        let known = print(source).and_then(|print| cache.find(source, &print));
        let Some(level) = known.and_then(|entry| entry.level) else { return };
        super::library::Library::find(&self.path(plugin), &cache).set_level(&cache, Some(level));
    }

    /// Takes an installed plugin's library as it is now.
    ///
    /// # Errors
    /// `Ok(Err)` with a one-line reason when there is no such plugin, or its library is refused.
    pub fn trust(&self, name: &str) -> io::Result<Result<Added, String>> {
        let before = self.plugins()?.into_iter().find(|p| p.name == name);
        let Some(before) = before else { return Ok(Err(format!("`{name}` is not installed"))) };
        let path = self.path(&before);
        if blake3_of(&path)? == before.blake3 {
            return Ok(Ok(Added { plugin: before.clone(), replaced: Some(before) }));
        }
        let added = self.add_from(&path, &before.source)?;
        if let Ok(added) = &added
            && added.plugin.name != name
        {
            self.remove(name)?;
        }
        Ok(added)
    }

    /// Removes an installed plugin; `false` when there is none of this name.
    ///
    /// # Errors
    /// When lock or store can't be changed.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        let _alone = self.alone()?;
        let mut plugins = self.plugins()?;
        let Some(i) = plugins.iter().position(|p| p.name == name) else { return Ok(false) };
        let removed = plugins.remove(i);
        self.write(plugins)?;
        let place = self.directory.join(&removed.blake3);
        match fs::remove_dir_all(&place) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at("removing", &place)(e)),
            _ => Ok(true),
        }
    }
}

/// The one plugin that these records are of: a library with several crates' trainers has no one name.
fn the_plugin(records: &[PluginRecord]) -> Result<&PluginRecord, String> {
    let first = records.first().ok_or_else(|| "it registers no trainer".to_owned())?;
    match records.iter().find(|record| record.plugin != first.plugin) {
        None => Ok(first),
        Some(other) => Err(format!(
            "it holds two plugins, `{}` and `{}`: install a library of one",
            first.plugin, other.plugin
        )),
    }
}

/// The file name that cargo gives the library of a plugin.
pub fn library_name(plugin: &str) -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("{prefix}{}{suffix}", plugin.replace('-', "_"))
}

/// Today's date in UTC, `2026-11-26`.
pub(super) fn today() -> String {
    let form = format_description!("[year]-[month]-[day]");
    OffsetDateTime::now_utc().format(form).unwrap_or_default()
}
