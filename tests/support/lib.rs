//! What the tests stand on: installed hosts, temporary projects, and output that can be compared.
//!
//! Everything here works from outside: the binary is run as a user runs it, from a directory that
//! is no build directory, and files are read with code of their own rather than the host's.

mod c_library;
mod files;
mod installation;
mod output;
mod project;

pub use c_library::{c_library, c_plugin};
pub use files::{Tensor, contents, read_json, read_lines, read_tensors, tree};
pub use installation::{
    Installation, author, built_by, first_party, other_candle, release_example, repository,
    third_party,
};
pub use output::Output;
pub use project::{Project, Running};
