//! The process of a trial, as seen from outside: started, watched, and ended when it holds too much,
//! takes too long, or nobody wants to know any more.
//!
//! What a trial holds is the process's, whole, and the system takes it back however it ends. A trial
//! that is killed for want of memory takes nothing else with it.

use std::io::{self, BufRead, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::trial::{Measured, Reply, Trial};
use crate::registry::{Registry, signal_of};
use crate::run::{Interrupt, memory_peak_of};

/// The hidden command that a trial's process is started with.
pub const COMMAND: &str = "bench-trial";

/// How often the process is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What a trial may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The most memory at one time.
    pub(super) memory_bytes: Option<u64>,
    /// Its time in all.
    pub(super) time: Duration,
}

/// How a trial ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// With a measurement, within the bounds.
    Done(Box<Measured>),
    /// With an error.
    Failed(Reply),
    /// It held more memory than it may: so much when it was ended.
    TooLarge(u64),
    /// Its time was over.
    TooSlow,
    /// The process died: how, and the last that it said.
    Died(String),
    /// It was ended because the whole was to stop.
    Stopped,
}

/// Runs a trial in a process of its own.
///
/// # Errors
/// When the process can't be started.
pub(super) fn run(trial: &Trial, bounds: Bounds, interrupt: &Interrupt) -> io::Result<Outcome> {
    let mut process = Process::start(trial)?;
    let begin = Instant::now();
    loop {
        if let Some(status) = process.child.try_wait()? {
            return Ok(process.finish(status, bounds, interrupt));
        }
        let held = memory_peak_of(process.child.id()).unwrap_or(0);
        if interrupt.is_set() {
            return Ok(Outcome::Stopped);
        }
        if bounds.memory_bytes.is_some_and(|limit| held > limit) {
            return Ok(Outcome::TooLarge(held));
        }
        if begin.elapsed() > bounds.time {
            return Ok(Outcome::TooSlow);
        }
        std::thread::sleep(LOOK);
    }
}

/// A trial that is running; ended when this is dropped.
struct Process {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Process {
    fn start(trial: &Trial) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(COMMAND);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What is typed on the terminal reaches us alone, and we end it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        let process = Self { child, stdout, stderr };
        let line = serde_json::to_string(trial)?;
        // It stays open: its end tells the process that we are gone.
        let told = process.child.stdin.as_ref().map(|mut stdin| writeln!(stdin, "{line}"));
        // One that is dead already says so in another way.
        let _ = told;
        Ok(process)
    }

    fn finish(mut self, status: ExitStatus, bounds: Bounds, interrupt: &Interrupt) -> Outcome {
        let text = |handle: Option<JoinHandle<String>>| {
            handle.and_then(|handle| handle.join().ok()).unwrap_or_default()
        };
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        // Plugins may have said something on standard output too.
        let reply = stdout.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        match reply {
            _ if interrupt.is_set() => Outcome::Stopped,
            Some(Reply::Done(measured)) => {
                let held = measured.memory_peak_bytes.unwrap_or(0);
                let is_too_large = bounds.memory_bytes.is_some_and(|limit| held > limit);
                if is_too_large { Outcome::TooLarge(held) } else { Outcome::Done(measured) }
            }
            Some(failed) => Outcome::Failed(failed),
            None => Outcome::Died(death(status, &stderr)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// How a process died, and its last words.
fn death(status: ExitStatus, stderr: &str) -> String {
    let how = match (status.code(), signal_of(status)) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(9)) => "it was killed (signal 9), as for want of memory".to_owned(),
        (None, Some(signal)) => format!("it died of signal {signal}"),
        (None, None) => "it died".to_owned(),
    };
    let last = stderr.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or_else(|| how.clone(), |last| format!("{how}: {last}"))
}

/// The other side: reads a trial from standard input, performs it, and returns the line that goes
/// to standard output.
///
/// # Errors
/// When standard input holds no trial.
pub fn perform(registry: impl FnOnce() -> Registry) -> io::Result<String> {
    // When memory runs out, this process is the one to go.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let trial: Trial = serde_json::from_str(&line)?;
    end_with_standard_input();
    let reply = Reply::of(trial.perform(&registry()));
    Ok(serde_json::to_string(&reply)?)
}

/// Ends this process when the one that wants to know is gone.
fn end_with_standard_input() {
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        #[expect(clippy::exit, reason = "nobody is left to whom this process could return")]
        std::process::exit(1);
    });
}
