//! One file a command: from flags to a call of the library, and its result to the terminal.

mod bench;
mod chat;
mod check;
mod config;
mod dry_run;
mod export;
mod generate;
mod plugins;
mod profiles;
mod run;
mod selection;
mod streaming;
mod trained;

use std::io::Write;

use crate::cli::{Cli, Command};
use crate::config::escaped_lines;
use crate::run::RunError;

/// Exit code of a run that was stopped on request after a checkpoint (`EX_TEMPFAIL`).
pub const STOPPED: u8 = 75;

/// Exit code after SIGINT where there is nothing to go on with.
const INTERRUPTED: u8 = 130;

/// Exit code when whoever read standard output has had enough: a choice, not an error.
const STOPPED_BY_READER: u8 = 0;

/// Does what was typed; returns the exit code.
///
/// # Errors
/// What ended the command, to be shown by [`report`].
pub fn dispatch(cli: Cli) -> Result<u8, RunError> {
    match cli.command {
        Command::Run(run) => run::exec(*run),
        Command::Profiles(command) => profiles::exec(command),
        Command::Plugins(command) => plugins::exec(command),
        Command::Config(command) => config::exec(*command),
        Command::Bench(command) => bench::exec(&command),
        Command::BenchTrial => bench::exec_trial(),
        Command::CheckPlugin => check::exec_process(),
        Command::ExaminePlugin { file } => plugins::exec_examination(&file),
        Command::Generate(command) => generate::exec(&command),
        Command::Chat(command) => chat::exec(&command),
        Command::Export(command) => export::exec(command),
    }
}

/// Shows an error on standard error and gives its exit code.
pub fn report(error: &RunError) -> u8 {
    let mut text = match error {
        RunError::Config(errors) => format!("{}\n", errors.to_string().trim_end()),
        other => format!("error: {other}\n"),
    };
    if let Some(help) = error.help() {
        text += &format!("help: {help}\n");
    }
    let _ = std::io::stderr().lock().write_all(escaped_lines(&text).as_bytes());
    if error.is_usage() { 2 } else { 1 }
}

/// Writes data to standard output. A closed pipe is the reader's choice, not an error.
fn print(text: &str) -> Result<(), RunError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

fn print_json(value: &serde_json::Value) -> Result<(), RunError> {
    print(&format!("{value:#}\n"))
}

/// A word to the user on standard error.
fn note(text: &str) {
    // Names of files and of settings are in it, and need not be harmless.
    let text = escaped_lines(text);
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Shows a panic of the host's own as what it is, a defect; gives its exit code.
pub fn report_panic(payload: &(dyn std::any::Any + Send)) -> u8 {
    let said = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    note(&format!("error: a defect of the host: {said}"));
    note(
        "help: what is complete on disk stands; run again with RUST_BACKTRACE=1 and report what it says",
    );
    1
}
