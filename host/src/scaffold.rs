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
    /// What it begins with.
    pub template: Template,
    /// The directory to make; the name if not given.
    pub directory: Option<PathBuf>,
    /// Where the SDK's crate lies; that of the checkout this host was built from, or a version of it, if
    /// not given.
    pub sdk: Option<PathBuf>,
}

/// What a new plugin begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Template {
    /// A line fitted to points, on the SDK alone
    #[default]
    Minimal,
    /// A classifier on candle
    Candle,
    /// A small language model on the SDK's transformer stack
    Gpt,
}

impl Template {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minimal, Self::Candle, Self::Gpt];

    /// Each file of a new crate, with its template.
    fn files(self) -> [(&'static str, &'static str); 7] {
        macro_rules! of {
            ($folder:literal) => {
                [
                    include_str!(concat!("../templates/", $folder, "/Cargo.toml.in")),
                    include_str!(concat!("../templates/", $folder, "/src/lib.rs.in")),
                    include_str!(concat!("../templates/", $folder, "/tests/phase.rs.in")),
                ]
            };
        }
        let [manifest, library, tests] = match self {
            Self::Minimal => of!("minimal"),
            Self::Candle => of!("candle"),
            Self::Gpt => of!("gpt"),
        };
        [
            ("Cargo.toml", manifest),
            ("src/lib.rs", library),
            ("tests/phase.rs", tests),
            ("run.toml", include_str!("../templates/common/run.toml.in")),
            ("README.md", include_str!("../templates/common/README.md.in")),
            (".github/workflows/ci.yml", include_str!("../templates/common/ci.yml.in")),
            (".gitignore", include_str!("../templates/common/gitignore.in")),
        ]
    }
}

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
    let (sdk, numerics) = sdk_source(request.sdk.as_deref())?;
    let whole = std::path::absolute(&directory).map_err(at("finding", &directory))?;
    let parent = whole.parent().unwrap_or(Path::new("/")).to_owned();
    fs::create_dir_all(&parent).map_err(at("making", &parent))?;
    let temporary = parent.join(format!(".tmp-{}-{}", request.name, std::process::id()));
    let values = [
        ("{{name}}", request.name.clone()),
        ("{{crate}}", request.name.replace('-', "_")),
        ("{{sdk}}", sdk),
        ("{{numerics}}", numerics),
        ("{{rust}}", env!("CARGO_PKG_RUST_VERSION").to_owned()),
        ("{{directory}}", whole.display().to_string()),
    ];
    let made =
        write_all(request.template, &temporary, &values).and_then(|()| rename(&temporary, &whole));
    if let Err(error) = made {
        let _ = fs::remove_dir_all(&temporary);
        return Err(error.into());
    }
    Ok(directory)
}

fn write_all(
    template: Template,
    directory: &Path,
    values: &[(&str, String)],
) -> std::io::Result<()> {
    for (file, template) in template.files() {
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

/// How the new crate names the SDK and its numerics.
fn sdk_source(given: Option<&Path>) -> Result<(String, String), RunError> {
    let as_path = |directory: &Path| {
        let directory = fs::canonicalize(directory).ok()?;
        let named = |directory: &Path| {
            format!("path = {}", toml::Value::String(directory.display().to_string()))
        };
        Some((named(&directory), named(&directory.join("numerics"))))
    };
    if let Some(given) = given {
        let found = is_sdk(given).then(|| as_path(given)).flatten();
        let message = format!("`{}` is not the SDK's crate", given.display());
        let help = "name the directory of the SDK, in which its `Cargo.toml` lies";
        return found.ok_or_else(|| RunError::usage(message, help));
    }
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk"));
    let found = is_sdk(checkout).then(|| as_path(checkout)).flatten();
    Ok(found.unwrap_or_else(|| {
        let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
        (version.clone(), version)
    }))
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
        for template in Template::ALL {
            let directory = tempfile::tempdir().unwrap();
            let request = Request {
                name: "my-trainer".to_owned(),
                template,
                directory: Some(directory.path().join("a/b")),
                sdk: None,
            };
            let made = create(&request).unwrap();
            for (file, _) in template.files() {
                let text = fs::read_to_string(made.join(file)).unwrap();
                assert!(!text.contains("{{"), "{file}: {text}");
            }
            let names: Vec<_> =
                fs::read_dir(directory.path().join("a")).unwrap().flatten().collect();
            assert_eq!(names.len(), 1, "{names:?}");
        }
    }

    /// Candle's types are shared with the numerics: a template that names another version doesn't build.
    #[test]
    fn templates_have_the_candle_of_the_workspace() {
        let workspace: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
        let version = workspace["workspace"]["dependencies"]["candle-core"]["version"].as_str();
        let wanted = format!("candle-core = {{ version = \"{}\"", version.unwrap());
        for template in [Template::Candle, Template::Gpt] {
            assert!(template.files()[0].1.contains(&wanted), "{template:?} has not {wanted}");
        }
    }
}
