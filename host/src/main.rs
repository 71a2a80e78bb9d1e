//! The `host` binary: parse, do, and turn errors into exit codes.

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use host::{cli, commands, memory};

fn main() -> ExitCode {
    memory::tune();
    let cli = match cli::Cli::try_parse_from(cli::arguments()) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            let is_asked_for =
                matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if is_asked_for { 0 } else { 2 });
        }
    };
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value == "0") {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let code = match catch_unwind(|| commands::dispatch(cli)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => commands::report(&error),
        Err(payload) => commands::report_panic(payload.as_ref()),
    };
    ExitCode::from(code)
}
