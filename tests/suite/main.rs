//! The host from outside: one test binary, one module an aspect.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

/// What is typed: help, usage errors, spellings, pipes.
mod cli;

/// What lies on the plugin path: found, refused, in conflict, misbehaving.
mod plugins;

/// What is wrong in a configuration is said before anything starts.
mod config_errors;

/// A run from its start to its end, and every way in which it may fail.
mod lifecycle;

/// Stopping and going on: the same bits as without the stop.
mod resume;

/// What is done with a finished run: text from it, exports of it, runs that start from it.
mod trained;

/// The first-party trainers in the host: reproducible, resumable, in a pipeline.
mod gpt;

/// House rules, checked on the source.
mod tidy;
