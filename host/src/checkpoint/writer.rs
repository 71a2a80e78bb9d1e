//! Writing checkpoints, and letting old ones go.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sdk::{StateDict, TensorHandle};

use super::{FileDigest, Manifest, directory_name, hash_file, write_tensors};
use crate::atomic_write::{self, at};

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The checkpoint's directory.
    pub directory: PathBuf,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// Writes a checkpoint into `checkpoints` and points `last` (and `best`, when it is) at it.
///
/// `manifest.files` is filled in here.
///
/// # Errors
/// With path and cause, as of a full disk; the checkpoints that were there are then untouched.
pub fn write(
    checkpoints: &Path,
    state: &StateDict,
    mut manifest: Manifest,
    is_best: bool,
) -> io::Result<Written> {
    fs::create_dir_all(checkpoints).map_err(at("creating", checkpoints))?;
    let name = directory_name(manifest.step);
    let temporary = checkpoints.join(format!(".tmp-{name}"));
    remove_if_there(&temporary)?;
    let written = fill(&temporary, state, &mut manifest)
        .and_then(|()| atomic_write::sync_directory(&temporary));
    if let Err(e) = written {
        let _ = fs::remove_dir_all(&temporary);
        return Err(e);
    }
    let directory = checkpoints.join(&name);
    replace_directory(&temporary, &directory)?;
    point(checkpoints, "last", &name)?;
    if is_best {
        point(checkpoints, "best", &name)?;
    }
    let bytes = manifest.files.values().map(|file| file.bytes).sum();
    Ok(Written { directory, bytes })
}

fn fill(directory: &Path, state: &StateDict, manifest: &mut Manifest) -> io::Result<()> {
    fs::create_dir(directory).map_err(at("creating", directory))?;
    for (part, tensors) in by_part(state) {
        let file = format!("{part}.safetensors");
        let digest = write_tensors(&directory.join(&file), tensors)?;
        manifest.files.insert(file, digest);
    }
    let values = directory.join("state.json");
    atomic_write::write(&values, &serde_json::to_vec_pretty(&state.values)?)?;
    manifest.files.insert("state.json".to_owned(), hash_file(&values)?);
    atomic_write::write(&directory.join("manifest.json"), &serde_json::to_vec_pretty(manifest)?)
}

/// Tensors by the part of their path before the first `/`; names within a part keep the rest.
fn by_part(state: &StateDict) -> BTreeMap<&str, Vec<(&str, &TensorHandle)>> {
    let mut parts: BTreeMap<&str, Vec<(&str, &TensorHandle)>> = BTreeMap::new();
    for (path, tensor) in &state.tensors {
        let (part, name) = path.split_once('/').unwrap_or(("tensors", path));
        parts.entry(part).or_default().push((name, tensor));
    }
    parts
}

/// Puts `new` in the place of `old`, which is only there when a step is taken a second time.
fn replace_directory(new: &Path, old: &Path) -> io::Result<()> {
    if old.exists() {
        let aside = old.with_extension("old");
        remove_if_there(&aside)?;
        atomic_write::rename(old, &aside)?;
        atomic_write::rename(new, old)?;
        return remove_if_there(&aside);
    }
    atomic_write::rename(new, old)
}

fn remove_if_there(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at("removing", directory)(e)),
        _ => Ok(()),
    }
}

fn point(checkpoints: &Path, pointer: &str, name: &str) -> io::Result<()> {
    atomic_write::write(&checkpoints.join(pointer), format!("{name}\n").as_bytes())
}

/// Removes all but the newest `keep` checkpoints and those that `last` and `best` name.
///
/// # Errors
/// With the path that could not be removed.
pub fn retain(checkpoints: &Path, keep: usize) -> io::Result<()> {
    let named: Vec<String> = ["last", "best"]
        .iter()
        .filter_map(|pointer| fs::read_to_string(checkpoints.join(pointer)).ok())
        .map(|name| name.trim().to_owned())
        .collect();
    let mut names: Vec<String> = fs::read_dir(checkpoints)
        .map_err(at("reading", checkpoints))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("step-") && !name.ends_with(".old"))
        .collect();
    names.sort_by_key(|name| name.trim_start_matches("step-").parse::<u64>().unwrap_or(u64::MAX));
    let n_old = names.len().saturating_sub(keep.max(1));
    for name in names.into_iter().take(n_old).filter(|name| !named.contains(name)) {
        remove_if_there(&checkpoints.join(name))?;
    }
    Ok(())
}

/// Digest of a file as a manifest keeps it, checked against the file.
pub(super) fn verify(path: &Path, expected: &FileDigest) -> io::Result<()> {
    let found = hash_file(path)?;
    if found == *expected {
        return Ok(());
    }
    let what = if found.bytes == expected.bytes {
        "its content has changed since it was written".to_owned()
    } else {
        format!("it has {} bytes, the manifest says {}", found.bytes, expected.bytes)
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("`{}` is damaged: {what}", path.display()),
    ))
}
