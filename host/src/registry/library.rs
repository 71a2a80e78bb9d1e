//! A library file: what is known of it without loading it, and its root once somebody needs it.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sdk::PluginDescription;
use sdk::abi::PluginRoot_Ref;

use super::cache::{Cache, Entry, Fingerprint, Outcome, blake3_of};
use super::dynamic;
use super::examine::{Report, examine};
use super::store::today;
use crate::atomic_write::reason;

/// A library file after a look at it.
pub struct Library {
    path: PathBuf,
    /// What was found out; a reason where the file couldn't even be read.
    found: Result<Entry, String>,
    description: Option<PluginDescription>,
    root: OnceLock<Result<PluginRoot_Ref, String>>,
    blake3: OnceLock<Option<String>>,
}

impl Library {
    /// What is known of the library at `path`, from the cache or from an examination.
    pub(super) fn find(path: &Path, cache: &Cache) -> Self {
        Self::find_that(path, cache, None)
    }

    /// The same of one that must be the file of this fingerprint: another one isn't examined.
    pub(super) fn find_that(path: &Path, cache: &Cache, that: Option<&Fingerprint>) -> Self {
        let known = fingerprint(path).map(|print| (cache.find(&whole(path), &print), print));
        match known {
            Err(reason) => Self::new(path, Err(reason), None),
            Ok((_, print)) if that.is_some_and(|that| *that != print) => {
                let reason = "it changed while it was looked at; run this again".to_owned();
                Self::new(path, Err(reason), None)
            }
            Ok((Some(entry), print)) if entry.outcome == Outcome::Accepted => {
                match cache.description(&whole(path)) {
                    Some(description) => Self::new(path, Ok(entry), Some(description)),
                    None => Self::examined(path, print, cache),
                }
            }
            Ok((Some(entry), _)) => Self::new(path, Ok(entry), None),
            Ok((None, print)) => Self::examined(path, print, cache),
        }
    }

    /// What an examination finds now, whatever was known.
    pub(super) fn find_anew(path: &Path, cache: &Cache) -> Self {
        match fingerprint(path) {
            Err(reason) => Self::new(path, Err(reason), None),
            Ok(print) => Self::examined(path, print, cache),
        }
    }

    fn examined(path: &Path, print: Fingerprint, cache: &Cache) -> Self {
        let looked = File::open(path)
            .map_err(|e| format!("can't be read: {}", reason(&e)))
            .and_then(|file| dynamic::look(&file));
        let mut is_lasting = true;
        let (outcome, description) = match looked {
            Err(reason) => (Outcome::Refused(reason), None),
            Ok(_) => match examine(path) {
                Report::Accepted(description) => (Outcome::Accepted, Some(*description)),
                Report::Refused(reason) => {
                    // It may be for want of another library, which is there the next time.
                    is_lasting = false;
                    (Outcome::Refused(reason), None)
                }
                Report::Crashed { reason, is_from_outside: true } => {
                    is_lasting = false;
                    (Outcome::Refused(format!("{reason} while it was examined")), None)
                }
                Report::Crashed { reason, .. } => {
                    (Outcome::Quarantined { reason, since: today() }, None)
                }
            },
        };
        let mut entry = Entry::new(&whole(path), print, outcome);
        // What a check found of this very file holds until another finds something else.
        if let Some(known) = cache.find(&whole(path), &print) {
            entry = entry.with_level(known.level);
        }
        if is_lasting {
            cache.store(&entry, description.as_ref());
        } else {
            cache.forget(&whole(path));
        }
        Self::new(path, Ok(entry), description)
    }

    fn new(
        path: &Path,
        found: Result<Entry, String>,
        description: Option<PluginDescription>,
    ) -> Self {
        let (root, blake3) = (OnceLock::new(), OnceLock::new());
        Self { path: path.to_owned(), found, description, root, blake3 }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it is not used.
    pub(super) fn refusal(&self) -> Option<String> {
        let entry = match &self.found {
            Ok(entry) => entry,
            Err(reason) => return Some(reason.clone()),
        };
        match &entry.outcome {
            Outcome::Accepted => None,
            Outcome::Refused(reason) => Some(reason.clone()),
            Outcome::Quarantined { reason, since } => Some(format!(
                "in quarantine since {since}: {reason} while it was examined; \
                 `host plugins check {}` tries it again",
                self.path.display()
            )),
        }
    }

    /// The reason alone why it is not used, without what to do about it.
    pub(super) fn what_happened(&self) -> String {
        match self.found.as_ref().map(|entry| &entry.outcome) {
            Ok(Outcome::Accepted) => String::new(),
            Err(reason) | Ok(Outcome::Refused(reason) | Outcome::Quarantined { reason, .. }) => {
                reason.clone()
            }
        }
    }

    /// What `host plugins check` found, when it looked at this very file.
    pub(super) fn level(&self) -> Option<&str> {
        self.found.as_ref().ok()?.level.as_deref()
    }

    /// Keeps what `host plugins check` found.
    pub(super) fn set_level(&self, cache: &Cache, level: Option<String>) {
        if let Ok(entry) = &self.found {
            cache.amend(&entry.with_level(level));
        }
    }

    /// What its code says of it, when it can be used.
    pub(super) fn description(&self) -> Option<&PluginDescription> {
        self.description.as_ref()
    }

    /// Hash of its bytes; nothing when the file can't be read, or has changed since.
    pub fn blake3(&self) -> Option<&str> {
        let find = || {
            let entry = self.found.as_ref().ok()?;
            let (hash, print) = Self::known_hash(&self.path, &Cache::of_user())?;
            (print == *entry.fingerprint()).then_some(hash)
        };
        self.blake3.get_or_init(find).as_deref()
    }

    /// Hash of the bytes of the file at `path`, which may never have been examined, and by what it is
    /// known that it is still that file.
    pub(super) fn known_hash(path: &Path, cache: &Cache) -> Option<(String, Fingerprint)> {
        let print = fingerprint(path).ok()?;
        let entry = cache.find(&whole(path), &print);
        if let Some(hash) = entry.as_ref().and_then(|entry| entry.blake3.clone()) {
            return Some((hash, print));
        }
        let hash = blake3_of(path).ok()?;
        if fingerprint(path).ok()? != print {
            return None;
        }
        if let Some(entry) = entry {
            cache.amend(&entry.with_hash(hash.clone()));
        }
        Some((hash, print))
    }

    /// Loads it into this process, once.
    ///
    /// # Errors
    /// A one-line reason; also when the file is not the one that was examined.
    pub(super) fn root(&self) -> Result<PluginRoot_Ref, String> {
        let load = || {
            let examined = self.found.as_ref().map_err(Clone::clone)?.fingerprint();
            let changed = || "it has changed since it was examined; run this again".to_owned();
            if fingerprint(&self.path)? != *examined {
                return Err(changed());
            }
            let (_, root) = dynamic::load_root(&self.path)?;
            if fingerprint(&self.path)? != *examined {
                return Err(changed());
            }
            Ok(root)
        };
        self.root.get_or_init(load).clone()
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The path without links: by this a library is known, however it is named.
fn whole(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn fingerprint(path: &Path) -> Result<Fingerprint, String> {
    let metadata = fs::metadata(path).map_err(|e| format!("can't be read: {}", reason(&e)))?;
    Ok(Fingerprint::of(&metadata))
}
