//! From what a section says (files, globs, folders) to a list of files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

/// One path or several: files, globs such as `lab/*.sli`, or folders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Paths {
    /// One path.
    One(String),
    /// Several paths.
    Many(Vec<String>),
}

impl From<&str> for Paths {
    fn from(path: &str) -> Self {
        Self::One(path.to_owned())
    }
}

impl Paths {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }

    /// The files that the paths stand for, in order, each once. Of a folder, those with one of
    /// `extensions`.
    ///
    /// # Errors
    /// When a glob is malformed or a path stands for no file; all of those are named.
    pub(super) fn files(&self, extensions: &[&str]) -> Result<Vec<PathBuf>> {
        let (mut files, mut missing) = (BTreeSet::new(), Vec::new());
        for path in self.as_slice() {
            let found = matches(path, extensions)?;
            if found.is_empty() {
                missing.push(path.as_str());
            }
            files.extend(found);
        }
        if missing.is_empty() && !files.is_empty() {
            return Ok(files.into_iter().collect());
        }
        Err(nothing(&missing, extensions))
    }
}

fn matches(path: &str, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let as_written = Path::new(path);
    if as_written.is_file() {
        return Ok(vec![as_written.to_owned()]);
    }
    if as_written.is_dir() {
        return within(as_written, extensions);
    }
    let malformed = |error: glob::PatternError| {
        Error::new("spectral::glob", format!("malformed glob `{path}`: {}", error.msg))
    };
    let found = glob::glob(path).map_err(malformed)?.flatten();
    Ok(found.filter(|path| path.is_file()).collect())
}

fn within(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let unread = |error: std::io::Error| {
        Error::new("spectral::read", format!("reading `{}`: {error}", folder.display()))
    };
    let is_wanted = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|e| extensions.iter().any(|wanted| e.eq_ignore_ascii_case(wanted)))
            && path.is_file()
    };
    let entries = fs::read_dir(folder).map_err(unread)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(unread));
    paths.filter(|path| path.as_ref().map_or(true, is_wanted)).collect()
}

fn nothing(missing: &[&str], extensions: &[&str]) -> Error {
    let list = missing.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
    let message = match missing {
        [] => "names no file".to_owned(),
        [folder] if Path::new(folder).is_dir() => {
            let wanted: Vec<String> = extensions.iter().map(|e| format!("`.{e}`")).collect();
            format!("the directory {list} has no {} file", wanted.join(" or "))
        }
        [glob] if glob.contains(['*', '?', '[']) => format!("{list} matches no file"),
        _ => format!("no such file: {list}"),
    };
    Error::new("spectral::missing", message)
        .help("paths count from the directory that the run is started in")
}
