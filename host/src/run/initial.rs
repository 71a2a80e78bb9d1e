//! What the phases of a run start from when the user names it: `global.init_from`.
//!
//! It reaches the phases as artifacts, as if an earlier phase had handed it on. A run gives those of
//! its finished phases. A checkpoint is one of kind `checkpoint`: its tensors under their names in
//! the state, its settings the section that it was trained with and the state's values. A file is one
//! of kind `file`; tensors are read from safetensors only, all else is left to the trainer that knows
//! the format.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sdk::{Error, Result, TensorHandle};
use serde_json::{Value, json};

use super::artifacts::read_finished;
use super::directory::PhaseDirectory;
use super::resume::{stored_settings, today};
use crate::checkpoint::{self, read_tensors};
use crate::config::{Catalogue, ConfigErrors};
use crate::registry::SharedArtifact;

/// Name under which the artifacts' phase appears.
const PHASE: &str = "init_from";

/// What `wanted` names, as artifacts.
///
/// # Errors
/// When there is no such thing, or it can't be read.
pub(super) fn load(output_dir: &Path, wanted: &str) -> Result<Vec<SharedArtifact>> {
    if wanted == "last" {
        let message = "`last` would name this run itself once it has started";
        return Err(missing(message.to_owned()).help("name the run by its directory's name"));
    }
    let place = [output_dir.join(wanted), PathBuf::from(wanted)].into_iter().find(|p| p.exists());
    let Some(path) = place else {
        return Err(missing(format!("there is no run and no file `{wanted}`"))
            .help("name a run below the output directory, a checkpoint's directory, or a file"));
    };
    if path.join("resolved_settings.json").is_file() {
        from_run(&path)
    } else if path.join("state.json").is_file() {
        from_checkpoint(&path)
    } else if path.is_file() {
        from_file(&path)
    } else if path.join("model.safetensors").is_file() {
        from_file(&path.join("model.safetensors"))
    } else {
        let message = format!("`{wanted}` is neither a run nor a checkpoint nor a file");
        Err(missing(message)
            .help("a checkpoint is a directory like `phases/01-NAME/checkpoints/step-00001000`"))
    }
}

fn missing(message: String) -> Error {
    Error::new("init_from::missing", message)
}

fn unreadable(e: impl std::fmt::Display) -> Error {
    Error::new("init_from::read", e.to_string())
}

fn from_run(run: &Path) -> Result<Vec<SharedArtifact>> {
    let settings = stored_settings(run).map_err(unreadable)?;
    let names = settings["settings"]["phases"].as_array().cloned().unwrap_or_default();
    let mut artifacts = Vec::new();
    for (i, name) in names.iter().filter_map(Value::as_str).enumerate() {
        let directory = PhaseDirectory::new(run, i + 1, name);
        let finished = read_finished(&directory.artifacts()).map_err(unreadable)?;
        artifacts.extend(finished.into_iter().flat_map(|(_, artifacts)| artifacts));
    }
    if artifacts.is_empty() {
        let message = format!("the run `{}` has handed nothing on yet", run.display());
        return Err(missing(message).help("name one of its checkpoints instead"));
    }
    Ok(artifacts)
}

fn from_checkpoint(directory: &Path) -> Result<Vec<SharedArtifact>> {
    let restored = checkpoint::read(directory).map_err(unreadable)?;
    let manifest = restored.manifest;
    let settings = json!({
        "phase": manifest.phase,
        "plugin": manifest.plugin,
        "step": manifest.step,
        "path": directory.display().to_string(),
        "section": section(directory, &manifest.phase).unwrap_or_default(),
        "values": restored.state.values,
    });
    let tensors = restored.state.tensors.into_iter().map(|(name, t)| (name, Arc::new(t)));
    Ok(vec![artifact("checkpoint", settings, tensors.collect())])
}

/// Brings the section of a checkpoint to the version that its plugin has today.
///
/// # Errors
/// When it has a setting that is gone and meant something.
pub(super) fn bring_to_today(
    artifact: &mut SharedArtifact,
    catalogue: &Catalogue,
) -> std::result::Result<(), ConfigErrors> {
    let name = artifact.settings["phase"].as_str().unwrap_or_default().to_owned();
    if artifact.kind == "checkpoint"
        && let Some(section) = artifact.settings.get_mut("section")
    {
        today(section, &name, catalogue)?;
    }
    Ok(())
}

/// The section that a checkpoint's phase was trained with, from the run it lies in:
/// `RUN/phases/01-NAME/checkpoints/step-N`.
fn section(checkpoint: &Path, phase: &str) -> Option<Value> {
    let run = fs::canonicalize(checkpoint).ok()?.ancestors().nth(4)?.to_owned();
    let settings = stored_settings(&run).ok()?;
    settings["settings"].get(phase).cloned()
}

fn from_file(path: &Path) -> Result<Vec<SharedArtifact>> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let tensors = match extension.as_str() {
        "safetensors" => read_tensors(path).map_err(unreadable)?,
        _ => BTreeMap::new(),
    };
    let settings = json!({ "path": path.display().to_string(), "format": extension });
    Ok(vec![artifact("file", settings, tensors.into_iter().collect())])
}

fn artifact(
    kind: &str,
    settings: Value,
    tensors: Vec<(String, Arc<TensorHandle>)>,
) -> SharedArtifact {
    let (phase, kind) = (PHASE.to_owned(), kind.to_owned());
    SharedArtifact { phase, name: PHASE.to_owned(), kind, settings, tensors }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Manifest, write, write_tensors};

    fn tensor(value: f32) -> TensorHandle {
        TensorHandle::from_vec(vec![value; 2], &[2]).unwrap()
    }

    #[test]
    fn a_checkpoint_brings_its_tensors_and_the_section_it_was_trained_with() {
        let output = tempfile::tempdir().unwrap();
        let run = output.path().join("r1");
        let checkpoints = run.join("phases/01-fit/checkpoints");
        fs::create_dir_all(&checkpoints).unwrap();
        let settings = json!({ "settings": { "phases": ["fit"], "fit": { "width": 3 } } });
        fs::write(run.join("resolved_settings.json"), settings.to_string()).unwrap();
        let mut state = sdk::StateDict::default();
        state.tensors.insert("model/w".into(), tensor(1.5));
        state.values.insert("words".into(), 7.into());
        let manifest = Manifest { phase: "fit".into(), ..Manifest::of_step(4) };
        let written = write(&checkpoints, &state, manifest, false).unwrap();
        let found = load(output.path(), written.directory.to_str().unwrap()).unwrap();
        assert_eq!(found[0].kind, "checkpoint");
        assert_eq!(found[0].settings["section"]["width"], 3);
        assert_eq!(found[0].settings["values"]["words"], 7);
        assert_eq!(found[0].tensors[0].0, "model/w");
        assert_eq!(found[0].tensors[0].1.to_vec::<f32>().unwrap(), [1.5, 1.5]);

        let error = load(output.path(), "r1").unwrap_err();
        assert!(error.message.ends_with("r1` has handed nothing on yet"), "{}", error.message);
    }

    #[test]
    fn files_are_handed_on_as_files() {
        let output = tempfile::tempdir().unwrap();
        let weights = output.path().join("w.safetensors");
        write_tensors(&weights, [("w", &tensor(2.0))]).unwrap();
        fs::write(output.path().join("old.pt"), "a pickle").unwrap();
        let found = load(output.path(), "w.safetensors").unwrap();
        assert_eq!(found[0].settings["format"], "safetensors");
        assert_eq!(found[0].tensors.len(), 1);
        let found = load(output.path(), "old.pt").unwrap();
        assert_eq!((found[0].kind.as_str(), found[0].tensors.len()), ("file", 0));
        assert_eq!(load(output.path(), "nosuch").unwrap_err().code, "init_from::missing");
        fs::create_dir(output.path().join("empty")).unwrap();
        assert_eq!(load(output.path(), "empty").unwrap_err().code, "init_from::missing");
    }
}
