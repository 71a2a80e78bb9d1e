//! Where plugin libraries are looked for, and by which file names.
//!
//! Beside the executable, in `plugins/` there, in the directories of `HOST_PLUGIN_PATH`, and in
//! those of `[plugins] path` in the user's configuration. Never in the working directory, unless
//! one of these names it.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The user's own configuration, `host/config.toml` in the configuration directory.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UserConfig {
    plugins: UserPlugins,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UserPlugins {
    path: Vec<PathBuf>,
}

/// Where to look, in order.
#[derive(Debug, Default)]
pub struct SearchPath {
    /// Directories, first one first.
    pub directories: Vec<PathBuf>,
    /// What was wrong with a place, one line each.
    pub problems: Vec<String>,
}

impl SearchPath {
    /// The search path of this process.
    pub fn of_process() -> Self {
        let mut path = Self::default();
        if let Ok(executable) = env::current_exe().and_then(fs::canonicalize)
            && let Some(beside) = executable.parent()
        {
            path.directories.push(beside.to_owned());
            path.directories.push(beside.join("plugins"));
        }
        if let Some(list) = env::var_os("HOST_PLUGIN_PATH") {
            let named =
                env::split_paths(&list).filter(|directory| !directory.as_os_str().is_empty());
            path.add_named(named, "HOST_PLUGIN_PATH");
        }
        path.add_user_config();
        path
    }

    fn add_user_config(&mut self) {
        let Some(file) = user_config_dir().map(|directory| directory.join("config.toml")) else {
            return;
        };
        let Ok(text) = fs::read_to_string(&file) else {
            return;
        };
        match toml::from_str::<UserConfig>(&text) {
            Ok(config) => self.add_named(config.plugins.path, &file.display().to_string()),
            Err(e) => self.problems.push(format!("{}: {}", file.display(), e.message())),
        }
    }

    /// Adds directories that the user named; one that is not there deserves a word.
    fn add_named(&mut self, directories: impl IntoIterator<Item = PathBuf>, origin: &str) {
        for directory in directories {
            if !directory.is_dir() {
                let problem =
                    format!("no such directory: `{}` (named by {origin})", directory.display());
                self.problems.push(problem);
            } else if !self.directories.contains(&directory) {
                self.directories.push(directory);
            }
        }
    }

    /// Files that may be plugin libraries, by their names, each once, sorted within a directory.
    pub fn candidates(&self) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for directory in &self.directories {
            let Ok(entries) = fs::read_dir(directory) else { continue };
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            files.retain(|file| has_library_name(file) && !file.is_dir());
            for file in files {
                if seen.insert(fs::canonicalize(&file).unwrap_or_else(|_| file.clone())) {
                    found.push(file);
                }
            }
        }
        found
    }
}

/// The user's configuration directory, `$XDG_CONFIG_HOME/host` or `~/.config/host`.
pub fn user_config_dir() -> Option<PathBuf> {
    let base = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    base.or_else(|| env::home_dir().map(|home| home.join(".config"))).map(|base| base.join("host"))
}

fn has_library_name(file: &Path) -> bool {
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else { return false };
    name.starts_with(env::consts::DLL_PREFIX) && name.ends_with(env::consts::DLL_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_library_names_are_candidates() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["libb.so", "liba.so", "c.so", "libd.so.1", "host"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        fs::create_dir(directory.path().join("libdir.so")).unwrap();
        let path =
            SearchPath { directories: vec![directory.path().to_owned(); 2], problems: vec![] };
        let names: Vec<_> =
            path.candidates().iter().map(|f| f.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["liba.so", "libb.so"]);
    }
}
