//! Where caches are kept.

use std::env;
use std::path::PathBuf;

/// The folder that a section names, else `$HOST_CACHE_DIR`, `$XDG_CACHE_HOME/host`, `~/.cache/host`.
pub(crate) fn cache_dir(configured: Option<&str>) -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    chosen(configured, set)
}

fn chosen(configured: Option<&str>, set: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    if let Some(folder) = configured.map(PathBuf::from).or_else(|| set("HOST_CACHE_DIR")) {
        return folder;
    }
    let home = || set("HOME").unwrap_or_else(env::temp_dir).join(".cache");
    set("XDG_CACHE_HOME").unwrap_or_else(home).join("host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_comes_before_the_environment() {
        let all = |name: &str| Some(PathBuf::from(format!("/{name}")));
        let without =
            |names: &'static [&str]| move |name: &str| all(name).filter(|_| !names.contains(&name));
        assert_eq!(chosen(Some("/here"), all), PathBuf::from("/here"));
        assert_eq!(chosen(None, all), PathBuf::from("/HOST_CACHE_DIR"));
        assert_eq!(
            chosen(None, without(&["HOST_CACHE_DIR"])),
            PathBuf::from("/XDG_CACHE_HOME/host")
        );
        let neither = without(&["HOST_CACHE_DIR", "XDG_CACHE_HOME"]);
        assert_eq!(chosen(None, neither), PathBuf::from("/HOME/.cache/host"));
    }
}
