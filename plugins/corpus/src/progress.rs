//! Reading for long: tells how far it is, and stops when the run is asked to.

use sdk::{PhaseContext, Result};

/// How often progress is told.
const TELL_BYTES: u64 = 8 << 20;
/// After so many records it is looked whether the run was asked to stop, however short they are.
const CHECK_RECORDS: u64 = 256;

/// How far the reading of some files is.
pub(crate) struct Progress {
    cx: PhaseContext,
    what: String,
    total: u64,
    n_told: u64,
    n_records: u64,
}

impl Progress {
    /// Nothing is read of `total` bytes.
    pub(crate) fn new(what: String, total: u64, cx: &PhaseContext) -> Self {
        Self { cx: cx.clone(), what, total, n_told: 0, n_records: 0 }
    }

    /// One record more is read, good or bad, and `n_bytes` in all.
    ///
    /// # Errors
    /// When the run was asked to stop.
    pub(crate) fn at(&mut self, n_bytes: u64) -> Result<()> {
        self.n_records += 1;
        let is_told = n_bytes.saturating_sub(self.n_told) >= TELL_BYTES;
        if is_told {
            self.n_told = n_bytes;
            self.cx.progress(&self.what, n_bytes, self.total);
        }
        if is_told || self.n_records.is_multiple_of(CHECK_RECORDS) {
            self.cx.check_cancelled()?;
        }
        Ok(())
    }

    /// All is read.
    ///
    /// # Errors
    /// When the run was asked to stop.
    pub(crate) fn end(&self) -> Result<()> {
        self.cx.progress(&self.what, self.total, self.total);
        self.cx.check_cancelled()
    }
}
