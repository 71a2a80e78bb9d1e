//! Records of a list of files, one at a time.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use sdk::{Error, Result};
use serde_json::Value;

use super::json::JsonRecords;
use super::table::TableRows;
use super::{BadRecord, DataFile, FileSet, Format, Place, Read, Record};

/// Bytes that are read from a file at once.
pub(super) const BUFFER_BYTES: usize = 1 << 18;

/// The records of a [`FileSet`], in order.
///
/// What is no record comes as [`Read::Bad`]; an error is one of the file as a whole, and ends the
/// iteration.
pub struct Records {
    files: FileSet,
    next_file: usize,
    n_read: u64,
    open: Option<OpenRecords>,
    /// Bytes of the files that are over.
    bytes_over: u64,
    /// Sequences of bytes that were no UTF-8 in those.
    n_replaced_over: usize,
    is_over: bool,
}

impl Records {
    pub(super) fn new(files: FileSet) -> Self {
        Self {
            files,
            next_file: 0,
            n_read: 0,
            open: None,
            bytes_over: 0,
            n_replaced_over: 0,
            is_over: false,
        }
    }

    fn advance(&mut self) -> Result<Option<Read>> {
        while self.files.max_records().is_none_or(|max| self.n_read < max) {
            let open = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some(file) = self.files.files().get(self.next_file) else { break };
                    self.next_file += 1;
                    self.open.insert(OpenRecords::open(file, &[], self.files.key())?)
                }
            };
            if let Some(read) = open.next_read()? {
                self.n_read += 1;
                return Ok(Some(read));
            }
            self.bytes_over = self.bytes_read();
            self.n_replaced_over = self.n_replaced();
            self.open = None;
        }
        Ok(None)
    }

    /// How many sequences of bytes were no UTF-8 so far.
    pub fn n_replaced(&self) -> usize {
        self.n_replaced_over + self.open.as_ref().map_or(0, OpenRecords::n_replaced)
    }

    /// How many bytes of the files are read, about.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_over + self.open.as_ref().map_or(0, OpenRecords::bytes_read)
    }
}

impl Iterator for Records {
    type Item = Result<Read>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.advance().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// One file of records.
pub(super) struct OpenRecords {
    name: Arc<str>,
    size: u64,
    key: String,
    reader: Reader,
}

enum Reader {
    Json(JsonRecords<BufReader<File>>),
    Table(Box<TableRows>),
}

impl OpenRecords {
    /// Opens a file, and fetches it first where it isn't there yet. Of a table, only the columns
    /// among `wanted` are read, where it has one.
    pub(super) fn open(file: &DataFile, wanted: &[&str], key: &str) -> Result<Self> {
        let opened = file.open(key)?;
        let reader = match file.format() {
            Format::Parquet => {
                let rows =
                    TableRows::open(opened, wanted).map_err(|e| fault(file.name(), &e, key))?;
                Reader::Table(Box::new(rows))
            }
            Format::Json | Format::Text => {
                Reader::Json(JsonRecords::new(BufReader::with_capacity(BUFFER_BYTES, opened)))
            }
        };
        Ok(Self { name: file.name().clone(), size: file.size(), key: key.to_owned(), reader })
    }

    /// The next record; `None` at the end of the file.
    pub(super) fn next_read(&mut self) -> Result<Option<Read>> {
        let fault = |error: &dyn std::fmt::Display| fault(&self.name, error, &self.key);
        let item: Option<(usize, Result<Value, String>)> = match &mut self.reader {
            Reader::Json(records) => records.next_record().map_err(|e| fault(&e))?,
            Reader::Table(rows) => {
                rows.next_row().map_err(|e| fault(&e))?.map(|(line, value)| (line, Ok(value)))
            }
        };
        Ok(item.map(|(line, value)| {
            let place = Place { file: self.name.clone(), line };
            match value {
                Ok(value) => Read::Record(Record { value, place }),
                Err(reason) => Read::Bad(BadRecord::new(&place, reason)),
            }
        }))
    }

    /// How many sequences of bytes were no UTF-8 so far; a table says of its texts that they are.
    pub(super) fn n_replaced(&self) -> usize {
        match &self.reader {
            Reader::Json(records) => records.n_replaced(),
            Reader::Table(_) => 0,
        }
    }

    /// How many bytes of the file are read, about.
    pub(super) fn bytes_read(&self) -> u64 {
        match &self.reader {
            Reader::Json(records) => records.bytes_read(),
            Reader::Table(rows) => (self.size as f64 * rows.fraction_read()) as u64,
        }
    }
}

/// A file that can't be read.
pub(super) fn fault(name: &str, error: &dyn std::fmt::Display, key: &str) -> Error {
    Error::new("data::read", format!("reading `{name}`: {error}")).at(key)
}
