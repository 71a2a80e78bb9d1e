//! Hosts and plugins, built once a test process and copied out of the build directory.
//!
//! A build directory holds libraries and `configs/` of the checkout that a test would find by
//! accident, and another build may replace the binary at any time.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A directory with a host in it, as a user would have it.
#[derive(Debug)]
pub struct Installation {
    directory: PathBuf,
}

impl Installation {
    /// A host without any plugin or profile.
    pub fn bare() -> &'static Self {
        static ONCE: OnceLock<Installation> = OnceLock::new();
        ONCE.get_or_init(|| {
            let _building = lock();
            cargo_build(&[]);
            Self::copied("bare", &[])
        })
    }

    /// A host with the first-party plugins as libraries beside it, and with `configs/`.
    pub fn dynamic() -> &'static Self {
        static ONCE: OnceLock<Installation> = OnceLock::new();
        ONCE.get_or_init(|| {
            let _building = lock();
            cargo_build(&[]);
            let this = Self::copied("dynamic", &first_party());
            this.add_configs();
            this
        })
    }

    /// A host with the first-party plugins linked into it, and with `configs/`.
    pub fn bundled() -> &'static Self {
        static ONCE: OnceLock<Installation> = OnceLock::new();
        ONCE.get_or_init(|| {
            let _building = lock();
            cargo_build(&["--features", "host/bundled"]);
            let this = Self::copied("bundled", &[]);
            // The build directory has one place for a host: leave the usual one there.
            cargo_build(&[]);
            this.add_configs();
            this
        })
    }

    /// The host's executable.
    pub fn host(&self) -> PathBuf {
        self.directory.join("host")
    }

    /// Where the host lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn copied(name: &str, plugins: &[String]) -> Self {
        let directory = installs().join(name);
        fs::create_dir_all(&directory).expect("the build directory takes an installation");
        let built = build_directory();
        let libraries = plugins.iter().map(|plugin| library_name(plugin));
        for file in libraries.chain(["host".to_owned()]) {
            copy(&built.join(&file), &directory.join(&file));
        }
        Self { directory }
    }

    fn add_configs(&self) {
        let configs = self.directory.join("configs");
        fs::create_dir_all(&configs).expect("an installation takes a directory");
        let Ok(entries) = fs::read_dir(repository().join("configs")) else { return };
        for file in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
            copy(&file, &configs.join(file.file_name().expect("an entry has a name")));
        }
    }
}

/// Names of the first-party plugins: the folders of `plugins/` that build a library to load.
pub fn first_party() -> Vec<String> {
    let entries = fs::read_dir(repository().join("plugins")).expect("there are plugins");
    let is_plugin = |folder: &PathBuf| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.contains("\"cdylib\"")
    };
    let folders = entries.flatten().map(|entry| entry.path()).filter(is_plugin);
    let names = folders.filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The library of a plugin of `tests/plugins`, copied out of its build directory.
pub fn third_party(plugin: &str) -> PathBuf {
    static ONCE: OnceLock<PathBuf> = OnceLock::new();
    let directory = ONCE.get_or_init(|| {
        let _building = lock();
        let target = target_directory().join("plugins");
        let mut command = cargo("build", &profile());
        command.arg("--locked").arg("--manifest-path");
        command.arg(repository().join("tests/plugins/Cargo.toml"));
        command.arg("--target-dir").arg(&target);
        finish(command);
        let directory = installs().join("third-party");
        fs::create_dir_all(&directory).expect("the build directory takes an installation");
        let built = target.join(profile());
        for entry in fs::read_dir(&built).expect("cargo has built there").flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().ends_with(".so") {
                copy(&entry.path(), &directory.join(name));
            }
        }
        directory
    });
    let library = directory.join(library_name(plugin));
    assert!(library.is_file(), "tests/plugins has no plugin `{plugin}`");
    library
}

/// Tests and builds a crate of an author's own with cargo, without the network; returns its library, and
/// how long its tests and its build took.
pub fn author(directory: &Path, name: &str) -> (PathBuf, [Duration; 2]) {
    let _building = lock();
    let target = target_directory().join("plugins");
    // The versions that lie on this machine.
    copy(&repository().join("Cargo.lock"), &directory.join("Cargo.lock"));
    let took = ["test", "build"].map(|what| {
        let begun = Instant::now();
        let mut command = cargo(what, &profile());
        command.args(["--quiet", "--offline", "--manifest-path"]).arg(directory.join("Cargo.toml"));
        command.arg("--target-dir").arg(&target);
        finish(command);
        begun.elapsed()
    });
    (target.join(profile()).join(library_name(&name.replace('-', "_"))), took)
}

/// A plugin of `tests/plugins`, built by another compiler than this one; returns its library.
pub fn built_by(rustc: &Path, plugin: &str) -> PathBuf {
    let _building = lock();
    let target = target_directory().join("plugins-of-another-compiler");
    let mut command = cargo("build", &profile());
    command.args(["--locked", "--package", plugin, "--manifest-path"]);
    command.arg(repository().join("tests/plugins/Cargo.toml"));
    command.arg("--target-dir").arg(&target).env("RUSTC", rustc).env_remove("RUSTUP_TOOLCHAIN");
    finish(command);
    target.join(profile()).join(library_name(plugin))
}

/// The plugin of `tests/other-candle`; returns its library, or nothing where its candle neither lies on
/// this machine nor can be fetched.
pub fn other_candle() -> Option<PathBuf> {
    let _building = lock();
    let manifest = repository().join("tests/other-candle/Cargo.toml");
    let mut fetch = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    fetch.args(["fetch", "--locked", "--manifest-path"]).arg(&manifest);
    if !fetch.output().expect("cargo can be run").status.success() {
        return None;
    }
    let target = target_directory().join("other-candle");
    let mut command = cargo("build", &profile());
    command.args(["--locked", "--manifest-path"]).arg(&manifest);
    command.arg("--target-dir").arg(&target);
    finish(command);
    Some(target.join(profile()).join(library_name("other_candle")))
}

/// An example of a package, in a release build whatever the tests themselves were built with.
pub fn release_example(package: &str, example: &str) -> PathBuf {
    let _building = lock();
    let mut command = cargo("build", OsStr::new("release"));
    command.args(["--locked", "--package", package, "--example", example]);
    command.current_dir(repository()).arg("--target-dir").arg(target_directory());
    finish(command);
    target_directory().join("release/examples").join(example)
}

/// The checkout that is tested.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the checkout")
}

fn library_name(plugin: &str) -> String {
    format!("lib{plugin}.so")
}

/// One build at a time: two of them would fight for the one place that a host is laid down in.
fn lock() -> std::sync::MutexGuard<'static, ()> {
    static BUILDING: Mutex<()> = Mutex::new(());
    BUILDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `target/PROFILE`, where this test lies in `deps/`.
fn build_directory() -> PathBuf {
    let test = env::current_exe().expect("a test knows where it lies");
    test.ancestors().nth(2).expect("a test lies in `deps/`").to_owned()
}

fn target_directory() -> PathBuf {
    build_directory().parent().expect("a profile lies in a build directory").to_owned()
}

/// `debug` or `release`: the tests build with the profile that they were built with.
fn profile() -> OsString {
    build_directory().file_name().expect("a profile has a name").to_owned()
}

/// This process's installations. Those of processes that have ended are removed.
fn installs() -> PathBuf {
    static ONCE: OnceLock<PathBuf> = OnceLock::new();
    let directory = ONCE.get_or_init(|| {
        let all = target_directory().join("test-installs");
        for old in fs::read_dir(&all).into_iter().flatten().flatten() {
            let is_running = Path::new("/proc").join(old.file_name()).exists();
            if !is_running {
                let _ = fs::remove_dir_all(old.path());
            }
        }
        all.join(std::process::id().to_string())
    });
    directory.clone()
}

/// Builds the whole workspace, as `cargo test` has: with fewer packages the features of what they
/// share would be others, and that would be compiled a second time.
fn cargo_build(args: &[&str]) {
    let mut command = cargo("build", &profile());
    command.arg("--workspace").args(args).current_dir(repository());
    command.arg("--target-dir").arg(target_directory());
    finish(command);
}

/// Cargo as a user calls it: without what `cargo test` tells a test about itself.
fn cargo(what: &str, profile: &OsStr) -> Command {
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let is_of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if is_of_package.iter().any(|prefix| text.starts_with(prefix)) || text == "LD_LIBRARY_PATH"
        {
            command.env_remove(&name);
        }
    }
    command.arg(what);
    match profile.to_string_lossy().as_ref() {
        "debug" => {}
        name => drop(command.args(["--profile", name])),
    }
    command
}

fn finish(mut command: Command) {
    let output = command.output().expect("cargo can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{said}");
}

fn copy(from: &Path, to: &Path) {
    if let Err(e) = fs::copy(from, to) {
        panic!("copying {} to {}: {e}", from.display(), to.display());
    }
}
