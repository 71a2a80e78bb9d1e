//! A look at a library in a process of its own, before anything else of this host loads it.
//!
//! Code of a library runs as soon as it is loaded. What it does then, it does to a process that was
//! made for it: a crash, an exit or an endless loop is an answer here. The process also sees what a
//! trainer has no business with while it is being loaded: the working directory, the environment,
//! standard output, the signals that are the host's.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use sdk::PluginDescription;
use serde::{Deserialize, Serialize};

use super::surroundings::Surroundings;
use super::{dynamic, reserved};

/// The hidden command that the process is started with.
const COMMAND: &str = "examine-plugin";

/// Longest time that loading and describing may take: they do no work.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest description that is taken.
const DESCRIPTION_BYTES_MAX: u64 = 16 << 20;

/// What the process says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The library can be used; this is its description.
    Accepted(Box<PluginDescription>),
    /// It can't, for this reason.
    Refused(String),
    /// It ended the process, or never came to an end.
    Crashed {
        /// How.
        reason: String,
        /// Whether it was somebody else who ended it: that says nothing of the library.
        is_from_outside: bool,
    },
}

impl Report {
    fn crashed(reason: String) -> Self {
        Self::Crashed { reason, is_from_outside: false }
    }
}

/// Examines a library. What fails on the host's side comes out as a refusal too: nothing was learnt.
pub(super) fn examine(path: &Path) -> Report {
    match run(path) {
        Ok(report) => report,
        Err(e) => Report::Refused(format!("it can't be examined: {e}")),
    }
}

fn run(path: &Path) -> std::io::Result<Report> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COMMAND).arg(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // What is typed on the terminal is meant for us.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    let (sender, receiver) = mpsc::channel();
    if let Some(mut stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stdout.by_ref().take(DESCRIPTION_BYTES_MAX + 1).read_to_end(&mut bytes);
            let _ = sender.send(bytes);
        });
    }
    let Ok(bytes) = receiver.recv_timeout(PATIENCE) else {
        end(&mut child);
        let seconds = PATIENCE.as_secs();
        return Ok(Report::crashed(format!("it did not come to an end in {seconds} s")));
    };
    if bytes.len() as u64 > DESCRIPTION_BYTES_MAX {
        end(&mut child);
        let most = DESCRIPTION_BYTES_MAX >> 20;
        return Ok(Report::Refused(format!("its description has more than {most} MiB")));
    }
    let status = child.wait()?;
    // The last line: nothing else should be there, but the library's code ran in that process.
    let last = bytes.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    match last.and_then(|line| serde_json::from_slice(line).ok()) {
        Some(report) if status.success() => Ok(report),
        _ => Ok(Report::Crashed { reason: how(status), is_from_outside: is_from_outside(status) }),
    }
}

/// Whether a process ended by a signal that users, schedulers and a system without memory send.
fn is_from_outside(status: ExitStatus) -> bool {
    // SIGHUP, SIGINT, SIGKILL, SIGUSR1, SIGTERM
    signal_of(status).is_some_and(|signal| [1, 2, 9, 10, 15].contains(&signal))
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// How a process ended that should have reported.
pub fn how(status: ExitStatus) -> String {
    match (status.code(), signal_of(status)) {
        (Some(code), _) => format!("it ended the process with exit code {code}"),
        (None, Some(signal)) => format!("it ended the process with signal {}", signal_name(signal)),
        (None, None) => "it ended the process".to_owned(),
    }
}

/// The name of a signal, by the numbers that all systems of today have in common.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV, an access to memory that isn't its own",
        15 => "SIGTERM",
        _ => return signal.to_string(),
    };
    name.to_owned()
}

/// The signal that ended a process.
#[cfg(unix)]
pub fn signal_of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// The signal that ended a process: none, where there are none.
#[cfg(not(unix))]
pub fn signal_of(_: ExitStatus) -> Option<i32> {
    None
}

/// The other side: loads the library and returns the line that goes to standard output, and where
/// that is now.
pub fn perform(path: &Path) -> std::io::Result<()> {
    let mut surroundings = Surroundings::guard()?;
    let loaded = dynamic::load(path);
    let report = match (loaded, surroundings.disturbed()) {
        (Err(reason), _) => Report::Refused(reason),
        (Ok(_), Some(what)) => Report::Refused(format!("it {what} when it is loaded")),
        (Ok(description), None) => match refuse(&description) {
            Some(reason) => Report::Refused(reason),
            None => Report::Accepted(Box::new(description)),
        },
    };
    surroundings.say(&serde_json::to_string(&report)?)
}

/// Why a library can't be taken, though it could be loaded: what it says of its phases.
fn refuse(description: &PluginDescription) -> Option<String> {
    if description.phases.is_empty() {
        return Some("it registers no trainer".to_owned());
    }
    description.phases.iter().find_map(|phase| {
        let key = reserved::reserved_key(&phase.schema)?;
        Some(format!(
            "plugin `{}`: the section of phase `{}` has a key `{key}`, which belongs to `global`",
            phase.plugin, phase.phase
        ))
    })
}
