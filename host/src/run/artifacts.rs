//! What phases hand on, on disk: one JSON file and one safetensors file an artifact, and a
//! manifest that is written last and says that the phase is finished.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sdk::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::atomic_write::{self, at};
use crate::checkpoint::{FileDigest, hash_file, read_tensors, write_tensors};
use crate::registry::SharedArtifact;

/// `manifest.json` of a finished phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PhaseRecord {
    /// Version of the layout.
    pub schema: u32,
    /// The phase's name.
    pub phase: String,
    /// Steps it took.
    pub steps: u64,
    /// Whether `max_steps` ended it before its schedule did.
    #[serde(default)]
    is_cut_short: bool,
    /// The last value of each metric; those that JSON can't hold are left out here.
    pub values: BTreeMap<String, f64>,
    /// Its artifacts.
    pub artifacts: Vec<ArtifactRecord>,
}

impl PhaseRecord {
    /// The record of a phase that has just finished, without its artifacts.
    pub(super) fn new(
        phase: &str,
        steps: u64,
        is_cut_short: bool,
        values: &BTreeMap<String, f64>,
    ) -> Self {
        let finite = values.iter().filter(|(_, value)| value.is_finite());
        Self {
            schema: 1,
            phase: phase.to_owned(),
            steps,
            is_cut_short,
            values: finite.map(|(name, value)| (name.clone(), *value)).collect(),
            artifacts: Vec::new(),
        }
    }

    /// Whether `max_steps` ended it before its schedule did.
    pub fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }
}

/// One artifact in the manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArtifactRecord {
    /// Its name.
    pub name: String,
    /// How to read it.
    pub kind: String,
    /// Its files.
    pub files: BTreeMap<String, FileDigest>,
}

impl ArtifactRecord {
    /// One digest for the artifact: BLAKE3 over its files' hashes in the order of their names.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, file) in &self.files {
            hasher.update(format!("{name} {}\n", file.blake3).as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

#[derive(Serialize, Deserialize)]
struct Settings {
    phase: String,
    kind: String,
    settings: Value,
}

/// Writes artifacts and, last, the manifest.
///
/// # Errors
/// With the path, or when a name can't be a file's.
pub(super) fn write(
    directory: &Path,
    mut record: PhaseRecord,
    artifacts: &[SharedArtifact],
) -> io::Result<PhaseRecord> {
    fs::create_dir_all(directory).map_err(at("creating", directory))?;
    for artifact in artifacts {
        record.artifacts.push(write_one(directory, artifact)?);
    }
    let manifest = serde_json::to_vec_pretty(&record)?;
    atomic_write::write(&directory.join("manifest.json"), &manifest)?;
    Ok(record)
}

fn write_one(directory: &Path, artifact: &SharedArtifact) -> io::Result<ArtifactRecord> {
    check_name(&artifact.name).map_err(io::Error::other)?;
    let mut files = BTreeMap::new();
    let settings = Settings {
        phase: artifact.phase.clone(),
        kind: artifact.kind.clone(),
        settings: artifact.settings.clone(),
    };
    let name = format!("{}.json", artifact.name);
    let path = directory.join(&name);
    atomic_write::write(&path, &serde_json::to_vec_pretty(&settings)?)?;
    files.insert(name, hash_file(&path)?);
    if !artifact.tensors.is_empty() {
        let name = format!("{}.safetensors", artifact.name);
        let path = directory.join(&name);
        let temporary = directory.join(format!(".tmp-{name}"));
        let tensors = artifact.tensors.iter().map(|(name, t)| (name.as_str(), &**t));
        let digest = write_tensors(&temporary, tensors).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })?;
        atomic_write::rename(&temporary, &path)?;
        files.insert(name, digest);
    }
    Ok(ArtifactRecord { name: artifact.name.clone(), kind: artifact.kind.clone(), files })
}

/// Refuses a name that can't be a file's.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) || name == "manifest"
    {
        return Err(Error::new(
            "artifact::name",
            format!("`{name}` can't be the name of an artifact"),
        ));
    }
    Ok(())
}

/// The record and the artifacts of a finished phase; `None` when it is not finished.
///
/// # Errors
/// When a file is missing or its content is not what was written.
pub fn read_finished(directory: &Path) -> io::Result<Option<(PhaseRecord, Vec<SharedArtifact>)>> {
    let manifest = directory.join("manifest.json");
    let text = match fs::read(&manifest) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(at("reading", &manifest))?,
    };
    let record: PhaseRecord =
        serde_json::from_slice(&text).map_err(|e| at("reading", &manifest)(e.into()))?;
    let mut artifacts = Vec::new();
    for artifact in &record.artifacts {
        artifacts.push(read_one(directory, artifact)?);
    }
    Ok(Some((record, artifacts)))
}

fn read_one(directory: &Path, record: &ArtifactRecord) -> io::Result<SharedArtifact> {
    for (name, digest) in &record.files {
        let path = directory.join(name);
        if hash_file(&path)? != *digest {
            let message = format!(
                "`{}` is damaged: its digest is not the one it was written with",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    }
    let path = directory.join(format!("{}.json", record.name));
    let settings: Settings =
        serde_json::from_slice(&fs::read(&path).map_err(at("reading", &path))?)?;
    let weights = format!("{}.safetensors", record.name);
    let tensors = if record.files.contains_key(&weights) {
        read_tensors(&directory.join(weights))?
    } else {
        BTreeMap::new()
    };
    Ok(SharedArtifact {
        phase: settings.phase,
        name: record.name.clone(),
        kind: settings.kind,
        settings: settings.settings,
        tensors: tensors.into_iter().map(|(name, t)| (name, Arc::clone(&t))).collect(),
    })
}
