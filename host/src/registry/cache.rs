//! What is known of a library file, kept until the file changes.
//!
//! One small file for each library, in the user's cache directory: a line about it and, where it was
//! accepted, a line with its description. A file counts as unchanged while its length, its times, its
//! device and its inode are; so listing two hundred plugins opens none of them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sdk::PluginDescription;
use serde::{Deserialize, Serialize};

use crate::atomic_write;

/// Raise it when the form of what is kept changes.
const SCHEMA: u32 = 1;

/// By what a changed file is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    length: u64,
    modified_ns: u128,
    changed_ns: u128,
    device: u64,
    inode: u64,
}

impl Fingerprint {
    /// That of a file.
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        let plain = Self {
            length: metadata.len(),
            modified_ns: modified.unwrap_or_default().as_nanos(),
            ..Self::default()
        };
        with_inode(plain, metadata)
    }
}

#[cfg(unix)]
fn with_inode(plain: Fingerprint, metadata: &fs::Metadata) -> Fingerprint {
    use std::os::unix::fs::MetadataExt;
    let seconds = u128::try_from(metadata.ctime()).unwrap_or_default();
    let nanos = u128::try_from(metadata.ctime_nsec()).unwrap_or_default();
    Fingerprint {
        changed_ns: seconds * 1_000_000_000 + nanos,
        device: metadata.dev(),
        inode: metadata.ino(),
        ..plain
    }
}

#[cfg(not(unix))]
fn with_inode(plain: Fingerprint, _: &fs::Metadata) -> Fingerprint {
    plain
}

/// How the examination of a library ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It can be used.
    Accepted,
    /// It can't, for this reason.
    Refused(String),
    /// Its code ended the process that looked at it: it isn't tried again until it changes, or a user
    /// asks for it.
    Quarantined {
        /// What happened.
        reason: String,
        /// The day, `2026-11-26`.
        since: String,
    },
}

/// What is kept of a library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    schema: u32,
    /// Which host found it: another one may come to another conclusion.
    host: String,
    path: PathBuf,
    fingerprint: Fingerprint,
    pub(super) outcome: Outcome,
    /// What `host plugins check` found of this very file.
    pub(super) level: Option<String>,
    /// Hash of the file, when somebody asked for it.
    pub(super) blake3: Option<String>,
}

impl Entry {
    pub(super) fn new(path: &Path, fingerprint: Fingerprint, outcome: Outcome) -> Self {
        let (path, host) = (path.to_owned(), this_host());
        Self { schema: SCHEMA, host, path, fingerprint, outcome, level: None, blake3: None }
    }

    /// The same, with what `host plugins check` found.
    pub(super) fn with_level(&self, level: Option<String>) -> Self {
        Self { level, ..self.clone() }
    }

    /// The same, with the hash of its bytes.
    pub(super) fn with_hash(&self, blake3: String) -> Self {
        Self { blake3: Some(blake3), ..self.clone() }
    }

    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// Version and build of this host.
fn this_host() -> String {
    let built = std::env::current_exe().and_then(fs::metadata).map(|m| Fingerprint::of(&m));
    let built = built.unwrap_or_default();
    format!("{} {} {}", env!("CARGO_PKG_VERSION"), built.length, built.modified_ns)
}

/// The directory that entries lie in; none where the user has no place for it.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    directory: Option<PathBuf>,
    host: String,
}

impl Cache {
    /// That of this user: in `$HOST_CACHE_DIR`, `$XDG_CACHE_HOME/host` or `~/.cache/host`.
    pub(super) fn of_user() -> Self {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let base = set("HOST_CACHE_DIR")
            .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("host")))
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache/host")));
        let directory = base.filter(|base| base.is_absolute()).map(|base| base.join("plugins"));
        Self { directory: directory.filter(|directory| is_private(directory)), host: this_host() }
    }

    /// Forgets what was known of the library at `path`.
    pub(super) fn forget(&self, path: &Path) {
        if let Some(file) = self.file(path) {
            let _ = fs::remove_file(file);
        }
    }

    fn file(&self, path: &Path) -> Option<PathBuf> {
        let name = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        Some(self.directory.as_ref()?.join(format!("{}.json", &name[..32])))
    }

    /// What is known of the library at `path`, when it is still the file that it was.
    pub(super) fn find(&self, path: &Path, fingerprint: &Fingerprint) -> Option<Entry> {
        let text = fs::read(self.file(path)?).ok()?;
        let line = text.split(|byte| *byte == b'\n').next()?;
        let entry: Entry = serde_json::from_slice(line).ok()?;
        let is_same = entry.schema == SCHEMA
            && entry.host == self.host
            && entry.path == path
            && entry.fingerprint == *fingerprint;
        is_same.then_some(entry)
    }

    /// The description of a library that was accepted.
    pub(super) fn description(&self, path: &Path) -> Option<PluginDescription> {
        let text = fs::read(self.file(path)?).ok()?;
        let line = text.split(|byte| *byte == b'\n').nth(1)?;
        serde_json::from_slice(line).ok()
    }

    /// Keeps what was found. A cache that can't be written makes things slower, not wrong.
    pub(super) fn store(&self, entry: &Entry, description: Option<&PluginDescription>) {
        let Some(file) = self.file(&entry.path) else { return };
        let Some(directory) = &self.directory else { return };
        let Ok(mut text) = serde_json::to_string(entry) else { return };
        text.push('\n');
        if let Some(description) = description.and_then(|d| serde_json::to_string(d).ok()) {
            text += &description;
            text.push('\n');
        }
        let _ = make_private(directory).and_then(|()| write(&file, text.as_bytes()));
    }

    /// Changes what is kept of a library beside its description.
    pub(super) fn amend(&self, entry: &Entry) {
        self.store(entry, self.description(&entry.path).as_ref());
    }
}

/// Whether only this user can write to a directory, or make it: what is found there is believed.
#[cfg(unix)]
fn is_private(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: the call has no arguments and can't fail.
    let user = unsafe { libc::geteuid() };
    match fs::symlink_metadata(directory) {
        Ok(found) => found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0,
        Err(e) => e.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    true
}

#[cfg(unix)]
fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn make_private(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}

/// Writes beside it and renames, without waiting for the disk: what is lost is made again.
fn write(file: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension(format!("tmp-{}", std::process::id()));
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The BLAKE3 hash of a file's bytes, in hexadecimal digits.
///
/// # Errors
/// When it can't be read, with the path.
pub fn blake3_of(path: &Path) -> io::Result<String> {
    let hash = || {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        Ok(hasher.finalize().to_hex().to_string())
    };
    hash().map_err(atomic_write::at("reading", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(directory: &Path) -> Cache {
        Cache { directory: Some(directory.join("cache")), host: this_host() }
    }

    #[test]
    fn a_changed_file_is_not_known_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, path) = (cache(directory.path()), directory.path().join("lib.so"));
        fs::write(&path, "one").unwrap();
        let print = || Fingerprint::of(&fs::metadata(&path).unwrap());
        let entry = Entry::new(&path, print(), Outcome::Refused("bad".into()));
        cache.store(&entry, None);
        assert_eq!(cache.find(&path, &print()), Some(entry));
        assert!(cache.description(&path).is_none());
        // The same length and, as far as the caller can see to it, the same time.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(cache.find(&path, &print()), None);
    }

    #[test]
    fn another_host_looks_for_itself() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, path) = (cache(directory.path()), directory.path().join("lib.so"));
        let entry = Entry::new(&path, Fingerprint::default(), Outcome::Accepted);
        ours.store(&entry, None);
        let theirs = Cache { host: "0.0.1 1 1".to_owned(), ..ours.clone() };
        assert!(ours.find(&path, &Fingerprint::default()).is_some());
        assert!(theirs.find(&path, &Fingerprint::default()).is_none());
    }

    #[test]
    fn without_a_place_nothing_is_kept() {
        let nowhere = Cache { directory: None, host: this_host() };
        let entry = Entry::new(Path::new("x"), Fingerprint::default(), Outcome::Accepted);
        nowhere.store(&entry, None);
        assert!(nowhere.find(Path::new("x"), &Fingerprint::default()).is_none());
    }
}
