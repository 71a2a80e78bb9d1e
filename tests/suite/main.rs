//! The host from outside: one test binary, one module an aspect.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

/// What is typed: help, usage errors, spellings, pipes.
mod cli;

/// What lies on the plugin path: found, refused, in conflict, misbehaving.
mod plugins;

/// A new plugin, from the first command to its run in a pipeline.
mod scaffold;

/// What may differ between a plugin and its host, and what may not.
mod compatibility;

/// GPUs and plugins that are built for them.
mod cuda;

/// What is wrong in a configuration is said before anything starts.
mod config_errors;

/// What is wrong between settings that are right by themselves.
mod cross_fields;

/// `host config`: resolved, explained and compared.
mod config_commands;

/// The schema that editors and the reference page are made from.
mod schema;

/// Every setting of the host's own has an effect.
mod settings;

/// Old files in today's form.
mod migrate;

/// The files of the systems that this one replaces.
mod seed;

/// The mistakes that everybody makes, and how fast they are answered.
mod mistakes;

/// Input that nobody means well with.
mod hostile;

/// Plugins that are broken, or mean harm.
mod hostile_plugins;

/// Plugins that are installed, and what is trusted of them.
mod installed;

/// The plan before a run.
mod dry_run;

/// What training reaches on this machine.
mod bench;

/// A run from its start to its end, and every way in which it may fail.
mod lifecycle;

/// Stopping and going on: the same bits as without the stop.
mod resume;

/// What is done with a finished run: text from it, exports of it, runs that start from it.
mod trained;

/// The first-party trainers in the host: reproducible, resumable, in a pipeline.
mod gpt;

/// The same for the trainers on spectra.
mod spectral;

/// House rules, checked on the source.
mod tidy;
