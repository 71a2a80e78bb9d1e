//! Rows of a Parquet file, read one row group after another.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
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
        guarded(|| {
            let reader = SerializedFileReader::new(file)?;
            let metadata = reader.metadata().file_metadata();
            let n_rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
            let projection = projection(metadata.schema(), wanted)?;
            let rows = RowIter::from_file_into(Box::new(reader)).project(projection)?;
            Ok(Self { rows: rows.with_batch_size(BATCH_ROWS), n_rows, n_read: 0 })
        })
    }

    /// The part of the rows that is read.
    pub(super) fn fraction_read(&self) -> f64 {
        self.n_read as f64 / self.n_rows.max(1) as f64
    }

    /// The next row and its place from 1; `None` after the last.
    pub(super) fn next_row(&mut self) -> Result<Option<(usize, Value)>> {
        let Some(row) = guarded(|| self.rows.next().transpose())? else { return Ok(None) };
        self.n_read += 1;
        Ok(Some((self.n_read as usize, object(&row))))
    }
}

/// The library panics on some damaged files. Nothing of it is used after that.
fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|payload| {
        // Dropping a payload can panic again.
        std::mem::forget(payload);
        Err(ParquetError::General("the table is damaged".to_owned()))
    })
}

/// A row or a struct as a JSON object.
fn object(row: &Row) -> Value {
    row.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect()
}

/// As the library does it, but for strings that a writer did not mark as such: their bytes are taken
/// for text, not for something to be written in base 64. Bytes that are no text are null.
fn json(field: &Field) -> Value {
    match field {
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Value::Null, Value::from),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(json).collect(),
        other => other.to_json_value(),
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
    use std::io::Write as _;

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

    /// A table of one optional column of bytes that nothing marks as text.
    fn plain(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let schema = "message table { optional binary text; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let values: Vec<ByteArray> =
            values.iter().flatten().map(|value| ByteArray::from(value.to_vec())).collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn rows(bytes: &[u8]) -> Result<Vec<Value>> {
        let mut rows = TableRows::open(file(bytes), &[])?;
        let mut read = Vec::new();
        while let Some((_, row)) = rows.next_row()? {
            read.push(row);
        }
        Ok(read)
    }

    #[test]
    fn strings_that_are_not_marked_as_such_are_text_and_not_base_64() {
        let read = rows(&plain(&[Some("Zoë".as_bytes()), None, Some(b"\xFF\x00")])).unwrap();
        assert_eq!(read, [json!({"text": "Zoë"}), json!({"text": null}), json!({"text": null})]);
    }

    #[test]
    fn a_table_without_rows_has_none() {
        assert_eq!(rows(&plain(&[])).unwrap(), Vec::<Value>::new());
    }

    /// Every byte in turn, and every end.
    #[test]
    fn damaged_tables_are_errors_and_never_panics() {
        let whole = plain(&[Some(b"one"), None, Some(b"three"), Some(b"four")]);
        for end in 0..whole.len() {
            assert!(rows(&whole[..end]).is_err());
        }
        for at in 0..whole.len() {
            for flip in [0xFF, 0x01, 0x80, 0x10] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                drop(rows(&damaged));
            }
        }
    }
}
