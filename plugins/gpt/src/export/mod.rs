//! A trained GPT in the formats of other tools: a Hugging Face folder, a GGUF file.
//!
//! The model is a Llama (see `llama.rs`), so nothing needs code of ours to run it. Files are
//! written tensor by tensor: memory holds the weights once, and one tensor more.

mod gguf;
mod gguf_file;
mod hf;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use corpus::chat::ChatTemplate;
use sdk::{Artifacts, Error, ExportRequest, PhaseContext, Result, TensorHandle};

use crate::handover::{Handover, KIND};
use crate::llama;
use crate::weights::Tensors;

/// Names of the formats, as a trainer declares them after [`sdk::capability::EXPORT`].
pub const FORMATS: [&str; 2] = ["hf", "gguf"];

/// What every format writes.
struct Source<'a> {
    handover: &'a Handover,
    /// Contiguous f32 under our names, all there and of the right shapes.
    tensors: &'a BTreeMap<String, TensorHandle>,
    /// The chat template, which needs no variables of ours; only for a model that answers.
    template: Option<String>,
    directory: &'a Path,
}

/// Writes the model that was handed on into an empty directory: `Trainer::export` of both phases.
///
/// # Errors
/// When no model was handed on, the format is unknown, or a file can't be written.
pub fn export(given: &Artifacts, request: &ExportRequest, cx: &PhaseContext) -> Result<()> {
    given.require(KIND)?;
    let Some((handover, tensors)) = Handover::latest(given)? else {
        return Err(Error::new("gpt::artifact", "no model was handed on"));
    };
    llama::check(tensors, &handover.model)?;
    let tensors = Tensors::Borrowed(tensors).into_f32()?;
    let template = ChatTemplate::new(handover.chat_template.as_deref(), &handover.tokenizer)?;
    let source = Source {
        handover: &handover,
        tensors: &tensors,
        template: handover.is_chat.then(|| template.source().to_owned()),
        directory: Path::new(&request.directory),
    };
    match request.format.as_str() {
        "hf" => hf::write(&source, cx),
        "gguf" => gguf::write(&source, cx),
        other => {
            let message =
                format!("a GPT has no format `{other}`; there are: {}", FORMATS.join(", "));
            Err(Error::new("export::format", message))
        }
    }
}

impl Source<'_> {
    /// Where a file of this name is written.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn write_text(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, text).map_err(|e| unwritten(&path, &e))
    }

    fn write_json(&self, name: &str, value: &serde_json::Value) -> Result<()> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Error::new("export::json", format!("`{name}`: {e}")))?;
        self.write_text(name, &format!("{text}\n"))
    }
}

fn unwritten(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new("export::write", format!("writing `{}`: {why}", path.display()))
}
