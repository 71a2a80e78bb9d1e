//! `host generate`: text from the artifacts of a finished run.

use std::io::{IsTerminal, Read};
use std::sync::Arc;

use sdk::GenerateRequest;

use super::selection::discover;
use super::streaming::{Streaming, can_generate};
use super::trained::Trained;
use super::{STOPPED_BY_READER, print, print_json};
use crate::cli::Generate;
use crate::run::{Interrupt, RunError};

pub(super) fn exec(args: &Generate) -> Result<u8, RunError> {
    let prompt = prompt(args.prompt.as_deref())?;
    let system = args.system.read()?;
    let registry = discover();
    let trained = Trained::find(&args.trained, &registry, can_generate, "generate text")?;
    let request = GenerateRequest {
        prompt,
        chat: args.raw.then_some(false),
        history: system.into_iter().collect(),
        trace_layer: args.trace_layer,
        ..args.sampling.request()
    };
    let services = Arc::new(Streaming::new(Interrupt::install()?, !args.json));
    let mut client = trained.open(&registry, Arc::<Streaming>::clone(&services))?;
    let reply = client.generate(&trained.artifacts, &request).map_err(|e| told(&trained, e))?;
    if services.is_reader_gone() {
        return Ok(STOPPED_BY_READER);
    }
    if args.json {
        let mut value = serde_json::to_value(&reply).map_err(std::io::Error::from)?;
        value["schema"] = 1.into();
        print_json(&value)?;
    } else {
        print("\n")?;
    }
    let is_cancelled = reply.stop_reason == sdk::StopReason::Cancelled;
    Ok(if is_cancelled { 130 } else { 0 })
}

/// A request that makes no sense is a usage error; all else is the plugin's.
fn told(trained: &Trained, error: sdk::Error) -> RunError {
    if error.code.starts_with(sdk::BAD_REQUEST) {
        return RunError::Usage { message: error.message, help: error.help };
    }
    trained.failed("while generating", error)
}

/// The prompt as it was typed; `-`, or none with something on standard input, reads that.
fn prompt(typed: Option<&str>) -> Result<String, RunError> {
    match typed {
        Some(text) if text != "-" => return Ok(text.to_owned()),
        None if std::io::stdin().is_terminal() => {
            return Err(RunError::usage(
                "a prompt is needed",
                "give it as an argument, or on standard input",
            ));
        }
        _ => {}
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        RunError::usage("the prompt on standard input is not UTF-8", "convert it, as with `iconv`")
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
