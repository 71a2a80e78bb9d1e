//! What one phase hands to the next.
//!
//! An artifact has a name, a kind that says how to read it, settings as JSON, and tensors. In a
//! pipeline its tensors reach the next phase in memory; the host also writes every artifact to
//! the run directory with a digest, and reads it back from there when a run is continued.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::tensor::TensorHandle;

/// Key in an artifact's settings under which a trainer may leave a prompt that shows what its
/// model learned; the host prints it in the command that it proposes after a run.
pub const EXAMPLE_PROMPT: &str = "example_prompt";

/// One published output of a phase.
#[derive(Debug)]
pub struct Artifact {
    /// Name within the phase, a file name without extension, such as `model`.
    pub name: String,
    /// How to read it, such as `gpt` or `tokenizer`; a later phase asks for a kind.
    pub kind: String,
    /// Settings that belong to it: model sizes, tokenizer, normalisation, ….
    pub settings: Value,
    /// Named tensors.
    pub tensors: BTreeMap<String, TensorHandle>,
}

impl Artifact {
    /// An artifact without tensors.
    pub fn new(name: impl Into<String>, kind: impl Into<String>, settings: Value) -> Self {
        Self { name: name.into(), kind: kind.into(), settings, tensors: BTreeMap::new() }
    }

    /// Adds one tensor.
    #[must_use]
    pub fn tensor(mut self, name: impl Into<String>, tensor: TensorHandle) -> Self {
        self.tensors.insert(name.into(), tensor);
        self
    }
}

/// Everything that earlier phases handed on, oldest first.
///
/// ```
/// use sdk::{Artifact, Artifacts, TensorHandle};
///
/// let w = TensorHandle::from_vec(vec![0.5f32, -1.0], &[2])?;
/// let mut given = Artifacts::default();
/// given.push("fit", Artifact::new("model", "linear", serde_json::json!({"inputs": 2})).tensor("w", w));
///
/// let model = given.latest("linear").expect("one was given");
/// assert_eq!(model.tensors["w"].to_vec::<f32>()?, [0.5, -1.0]);
/// assert!(given.require("gpt").is_err());
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Artifacts {
    items: Vec<(String, Artifact)>,
}

impl Artifacts {
    /// Adds what `phase` handed on.
    pub fn push(&mut self, phase: impl Into<String>, artifact: Artifact) {
        self.items.push((phase.into(), artifact));
    }

    /// The newest artifact of a kind.
    pub fn latest(&self, kind: &str) -> Option<&Artifact> {
        self.items.iter().rev().map(|(_, artifact)| artifact).find(|artifact| artifact.kind == kind)
    }

    /// The newest artifact of a kind, or an error that lists what there is.
    ///
    /// # Errors
    /// When no earlier phase handed on one of that kind.
    pub fn require(&self, kind: &str) -> Result<&Artifact> {
        self.latest(kind).ok_or_else(|| {
            let given: Vec<String> =
                self.iter().map(|(phase, a)| format!("`{}` from `{phase}`", a.kind)).collect();
            let given = if given.is_empty() { "none".to_owned() } else { given.join(", ") };
            Error::new(
                "artifact::missing",
                format!("no artifact of kind `{kind}` from an earlier phase; given: {given}"),
            )
            .help("put a phase that hands one on before this one")
        })
    }

    /// All of them with the phase that made each, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Artifact)> {
        self.items.iter().map(|(phase, artifact)| (phase.as_str(), artifact))
    }
}

impl IntoIterator for Artifacts {
    type Item = (String, Artifact);
    type IntoIter = std::vec::IntoIter<(String, Artifact)>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}
