//! The run's directory: its name, its layout, its one writer.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use super::RunError;
use crate::atomic_write::{self, at};

/// A run's directory, held by this process alone.
#[derive(Debug)]
pub struct RunDirectory {
    /// The directory.
    pub path: PathBuf,
    /// Its name: the run's.
    pub name: String,
    /// Held for as long as this process writes here.
    _lock: File,
}

impl RunDirectory {
    /// Creates a new one below `output_dir`.
    ///
    /// # Errors
    /// With the path that could not be written.
    pub fn create(output_dir: &Path, run_name: Option<&str>) -> Result<Self, RunError> {
        let name = match run_name {
            Some(prefix) => format!("{prefix}-{}", fresh_name()),
            None => fresh_name(),
        };
        let path = output_dir.join(&name);
        fs::create_dir_all(&path).map_err(at("creating", &path))?;
        Ok(Self { _lock: lock(&path)?, path, name })
    }

    /// Makes it the one that `last` names; once it has its settings, so that `last` names a run.
    ///
    /// # Errors
    /// With the path.
    pub fn make_last(&self, output_dir: &Path) -> io::Result<()> {
        atomic_write::write(&output_dir.join("last"), format!("{}\n", self.name).as_bytes())
    }

    /// Opens an existing one to go on with it.
    ///
    /// # Errors
    /// When another process writes there.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { _lock: lock(path)?, path: path.to_owned(), name })
    }

    /// Directory of the phase `number` (from 1).
    pub fn phase(&self, number: usize, name: &str) -> PhaseDirectory {
        PhaseDirectory::new(&self.path, number, name)
    }

    /// Writes a JSON file at the top of the directory.
    ///
    /// # Errors
    /// With the path.
    pub fn write_json(&self, name: &str, value: &Value) -> io::Result<()> {
        atomic_write::write(&self.path.join(name), &serde_json::to_vec_pretty(value)?)
    }
}

/// What a phase keeps below `phases/`.
#[derive(Clone, Debug)]
pub struct PhaseDirectory {
    /// The directory.
    pub path: PathBuf,
}

impl PhaseDirectory {
    /// The directory of phase `number` (from 1) in the run at `run`.
    pub fn new(run: &Path, number: usize, name: &str) -> Self {
        Self { path: run.join("phases").join(format!("{number:02}-{name}")) }
    }

    /// Its checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Its artifacts.
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }
}

/// UTC time and eight hexadecimal digits.
fn fresh_name() -> String {
    let format = format_description!("[year][month][day]-[hour][minute][second]");
    let time = OffsetDateTime::now_utc().format(format).unwrap_or_default();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let unique = format!("{since} {}", std::process::id());
    format!("{time}-{}", &blake3::hash(unique.as_bytes()).to_hex()[..8])
}

/// The directory of a run that the user names: `last`, a run's name, or a path.
///
/// # Errors
/// When there is none.
pub fn find_run(output_dir: &Path, wanted: &str) -> Result<PathBuf, RunError> {
    let is_run = |path: &Path| path.join("resolved_settings.json").is_file();
    if wanted == "last" {
        let pointer = output_dir.join("last");
        let name = fs::read_to_string(&pointer).map_err(|_| {
            let message = format!("no run to be found: `{}` is missing", pointer.display());
            RunError::usage(message, "start one without `--resume`, or name its directory")
        })?;
        let path = output_dir.join(name.trim());
        return if is_run(&path) { Ok(path) } else { Err(no_run(&path.display().to_string())) };
    }
    [output_dir.join(wanted), PathBuf::from(wanted)]
        .into_iter()
        .find(|path| is_run(path))
        .ok_or_else(|| no_run(wanted))
}

fn no_run(wanted: &str) -> RunError {
    let message = format!("no run to be found: `{wanted}`");
    RunError::usage(message, "name a directory below `runs/`, or `last` for the newest run")
}

fn lock(path: &Path) -> Result<File, RunError> {
    let file = path.join(".lock");
    let handle = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(at("opening", &file))?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another process is writing to the run `{}`", path.display());
            Err(RunError::usage(message, "wait for it, or stop it first"))
        }
        Err(TryLockError::Error(e)) => Err(at("locking", &file)(e).into()),
    }
}
