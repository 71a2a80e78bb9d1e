//! What a library has no business with while it is being loaded, watched in a process that was made for it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// How long the thread that counts may take to come to the mark.
const PATIENCE: Duration = Duration::from_secs(5);

/// Signals that are the host's.
const SIGNALS: [(i32, &str); 4] = [
    (libc::SIGINT, "SIGINT"),
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGSEGV, "SIGSEGV"),
];

/// What a library has no business with, as it was before.
#[derive(Debug)]
pub struct Surroundings {
    /// Where this process's standard output went.
    answer: File,
    directory: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    handlers: Vec<usize>,
    /// Bytes that came to standard output since, and marks of our own among them.
    written: Arc<[AtomicU64; 2]>,
    marks: AtomicU64,
}

/// What we write to standard output to know that everything before it has come through.
const MARK: u8 = 0;

impl Surroundings {
    /// Remembers all, and takes standard output away: what comes there is counted and let go.
    pub fn guard() -> io::Result<Self> {
        // SAFETY: 1 is this process's standard output; the copy is owned by the file alone.
        let answer = unsafe { File::from_raw_fd(checked(libc::dup(1))?) };
        let (mut reader, writer) = io::pipe()?;
        // SAFETY: both are open; what was standard output stays open as its copy.
        checked(unsafe { libc::dup2(writer.as_raw_fd(), 1) })?;
        let written = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let count = Arc::clone(&written);
        let (up, is_up) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            let _ = up.send(());
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                let marks = buffer[..n].iter().filter(|byte| **byte == MARK).count() as u64;
                count[0].fetch_add(n as u64, Ordering::SeqCst);
                count[1].fetch_add(marks, Ordering::SeqCst);
            }
        });
        // A thread that begins needs a lock which the loader holds while a library's code runs: behind
        // a pipe that is full, and nobody empties, that would be the end of both.
        let _ = is_up.recv();
        Ok(Self {
            answer,
            directory: std::env::current_dir().ok(),
            environment: std::env::vars_os().collect(),
            handlers: handlers(),
            written,
            marks: AtomicU64::new(0),
        })
    }

    /// The first thing that isn't as it was, as what the library does.
    pub fn disturbed(&self) -> Option<String> {
        if std::env::current_dir().ok() != self.directory {
            return Some("changes the working directory".to_owned());
        }
        if !std::env::vars_os().eq(self.environment.iter().cloned()) {
            return Some("changes the environment".to_owned());
        }
        let changed = SIGNALS.iter().zip(handlers()).zip(&self.handlers);
        if let Some((((_, name), _), _)) = changed.clone().find(|((_, now), then)| now != *then) {
            return Some(format!("takes the signal {name}"));
        }
        self.has_written().then(|| "writes to standard output".to_owned())
    }

    /// Whether anything but our own marks came to standard output, what C's buffers hold included.
    fn has_written(&self) -> bool {
        let marks = self.marks.fetch_add(1, Ordering::SeqCst) + 1;
        // SAFETY: a null stream is all of them; the byte lives through the call.
        let sent = unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::write(1, [MARK].as_ptr().cast(), 1)
        };
        let begun = Instant::now();
        while sent == 1
            && self.written[1].load(Ordering::SeqCst) < marks
            && begun.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_micros(50));
        }
        self.written[0].load(Ordering::SeqCst) > marks || sent != 1
    }

    /// Writes a line to what standard output was.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        self.answer.write_all(format!("\n{line}\n").as_bytes())
    }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Addresses of what handles the host's signals.
fn handlers() -> Vec<usize> {
    let of = |signal| {
        // SAFETY: with no new action the call only fills `now`, for which zeroes are a valid start.
        unsafe {
            let mut now: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &raw mut now);
            now.sa_sigaction
        }
    };
    SIGNALS.iter().map(|(signal, _)| of(*signal)).collect()
}
