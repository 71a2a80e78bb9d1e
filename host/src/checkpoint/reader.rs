//! Finding the newest checkpoint that is whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sdk::{StateDict, TensorHandle};

use super::writer::verify;
use super::{Manifest, SCHEMA, read_tensors};
use crate::atomic_write::at;

/// A checkpoint, read and checked.
#[derive(Debug)]
pub struct Restored {
    /// Its directory.
    pub directory: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// The state.
    pub state: StateDict,
}

/// The newest whole checkpoint in `checkpoints`, and what was wrong with newer ones.
///
/// # Errors
/// When there are checkpoints but none is whole.
pub fn newest(checkpoints: &Path) -> io::Result<(Option<Restored>, Vec<String>)> {
    let mut damaged = Vec::new();
    for directory in candidates(checkpoints) {
        match read(&directory) {
            Ok(restored) => return Ok((Some(restored), damaged)),
            Err(e) => damaged.push(e.to_string()),
        }
    }
    match damaged.first() {
        Some(first) => Err(io::Error::new(io::ErrorKind::InvalidData, first.clone())),
        None => Ok((None, damaged)),
    }
}

/// Checkpoint directories, newest first.
fn candidates(checkpoints: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(checkpoints) else { return Vec::new() };
    let mut found: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let step = name.strip_prefix("step-")?.parse().ok()?;
            Some((step, entry.path()))
        })
        .collect();
    found.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    found.into_iter().map(|(_, path)| path).collect()
}

/// One checkpoint, whole.
///
/// # Errors
/// With the path, when a file is missing or its content is not what was written.
pub fn read(directory: &Path) -> io::Result<Restored> {
    let invalid = |e: String| io::Error::new(io::ErrorKind::InvalidData, e);
    let manifest = directory.join("manifest.json");
    let text = fs::read(&manifest).map_err(at("reading", &manifest))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|e| invalid(format!("`{}` is damaged: {e}", manifest.display())))?;
    if manifest.schema != SCHEMA {
        let (found, path) = (manifest.schema, directory.display());
        return Err(invalid(format!(
            "`{path}` has layout {found}, this host reads layout {SCHEMA}"
        )));
    }
    let mut state = StateDict::default();
    for (name, digest) in &manifest.files {
        let file = directory.join(name);
        verify(&file, digest)?;
        if let Some(part) = name.strip_suffix(".safetensors") {
            state.tensors.extend(with_part(part, read_tensors(&file)?));
        }
    }
    let values = fs::read(directory.join("state.json")).map_err(at("reading", directory))?;
    state.values = serde_json::from_slice(&values)?;
    Ok(Restored { directory: directory.to_owned(), manifest, state })
}

/// Gives tensor names back the part that their file's name stands for.
fn with_part(
    part: &str,
    tensors: BTreeMap<String, Arc<TensorHandle>>,
) -> impl Iterator<Item = (String, TensorHandle)> {
    tensors.into_iter().map(move |(name, tensor)| {
        let path = if part == "tensors" { name } else { format!("{part}/{name}") };
        (path, TensorHandle::share(&tensor))
    })
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;
    use crate::checkpoint::{retain, write};

    fn state(value: f32) -> StateDict {
        let mut state = StateDict::default();
        let tensor = |v: Vec<f32>| TensorHandle::from_vec(v, &[2]).unwrap();
        state.tensors.insert("model/w".into(), tensor(vec![value, f32::NAN]));
        state.tensors.insert("optimizer/m/w".into(), tensor(vec![0.0, value]));
        state.tensors.insert("loose".into(), tensor(vec![value, value]));
        state.values.insert("t".into(), 3.into());
        state
    }

    #[test]
    fn state_survives_bit_for_bit() {
        let directory = tempfile::tempdir().unwrap();
        let written = write(directory.path(), &state(1.5), Manifest::of_step(7), true).unwrap();
        assert!(written.directory.ends_with("step-00000007"));
        for pointer in ["last", "best"] {
            let name = fs::read_to_string(directory.path().join(pointer)).unwrap();
            assert_eq!(name, "step-00000007\n");
        }
        let (restored, damaged) = newest(directory.path()).unwrap();
        let restored = restored.unwrap();
        assert!(damaged.is_empty());
        assert_eq!(restored.manifest.step, 7);
        assert_eq!(restored.state.values["t"], 3);
        let bits = |s: &StateDict| -> Vec<(String, Vec<u8>)> {
            s.tensors.iter().map(|(name, t)| (name.clone(), t.to_bytes())).collect()
        };
        assert_eq!(bits(&restored.state), bits(&state(1.5)));
    }

    #[test]
    fn a_damaged_checkpoint_yields_to_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        for step in [5, 10] {
            write(directory.path(), &state(step as f32), Manifest::of_step(step), false).unwrap();
        }
        let file = directory.path().join("step-00000010/model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        let (restored, damaged) = newest(directory.path()).unwrap();
        assert_eq!(restored.unwrap().manifest.step, 5);
        assert!(damaged[0].ends_with("is damaged: its content has changed since it was written"));

        let mut other = OpenOptions::new()
            .append(true)
            .open(directory.path().join("step-00000005/state.json"))
            .unwrap();
        other.write_all(b" ").unwrap();
        assert!(newest(directory.path()).is_err());
    }

    #[test]
    fn half_written_ones_are_no_checkpoints() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(".tmp-step-00000003")).unwrap();
        assert!(newest(directory.path()).unwrap().0.is_none());
    }

    #[test]
    fn retention_keeps_newest_last_and_best() {
        let directory = tempfile::tempdir().unwrap();
        for step in 1..=6 {
            write(directory.path(), &state(0.0), Manifest::of_step(step), step == 2).unwrap();
        }
        retain(directory.path(), 2).unwrap();
        let steps: Vec<_> = candidates(directory.path())
            .iter()
            .map(|p| p.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(steps, ["step-00000006", "step-00000005", "step-00000002"]);
    }
}
