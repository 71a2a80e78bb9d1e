//! Writing checkpoints, and letting old ones go.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sdk::{StateDict, TensorHandle};

use super::{FileDigest, Manifest, Restored, directory_name, hash_file, write_tensors};
use crate::atomic_write::{self, at, crash_point};

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
pub(super) fn by_part(state: &StateDict) -> BTreeMap<&str, Vec<(&str, &TensorHandle)>> {
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

/// Brings `checkpoints` into order after a process that was killed while writing there: a half
/// written checkpoint goes, and one that was set aside for another of the same step comes back when
/// that other never took its place.
///
/// # Errors
/// With the path that could not be moved or removed.
pub fn recover(checkpoints: &Path) -> io::Result<()> {
    for name in names(checkpoints)? {
        let path = checkpoints.join(&name);
        if name.starts_with(".tmp-step-") {
            remove_if_there(&path)?;
        } else if name.starts_with("step-") && name.ends_with(".old") {
            let place = path.with_extension("");
            if place.exists() {
                remove_if_there(&path)?;
            } else {
                atomic_write::rename(&path, &place)?;
            }
        }
    }
    Ok(())
}

/// Points `last`, and `best` when its checkpoint is there, at what training goes on from: the
/// process that wrote the checkpoint may not have come to that, and a newer one may be damaged.
///
/// # Errors
/// With the path that could not be written.
pub fn repoint(restored: &Restored) -> io::Result<()> {
    let Some(checkpoints) = restored.directory.parent() else { return Ok(()) };
    let best = restored.manifest.best.as_ref().map(|best| best.step);
    for (pointer, step) in [("last", Some(restored.manifest.step)), ("best", best)] {
        let Some(name) = step.map(directory_name) else { continue };
        let is_right = read_pointer(checkpoints, pointer).is_some_and(|found| found == name);
        if !is_right && checkpoints.join(&name).is_dir() {
            point(checkpoints, pointer, &name)?;
        }
    }
    Ok(())
}

fn read_pointer(checkpoints: &Path, pointer: &str) -> Option<String> {
    let name = fs::read_to_string(checkpoints.join(pointer)).ok()?;
    Some(name.trim().to_owned())
}

/// Names of what lies in a directory that may not be there yet.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(at("reading", directory)(e)),
        Ok(entries) => {
            Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        }
    }
}

fn remove_if_there(directory: &Path) -> io::Result<()> {
    crash_point();
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
    let named: Vec<String> =
        ["last", "best"].iter().filter_map(|pointer| read_pointer(checkpoints, pointer)).collect();
    let mut names = names(checkpoints)?;
    names.retain(|name| name.starts_with("step-") && !name.ends_with(".old"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic_write::crash;
    use crate::checkpoint::{BestSoFar, newest};

    fn state(value: f32) -> StateDict {
        let mut state = StateDict::default();
        for name in ["model/w", "optimizer/m/w"] {
            let tensor = TensorHandle::from_vec(vec![value; 3], &[3]).unwrap();
            state.tensors.insert(name.into(), tensor);
        }
        state.values.insert("t".into(), value.into());
        state
    }

    fn manifest(step: u64, best: u64) -> Manifest {
        let best = Some(BestSoFar { step: best, value: Some(0.5) });
        Manifest { best, ..Manifest::of_step(step) }
    }

    /// Step and content of what training would go on from, and what the pointers name.
    fn found(checkpoints: &Path) -> (u64, f64, Option<String>, Option<String>) {
        recover(checkpoints).unwrap();
        let (restored, damaged) = newest(checkpoints).unwrap();
        assert!(damaged.is_empty(), "{damaged:?}");
        let restored = restored.unwrap();
        repoint(&restored).unwrap();
        let pointer = |name| read_pointer(checkpoints, name);
        let value = restored.state.values["t"].as_f64().unwrap();
        (restored.manifest.step, value, pointer("last"), pointer("best"))
    }

    /// Ends the writing of a checkpoint at each change of the disk in turn. What is there then is
    /// the checkpoint before or the new one, whole, and the pointers agree with it.
    fn crash_everywhere(step: u64) {
        let named = |step| Some(directory_name(step));
        for n in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let checkpoints = directory.path();
            for (step, best) in [(1, 1), (2, 1)] {
                write(checkpoints, &state(step as f32), manifest(step, best), best == step)
                    .unwrap();
            }
            let is_done = crash::at_change(n, || {
                write(checkpoints, &state(9.0), manifest(step, step), true).unwrap();
                retain(checkpoints, 1).unwrap();
            });
            let is_new = match found(checkpoints) {
                (2, 2.0, last, best) => {
                    assert_eq!((last, best), (named(2), named(1)), "at change {n}");
                    false
                }
                (found, 9.0, last, best) => {
                    assert_eq!(found, step, "at change {n}");
                    assert_eq!((last, best), (named(step), named(step)), "at change {n}");
                    true
                }
                other => panic!("at change {n}: {other:?}"),
            };
            let left: Vec<String> = names(checkpoints).unwrap();
            let odd = left.iter().find(|name| name.ends_with(".old") || name.contains("tmp-step"));
            assert_eq!(odd, None, "at change {n}");
            if is_done {
                assert!(is_new && n > 8, "{n} changes are too few to have looked at all");
                return;
            }
        }
    }

    #[test]
    fn a_crash_at_any_moment_leaves_the_checkpoint_before_or_the_new_one() {
        crash_everywhere(3);
    }

    #[test]
    fn a_crash_while_a_step_is_written_again_loses_nothing() {
        crash_everywhere(2);
    }
}
