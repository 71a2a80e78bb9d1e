//! The files of a data set, each fetched when it is first opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sdk::{Error, PhaseContext, Result};

use super::Query;
use super::client::{Client, Settings, UNREACHABLE, is_revision};
use super::select::{format, select};
use super::store::{Entry, Store};
use crate::source::{DataFile, Format};

/// A file of the hub.
#[derive(Clone, Debug)]
pub(in crate::source) struct Remote {
    repository: Arc<Repository>,
    entry: Entry,
}

/// A data set at one commit.
struct Repository {
    dataset: String,
    commit: String,
    store: Store,
    /// None where nobody is to be asked.
    client: Option<Client>,
}

impl Remote {
    /// What the hub knows the file's content by.
    pub(in crate::source) fn oid(&self) -> &str {
        &self.entry.oid
    }

    /// Where the file is on disk, fetched where it wasn't there.
    pub(in crate::source) fn fetch(&self, _size: u64) -> Result<PathBuf> {
        let Repository { dataset, commit, store, client } = &*self.repository;
        if let Some(path) = store.fetched(commit, &self.entry) {
            return Ok(path);
        }
        let Some(client) = client else {
            let message = format!("`{}` of data set `{dataset}` isn't there", self.entry.path);
            return Err(offline(&message, store));
        };
        client.fetch(store, commit, &self.entry)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.dataset, self.commit)
    }
}

/// The files to train on and those to hold back, where the query names a split for them.
///
/// # Errors
/// When the hub can't be asked and nothing is there, or the data set has no such files.
pub(in crate::source) fn files(
    query: &Query,
    cache_dir: &Path,
    cx: &PhaseContext,
) -> Result<(Vec<DataFile>, Option<Vec<DataFile>>)> {
    files_with(&Settings::from_env(), query, cache_dir, cx)
}

pub(super) fn files_with(
    settings: &Settings,
    query: &Query,
    cache_dir: &Path,
    cx: &PhaseContext,
) -> Result<(Vec<DataFile>, Option<Vec<DataFile>>)> {
    if !is_revision(&query.revision) {
        let message = format!("`{}` is no revision of a data set", query.revision);
        return Err(Error::new("data::hub_revision", message));
    }
    let store = Store::new(&settings.hub_cache, cache_dir, &query.dataset);
    let client = (!settings.is_offline).then(|| Client::new(settings, &query.dataset, cx));
    let (commit, list) = pinned(client.as_ref(), &store, query)?;
    let dataset = query.dataset.clone();
    let repository = Arc::new(Repository { dataset, commit, store, client });
    let of_split = |split: &str| -> Result<Vec<DataFile>> {
        let entries = select(&list, query, split)?;
        Ok(entries.into_iter().map(|entry| data_file(&repository, entry)).collect())
    };
    let val = query.val_split.as_deref().map(of_split).transpose()?;
    Ok((of_split(&query.split)?, val))
}

/// The commit of a revision and its files. Where the hub can't be reached, those of the last time.
fn pinned(client: Option<&Client>, store: &Store, query: &Query) -> Result<(String, Vec<Entry>)> {
    let known = || {
        let commit = store.commit(&query.revision).or_else(|| as_commit(&query.revision))?;
        store.list(&commit).map(|list| (commit, list))
    };
    let Some(client) = client else {
        let message = || format!("data set `{}` isn't there", query.dataset);
        return known().ok_or_else(|| offline(&message(), store));
    };
    match asked(client, store, query) {
        Err(error) if error.code == UNREACHABLE => {
            let known = known().ok_or_else(|| error.clone())?;
            log::warn!("{error}; going on with what was fetched before");
            Ok(known)
        }
        asked => asked,
    }
}

fn asked(client: &Client, store: &Store, query: &Query) -> Result<(String, Vec<Entry>)> {
    let commit = match as_commit(&query.revision) {
        Some(commit) => commit,
        None => client.commit(&query.revision)?,
    };
    let list = match store.kept_list(&commit) {
        Some(list) => list,
        None => {
            let list = client.list(&commit)?;
            store.keep_list(&commit, &list)?;
            list
        }
    };
    store.set_commit(&query.revision, &commit)?;
    Ok((commit, list))
}

/// A revision that is a commit already.
fn as_commit(revision: &str) -> Option<String> {
    let is_commit = revision.len() == 40 && revision.chars().all(|c| c.is_ascii_hexdigit());
    is_commit.then(|| revision.to_owned())
}

fn data_file(repository: &Arc<Repository>, entry: Entry) -> DataFile {
    let name = format!("{}/{}", repository.dataset, entry.path);
    let format = format(&entry.path).unwrap_or(Format::Text);
    let size = entry.size;
    DataFile::remote(name, format, size, Remote { repository: repository.clone(), entry })
}

fn offline(what: &str, store: &Store) -> Error {
    let message = format!("{what}: nothing fitting in `{}`", store.repo().display());
    Error::new("data::hub_offline", message)
        .help("`HF_HUB_OFFLINE` is set: unset it once to fetch the data")
}
