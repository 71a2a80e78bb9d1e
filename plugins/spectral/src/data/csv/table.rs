//! A CSV file as rows of fields, each row with its line.

use std::fs;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Trim};
use sdk::{Error, Result};

use super::CsvDelimiter;

/// A row and the line that it begins on, from 1.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) fields: Vec<String>,
}

/// A table: at least two rows of equally many fields.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) file: String,
    path: PathBuf,
    /// Whether a comma may stand in a number.
    pub(super) has_decimal_comma: bool,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn read(path: &Path, delimiter: CsvDelimiter) -> Result<Self> {
        let file = path.display().to_string();
        let bytes = fs::read(path)
            .map_err(|error| Error::new("spectral::read", format!("reading `{file}`: {error}")))?;
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let delimiter = match delimiter {
            CsvDelimiter::Auto => told_delimiter(bytes),
            CsvDelimiter::Comma => b',',
            CsvDelimiter::Semicolon => b';',
            CsvDelimiter::Tab => b'\t',
        };
        let has_decimal_comma = delimiter != b',';
        let rows = rows(bytes, delimiter)
            .map_err(|error| Error::new("spectral::csv", format!("reading `{file}`: {error}")))?;
        let table = Self { file, path: path.to_owned(), has_decimal_comma, rows };
        table.check()?;
        Ok(table)
    }

    fn check(&self) -> Result<()> {
        let n_rows = self.rows.len();
        if n_rows < 2 {
            let message = format!("`{}` is no table: it has {n_rows} rows", self.file);
            return Err(Error::new("spectral::csv", message));
        }
        let n_fields = self.head().fields.len();
        if n_fields < 2 {
            return Err(self
                .fault(self.head().line, "the table has one column only")
                .help("set `delimiter` to what stands between the fields"));
        }
        match self.rows().iter().find(|row| row.fields.len() != n_fields) {
            None => Ok(()),
            Some(row) => {
                let n_found = row.fields.len();
                let message =
                    format!("expected {n_fields} fields as in the first line, found {n_found}");
                Err(self.fault(row.line, message))
            }
        }
    }

    /// The first row.
    pub(super) fn head(&self) -> &Row {
        &self.rows[0]
    }

    /// The rows behind the first.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows[1..]
    }

    /// All rows, for a table without titles.
    pub(super) fn all_rows(&self) -> &[Row] {
        &self.rows
    }

    /// The name of the file without folder and extension.
    pub(super) fn stem(&self) -> String {
        self.path.file_stem().unwrap_or_default().display().to_string()
    }

    /// A fault at a line of the file.
    pub(super) fn fault(&self, line: u64, message: impl AsRef<str>) -> Error {
        Error::new("spectral::csv", format!("{}:{line}: {}", self.file, message.as_ref()))
    }
}

fn rows(bytes: &[u8], delimiter: u8) -> Result<Vec<Row>, csv::Error> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .comment(Some(b'#'))
        .delimiter(delimiter)
        .from_reader(bytes);
    let mut rows = Vec::new();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        rows.push(Row { line, fields: record.iter().map(text).collect() });
    }
    Ok(rows)
}

/// The delimiter that takes the first two lines apart into equally many fields; of several, a
/// comma comes last: it may be the decimal one.
fn told_delimiter(bytes: &[u8]) -> u8 {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let n_fields = |line: &str, delimiter| {
        rows(line.as_bytes(), delimiter).ok().and_then(|rows| Some(rows.first()?.fields.len()))
    };
    let fits = |delimiter: &u8| {
        let n_first = n_fields(first, *delimiter);
        n_first > Some(1) && n_first == n_fields(second, *delimiter)
    };
    [b'\t', b';', b','].into_iter().find(fits).unwrap_or(b',')
}
