//! What is fetched, on disk: the layout of the hub's own libraries.
//!
//! ```text
//! datasets--OWNER--NAME/refs/REVISION          the commit
//! datasets--OWNER--NAME/blobs/OID              a file's content
//! datasets--OWNER--NAME/snapshots/COMMIT/PATH  a link to its blob
//! ```
//!
//! Lists of files are ours and lie in our own cache.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    /// The hash of its content that the hub knows it by.
    pub(super) oid: String,
    pub(super) size: u64,
}

impl Entry {
    /// Whether both names stay inside the folders that they are put in.
    pub(super) fn is_safe(&self) -> bool {
        is_inside(&self.path) && is_inside(&self.oid) && !self.oid.contains('/')
    }
}

/// Whether a relative path has no way out of its folder.
pub(super) fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The folders of one data set.
#[derive(Clone, Debug)]
pub(super) struct Store {
    repo: PathBuf,
    lists: PathBuf,
}

impl Store {
    /// The folders of `dataset` below the hub's cache and below our own.
    pub(super) fn new(hub_cache: &Path, cache_dir: &Path, dataset: &str) -> Self {
        let folder = format!("datasets--{}", dataset.replace('/', "--"));
        Self { repo: hub_cache.join(&folder), lists: cache_dir.join("hub").join(folder) }
    }

    pub(super) fn repo(&self) -> &Path {
        &self.repo
    }

    /// The commit that a revision was last known to be.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        let commit = fs::read_to_string(self.repo.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| !commit.is_empty() && is_inside(commit))
    }

    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<()> {
        write_whole(&self.repo.join("refs").join(revision), commit.as_bytes())
    }

    /// The files of a commit: as the hub listed them, else those that are there.
    pub(super) fn list(&self, commit: &str) -> Option<Vec<Entry>> {
        self.kept_list(commit).or_else(|| {
            let found = self.scan(commit).filter(|list| list.iter().all(Entry::is_safe))?;
            let (n, folder) = (found.len(), self.snapshot(commit));
            log::warn!(
                "what the hub has isn't known: going on with the {n} files in `{}`",
                folder.display()
            );
            Some(found)
        })
    }

    /// The files of a commit as the hub listed them; none where the list is damaged.
    pub(super) fn kept_list(&self, commit: &str) -> Option<Vec<Entry>> {
        let kept = fs::read(self.list_path(commit)).ok()?;
        let list: Vec<Entry> = serde_json::from_slice(&kept).ok()?;
        Some(list).filter(|list| list.iter().all(Entry::is_safe))
    }

    pub(super) fn keep_list(&self, commit: &str, list: &[Entry]) -> Result<()> {
        write_whole(&self.list_path(commit), &serde_json::to_vec_pretty(list)?)
    }

    fn list_path(&self, commit: &str) -> PathBuf {
        self.lists.join(format!("{commit}.json"))
    }

    /// Where a file of a commit is, once fetched; `None` before.
    pub(super) fn fetched(&self, commit: &str, entry: &Entry) -> Option<PathBuf> {
        let path = self.snapshot(commit).join(&entry.path);
        let size = fs::metadata(&path).ok()?.len();
        (size == entry.size).then_some(path)
    }

    /// Where the content of a file belongs.
    pub(super) fn blob(&self, entry: &Entry) -> PathBuf {
        self.repo.join("blobs").join(&entry.oid)
    }

    /// Shows a blob under its path in the commit.
    pub(super) fn link(&self, commit: &str, entry: &Entry) -> Result<PathBuf> {
        let path = self.snapshot(commit).join(&entry.path);
        let folder = path.parent().unwrap_or(&self.repo);
        fs::create_dir_all(folder).map_err(|e| cant("making", folder, &e))?;
        let depth = Path::new(&entry.path).components().count() + 1;
        let target = Path::new(&"../".repeat(depth)).join("blobs").join(&entry.oid);
        let linked = match symlink(&target, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.replace(commit, entry, &target, &path)
            }
            linked => linked,
        };
        linked.map_err(|error| cant("linking", &path, &error))?;
        Ok(path)
    }

    /// Puts the link where something is already: another process was faster, or a torn copy lies
    /// there, which must not be taken for the file.
    fn replace(&self, commit: &str, entry: &Entry, target: &Path, path: &Path) -> io::Result<()> {
        if self.fetched(commit, entry).is_some() {
            return Ok(());
        }
        let temp = path.with_file_name(temp_name("link"));
        symlink(target, &temp).and_then(|()| fs::rename(&temp, path))
    }

    fn snapshot(&self, commit: &str) -> PathBuf {
        self.repo.join("snapshots").join(commit)
    }

    /// The files of a commit that another program fetched.
    fn scan(&self, commit: &str) -> Option<Vec<Entry>> {
        let root = self.snapshot(commit);
        let mut entries = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for file in fs::read_dir(folder).ok()?.filter_map(Result::ok) {
                let path = file.path();
                // Folders are never links here; one that is could lead in a circle.
                if file.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if let Some(entry) = scanned(&root, &path) {
                    entries.push(entry);
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        (!entries.is_empty()).then_some(entries)
    }
}

/// A link's target is named after the content; of a plain file it must be hashed.
fn scanned(root: &Path, path: &Path) -> Option<Entry> {
    let size = fs::metadata(path).ok().filter(fs::Metadata::is_file)?.len();
    let oid = match fs::read_link(path) {
        Ok(target) => target.file_name()?.to_str()?.to_owned(),
        Err(_) => {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(fs::File::open(path).ok()?).ok()?;
            hasher.finalize().to_hex().to_string()
        }
    };
    Some(Entry { path: path.strip_prefix(root).ok()?.to_str()?.to_owned(), oid, size })
}

/// Writes a small file so that nobody ever sees half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|e| cant("making", folder, &e))?;
    let temp = path.with_file_name(temp_name("list"));
    let written = fs::write(&temp, bytes).and_then(|()| fs::rename(&temp, path));
    written.map_err(|e| cant("writing", path, &e))
}

/// A name that no other thread or process uses, and that is never read.
pub(super) fn temp_name(stem: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{stem}.{}-{unique}.incomplete", process::id())
}

pub(super) fn cant(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::new("data::hub_cache", format!("{doing} `{}`: {error}", path.display()))
}
