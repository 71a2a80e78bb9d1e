//! Spectra from files: what is read, and what is said of files that are faulty.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod cubes;
mod header_faults;
mod libraries;
mod names;
mod patches;
mod sources;
mod support;
mod tables;
