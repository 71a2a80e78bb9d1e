//! The trainer host: everything behind the `host` binary.
//!
//! See ARCHITECTURE.md for the map. In short: `config` turns what the user typed into a plan,
//! `registry` finds and loads plugins, `run` executes the plan and emits `events`, and
//! `progress`, together with the files of a run, reads them. `bench` measures phases in processes
//! of their own.

pub mod atomic_write;
pub mod bench;
pub mod check;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod config;
pub mod events;
pub mod memory;
mod override_args;
pub mod progress;
pub mod registry;
pub mod run;
pub mod scaffold;
