//! From what a section says (files, globs, directories) to a list of files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf, absolute};

use sdk::{Error, Result};

use super::Format;
use crate::config::Paths;

/// The files that some paths stand for: absolute, in order, each once.
///
/// # Errors
/// When a path is a malformed glob, or matches nothing; all of those that match nothing are named.
pub(crate) fn expand(paths: &Paths, format: Format) -> Result<Vec<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut missing = Vec::new();
    for path in paths.as_slice() {
        let found = matches(path, format)?;
        if found.is_empty() {
            missing.push(path.as_str());
        }
        files.extend(found);
    }
    if missing.is_empty() && !files.is_empty() {
        return Ok(files.into_iter().collect());
    }
    Err(nothing(&missing, format))
}

fn matches(path: &str, format: Format) -> Result<Vec<PathBuf>> {
    let as_written = Path::new(path);
    if as_written.is_file() {
        return Ok(vec![absolute(as_written)?]);
    }
    if as_written.is_dir() {
        let below = |extension: &&str| {
            let directory = glob::Pattern::escape(path.trim_end_matches('/'));
            globbed(&format!("{directory}/**/*.{extension}"))
        };
        let found: Vec<Vec<PathBuf>> =
            format.extensions().iter().map(below).collect::<Result<_>>()?;
        return Ok(found.concat());
    }
    if is_glob(path) { globbed(path) } else { Ok(Vec::new()) }
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
    use std::fs;

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
