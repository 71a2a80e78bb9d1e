//! House rules, checked on the source: who may depend on whom, and who may name what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use tests::repository;

/// All files below a directory of the checkout whose names end in `end`, build outputs left out.
fn files(directory: &str, end: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, end: &str, found: &mut Vec<PathBuf>) {
        for path in fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with("target") && !name.starts_with('.') {
                walk(&path, end, found);
            } else if name.ends_with(end) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&repository().join(directory), end, &mut found);
    found.sort();
    found
}

/// All source files of the project.
fn sources() -> Vec<PathBuf> {
    ["host", "sdk", "plugins", "tests"].iter().flat_map(|place| files(place, ".rs")).collect()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap().display().to_string()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// A source without comments and without what comes after its `#[cfg(test)]`, line by line.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = read(path);
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    lines
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]" || path.ends_with("mod.rs"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number, line.to_owned()))
        .collect()
}

fn manifest(directory: &str) -> toml::Table {
    read(&repository().join(directory).join("Cargo.toml")).parse().unwrap()
}

/// Names of the directories in `directory` that hold a package.
fn packages(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(repository().join(directory)).unwrap().flatten();
    let packages = entries.filter(|entry| entry.path().join("Cargo.toml").is_file());
    let mut names: Vec<String> =
        packages.map(|entry| format!("{directory}/{}", entry.file_name().display())).collect();
    names.sort();
    names
}

/// Names of what a package depends on, with tests and build.
fn dependencies(package: &str) -> BTreeMap<String, toml::Value> {
    let manifest = manifest(package);
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table())
        .flat_map(Clone::clone)
        .collect()
}

/// What of `dependencies` is in this repository.
fn own_dependencies(package: &str) -> Vec<String> {
    let own = ["host", "sdk", "sdk-numerics", "tests"].map(str::to_owned);
    let plugins = packages("plugins");
    let plugins = plugins.iter().filter_map(|path| path.rsplit('/').next());
    let own: BTreeSet<String> = own.into_iter().chain(plugins.map(str::to_owned)).collect();
    dependencies(package).into_keys().filter(|name| own.contains(name)).collect()
}

/// Everything that a package of the workspace brings in, by the lock file; `without` is not
/// followed.
fn closure(package: &str, without: &str) -> BTreeSet<String> {
    let lock: toml::Table = read(&repository().join("Cargo.lock")).parse().unwrap();
    let mut dependencies: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let needs = package.get("dependencies").and_then(toml::Value::as_array);
        let needs = needs.into_iter().flatten().filter_map(|need| need.as_str()?.split(' ').next());
        dependencies.entry(package["name"].as_str().unwrap()).or_default().extend(needs);
    }
    let mut found = BTreeSet::new();
    let mut open = vec![package];
    while let Some(name) = open.pop() {
        if name != without && found.insert(name.to_owned()) {
            open.extend(dependencies.get(name).into_iter().flatten());
        }
    }
    found
}

/// Whether a package under `plugins/` is what plugins share, and no plugin itself.
fn is_library(name: &str) -> bool {
    let path = format!("plugins/{name}");
    name != "bundled" && packages("plugins").contains(&path) && !manifest(&path).contains_key("lib")
}

#[test]
fn plugins_depend_on_the_sdk_and_never_on_the_host() {
    for plugin in packages("plugins") {
        let mut own = own_dependencies(&plugin);
        own.retain(|name| !name.starts_with("sdk") && !is_library(name));
        // The one crate that names plugins: what the feature `bundled` links.
        if plugin != "plugins/bundled" {
            assert_eq!(own, Vec::<String>::new(), "{plugin} depends on them");
        }
        assert!(!own.contains(&"host".to_owned()), "{plugin}");
    }
    for plugin in packages("tests/plugins") {
        let own = own_dependencies(&plugin);
        assert!(own.iter().all(|name| name == "sdk"), "{plugin} depends on {own:?}");
    }
}

#[test]
fn the_sdk_depends_on_neither_host_nor_plugins() {
    assert_eq!(own_dependencies("sdk"), Vec::<String>::new());
    assert_eq!(own_dependencies("sdk/numerics"), ["sdk"]);
}

#[test]
fn the_host_depends_on_no_plugin_but_by_its_feature() {
    assert_eq!(own_dependencies("host"), ["bundled", "sdk"]);
    let bundled = &dependencies("host")["bundled"];
    assert_eq!(bundled.get("optional").and_then(toml::Value::as_bool), Some(true));
    assert!(manifest("host").get("features").and_then(|f| f.get("default")).is_none());
}

#[test]
fn neither_sdk_nor_host_brings_in_a_tensor_library() {
    for package in ["sdk", "host"] {
        let closure = closure(package, "bundled");
        let candle: Vec<_> = closure.iter().filter(|name| name.starts_with("candle")).collect();
        assert!(candle.is_empty(), "{package} brings in {candle:?}");
    }
    assert!(closure("gpt", "").contains("candle-core"), "the lock file is read wrongly");
}

/// The host knows phases by what plugins register; a name in its code would be a special case.
#[test]
fn the_host_names_no_trainer() {
    let literal = Regex::new(r#""(?:[^"\\]|\\.)*""#).unwrap();
    let registered = Regex::new(r#"register_trainer!\(\s*"([a-z0-9_]+)""#).unwrap();
    let mut names: BTreeSet<String> = ["mae", "alignment"].map(str::to_owned).into();
    for source in files("plugins", ".rs") {
        let text = read(&source);
        names.extend(registered.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    assert!(names.contains("pretrain") && names.contains("sft"), "{names:?}");
    let named = Regex::new(&format!(r"\b({})\b", Vec::from_iter(names).join("|"))).unwrap();
    let mut found = Vec::new();
    for source in files("host/src", ".rs") {
        if relative(&source).contains("/tests/") {
            continue;
        }
        for (number, line) in code(&source) {
            let literals = literal.find_iter(&line).filter(|found| named.is_match(found.as_str()));
            found.extend(
                literals.map(|l| format!("{}:{number}: {}", relative(&source), l.as_str())),
            );
        }
    }
    assert!(found.is_empty(), "the host names trainers:\n{}", found.join("\n"));
}

/// Authors of plugins must not meet the library behind the boundary, so that it can be replaced.
#[test]
fn only_the_boundary_knows_abi_stable() {
    let may = ["sdk/src/abi/", "host/src/registry/", "tests/plugins/misfit/", "tests/suite/"];
    for source in sources() {
        let name = relative(&source);
        if may.iter().any(|place| name.starts_with(place)) {
            continue;
        }
        for (number, line) in code(&source) {
            assert!(!line.contains("abi_stable"), "{name}:{number}: {line}");
        }
    }
    for package in ["sdk/numerics".to_owned()].into_iter().chain(packages("plugins")) {
        assert!(!dependencies(&package).contains_key("abi_stable"), "{package}");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for source in sources() {
        let name = relative(&source);
        let is_exempt = name.ends_with("build.rs") || name.contains("/tests/");
        let text = read(&source);
        assert!(is_exempt || text.starts_with("//!"), "{name} does not begin with `//!`");
    }
}

#[test]
fn no_file_is_too_long_to_review() {
    const LINES_MAX: usize = 900;
    for source in sources() {
        let lines = read(&source).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", relative(&source));
    }
}

/// A note to come back says what for; a hole in the code is none.
#[test]
fn nothing_is_left_for_later_without_a_word() {
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let holes = [concat!("todo", "!("), concat!("unimplemented", "!(")];
    let manifests = files("", "Cargo.toml");
    for file in sources().into_iter().chain(manifests) {
        for (i, line) in read(&file).lines().enumerate() {
            let place = format!("{}:{}: {line}", relative(&file), i + 1);
            assert!(!holes.iter().any(|hole| line.contains(hole)), "{place}");
            for note in notes {
                let Some((_, after)) = line.split_once(note) else { continue };
                let is_said = after.starts_with([':', '(']) && after.trim().len() > 10;
                assert!(is_said, "{place}");
            }
        }
    }
}

#[test]
fn every_package_takes_part_in_the_lints() {
    let fixed = ["host", "sdk", "sdk/numerics", "tests"].map(str::to_owned);
    for package in fixed.into_iter().chain(packages("plugins")) {
        let manifest = manifest(&package);
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(lints.and_then(toml::Value::as_bool), Some(true), "{package}");
        for key in ["version", "edition", "license"] {
            let inherited = manifest["package"].get(key).and_then(|value| value.get("workspace"));
            assert!(inherited.is_some(), "{package} has a `{key}` of its own");
        }
    }
}

/// The misfit is refused for its layout: another version would be refused for that already.
#[test]
fn the_misfit_has_the_sdks_version() {
    let version = manifest("")["workspace"]["package"]["version"].clone();
    assert_eq!(manifest("tests/plugins/misfit")["package"]["version"], version);
}

/// Both lock files are committed: a build takes what was tested.
#[test]
fn lock_files_are_there() {
    for lock in ["Cargo.lock", "tests/plugins/Cargo.lock"] {
        assert!(repository().join(lock).is_file(), "{lock}");
    }
    let ignored = read(&repository().join(".gitignore"));
    assert!(!ignored.contains("Cargo.lock"));
}
