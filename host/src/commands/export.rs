//! `host export`: a finished phase's weights in the formats that other tools read.
//!
//! `safetensors` is the host's own: the artifacts as they are. Every other format is a capability of
//! the plugin, `export/NAME`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sdk::{ExportRequest, PhaseDescription, capability};

use super::selection::discover;
use super::trained::Trained;
use super::{note, print};
use crate::atomic_write::{self, at};
use crate::checkpoint::write_tensors;
use crate::cli::{Export, TrainedRun};
use crate::registry::Registry;
use crate::run::{NoServices, RunError};

/// The format that every phase has.
const SAFETENSORS: &str = "safetensors";

pub(super) fn exec(args: Export) -> Result<u8, RunError> {
    let registry = discover();
    check_format(&args.format, &registry)?;
    let wanted = format!("export as `{}`", args.format);
    let can = |description: &PhaseDescription| can_export(description, &args.format);
    let of = TrainedRun { run: args.run, phase: args.phase, output_dir: args.output_dir };
    let trained = Trained::find(&of, &registry, can, &wanted)?;
    let name = format!("{}-{}", trained.name, args.format);
    let out = args.out.unwrap_or_else(|| trained.run.join("exports").join(name));
    if out.exists() && !args.force {
        let message = format!("`{}` is there already", out.display());
        return Err(RunError::usage(
            message,
            "name another with `--out`, or replace it: `--force`",
        ));
    }
    let temporary = beside(&out);
    let written = write(&trained, &registry, &args.format, &temporary)
        .and_then(|()| put_in_place(&temporary, &out));
    if let Err(e) = written {
        let _ = fs::remove_dir_all(&temporary);
        return Err(e);
    }
    note(&format!("exported phase `{}` of {}", trained.name, trained.run.display()));
    print(&format!("{}\n", out.display()))?;
    Ok(0)
}

fn can_export(description: &PhaseDescription, format: &str) -> bool {
    format == SAFETENSORS || formats(description).any(|name| name == format)
}

fn formats(description: &PhaseDescription) -> impl Iterator<Item = &str> {
    description.capabilities.iter().filter_map(|name| name.strip_prefix(capability::EXPORT))
}

/// A format that no plugin knows is a slip of the pen, whatever the run holds.
fn check_format(format: &str, registry: &Registry) -> Result<(), RunError> {
    let mut known: Vec<&str> =
        registry.phases().flat_map(|(_, description)| formats(description)).collect();
    known.push(SAFETENSORS);
    known.sort_unstable();
    known.dedup();
    if known.contains(&format) {
        return Ok(());
    }
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let message = format!("no plugin exports as `{format}`");
    Err(RunError::usage(message, format!("known formats: {}", known.join(", "))))
}

/// Where the files are gathered before they take their place.
fn beside(out: &Path) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!(".tmp-{name}-{}", std::process::id()))
}

fn write(
    trained: &Trained,
    registry: &Registry,
    format: &str,
    directory: &Path,
) -> Result<(), RunError> {
    fs::create_dir_all(directory).map_err(at("creating", directory))?;
    if format == SAFETENSORS {
        return Ok(write_artifacts(trained, directory)?);
    }
    let mut client = trained.open(registry, Arc::new(NoServices))?;
    let request =
        ExportRequest { format: format.to_owned(), directory: directory.display().to_string() };
    client.export(&trained.artifacts, &request).map_err(|e| trained.failed("while exporting", e))
}

/// The artifacts as they are: settings as JSON, tensors as safetensors.
fn write_artifacts(trained: &Trained, directory: &Path) -> std::io::Result<()> {
    for artifact in &trained.artifacts {
        let settings = serde_json::json!({ "kind": artifact.kind, "settings": artifact.settings });
        let path = directory.join(format!("{}.json", artifact.name));
        atomic_write::write(&path, &serde_json::to_vec_pretty(&settings)?)?;
        if !artifact.tensors.is_empty() {
            let path = directory.join(format!("{}.safetensors", artifact.name));
            let tensors = artifact.tensors.iter().map(|(name, t)| (name.as_str(), &**t));
            write_tensors(&path, tensors)?;
        }
    }
    Ok(())
}

fn put_in_place(temporary: &Path, out: &Path) -> Result<(), RunError> {
    let removed = if out.is_dir() { fs::remove_dir_all(out) } else { fs::remove_file(out) };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(at("removing", out)(e).into());
        }
        _ => {}
    }
    Ok(atomic_write::rename(temporary, out)?)
}
