//! Generated files in a temporary directory, and errors as a user sees them.

use std::fs;
use std::path::PathBuf;

use sdk::Error;

/// A temporary directory of files.
pub(crate) struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// An error as it is shown, with the directory left out of it.
    pub(crate) fn told(&self, error: &Error) -> String {
        let mut told = String::new();
        if let Some(path) = &error.path {
            told += &format!("at {path}: ");
        }
        told += &error.message;
        if let Some(help) = &error.help {
            told += &format!("\nhelp: {help}");
        }
        told.replace(&format!("{}/", self.dir.path().display()), "")
            .replace(&self.dir.path().display().to_string(), "DIR")
    }
}

/// Numbers of 32 bits, the least significant byte first.
pub(crate) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
