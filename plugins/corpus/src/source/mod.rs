//! Streaming readers: documents and records one at a time, each with its place.
//!
//! A [`FileSet`] is an ordered list of files, local or of the hub; a file of the hub is fetched when
//! it is first opened. [`FileSet::records`] reads JSON lines, JSON lists and Parquet;
//! `FileSet::documents` reads texts, from text files or from a field of records. None of them
//! holds a file in memory: the most that is held is one record or one piece of a text.

mod documents;
mod files;
mod hub;
mod json;
mod lines;
pub(crate) mod paths;
mod pieces;
mod records;
mod table;

use std::fmt;
use std::sync::Arc;

use sdk::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use documents::{Documents, Part, Piece};
pub(crate) use files::TextInput;
pub use files::{DataFile, FileSet, Format, RecordSource};
pub use records::Records;

/// Where a document or a record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as a user knows it.
    pub file: Arc<str>,
    /// The line; in a JSON list or in a table, the place in it. From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One record of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its keys and values; not always an object.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
}

/// A record that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRecord {
    /// The file, as a user knows it.
    pub file: String,
    /// The line; in a JSON list or in a table, the place in it. From 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl BadRecord {
    /// The record at `place` can't be used.
    pub fn new(place: &Place, reason: impl Into<String>) -> Self {
        Self { file: place.file.to_string(), line: place.line, reason: reason.into() }
    }
}

impl BadRecord {
    /// Says what files of records are, where one was taken for something else.
    pub(crate) fn helped(&self, error: Error) -> Error {
        if self.reason.starts_with("invalid JSON") {
            return error.help("a file has one JSON object per line, or is one list of objects");
        }
        error
    }
}

/// How many bad records of a source are remembered; all are counted.
pub(crate) const BAD_RECORDS_MAX: usize = 100;

/// What comes next in a file of records.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// A record.
    Record(Record),
    /// Something that should have been one.
    Bad(BadRecord),
}
