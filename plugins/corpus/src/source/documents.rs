//! Documents of text, in pieces of bounded length.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;

use sdk::Result;
use serde_json::Value;

use super::lines::{Line, Lines};
use super::pieces::take_piece;
use super::records::{BUFFER_BYTES, OpenRecords, fault};
use super::{BadRecord, DataFile, FileSet, Format, Place, Read};
use crate::config::TextDocuments;

/// The keys that are looked for where a source names none, in order.
const FIELDS: [&str; 3] = ["text", "content", "document"];

/// What a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentRule {
    /// In a text file.
    pub(crate) in_text: TextDocuments,
    /// The key of the text in a record.
    pub(crate) field: Option<String>,
    /// Whether every line of a record's text is a document.
    pub(crate) split_records: bool,
}

/// A document, or a part of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Whether the document begins and ends with this piece.
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
    /// Where the document, or this piece of it, ends.
    pub(crate) place: Place,
}

/// What comes next in a list of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Piece(Piece),
    Bad(BadRecord),
    /// A file is over. The next one is opened, and fetched where needed, only when asked for.
    FileEnd,
}

/// The documents of a [`FileSet`], in order.
pub(crate) struct Documents {
    files: FileSet,
    rule: DocumentRule,
    next_file: usize,
    open: Option<OpenFile>,
    ready: VecDeque<Part>,
    document: Growing,
    /// Bytes of the files that are over.
    bytes_over: u64,
    n_replaced: usize,
    n_blank: usize,
}

enum OpenFile {
    Text { lines: Lines<BufReader<File>>, place: Place },
    Records(OpenRecords),
}

/// The document that is being put together.
#[derive(Default)]
struct Growing {
    text: String,
    /// Whether pieces of it are out already.
    is_begun: bool,
}

impl Documents {
    pub(super) fn new(files: FileSet, rule: DocumentRule) -> Self {
        Self {
            files,
            rule,
            next_file: 0,
            open: None,
            ready: VecDeque::new(),
            document: Growing::default(),
            bytes_over: 0,
            n_replaced: 0,
            n_blank: 0,
        }
    }

    /// How many bytes of the files are read, about.
    pub(crate) fn bytes_read(&self) -> u64 {
        let of_open = match &self.open {
            Some(OpenFile::Text { lines, .. }) => lines.bytes_read(),
            Some(OpenFile::Records(records)) => records.bytes_read(),
            None => 0,
        };
        self.bytes_over + of_open
    }

    /// How many sequences of bytes were no UTF-8, in the files that are over.
    pub(crate) fn n_replaced(&self) -> usize {
        self.n_replaced
    }

    /// How many records had a blank text.
    pub(crate) fn n_blank(&self) -> usize {
        self.n_blank
    }

    /// The next piece, bad record or end of a file; `None` after the last file.
    ///
    /// # Errors
    /// When a file can't be fetched, opened or read.
    pub(crate) fn next_part(&mut self) -> Result<Option<Part>> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(part));
            }
            if self.open.is_none() {
                let Some(file) = self.files.files().get(self.next_file) else { return Ok(None) };
                self.open = Some(OpenFile::open(file, &self.rule, self.files.key())?);
                self.next_file += 1;
            }
            self.read_on()?;
        }
    }

    /// Reads a line or a record, or notices that the file is over.
    fn read_on(&mut self) -> Result<()> {
        match &mut self.open {
            None => {}
            Some(OpenFile::Text { lines, place }) => {
                let key = self.files.key();
                let line = lines.next_line().map_err(|error| fault(&place.file, &error, key))?;
                let place = place.clone();
                match line {
                    Some(line) => self.push_line(&line, &place),
                    None => self.end_file(Some(&place)),
                }
            }
            Some(OpenFile::Records(records)) => match records.next_read()? {
                Some(Read::Record(record)) => self.push_record(&record.value, &record.place),
                Some(Read::Bad(bad)) => self.ready.push_back(Part::Bad(bad)),
                None => self.end_file(None),
            },
        }
        Ok(())
    }

    fn push_line(&mut self, line: &Line, place: &Place) {
        if let Some(OpenFile::Text { place, .. }) = &mut self.open {
            place.line += usize::from(line.is_end);
        }
        let is_blank = line.is_end && line.text.trim().is_empty();
        match self.rule.in_text {
            TextDocuments::Lines => {
                self.document.text.push_str(&line.text);
                if line.is_end {
                    self.end_document(place);
                }
            }
            TextDocuments::Paragraphs if is_blank && self.is_at_line_start() => {
                self.end_paragraph(place);
            }
            TextDocuments::Paragraphs | TextDocuments::Files => {
                self.document.text.push_str(&line.text);
                if line.has_feed {
                    self.document.text.push('\n');
                }
            }
        }
        self.take_pieces(place);
    }

    fn is_at_line_start(&self) -> bool {
        let text = &self.document.text;
        text.ends_with('\n') || (text.is_empty() && !self.document.is_begun)
    }

    fn push_record(&mut self, record: &Value, place: &Place) {
        match text_of(record, self.rule.field.as_deref()) {
            Ok(text) if self.rule.split_records => {
                for line in text.lines() {
                    self.document.text.push_str(line);
                    self.end_document(place);
                }
            }
            Ok(text) => {
                self.n_blank += usize::from(text.trim().is_empty());
                self.document.text.push_str(text);
                self.end_document(place);
            }
            Err(reason) => self.ready.push_back(Part::Bad(BadRecord::new(place, reason))),
        }
    }

    fn end_file(&mut self, text: Option<&Place>) {
        if let Some(place) = text {
            match self.rule.in_text {
                TextDocuments::Paragraphs => self.end_paragraph(place),
                TextDocuments::Lines | TextDocuments::Files => self.end_document(place),
            }
        }
        self.n_replaced += match &self.open {
            Some(OpenFile::Text { lines, .. }) => lines.n_replaced(),
            Some(OpenFile::Records(records)) => records.n_replaced(),
            None => 0,
        };
        self.bytes_over = self.bytes_read();
        self.open = None;
        self.ready.push_back(Part::FileEnd);
    }

    /// Ends a document that has no blanks at its ends.
    fn end_paragraph(&mut self, place: &Place) {
        let text = &mut self.document.text;
        text.truncate(text.trim_end().len());
        if !self.document.is_begun {
            let n_blanks = text.len() - text.trim_start().len();
            text.drain(..n_blanks);
        }
        self.end_document(place);
    }

    /// Ends a document; one that is blank is none.
    fn end_document(&mut self, place: &Place) {
        self.take_pieces(place);
        let Growing { text, is_begun } = std::mem::take(&mut self.document);
        if is_begun || !text.trim().is_empty() {
            let piece = Piece { text, is_first: !is_begun, is_last: true, place: place.clone() };
            self.ready.push_back(Part::Piece(piece));
        }
    }

    /// Takes the full pieces off the document.
    fn take_pieces(&mut self, place: &Place) {
        while let Some(text) = take_piece(&mut self.document.text) {
            let is_first = !std::mem::replace(&mut self.document.is_begun, true);
            let piece = Piece { text, is_first, is_last: false, place: place.clone() };
            self.ready.push_back(Part::Piece(piece));
        }
    }
}

impl OpenFile {
    fn open(file: &DataFile, rule: &DocumentRule, key: &str) -> Result<Self> {
        if file.format() == Format::Text {
            let reader = BufReader::with_capacity(BUFFER_BYTES, file.open(key)?);
            let place = Place { file: file.name().clone(), line: 1 };
            return Ok(Self::Text { lines: Lines::new(reader), place });
        }
        let named = rule.field.as_deref();
        let wanted = named.as_ref().map_or(&FIELDS[..], std::slice::from_ref);
        Ok(Self::Records(OpenRecords::open(file, wanted, key)?))
    }
}

/// The text of a record: under the key that is named, or under the first usual one with a string.
fn text_of<'a>(record: &'a Value, field: Option<&str>) -> Result<&'a str, String> {
    let Value::Object(object) = record else { return Err("not a JSON object".to_owned()) };
    if let Some(field) = field {
        return match object.get(field) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(format!("`{field}` is not a string")),
            None => Err(format!("no `{field}`; its keys: {}", keys_of(object))),
        };
    }
    FIELDS.iter().find_map(|field| object.get(*field).and_then(Value::as_str)).ok_or_else(|| {
        format!("no string under `text`, `content` or `document`; its keys: {}", keys_of(object))
    })
}

fn keys_of(object: &serde_json::Map<String, Value>) -> String {
    let keys: Vec<String> = object.keys().map(|key| format!("`{key}`")).collect();
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}

#[cfg(test)]
mod tests;
