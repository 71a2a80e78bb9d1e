//! What stands in for the hub in a build without it.

use std::path::{Path, PathBuf};

use sdk::{Error, PhaseContext, Result};

use super::Query;
use crate::source::DataFile;

/// A file of the hub, of which there is none.
#[derive(Clone, Debug)]
pub(in crate::source) enum Remote {}

impl Remote {
    pub(in crate::source) fn fetch(&self, _: u64) -> Result<PathBuf> {
        match *self {}
    }

    pub(in crate::source) fn oid(&self) -> &str {
        match *self {}
    }
}

/// Refuses: this build can't read the hub.
pub(in crate::source) fn files(
    _: &Query,
    _: &Path,
    _: &PhaseContext,
) -> Result<(Vec<DataFile>, Option<Vec<DataFile>>)> {
    Err(Error::new("data::no_hub", "this build can't read the hub")
        .help("build with the feature `hub`, or bring the files"))
}
