//! `host config …`: what a configuration says, where it says it, and what it may say.

mod diff;
mod explain;
mod migrate;
mod reference_page;
pub(super) mod resolve;
mod schema;
mod side;
mod validate;

use crate::cli::Config;
use crate::run::RunError;

pub(super) fn exec(command: Config) -> Result<u8, RunError> {
    match command {
        Config::Validate { selection, json } => validate::exec(&selection, json),
        Config::Resolve { selection, format } => resolve::exec(&selection, format),
        Config::Explain { key, selection, json } => explain::exec(&key, &selection, json),
        Config::Diff { a, b, phase, json } => diff::exec(&a, &b, phase.as_deref(), json),
        Config::Schema { selection, format } => schema::exec(&selection, format),
        Config::Migrate { file, phase, write } => migrate::exec(&file, phase.as_deref(), write),
    }
}
