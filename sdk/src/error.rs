//! The one error type that authors return and the host shows.
//!
//! An error says what is wrong, optionally where in the section, and the way out. The host adds
//! plugin, phase and step, so a plugin repeats none of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Shorthand for results in this crate and in plugins.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the form the host prints it.
///
/// Messages follow the command-line contract: a lower-case clause, literals in backticks, a value
/// after a colon, no final period.
///
/// ```
/// let error = sdk::Error::new("data::missing", "no such file: `corpus.txt`")
///     .at("data.path")
///     .help("give `data.path` a text file, or leave it out for the built-in data");
/// assert_eq!(error.to_string(), "no such file: `corpus.txt`");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Error {
    /// Stable name such as `data::missing`: scripts and tests hold on to it, the text may change.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// The way out, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Dotted key inside the phase's section that the error is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Error {
    /// An error with a stable `code` and a message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), help: None, path: None }
    }

    /// Points at a key of the section, as a dotted path such as `training.base_lr`.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Puts the name of a block in front of the path; without a path the error is about the block.
    ///
    /// ```
    /// let error = sdk::Error::new("config::range", "`lr` must be above 0: -1").at("lr");
    /// assert_eq!(error.below("training").path.as_deref(), Some("training.lr"));
    /// ```
    #[must_use]
    pub fn below(self, block: &str) -> Self {
        let path = self.path.as_ref().map_or(block.to_owned(), |path| format!("{block}.{path}"));
        self.at(path)
    }

    /// Adds the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Puts `context` in front of the message, as in `reading corpus.txt: permission denied`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new("io", error.to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::new("json", error.to_string())
    }
}
