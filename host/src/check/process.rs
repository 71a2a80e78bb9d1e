//! The process in which a trainer is checked: started, listened to, and ended when it hangs.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use sdk::testing::{Conformance, Finding, Level, Outcome};
use serde::{Deserialize, Serialize};

use super::Task;
use crate::registry::{Surroundings, load_root, process_end};
use crate::run::{Interrupt, RunError};

/// The hidden command that the process is started with.
const COMMAND: &str = "check-plugin";

/// Longest time that one check may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked whether the user has had enough.
const LOOK: Duration = Duration::from_millis(50);

/// What the process says, a line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// It begins with this check.
    Begun(String),
    /// A check has ended.
    Found(Finding),
    /// There is none left.
    Done,
}

/// Has a trainer checked.
pub(super) fn run(
    task: &Task,
    interrupt: &Interrupt,
    add: &mut dyn FnMut(Finding),
) -> Result<(), RunError> {
    let task = serde_json::to_string(task).map_err(io::Error::other)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // What is typed on the terminal reaches us alone, and we end it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that is dead already says so in another way.
        let _ = writeln!(stdin, "{task}");
    }
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str::<Line>(&line)
                    && sender.send(line).is_err()
                {
                    return;
                }
            }
        });
    }
    let (mut begun, mut since) = ("load".to_owned(), Instant::now());
    let how = loop {
        match lines.recv_timeout(LOOK) {
            Ok(Line::Begun(check)) => (begun, since) = (check, Instant::now()),
            Ok(Line::Found(finding)) => add(finding),
            Ok(Line::Done) => break None,
            Err(RecvTimeoutError::Disconnected) => break Some(process_end(child.wait()?)),
            Err(RecvTimeoutError::Timeout) if interrupt.is_set() => {
                let _ = child.kill();
                let _ = child.wait();
                let message = "stopped on request; nothing was kept";
                return Err(RunError::Record(message.to_owned()));
            }
            Err(RecvTimeoutError::Timeout) if since.elapsed() > PATIENCE => {
                break Some(format!("it did not come to an end in {} s", PATIENCE.as_secs()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    if let Some(how) = how {
        let about = "the process of the trainer lives to the end".to_owned();
        let outcome = Outcome::Failed(how);
        add(Finding { check: begun.clone(), level: Level::Conformant, about, outcome });
        let behind = Conformance::names().skip_while(|name| *name != begun).skip(1);
        for check in behind {
            let outcome = Outcome::Skipped("the process ended before".to_owned());
            let about = "behind the one that ended the process".to_owned();
            add(Finding { check: check.to_owned(), level: Level::Conformant, about, outcome });
        }
    }
    Ok(())
}

/// The other side: reads a task from standard input, and does it.
///
/// # Errors
/// When standard input holds no task, or nobody listens.
pub fn perform() -> io::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let task: Task = serde_json::from_str(&line)?;
    let mut surroundings = Surroundings::guard()?;
    let root = load_root(&task.file).map_err(io::Error::other)?;
    let conformance = Conformance::of_library(root, Some(&task.plugin), &task.phase, task.section)
        .threads(task.threads)
        .alone();
    let surroundings = std::cell::RefCell::new(&mut surroundings);
    let say = |line: &Line| {
        let text = serde_json::to_string(line).unwrap_or_default();
        // Nobody listens: then nobody wants to know.
        let _ = surroundings.borrow_mut().say(&text);
    };
    conformance.run_with(&mut |check| say(&Line::Begun(check.to_owned())), &mut |finding| {
        say(&Line::Found(finding));
    });
    let disturbed = surroundings.borrow().disturbed();
    let outcome =
        disturbed.map_or(Outcome::Passed(None), |what| Outcome::Failed(format!("it {what}")));
    say(&Line::Found(Finding {
        check: "surroundings".to_owned(),
        level: Level::Conformant,
        about: "trains without a hand on directory, environment, signals and standard output"
            .to_owned(),
        outcome,
    }));
    say(&Line::Done);
    Ok(())
}
