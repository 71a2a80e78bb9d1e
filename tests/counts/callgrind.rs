//! Running a program under callgrind.

use std::process::{Command, Stdio};

/// The instructions that a program executes from its first to its last, in all of its threads.
///
/// # Panics
/// When there is no valgrind, or the program does not end well.
pub(crate) fn instructions(program: &Command) -> u64 {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(program.get_program()).args(program.get_args());
    if let Some(directory) = program.get_current_dir() {
        command.current_dir(directory);
    }
    // Nothing of the caller's: the environment lies on the stack, and the host reads it.
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("valgrind can't be run ({e}); install it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{said}");
    collected(&said).unwrap_or_else(|| panic!("callgrind gave no count:\n{said}"))
}

/// The number in `==PID== Collected : NUMBER`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[test]
fn the_count_is_read_from_what_callgrind_says() {
    let said = "==7== \n==7== Events    : Ir\n==7== Collected : 176977605\n==7== \n";
    assert_eq!(collected(said), Some(176_977_605));
    assert_eq!(collected("==7== no memory"), None);
}
