//! `host generate`: text from the artifacts of a finished run.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sdk::{DeviceContext, GenerateRequest};
use serde_json::Value;

use super::selection::discover;
use super::{print, print_json};
use crate::cli::Generate;
use crate::registry::{PhaseSpec, Registry, SharedArtifact};
use crate::run::{NoServices, PhaseDirectory, RunError, find_run, read_finished, stored_settings};

pub(super) fn exec(args: Generate) -> Result<u8, RunError> {
    let registry = discover();
    let run = find_run(&args.output_dir, &args.run)?;
    let source = find_source(&run, args.phase.as_deref(), &registry)?;
    let prompt = if args.prompt == "-" { read_stdin()? } else { args.prompt };
    let request = GenerateRequest {
        prompt,
        chat: args.raw.then_some(false),
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        seed: args.seed,
    };
    let device = DeviceContext::default();
    let spec = PhaseSpec {
        name: &source.name,
        section: &source.section,
        seed: args.seed,
        device: &device,
        services: Arc::new(NoServices),
    };
    let failed = |error: sdk::Error| RunError::Phase {
        phase: source.name.clone(),
        plugin: source.plugin.clone(),
        place: "while generating".to_owned(),
        error: Box::new(error),
    };
    let mut client = registry.create(&source.phase, &spec).map_err(failed)?;
    let reply = client.generate(&source.artifacts, &request).map_err(failed)?;
    if args.json {
        let mut value = serde_json::to_value(&reply).map_err(std::io::Error::from)?;
        value["schema"] = 1.into();
        print_json(&value)?;
    } else {
        print(&format!("{}\n", reply.text))?;
    }
    Ok(0)
}

fn read_stdin() -> Result<String, RunError> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// A finished phase that can generate.
struct Source {
    name: String,
    phase: String,
    plugin: String,
    section: Value,
    artifacts: Vec<SharedArtifact>,
}

/// The phase asked for, or the last finished one that can generate.
fn find_source(run: &Path, wanted: Option<&str>, registry: &Registry) -> Result<Source, RunError> {
    let settings = &stored_settings(run)?["settings"];
    let names: Vec<&str> =
        settings["phases"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(wanted) = wanted.filter(|wanted| !names.contains(wanted)) {
        let message = format!("the run has no phase `{wanted}`; it has: {}", names.join(", "));
        return Err(RunError::Usage { message, help: None });
    }
    for (i, name) in names.iter().enumerate().rev() {
        if wanted.is_some_and(|wanted| wanted != *name) {
            continue;
        }
        let mut section = settings[*name].clone();
        let own = section.as_object_mut().and_then(|map| map.remove("phase"));
        let phase = own.as_ref().and_then(Value::as_str).unwrap_or(name).to_owned();
        let Some((plugin, description)) = registry.find(&phase) else { continue };
        let can_generate = description.capabilities.iter().any(|c| c == sdk::capability::GENERATE);
        if !can_generate {
            continue;
        }
        let directory = PhaseDirectory::new(run, i + 1, name);
        if let Some((_, artifacts)) = read_finished(&directory.artifacts())? {
            let (name, plugin) = ((*name).to_owned(), plugin.name.clone());
            return Ok(Source { name, phase, plugin, section, artifacts });
        }
    }
    let message = format!("nothing to generate from in `{}`: no finished phase can", run.display());
    Err(RunError::usage(message, "let the run finish: `host run --resume`"))
}
