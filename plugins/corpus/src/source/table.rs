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

#[cfg(test)]
mod tests {
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use serde_json::json;

    use super::*;

    /// Two rows, each with two messages, in one row group each.
    const MESSAGES: &str = "message table {
        required group messages (LIST) { repeated group list { required group element {
            required binary role (UTF8); required binary content (UTF8);
        } } }
        required int64 id;
    }";

    fn written() -> File {
        let mut file = tempfile::tempfile().unwrap();
        let schema = Arc::new(parse_message_type(MESSAGES).unwrap());
        let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::default()).unwrap();
        for id in [7, 8] {
            let mut group = writer.next_row_group().unwrap();
            for texts in [["user", "assistant"], ["Q", "A"]] {
                let texts = texts.map(ByteArray::from);
                let mut column = group.next_column().unwrap().unwrap();
                let typed = column.typed::<ByteArrayType>();
                typed.write_batch(&texts, Some(&[1, 1]), Some(&[0, 1])).unwrap();
                column.close().unwrap();
            }
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&[id], None, None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        writer.close().unwrap();
        file
    }

    #[test]
    fn lists_of_messages_become_the_json_that_they_are() {
        let mut rows = TableRows::open(written(), &[]).unwrap();
        let messages =
            json!([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]);
        let first = rows.next_row().unwrap().unwrap();
        assert_eq!(first, (1, json!({"messages": messages, "id": 7})));
        assert!((rows.fraction_read() - 0.5).abs() < 1e-12);
        assert_eq!(rows.next_row().unwrap().unwrap().1["id"], 8);
        assert_eq!(rows.next_row().unwrap(), None);
    }

    #[test]
    fn only_the_wanted_columns_are_read_where_there_are_any() {
        let row = |wanted: &[&str]| {
            let mut rows = TableRows::open(written(), wanted).unwrap();
            rows.next_row().unwrap().unwrap().1
        };
        assert_eq!(row(&["text", "id"]), json!({"id": 7}));
        assert_eq!(row(&["text"]).as_object().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_table_is_an_error() {
        assert!(TableRows::open(tempfile::tempfile().unwrap(), &[]).is_err());
    }
}
