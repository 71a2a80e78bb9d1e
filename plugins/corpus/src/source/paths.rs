//! From what a section says (files, globs, directories) to a list of files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf, absolute};
use std::{fs, io};

use sdk::{Error, Result};

use super::Format;
use crate::config::Paths;

/// The files that some paths stand for: absolute, in order, each once.
///
/// # Errors
/// When a path is a malformed glob, or matches nothing; all of those that match nothing are named.
pub(crate) fn expand(paths: &Paths, format: Format) -> Result<Vec<PathBuf>> {
    let mut files = Files::default();
    let mut missing = Vec::new();
    for path in paths.as_slice() {
        let found = matches(path, format)?;
        if found.is_empty() {
            missing.push(path.as_str());
        }
        found.into_iter().for_each(|file| files.add(file));
    }
    if missing.is_empty() && !files.0.is_empty() {
        return Ok(files.sorted());
    }
    Err(nothing(&missing, format))
}

/// Files by where they really are: links, which may lead in a circle, make no file two.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, PathBuf>);

impl Files {
    /// Adds a file; of several paths to it the shortest is kept.
    fn add(&mut self, path: PathBuf) {
        let rank = |path: &Path| (path.components().count(), path.to_owned());
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        let known = self.0.entry(real).or_insert_with(|| path.clone());
        if rank(&path) < rank(known) {
            *known = path;
        }
    }

    fn sorted(self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.0.into_values().collect();
        files.sort();
        files
    }
}

fn matches(path: &str, format: Format) -> Result<Vec<PathBuf>> {
    let as_written = Path::new(path);
    if as_written.is_file() {
        return Ok(vec![absolute(as_written)?]);
    }
    if as_written.is_dir() {
        return below(&absolute(as_written)?, format);
    }
    if is_glob(path) { globbed(path) } else { Ok(Vec::new()) }
}

/// The files of a format in a folder and those below, each folder once: under the shortest of its
/// paths, on every machine the same.
fn below(folder: &Path, format: Format) -> Result<Vec<PathBuf>> {
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    let mut folders = BTreeSet::from([(0, folder.to_owned())]);
    while let Some((depth, folder)) = folders.pop_first() {
        let unread = |error: io::Error| {
            Error::new("data::read", format!("reading `{}`: {error}", folder.display()))
        };
        if !seen.insert(folder.canonicalize().map_err(unread)?) {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(unread)? {
            let path = entry.map_err(unread)?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() {
                folders.insert((depth + 1, path));
            } else if extension.is_some_and(|e| format.extensions().contains(&e)) && path.is_file()
            {
                files.push(path);
            }
        }
    }
    Ok(files)
}

fn globbed(pattern: &str) -> Result<Vec<PathBuf>> {
    let entries = glob::glob(pattern).map_err(|error| {
        Error::new("data::glob", format!("malformed glob `{pattern}`: {}", error.msg))
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| {
            Error::new(
                "data::read",
                format!("reading `{}`: {}", error.path().display(), error.error()),
            )
        })?;
        if path.is_file() {
            files.push(absolute(path)?);
        }
    }
    Ok(files)
}

fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn nothing(missing: &[&str], format: Format) -> Error {
    let list: Vec<String> = missing.iter().map(|path| format!("`{path}`")).collect();
    let list = list.join(", ");
    let message = match missing {
        [] => "names no file".to_owned(),
        [directory] if Path::new(directory).is_dir() => {
            let extensions: Vec<String> =
                format.extensions().iter().map(|e| format!("`.{e}`")).collect();
            format!("the directory {list} has no {} file", extensions.join(" or "))
        }
        [pattern] if is_glob(pattern) => format!("{list} matches no file"),
        _ => format!("no such file: {list}"),
    };
    Error::new("data::missing", message)
        .help("paths count from the directory that the run is started in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_globs_and_files_are_found_sorted_absolute_and_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/deep")).unwrap();
        for name in ["z.md", "a.txt", "b/deep/c.md", "b/x.json", "b/.hidden.md"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let root = dir.path().to_str().unwrap();
        let names = |paths: Vec<String>| -> Vec<String> {
            let files = expand(&Paths::Many(paths), Format::Text).unwrap();
            assert!(files.iter().all(|file| file.is_absolute()));
            let of = |file: &PathBuf| file.strip_prefix(root).unwrap().display().to_string();
            files.iter().map(of).collect()
        };
        assert_eq!(names(vec![root.to_owned()]), ["a.txt", "b/.hidden.md", "b/deep/c.md", "z.md"]);
        assert_eq!(names(vec![format!("{root}/z.md"), format!("{root}/*.md")]), ["z.md"]);
        assert_eq!(
            names(vec![format!("{root}/**/*.md"), format!("{root}/b/x.json")]),
            ["b/.hidden.md", "b/deep/c.md", "b/x.json", "z.md"]
        );
    }

    #[test]
    fn links_that_lead_in_a_circle_make_no_file_two() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("a.md"), "x").unwrap();
        fs::write(dir.path().join("b/c.md"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("b/back")).unwrap();
        let root = dir.path().to_str().unwrap();
        let expected = [dir.path().join("a.md"), dir.path().join("b/c.md")];
        let globbed = expand(&Paths::One(format!("{root}/**/*.md")), Format::Text).unwrap();
        assert_eq!(globbed, expected);
        // Two circles are 2^40 paths.
        std::os::unix::fs::symlink(dir.path(), dir.path().join("b/again")).unwrap();
        assert_eq!(expand(&Paths::One(root.to_owned()), Format::Text).unwrap(), expected);
    }

    #[test]
    fn what_matches_nothing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let told = |path: &str| expand(&path.into(), Format::Text).unwrap_err().message;
        assert_eq!(told("/no/such"), "no such file: `/no/such`");
        assert_eq!(told("/no/such/*.md"), "`/no/such/*.md` matches no file");
        assert_eq!(told(root), format!("the directory `{root}` has no `.txt` or `.md` file"));
        assert_eq!(
            expand(&Paths::Many(Vec::new()), Format::Text).unwrap_err().code,
            "data::missing"
        );
    }
}
