//! A new plugin: a crate that builds, with a trainer, tests, and a configuration that runs it.
//!
//! The files are those of `host/templates`. They come to be in a directory beside the one that was asked for,
//! which then takes its name: nothing is half there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::atomic_write::{at, rename};
use crate::run::RunError;

/// What to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the plugin, of its crate and of its phase.
    pub name: String,
    /// The directory to make; the name if not given.
    pub directory: Option<PathBuf>,
    /// Where the SDK's crate lies; that of the checkout this host was built from, or a version of it, if
    /// not given.
    pub sdk: Option<PathBuf>,
}

/// Each file of a new crate, with its template.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("../templates/minimal/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../templates/minimal/src/lib.rs.in")),
    ("tests/phase.rs", include_str!("../templates/minimal/tests/phase.rs.in")),
    ("run.toml", include_str!("../templates/minimal/run.toml.in")),
    ("README.md", include_str!("../templates/minimal/README.md.in")),
    (".github/workflows/ci.yml", include_str!("../templates/minimal/ci.yml.in")),
    (".gitignore", include_str!("../templates/minimal/gitignore.in")),
];

/// Names that a configuration, cargo or Rust has for something else.
const TAKEN: [&str; 62] = [
    "global",
    "phases",
    "profile",
    "extends",
    "host",
    "sdk",
    "test",
    "core",
    "std",
    "alloc",
    "build",
    "deps",
    "examples",
    "incremental",
    "as",
    "async",
    "await",
    "break",
    "const",
    "continue",
    "crate",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
    "abstract",
    "become",
    "box",
    "do",
    "final",
    "macro",
    "override",
    "priv",
    "try",
    "yield",
];

/// Longest name: it is part of file names.
const NAME_MAX: usize = 64;

/// Makes a crate; returns its directory, as it was asked for.
///
/// # Errors
/// When the name is none, the directory is there, or the SDK isn't; nothing was written then. When
/// writing fails.
pub fn create(request: &Request) -> Result<PathBuf, RunError> {
    check_name(&request.name)?;
    let directory = request.directory.clone().unwrap_or_else(|| PathBuf::from(&request.name));
    if fs::symlink_metadata(&directory).is_ok() {
        let message = format!("`{}` is there already", directory.display());
        return Err(RunError::usage(message, "name another directory with `--out`"));
    }
    let sdk = sdk_source(request.sdk.as_deref())?;
    let whole = std::path::absolute(&directory).map_err(at("finding", &directory))?;
    let parent = whole.parent().unwrap_or(Path::new("/")).to_owned();
    fs::create_dir_all(&parent).map_err(at("making", &parent))?;
    let temporary = parent.join(format!(".tmp-{}-{}", request.name, std::process::id()));
    let values = [
        ("{{name}}", request.name.clone()),
        ("{{crate}}", request.name.replace('-', "_")),
        ("{{sdk}}", sdk),
        ("{{rust}}", env!("CARGO_PKG_RUST_VERSION").to_owned()),
        ("{{directory}}", whole.display().to_string()),
    ];
    let made = write_all(&temporary, &values).and_then(|()| rename(&temporary, &whole));
    if let Err(error) = made {
        let _ = fs::remove_dir_all(&temporary);
        return Err(error.into());
    }
    Ok(directory)
}

fn write_all(directory: &Path, values: &[(&str, String)]) -> std::io::Result<()> {
    for (file, template) in FILES {
        let path = directory.join(file);
        let parent = path.parent().unwrap_or(directory);
        fs::create_dir_all(parent).map_err(at("making", parent))?;
        let text =
            values.iter().fold(template.to_owned(), |text, (key, value)| text.replace(key, value));
        fs::write(&path, text).map_err(at("writing", &path))?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), RunError> {
    let is_name = name.len() <= NAME_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_name {
        let message = format!("`{name}` is no name for a plugin");
        let help = format!(
            "take lower-case letters, digits and single `-`, a letter first, at most {NAME_MAX}: `my-trainer`"
        );
        return Err(RunError::usage(message, help));
    }
    if TAKEN.contains(&name) {
        let message = format!(
            "`{name}` is the name of something else in a configuration, in cargo or in Rust"
        );
        return Err(RunError::usage(
            message,
            format!("take another one, such as `{name}-trainer`"),
        ));
    }
    Ok(())
}

/// How the new crate names the SDK.
fn sdk_source(given: Option<&Path>) -> Result<String, RunError> {
    let as_path = |directory: &Path| {
        let directory = fs::canonicalize(directory).ok()?;
        let text = directory.display().to_string();
        Some(format!("path = {}", toml::Value::String(text)))
    };
    if let Some(given) = given {
        let found = is_sdk(given).then(|| as_path(given)).flatten();
        let message = format!("`{}` is not the SDK's crate", given.display());
        let help = "name the directory of the SDK, in which its `Cargo.toml` lies";
        return found.ok_or_else(|| RunError::usage(message, help));
    }
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk"));
    let found = is_sdk(checkout).then(|| as_path(checkout)).flatten();
    Ok(found.unwrap_or_else(|| format!("version = \"{}\"", env!("CARGO_PKG_VERSION"))))
}

fn is_sdk(directory: &Path) -> bool {
    let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
    let manifest: toml::Table = manifest.parse().unwrap_or_default();
    let name = manifest.get("package").and_then(|package| package.get("name"));
    name.and_then(toml::Value::as_str) == Some("sdk")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let request = Request {
            name: "my-trainer".to_owned(),
            directory: Some(directory.path().join("a/b")),
            sdk: None,
        };
        let made = create(&request).unwrap();
        for (file, _) in FILES {
            let text = fs::read_to_string(made.join(file)).unwrap();
            assert!(!text.contains("{{"), "{file}: {text}");
        }
        let names: Vec<_> = fs::read_dir(directory.path().join("a")).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}
