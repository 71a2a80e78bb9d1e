//! Files that are there whole or not at all, also after a power cut.
//!
//! Content goes to a temporary name, is flushed to the disk, and takes its place by a rename; the
//! directory is flushed too, or the rename itself could be lost.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// The operating system's words without the `(os error 2)` behind them.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or(&text);
    if error.raw_os_error().is_some() { reason.to_lowercase() } else { reason.to_owned() }
}

/// An I/O error with what was being done to which path.
pub fn at(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |e| io::Error::new(e.kind(), format!("{doing} `{}`: {}", path.display(), reason(&e)))
}

/// Writes a small file atomically.
///
/// # Errors
/// With the path and what was being done; an earlier file of that name is then untouched.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path
        .with_file_name(format!(".tmp-{}", path.file_name().unwrap_or_default().to_string_lossy()));
    crash_point();
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .map_err(at("writing", &temporary))
        .and_then(|()| rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Renames, and makes the rename last.
///
/// # Errors
/// With the path and what was being done.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    crash_point();
    fs::rename(from, to).map_err(at("renaming to", to))?;
    // The parent of a bare name is the empty path, which names no directory.
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_directory(parent.unwrap_or(Path::new(".")))
}

/// Flushes a directory's entries.
///
/// # Errors
/// With the path.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)
            .and_then(|file| file.sync_all())
            .map_err(at("flushing", directory))?;
    }
    Ok(())
}

/// A moment at which tests let the process end: before each change of what is on disk.
pub(crate) fn crash_point() {
    #[cfg(test)]
    crash::pass();
}

#[cfg(test)]
pub(crate) mod crash {
    //! Ends a piece of work at the n-th change of the disk, as a kill does: by unwinding, so that
    //! no code that cleans up after an error runs.

    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    struct Crash;

    pub(super) fn pass() {
        match LEFT.get() {
            Some(0) => resume_unwind(Box::new(Crash)),
            left => LEFT.set(left.map(|n| n - 1)),
        }
    }

    /// Runs `work` up to its change number `n`, from 0; whether it came to its end before.
    pub(crate) fn at_change(n: usize, work: impl FnOnce()) -> bool {
        LEFT.set(Some(n));
        let result = catch_unwind(AssertUnwindSafe(work));
        LEFT.set(None);
        match result {
            Ok(()) => true,
            Err(payload) if payload.is::<Crash>() => false,
            Err(payload) => resume_unwind(payload),
        }
    }
}
