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

/// The boundary of the SDK of this checkout.
const BOUNDARY: &str = concat!("abi", "_stable-0.11");

/// Compiles `source` to a shared library that says of itself that it is the plugin and the phase `name`,
/// built with this SDK; `others` replace what it says, or come behind it.
///
/// # Panics
/// As [`c_library`].
pub fn c_plugin(path: &Path, name: &str, others: &[(&str, &str)], source: &str, args: &[&str]) {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut pairs = vec![
        ("phase", name),
        ("plugin", name),
        ("version", "0.1.0"),
        ("sdk", env!("CARGO_PKG_VERSION")),
        ("abi", BOUNDARY),
        ("target", target.as_str()),
        ("panic", "unwind"),
        ("section_version", "1"),
        ("state_version", "1"),
    ];
    for (key, value) in others {
        match pairs.iter_mut().find(|(name, _)| name == key) {
            Some(pair) => pair.1 = value,
            None => pairs.push((key, value)),
        }
    }
    let pairs: String = pairs.iter().map(|(k, v)| format!("\"{k}\\0\" \"{v}\\0\"\n")).collect();
    let record = format!(
        "__attribute__((section(\".host_plugin\"), used)) static const char record[] =\n\
         \"host-plugin-v1\\n\\0\"\n{pairs};\n"
    );
    c_library(path, &format!("{record}{source}"), args);
}
