//! Configuration errors and how they read.
//!
//! A [`ConfigError`] carries everything a reader or a tool may want: a stable code, the place, the
//! dotted key, what was found, what is expected and the way out. Its `Display` is the plain text
//! that the contract asks for; colour, if any, is the reporter's business. Codes are an interface,
//! the texts are not.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::printable::{escaped, escaped_lines, shortened};

/// The most errors that are shown; nobody reads more at a time.
const SHOWN_MAX: usize = 20;
/// The longest part of a message that is shown.
const PART_CHARS_MAX: usize = 2000;
/// How much of what was typed is shown.
const INPUT_CHARS_MAX: usize = 160;
/// The longest name for which a similar one is looked for.
const NAME_CHARS_MAX: usize = 100;

/// Where in a file something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The line itself, or the part around the column where it is very long.
    pub source_line: String,
    /// Characters of `source_line` before the marked ones.
    pub indent: usize,
    /// How many characters are marked.
    pub length: usize,
}

/// What an error points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// A place in a file.
    File(Location),
    /// Something typed or set elsewhere, as `override 2: sft.training.x=3`.
    Input(String),
}

/// One fault of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// A stable name of the kind of fault, as `config::unknown_key`.
    pub code: &'static str,
    /// The headline, without `error:`.
    pub message: String,
    /// Where the fault stands, if it stands anywhere.
    pub location: Option<Pointer>,
    /// The dotted key in the sectioned form; empty when the fault is not about one key.
    pub key: String,
    /// What was found there.
    pub found: Option<String>,
    /// What is expected there.
    pub expected: Option<String>,
    /// The way out.
    pub help: Option<String>,
    /// The file that is missing, when that is the fault.
    pub(super) missing: Option<PathBuf>,
}

impl ConfigError {
    /// An error with nothing but a code and a headline.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            location: None,
            key: String::new(),
            found: None,
            expected: None,
            help: None,
            missing: None,
        }
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, location: impl Into<Option<Pointer>>) -> Self {
        self.location = location.into();
        self
    }

    /// Adds the dotted key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Adds what was found.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// Adds what is expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the way out if there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

impl ConfigError {
    /// Everything in it, for tools; what an error does not have is null.
    pub fn to_json(&self) -> Value {
        let (file, input) = match &self.location {
            Some(Pointer::File(location)) => (Some(location), None),
            Some(Pointer::Input(input)) => (None, Some(input)),
            None => (None, None),
        };
        json!({
            "code": self.code,
            "message": self.message,
            "key": (!self.key.is_empty()).then_some(&self.key),
            "file": file.map(|location| &location.file),
            "line": file.map(|location| location.line),
            "column": file.map(|location| location.column),
            "length": file.map(|location| location.length),
            "input": input,
            "found": self.found,
            "expected": self.expected,
            "help": self.help,
        })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", shown(&self.message))?;
        let mut gutter = 1;
        match &self.location {
            Some(Pointer::File(location)) => {
                gutter = location.line.to_string().len();
                write_location(f, location, gutter)?;
            }
            Some(Pointer::Input(input)) => {
                write!(f, "\n  --> {}", shortened(&escaped(input), INPUT_CHARS_MAX))?;
            }
            None => {}
        }
        if !self.key.is_empty() {
            write!(f, "\n{:gutter$} = key: {}", "", shown(&self.key))?;
        }
        for (label, text) in [("found", &self.found), ("expected", &self.expected)] {
            if let Some(text) = text.as_ref().filter(|text| !self.message.contains(*text)) {
                write!(f, "\n{:gutter$} = {label}: {}", "", shown(text))?;
            }
        }
        match &self.help {
            Some(help) => write!(f, "\nhelp: {}", shown(help)),
            None => Ok(()),
        }
    }
}

/// A part of a message as a terminal can show it, however much of it came from outside.
fn shown(text: &str) -> Cow<'_, str> {
    match shortened(text, PART_CHARS_MAX) {
        Cow::Borrowed(whole) => escaped_lines(whole),
        Cow::Owned(cut) => Cow::Owned(escaped_lines(&cut).into_owned()),
    }
}

fn write_location(f: &mut fmt::Formatter<'_>, location: &Location, gutter: usize) -> fmt::Result {
    let Location { file, line, column, source_line, indent, length } = location;
    // A tab stays a tab, so that the mark stands under what it marks whatever the tab width.
    let padding: String =
        source_line.chars().take(*indent).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let marks = "^".repeat(*length);
    write!(f, "\n{:gutter$}--> {}:{line}:{column}", "", escaped(file))?;
    write!(f, "\n{:gutter$} |", "")?;
    write!(f, "\n{line} | {source_line}")?;
    write!(f, "\n{:gutter$} | {padding}{marks}", "")
}

impl std::error::Error for ConfigError {}

/// All faults of a configuration, in the order in which they should be read; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in self.0.iter().take(SHOWN_MAX) {
            write!(f, "{error}\n\n")?;
        }
        let count = self.0.len();
        if count > SHOWN_MAX {
            write!(f, "… and {} more\n\n", count - SHOWN_MAX)?;
        }
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "error: {count} configuration error{plural}; nothing was started")
    }
}

impl std::error::Error for ConfigErrors {}

/// `did you mean …?` for a name that is close to a known one.
pub(super) fn nearest_help<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}

/// The known name closest to a mistyped one, if one is close enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.chars().count() > NAME_CHARS_MAX {
        return None;
    }
    let plain = alike(name);
    let distance = |known: &str| strsim::damerau_levenshtein(&plain, &alike(known));
    let limit = (plain.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|known| (distance(known), known))
        .filter(|(distance, known)| {
            *distance <= limit || (plain.len() >= 3 && alike(known).starts_with(&plain))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// A name with the difference between `-` and `_`, and between cases, taken out.
pub(super) fn alike(name: &str) -> String {
    name.replace('-', "_").to_lowercase()
}

/// Names in backticks with commas between them.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
