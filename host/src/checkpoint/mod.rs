//! Checkpoints: everything a phase needs to go on, whole on disk or not there.
//!
//! One directory a checkpoint: tensors as safetensors, one file for each part of the state before
//! the first `/` of its name; `state.json` with values and generator positions; `manifest.json`
//! with length and BLAKE3 of each. The directory is written under a temporary name and renamed.
//! `last` and `best` are small files that name the newest complete one and the best one.

mod reader;
mod size;
mod tensors;
mod writer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use reader::{Restored, newest, read};
pub use size::{state_bytes, tensors_bytes};
pub use tensors::{TensorFile, hash_file, read_tensors, write_tensors};
pub use writer::{Written, recover, repoint, retain, write};

/// Version of the layout.
pub const SCHEMA: u32 = 1;

/// What `manifest.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub schema: u32,
    /// Name of the phase in the pipeline.
    pub phase: String,
    /// The plugin crate that wrote the state.
    pub plugin: String,
    /// Its version.
    pub plugin_version: String,
    /// Version of the state.
    pub state_version: u32,
    /// Steps taken.
    pub step: u64,
    /// The best value so far of the metric that chooses, and the step that had it.
    pub best: Option<BestSoFar>,
    /// Whether the evaluation that was due after this step was stopped; it comes first on resume.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evaluation_due: bool,
    /// The other files, by name.
    pub files: BTreeMap<String, FileDigest>,
}

/// The best evaluation so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestSoFar {
    /// Steps taken when it was measured.
    pub step: u64,
    /// The metric's value; not finite ones are kept as null.
    pub value: Option<f64>,
}

/// Length and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Length.
    pub bytes: u64,
    /// BLAKE3 of the content, hexadecimal.
    pub blake3: String,
}

/// Name of the directory of the checkpoint after `step` steps.
pub fn directory_name(step: u64) -> String {
    format!("step-{step:08}")
}

#[cfg(test)]
impl Manifest {
    /// A manifest for tests that look at little besides the step.
    pub(crate) fn of_step(step: u64) -> Self {
        Self {
            schema: SCHEMA,
            phase: "p".into(),
            plugin: "p".into(),
            plugin_version: "0.1.0".into(),
            state_version: 1,
            step,
            best: None,
            evaluation_due: false,
            files: BTreeMap::new(),
        }
    }
}
