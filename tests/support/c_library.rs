//! Shared libraries in C, for what no plugin of ours would do.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Compiles `source` to a shared library at `path`; `args` go to the compiler.
///
/// # Panics
/// When there is no C compiler, which cargo links with too, or it refuses the source.
pub fn c_library(path: &Path, source: &str, args: &[&str]) {
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o"]).arg(path).args(args);
    let mut compiler = command.stdin(Stdio::piped()).spawn().expect("a C compiler is there");
    let mut input = compiler.stdin.take().expect("its input is a pipe");
    input.write_all(source.as_bytes()).expect("the compiler reads its input");
    drop(input);
    assert!(compiler.wait().expect("it comes to an end").success(), "{command:?} failed");
}
