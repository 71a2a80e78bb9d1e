//! Which library files may be loaded: who can write them, and what `plugins.lock` says of them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// How much a library has to show before it is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// That it lies in a directory of the search path that not everybody can write.
    #[default]
    Path,
    /// And that `plugins.lock` has its hash.
    Locked,
}

/// The environment variable that can ask for more trust than the user's configuration does.
pub(super) const VARIABLE: &str = "HOST_PLUGIN_TRUST";

impl Trust {
    /// The stricter of what the user's configuration and the environment ask for.
    ///
    /// # Errors
    /// With a line about a value that is none, besides the strictest, which then holds.
    pub(super) fn of_process(configured: Option<&str>) -> (Self, Option<String>) {
        // What can't be read is no value, and no value is the strictest.
        let asked = env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
        let mut trust = Self::default();
        let sources = [(configured, "`[plugins] trust`"), (asked.as_deref(), VARIABLE)];
        for (value, origin) in sources {
            match value {
                None | Some("path") => {}
                Some("locked") => trust = trust.max(Self::Locked),
                Some(other) => {
                    let problem =
                        format!("{origin} is `path` or `locked`, not `{other}`: took `locked`");
                    return (Self::Locked, Some(problem));
                }
            }
        }
        (trust, None)
    }
}

/// Why nothing in this directory may be loaded: others can put files there.
pub(super) fn distrust_directory(directory: &Path) -> Option<String> {
    // The way by which it was named counts too: who can change a link on it leads us elsewhere.
    let named = std::path::absolute(directory).ok();
    let whole = fs::canonicalize(directory).ok();
    let ways = [named.as_deref(), whole.as_deref()];
    let writable = ways.into_iter().flatten().flat_map(|way| way.ancestors().enumerate());
    let writable = writable.map(|(depth, ancestor)| (depth, ancestor.to_owned()));
    let writable = writable.into_iter().find(|(depth, ancestor)| {
        // In a directory with the sticky bit others can't replace what isn't theirs, but add to it.
        let Ok(metadata) = fs::metadata(ancestor) else { return false };
        is_world_writable(&metadata) && (*depth == 0 || !is_sticky(&metadata))
    });
    let (_, ancestor) = writable?;
    Some(format!("`{}` can be written by everybody on this machine", ancestor.display()))
}

/// Why this file of `directory` may not be loaded, whatever is in it.
pub(super) fn distrust_file(file: &Path, directory: &Path) -> Option<String> {
    let target = fs::canonicalize(file);
    let is_link = fs::symlink_metadata(file).is_ok_and(|m| m.file_type().is_symlink());
    if is_link {
        let inside = fs::canonicalize(directory).ok();
        let Ok(target) = target else { return Some("a link to nothing".to_owned()) };
        if let Some(reason) = target.parent().and_then(distrust_directory) {
            return Some(reason);
        }
        if inside.is_none_or(|inside| !target.starts_with(inside)) {
            return Some(format!(
                "a link to `{}`, out of its directory; name that directory instead, or use `host plugins add`",
                target.display()
            ));
        }
    }
    let metadata = fs::metadata(file).ok()?;
    if !metadata.is_file() {
        return Some("not a file".to_owned());
    }
    is_world_writable(&metadata)
        .then(|| "it can be written by everybody on this machine".to_owned())
}

#[cfg(unix)]
fn is_world_writable(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o002 != 0
}

#[cfg(unix)]
fn is_sticky(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o1000 != 0
}

#[cfg(not(unix))]
fn is_world_writable(_: &fs::Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn is_sticky(_: &fs::Metadata) -> bool {
    true
}

/// The user's data directory, `$XDG_DATA_HOME/host` or `~/.local/share/host`.
pub(super) fn user_data_dir() -> Option<PathBuf> {
    let base = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    base.or_else(|| env::home_dir().map(|home| home.join(".local/share"))).map(|d| d.join("host"))
}
