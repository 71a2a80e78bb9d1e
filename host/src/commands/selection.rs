//! From flags to a configuration request.

use sdk::{ChatMessage, ChatRole, GenerateRequest};
use serde_json::Value;

use crate::atomic_write::at;
use crate::cli::{Sampling, Selection, System};
use crate::config::{Flag, Request};
use crate::registry::Registry;
use crate::run::RunError;

impl Selection {
    /// Whether anything says what to run.
    pub(super) fn is_empty(&self) -> bool {
        self.profile.is_none() && self.config.is_none()
    }

    pub(super) fn request(&self) -> Request {
        let flags = [
            ("--seed", "seed", &self.seed),
            ("--device", "device", &self.device),
            ("--dtype", "dtype", &self.dtype),
            ("--threads", "threads", &self.threads),
            ("--max-steps", "max_steps", &self.max_steps),
            ("--run-name", "run_name", &self.run_name),
            ("--output-dir", "output_dir", &self.output_dir),
            ("--init-from", "init_from", &self.init_from),
        ];
        let is_text =
            |key| matches!(key, "device" | "dtype" | "run_name" | "output_dir" | "init_from");
        let flags = flags.into_iter().filter_map(|(name, key, text)| {
            let text = text.as_deref()?;
            let number = serde_json::from_str(text).ok().filter(|_| !is_text(key));
            let value = number.unwrap_or_else(|| Value::from(text));
            Some(Flag { name: name.to_owned(), key: format!("global.{key}"), value })
        });
        Request {
            profile: self.profile.clone(),
            file: self.config.clone(),
            phase: self.phase.clone(),
            overrides: self.overrides.0.clone(),
            flags: flags.collect(),
            environment: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        }
    }
}

impl Sampling {
    /// A request with what was typed; the rest is the phase's to say.
    pub(super) fn request(&self) -> GenerateRequest {
        let typed = |ids: &Vec<u32>| (!ids.is_empty()).then(|| ids.clone());
        GenerateRequest {
            max_new_tokens: self.max_new_tokens,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty,
            banned_tokens: typed(&self.banned_tokens),
            stop_tokens: typed(&self.stop_tokens),
            seed: self.seed,
            use_cache: !self.no_kv_cache,
            ..GenerateRequest::default()
        }
    }
}

impl System {
    /// The system message, when there is one.
    ///
    /// # Errors
    /// When its file can't be read.
    pub(super) fn read(&self) -> Result<Option<ChatMessage>, RunError> {
        let text = match (&self.system, &self.system_file) {
            (Some(text), _) => text.clone(),
            (None, Some(path)) => std::fs::read_to_string(path).map_err(|e| {
                let error = at("reading", path)(e);
                RunError::Usage { message: error.to_string(), help: None }
            })?,
            (None, None) => return Ok(None),
        };
        let content = text.trim_end().to_owned();
        Ok(Some(ChatMessage { role: ChatRole::System, content }))
    }
}

/// The registry, with a word on standard error about what is wrong with it.
pub(super) fn discover() -> Registry {
    let registry = Registry::discover();
    for problem in &registry.search.problems {
        super::note(&format!("warning: plugin path: {problem}"));
    }
    for refused in &registry.refused {
        super::note(&format!("warning: not used: {}: {}", refused.path.display(), refused.reason));
    }
    for conflict in &registry.conflicts {
        super::note(&format!("warning: not used: {conflict}"));
    }
    registry
}
