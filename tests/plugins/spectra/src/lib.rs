//! Stand-ins for the trainers of a spectral system: sections with the names and defaults of its
//! YAML files, and a toy in place of the training.
//!
//! They show that a plugin needs to bring nothing but its schema, its history and its checks for
//! such files to run unchanged. The files' `global` block and per-trainer `seed`, `use_amp` and the like
//! are the host's.

mod alignment;
mod descent;
mod mae;

/// A fault of a single value or of two that disagree.
fn fault(path: &str, message: impl Into<String>) -> sdk::Error {
    sdk::Error::new("config::fault", message).at(path)
}

/// The widths of the attention heads must come out even.
fn check_heads(block: &str, width: usize, name: &str, n_heads: usize) -> Option<sdk::Error> {
    let is_even = n_heads > 0 && width.is_multiple_of(n_heads);
    let message =
        format!("`embed_dim` must be a multiple of `{name}`: {width} is not one of {n_heads}");
    (!is_even).then(|| fault(&format!("{block}.{name}"), message))
}
