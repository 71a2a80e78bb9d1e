//! Writes small Parquet files.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Writes a table of strings: one row group for every `rows_per_group` rows, compressed.
pub(crate) fn write(path: &Path, columns: &[(&str, Vec<String>)], rows_per_group: usize) {
    let fields: String =
        columns.iter().map(|(name, _)| format!("required binary {name} (UTF8);\n")).collect();
    let schema = Arc::new(parse_message_type(&format!("message table {{ {fields} }}")).unwrap());
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let n_rows = columns[0].1.len();
    for begin in (0..n_rows).step_by(rows_per_group) {
        let rows = begin..(begin + rows_per_group).min(n_rows);
        let mut group = writer.next_row_group().unwrap();
        for (_, values) in columns {
            let mut column = group.next_column().unwrap().unwrap();
            let values: Vec<ByteArray> =
                values[rows.clone()].iter().map(|value| ByteArray::from(value.as_str())).collect();
            column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}
