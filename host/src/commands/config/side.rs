//! One side of a comparison: the settings that a profile, a file or a run stands for.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::{ConfigErrors, Request, is_file_name, upgrade_stored};
use crate::registry::Registry;
use crate::run::{Interrupt, RunError, catalogue, compose, find_run, stored_settings};

/// Settings with where each comes from.
pub(super) struct Side {
    /// As it was asked for.
    pub(super) name: String,
    /// `profile`, `file` or `run`.
    pub(super) kind: &'static str,
    /// The file, the plugin that carries the profile, or the run's directory.
    pub(super) place: String,
    /// `global`, `phases` and a mapping for each phase.
    pub(super) settings: Value,
    origins: Value,
}

impl Side {
    /// Both sides; a file that does not say its phase has the other side's.
    ///
    /// # Errors
    /// With what is wrong with either.
    pub(super) fn both(
        names: [&str; 2],
        phase: Option<&str>,
        registry: &Registry,
    ) -> Result<[Self; 2], RunError> {
        let [a, b] = names.map(|name| Self::find(name, phase, registry));
        match (a, b) {
            (Ok(a), Ok(b)) => Ok([a, b]),
            (Ok(a), Err(error)) => {
                let b = a.lend_phase(names[1], error, registry)?;
                Ok([a, b])
            }
            (Err(error), Ok(b)) => {
                let a = b.lend_phase(names[0], error, registry)?;
                Ok([a, b])
            }
            (Err(RunError::Config(a)), Err(RunError::Config(b))) => {
                Err(RunError::Config(ConfigErrors([a.0, b.0].concat())))
            }
            (Err(error), Err(_)) => Err(error),
        }
    }

    fn find(name: &str, phase: Option<&str>, registry: &Registry) -> Result<Self, RunError> {
        if Path::new(name).is_dir() {
            return Self::of_run(name, registry);
        }
        if is_file_name(name) {
            return Self::of_file(name, phase, registry);
        }
        let request = Request { profile: Some(name.to_owned()), ..Request::default() };
        match Self::composed(name, "profile", &request, registry) {
            Err(RunError::Config(errors)) if has_code(&errors, "config::unknown_profile") => {
                Self::of_run(name, registry).map_err(|_| nothing(name, &errors))
            }
            side => side,
        }
    }

    /// The file that did not say its phase, with this side's if this side has only one.
    fn lend_phase(
        &self,
        name: &str,
        error: RunError,
        registry: &Registry,
    ) -> Result<Self, RunError> {
        let phase = match (&error, self.phases().as_slice()) {
            (RunError::Config(errors), [only]) if has_code(errors, "config::no_phase") => {
                self.phase_of(only)
            }
            _ => return Err(error),
        };
        Self::of_file(name, Some(&phase), registry)
    }

    fn of_file(name: &str, phase: Option<&str>, registry: &Registry) -> Result<Self, RunError> {
        let mut request = Request { file: Some(PathBuf::from(name)), ..Request::default() };
        match Self::composed(name, "file", &request, registry) {
            Err(RunError::Config(errors))
                if has_code(&errors, "config::no_phase") && phase.is_some() =>
            {
                request.phase = phase.map(str::to_owned);
                Self::composed(name, "file", &request, registry)
            }
            side => side,
        }
    }

    fn of_run(name: &str, registry: &Registry) -> Result<Self, RunError> {
        let output_dir = std::env::var_os("HOST_OUTPUT_DIR").unwrap_or_else(|| "runs".into());
        let directory = find_run(output_dir.as_ref(), name)?;
        let mut stored = stored_settings(&directory)?;
        let mut side = Self {
            name: name.to_owned(),
            kind: "run",
            place: directory.display().to_string(),
            settings: stored["settings"].take(),
            origins: stored["origins"].take(),
        };
        side.bring_up_to_date(registry);
        Ok(side)
    }

    fn composed(
        name: &str,
        kind: &'static str,
        request: &Request,
        registry: &Registry,
    ) -> Result<Self, RunError> {
        let composed = compose(request, registry, &Interrupt::default())?;
        let mut resolved = composed.resolved_settings();
        let mut side = Self {
            name: name.to_owned(),
            kind,
            place: composed.plan.source,
            settings: resolved["settings"].take(),
            origins: resolved["origins"].take(),
        };
        side.bring_up_to_date(registry);
        Ok(side)
    }

    /// Gives the sections of older plugins today's names, so that keys meet.
    fn bring_up_to_date(&mut self, registry: &Registry) {
        let catalogue = catalogue(registry);
        for name in self.phases() {
            let Some(known) = catalogue.phase(&self.phase_of(&name)) else { continue };
            // What cannot be brought up to date is compared as it is.
            if let Ok(section) = upgrade_stored(&self.settings[&name], &name, known) {
                self.settings[&name] = section;
            }
        }
    }

    fn phases(&self) -> Vec<String> {
        let names = self.settings["phases"].as_array().into_iter().flatten();
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// The phase of an instance.
    fn phase_of(&self, instance: &str) -> String {
        self.settings[instance]["phase"].as_str().unwrap_or(instance).to_owned()
    }

    /// Where the value of a key comes from.
    pub(super) fn origin(&self, key: &str) -> Option<&str> {
        match key.split_once('.') {
            Some((section, key)) => self.origins[section][key].as_str(),
            None => self.origins[key].as_str(),
        }
    }
}

fn has_code(errors: &ConfigErrors, code: &str) -> bool {
    errors.0.iter().any(|error| error.code == code)
}

fn nothing(name: &str, errors: &ConfigErrors) -> RunError {
    let near = errors.0.iter().find_map(|error| error.help.clone());
    let near = near.filter(|help| help.starts_with("did you mean"));
    let known =
        "give a profile of `host profiles list`, a file with its extension, or a run's name";
    let message = format!("`{name}` is no profile, no file and no run");
    RunError::usage(message, near.unwrap_or_else(|| known.to_owned()))
}
