//! Lists of files to read, wherever they are, and what a source makes of them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sdk::{Error, PhaseContext, Result};

use super::documents::{DocumentRule, Documents};
use super::hub;
use super::records::fault;
use super::{Records, paths};
use crate::config::{ChatSource, HeldBack, HubDocuments, Paths, TextDocuments, TextSource};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text.
    Text,
    /// One JSON object per line, or one JSON list.
    Json,
    /// A Parquet table.
    Parquet,
}

impl Format {
    /// The extensions that are looked for in a directory.
    pub(crate) fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Text => &["txt", "md"],
            Self::Json => &["jsonl", "json"],
            Self::Parquet => &["parquet"],
        }
    }
}

/// One file of a [`FileSet`].
#[derive(Clone, Debug)]
pub struct DataFile {
    name: Arc<str>,
    format: Format,
    size: u64,
    location: Location,
}

#[derive(Clone, Debug)]
enum Location {
    /// Where it is, and when it was last changed before it was read.
    Local(PathBuf, Option<SystemTime>),
    Hub(hub::Remote),
}

impl DataFile {
    fn local(path: PathBuf, format: Format, key: &str) -> Result<Self> {
        let name: Arc<str> = path.display().to_string().into();
        let found = fs::metadata(&path).map_err(|error| fault(&name, &error, key))?;
        let location = Location::Local(path, found.modified().ok());
        Ok(Self { name, format, size: found.len(), location })
    }

    #[cfg_attr(
        not(feature = "hub"),
        expect(dead_code, reason = "nothing makes one without the feature")
    )]
    pub(super) fn remote(name: String, format: Format, size: u64, remote: hub::Remote) -> Self {
        Self { name: name.into(), format, size, location: Location::Hub(remote) }
    }

    /// The file as a user knows it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it holds.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Opens the file, and fetches it first where it isn't there yet.
    ///
    /// # Errors
    /// When that fails, at the key `key`.
    pub(super) fn open(&self, key: &str) -> Result<File> {
        let path = match &self.location {
            Location::Local(path, _) => path.clone(),
            Location::Hub(remote) => remote.fetch(self.size).map_err(|error| error.at(key))?,
        };
        File::open(&path).map_err(|error| fault(&self.name, &error, key))
    }

    /// Checks that a local file is still what it was when it was found.
    ///
    /// # Errors
    /// When it was changed, at the key `key`.
    fn check_unchanged(&self, key: &str) -> Result<()> {
        let Location::Local(path, modified) = &self.location else { return Ok(()) };
        let now = fs::metadata(path).map_err(|error| fault(&self.name, &error, key))?;
        if now.len() == self.size && now.modified().ok() == *modified {
            return Ok(());
        }
        let message = format!("`{}` was changed while it was read", self.name);
        Err(Error::new("data::unsteady", message)
            .at(key)
            .help("start again when nothing writes to it any more"))
    }

    /// What identifies the file's content. A local file is read for it, with `on_read` called with
    /// the bytes of each part; the hub has it in its list.
    ///
    /// # Errors
    /// When the file can't be read, or `on_read` fails.
    pub(crate) fn digest(
        &self,
        key: &str,
        on_read: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<String> {
        let path = match &self.location {
            Location::Local(path, _) => path,
            Location::Hub(remote) => return Ok(remote.oid().to_owned()),
        };
        let mut file = File::open(path).map_err(|error| fault(&self.name, &error, key))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = file.read(&mut buffer).map_err(|error| fault(&self.name, &error, key))?;
            if n == 0 {
                return Ok(hasher.finalize().to_hex().to_string());
            }
            hasher.update(&buffer[..n]);
            on_read(n as u64)?;
        }
    }
}

/// An ordered list of files.
#[derive(Clone, Debug)]
pub struct FileSet {
    files: Arc<[DataFile]>,
    max_records: Option<u64>,
    key: Arc<str>,
}

impl FileSet {
    pub(super) fn new(files: Vec<DataFile>, max_records: Option<u64>, key: &str) -> Self {
        Self { files: files.into(), max_records, key: key.into() }
    }

    fn local(paths: &Paths, format: Format, key: &str, setting: &str) -> Result<Self> {
        // A preset has no settings of its own: its name in the mix stands for them.
        let is_written = key.starts_with("data.sources.");
        let key = if is_written { format!("{key}.{setting}") } else { key.to_owned() };
        let paths = paths::expand(paths, format).map_err(|error| error.at(&key))?;
        let file = |path| DataFile::local(path, format, &key);
        Ok(Self::new(paths.into_iter().map(file).collect::<Result<_>>()?, None, &key))
    }

    /// The files, in the order in which they are read.
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// The dotted key of the setting that names the files, for errors about them.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Checks that no file was changed since it was found.
    ///
    /// # Errors
    /// With the first that was.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.files.iter().try_for_each(|file| file.check_unchanged(&self.key))
    }

    /// How many records are read at most.
    pub fn max_records(&self) -> Option<u64> {
        self.max_records
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(DataFile::size).sum()
    }

    /// The records of the files, one at a time.
    pub fn records(&self) -> Records {
        Records::new(self.clone())
    }

    /// The documents of the files, in pieces.
    pub(crate) fn documents(&self, rule: &DocumentRule) -> Documents {
        Documents::new(self.clone(), rule.clone())
    }
}

/// A source of conversations: its files, and what is held back of them.
#[derive(Clone, Debug)]
pub struct RecordSource {
    /// What is trained on; everything is taken apart here where `val` is none.
    pub train: FileSet,
    /// Files or a split of their own that are held back.
    pub val: Option<FileSet>,
    /// What is held back of `train` where `val` is none.
    pub held_back: HeldBack,
}

impl RecordSource {
    /// The files of a source that is written at `key`; `None` for the built-in world.
    ///
    /// The list of a data set of the hub is asked for, and kept in `cache_dir`; its files are fetched
    /// when they are read.
    ///
    /// # Errors
    /// When a file is missing, or the hub can't be asked.
    pub fn open(
        source: &ChatSource,
        key: &str,
        cache_dir: &Path,
        cx: &PhaseContext,
    ) -> Result<Option<Self>> {
        let Some(held_back) = source.held_back() else { return Ok(None) };
        let (train, val) = match source {
            ChatSource::World { .. } => return Ok(None),
            ChatSource::Jsonl(files) => {
                local_pair(&files.path, files.val_path.as_ref(), Format::Json, key)?
            }
            ChatSource::Parquet(files) => {
                local_pair(&files.path, files.val_path.as_ref(), Format::Parquet, key)?
            }
            ChatSource::Hub(hub) => hub_pair(&hub.into(), hub.max_documents, key, cache_dir, cx)?,
        };
        Ok(Some(Self { train, val, held_back }))
    }
}

/// A source of texts: its files, what a document is, what is held back, and how much is read.
#[derive(Clone, Debug)]
pub(crate) struct TextInput {
    pub(crate) train: FileSet,
    pub(crate) val: Option<FileSet>,
    pub(crate) held_back: HeldBack,
    pub(crate) rule: DocumentRule,
    pub(crate) max_documents: Option<u64>,
    pub(crate) max_tokens: Option<u64>,
}

impl TextInput {
    /// As [`RecordSource::open`], for texts.
    pub(crate) fn open(
        source: &TextSource,
        key: &str,
        cache_dir: &Path,
        cx: &PhaseContext,
    ) -> Result<Option<Self>> {
        let Some(held_back) = source.held_back() else { return Ok(None) };
        let (mut max_documents, mut max_tokens) = (None, None);
        let ((train, val), rule) = match source {
            TextSource::World { .. } => return Ok(None),
            TextSource::Text(files) => (
                local_pair(&files.path, files.val_path.as_ref(), Format::Text, key)?,
                rule(files.documents, None, false),
            ),
            TextSource::Jsonl(files) => (
                local_pair(&files.path, files.val_path.as_ref(), Format::Json, key)?,
                rule(TextDocuments::default(), files.field.as_ref(), false),
            ),
            TextSource::Parquet(files) => (
                local_pair(&files.path, files.val_path.as_ref(), Format::Parquet, key)?,
                rule(TextDocuments::default(), files.field.as_ref(), false),
            ),
            TextSource::Hub(hub) => {
                (max_documents, max_tokens) = (hub.max_documents, hub.max_tokens);
                let is_lines = hub.documents == HubDocuments::Lines;
                let in_text =
                    if is_lines { TextDocuments::Lines } else { TextDocuments::Paragraphs };
                let files = hub_pair(&hub.into(), None, key, cache_dir, cx)?;
                (files, rule(in_text, hub.field.as_ref(), is_lines))
            }
        };
        Ok(Some(Self { train, val, held_back, rule, max_documents, max_tokens }))
    }
}

fn rule(in_text: TextDocuments, field: Option<&String>, split_records: bool) -> DocumentRule {
    DocumentRule { in_text, field: field.cloned(), split_records }
}

fn local_pair(
    path: &Paths,
    val: Option<&Paths>,
    format: Format,
    key: &str,
) -> Result<(FileSet, Option<FileSet>)> {
    let val = val.map(|val| FileSet::local(val, format, key, "val_path")).transpose()?;
    Ok((FileSet::local(path, format, key, "path")?, val))
}

fn hub_pair(
    query: &hub::Query,
    max_records: Option<u64>,
    key: &str,
    cache_dir: &Path,
    cx: &PhaseContext,
) -> Result<(FileSet, Option<FileSet>)> {
    let (train, val) =
        hub::files(query, cache_dir, cx).map_err(|error| at_hub_setting(error, key))?;
    let key = hub_setting(key, "dataset");
    let val = val.map(|val| FileSet::new(val, max_records, &key));
    Ok((FileSet::new(train, max_records, &key), val))
}

/// The key of a setting of a hub source; a preset has no settings, so its name stands for them.
fn hub_setting(key: &str, setting: &str) -> String {
    let is_written = key.starts_with("data.sources.");
    if is_written { format!("{key}.{setting}") } else { key.to_owned() }
}

/// An error about a data set, at the setting that mends it.
fn at_hub_setting(error: Error, key: &str) -> Error {
    let is_of_config = ["data::hub_config", "data::hub_configs"].contains(&error.code.as_str());
    error.at(hub_setting(key, if is_of_config { "config" } else { "dataset" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_configuration_mends_is_told_there() {
        let at = |code: &str, key| at_hub_setting(Error::new(code, "x"), key).path.unwrap();
        assert_eq!(at("data::hub_configs", "data.sources.web"), "data.sources.web.config");
        assert_eq!(at("data::hub_config", "data.mix.wikitext"), "data.mix.wikitext");
        assert_eq!(at("data::hub_missing", "data.sources.web"), "data.sources.web.dataset");
    }
}
