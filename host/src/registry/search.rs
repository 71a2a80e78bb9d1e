//! Where plugin libraries are looked for, and by which file names.
//!
//! Beside the executable, in `plugins/` there, in the directories of `HOST_PLUGIN_PATH`, in those of
//! `[plugins] path` in the user's configuration, and in the store of installed plugins. Never in the
//! working directory, unless one of these names it, from the root.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::cache::Cache;
use super::library::Library;
use super::store::{Locked, Store};
use super::trust::{Trust, distrust_directory, distrust_file};
use crate::atomic_write::reason;

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
    trust: Option<String>,
}

/// Where to look, in order.
#[derive(Debug, Default)]
pub struct SearchPath {
    /// Directories, first one first.
    pub directories: Vec<PathBuf>,
    /// What was wrong with a place, one line each.
    pub problems: Vec<String>,
    /// How much a library has to show.
    pub trust: Trust,
    /// Installed plugins, each with its library.
    pub installed: Vec<(Locked, PathBuf)>,
}

/// A file that may be a plugin library.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The file.
    pub(super) path: PathBuf,
    /// Why it isn't even looked at.
    pub(super) refusal: Option<String>,
    /// What the lock says of it, when it is installed.
    pub(super) locked: Option<Locked>,
    /// Hashes of which it must have one; any will do where there are none.
    pub(super) hashes: Option<Vec<String>>,
}

impl SearchPath {
    /// The search path of this process.
    pub fn of_process() -> Self {
        let mut path = Self::default();
        let user = path.user_plugins();
        let (trust, problem) = Trust::of_process(user.trust.as_deref());
        path.trust = trust;
        path.problems.extend(problem);
        if let Ok(executable) = env::current_exe().and_then(fs::canonicalize)
            && let Some(beside) = executable.parent()
        {
            path.add(beside.to_owned());
            path.add(beside.join("plugins"));
        }
        if let Some(list) = env::var_os("HOST_PLUGIN_PATH") {
            let named =
                env::split_paths(&list).filter(|directory| !directory.as_os_str().is_empty());
            path.add_named(named, "HOST_PLUGIN_PATH");
        }
        path.add_named(user.path, "`[plugins] path`");
        path.add_installed();
        path
    }

    fn user_plugins(&mut self) -> UserPlugins {
        let file = user_config_dir().map(|directory| directory.join("config.toml"));
        let Some(file) = file else { return UserPlugins::default() };
        let problem = match fs::read_to_string(&file) {
            Ok(text) => match toml::from_str::<UserConfig>(&text) {
                Ok(config) => return config.plugins,
                Err(e) => e.message().to_owned(),
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return UserPlugins::default(),
            Err(e) => format!("can't be read: {}", reason(&e)),
        };
        self.problems.push(format!("{}: {problem}", file.display()));
        // What can't be read may have asked for it.
        UserPlugins { trust: Some("locked".to_owned()), ..UserPlugins::default() }
    }

    /// Adds directories that the user named; one that is not there deserves a word.
    fn add_named(&mut self, directories: impl IntoIterator<Item = PathBuf>, origin: &str) {
        for directory in directories {
            if directory.is_relative() {
                let problem = format!(
                    "`{}` is a relative path (named by {origin}): another directory each time",
                    directory.display()
                );
                self.problems.push(problem);
            } else if !directory.is_dir() {
                let problem =
                    format!("no such directory: `{}` (named by {origin})", directory.display());
                self.problems.push(problem);
            } else {
                self.add(directory);
            }
        }
    }

    fn add(&mut self, directory: PathBuf) {
        if self.directories.contains(&directory) {
            return;
        }
        match distrust_directory(&directory) {
            Some(reason) => {
                self.problems
                    .push(format!("nothing of `{}` is loaded: {reason}", directory.display()));
            }
            None => self.directories.push(directory),
        }
    }

    fn add_installed(&mut self) {
        let Some(store) = Store::of_user() else { return };
        match store.plugins() {
            Ok(plugins) => {
                let with_path = plugins.into_iter().map(|plugin| {
                    let path = store.path(&plugin);
                    (plugin, path)
                });
                self.installed = with_path.collect();
            }
            Err(e) => self.problems.push(e.to_string()),
        }
    }

    /// Files that may be plugin libraries, by their names, each once, sorted within a directory; then
    /// those that are installed.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let locked = || self.installed.iter().map(|(locked, _)| locked.blake3.clone()).collect();
        let hashes: Option<Vec<String>> = (self.trust >= Trust::Locked).then(locked);
        for directory in &self.directories {
            let Ok(entries) = fs::read_dir(directory) else { continue };
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            files.retain(|file| has_library_name(file) && !file.is_dir());
            for path in files {
                if seen.insert(fs::canonicalize(&path).unwrap_or_else(|_| path.clone())) {
                    let refusal = distrust_file(&path, directory);
                    found.push(Candidate { path, refusal, locked: None, hashes: hashes.clone() });
                }
            }
        }
        found.extend(self.installed.iter().map(|(locked, path)| Candidate {
            path: path.clone(),
            refusal: path.parent().and_then(|directory| distrust_file(path, directory)),
            locked: Some(locked.clone()),
            hashes: Some(vec![locked.blake3.clone()]),
        }));
        found
    }
}

impl Candidate {
    /// What is known of it, or why it is not used.
    pub(super) fn library(&self, cache: &Cache) -> Result<Library, String> {
        if let Some(reason) = &self.refusal {
            return Err(reason.clone());
        }
        if let Some(locked) = &self.locked
            && !self.path.exists()
        {
            let name = &locked.name;
            return Err(format!("gone; `host plugins remove {name}` forgets it"));
        }
        let Some(hashes) = &self.hashes else {
            let library = Library::find(&self.path, cache);
            return library.refusal().map_or(Ok(library), Err);
        };
        // Before it is examined: a file that isn't the one that was installed runs no instruction.
        let Some((_, print)) =
            Library::known_hash(&self.path, cache).filter(|(hash, _)| hashes.contains(hash))
        else {
            return Err(self.not_installed());
        };
        let library = Library::find_that(&self.path, cache, Some(&print));
        library.refusal().map_or(Ok(library), Err)
    }

    /// Why it isn't loaded: it has none of the hashes that it must have.
    fn not_installed(&self) -> String {
        match &self.locked {
            Some(Locked { name, added, .. }) => format!(
                "changed since it was added on {added}; `host plugins trust {name}` takes it as it is now"
            ),
            None => format!(
                "not in plugins.lock, and only what is in it is trusted; `host plugins add {}` installs it",
                self.path.display()
            ),
        }
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
        let directories = vec![directory.path().to_owned(); 2];
        let path = SearchPath { directories, ..SearchPath::default() };
        let names: Vec<_> =
            path.candidates().iter().map(|c| c.path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["liba.so", "libb.so"]);
    }
}
