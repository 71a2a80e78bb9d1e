//! From flags to a configuration request.

use serde_json::Value;

use crate::cli::Selection;
use crate::config::{Flag, Request};
use crate::registry::Registry;

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
        ];
        let is_text = |key| matches!(key, "device" | "dtype" | "run_name" | "output_dir");
        let flags = flags.into_iter().filter_map(|(name, key, text)| {
            let text = text.as_deref()?;
            let number = serde_json::from_str(text).ok().filter(|_| !is_text(key));
            let value = number.unwrap_or_else(|| Value::from(text));
            Some(Flag { name, key: format!("global.{key}"), value })
        });
        Request {
            profile: self.profile.clone(),
            file: self.config.clone(),
            phase: self.phase.clone(),
            overrides: self.set.iter().chain(&self.overrides).cloned().collect(),
            flags: flags.collect(),
            environment: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        }
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
