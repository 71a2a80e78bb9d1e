//! Rows of a Parquet file, read one row group after another.

use std::fs::File;
use std::sync::Arc;

use parquet::errors::Result;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use serde_json::Value;

/// Rows that are decoded at once. A row may be a whole book.
const BATCH_ROWS: usize = 32;

/// Reads rows as JSON objects.
pub(super) struct TableRows {
    rows: RowIter<'static>,
    n_rows: u64,
    n_read: u64,
}

impl TableRows {
    /// The rows of a file; only the columns among `wanted`, where the table has one of them.
    pub(super) fn open(file: File, wanted: &[&str]) -> Result<Self> {
        let reader = SerializedFileReader::new(file)?;
        let metadata = reader.metadata().file_metadata();
        let n_rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
        let projection = projection(metadata.schema(), wanted)?;
        let rows = RowIter::from_file_into(Box::new(reader)).project(projection)?;
        let rows = rows.with_batch_size(BATCH_ROWS);
        Ok(Self { rows, n_rows, n_read: 0 })
    }

    /// The part of the rows that is read.
    pub(super) fn fraction_read(&self) -> f64 {
        self.n_read as f64 / self.n_rows.max(1) as f64
    }

    /// The next row and its place from 1; `None` after the last.
    pub(super) fn next_row(&mut self) -> Result<Option<(usize, Value)>> {
        let Some(row) = self.rows.next() else { return Ok(None) };
        self.n_read += 1;
        Ok(Some((self.n_read as usize, row?.to_json_value())))
    }
}

/// The schema with nothing but the wanted columns; `None`, which is all of them, where it has none.
fn projection(schema: &Type, wanted: &[&str]) -> Result<Option<Type>> {
    let is_wanted = |column: &&Arc<Type>| wanted.contains(&column.name());
    let columns: Vec<Arc<Type>> = schema.get_fields().iter().filter(is_wanted).cloned().collect();
    if columns.is_empty() {
        return Ok(None);
    }
    Type::group_type_builder(schema.name()).with_fields(columns).build().map(Some)
}
