//! The GGUF file format, version 3, as far as a model needs it.
//!
//! candle writes GGUF too, but from tensors of its own, which would hold all weights twice, and
//! gives an empty array of strings the type of numbers, which llama.cpp refuses.
//!
//! The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>

use std::io::{self, Write};

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// Tensors begin at multiples of this; the format's default, so no key needs to say it.
const ALIGNMENT: u64 = 32;
/// ggml's number of 32-bit floats.
const F32: u32 = 0;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

/// A tensor of f32 values.
pub(super) struct Tensor<'a> {
    pub(super) name: String,
    /// As here: the last axis is the one whose elements are neighbours.
    pub(super) shape: Vec<usize>,
    /// Little-endian, row-major.
    pub(super) bytes: &'a [u8],
}

/// Writes a whole file.
///
/// # Errors
/// What `out` says.
pub(super) fn write(
    out: impl Write,
    metadata: &[(String, Value)],
    tensors: &[Tensor<'_>],
) -> io::Result<()> {
    let mut out = Counted { out, written: 0 };
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&(tensors.len() as u64).to_le_bytes())?;
    out.write_all(&(metadata.len() as u64).to_le_bytes())?;
    for (key, value) in metadata {
        text(&mut out, key)?;
        out.write_all(&type_number(value).to_le_bytes())?;
        write_value(&mut out, value)?;
    }
    let mut offset = 0;
    for tensor in tensors {
        describe(&mut out, tensor, offset)?;
        offset = (offset + tensor.bytes.len() as u64).next_multiple_of(ALIGNMENT);
    }
    out.pad()?;
    for tensor in tensors {
        out.write_all(tensor.bytes)?;
        out.pad()?;
    }
    out.flush()
}

/// Name, extents from the fastest axis to the slowest, type, and offset after the header.
fn describe(out: &mut impl Write, tensor: &Tensor<'_>, offset: u64) -> io::Result<()> {
    text(out, &tensor.name)?;
    out.write_all(&(tensor.shape.len() as u32).to_le_bytes())?;
    for extent in tensor.shape.iter().rev() {
        out.write_all(&(*extent as u64).to_le_bytes())?;
    }
    out.write_all(&F32.to_le_bytes())?;
    out.write_all(&offset.to_le_bytes())
}

fn type_number(value: &Value) -> u32 {
    match value {
        Value::U32(_) => 4,
        Value::F32(_) => 6,
        Value::Bool(_) => 7,
        Value::Text(_) => 8,
        Value::Texts(_) | Value::I32s(_) | Value::F32s(_) => 9,
    }
}

fn write_value(out: &mut impl Write, value: &Value) -> io::Result<()> {
    match value {
        Value::U32(v) => out.write_all(&v.to_le_bytes()),
        Value::F32(v) => out.write_all(&v.to_le_bytes()),
        Value::Bool(v) => out.write_all(&[u8::from(*v)]),
        Value::Text(v) => text(out, v),
        Value::Texts(v) => array(out, 8, v, |out, item| text(out, item)),
        Value::I32s(v) => array(out, 5, v, |out, item| out.write_all(&item.to_le_bytes())),
        Value::F32s(v) => array(out, 6, v, |out, item| out.write_all(&item.to_le_bytes())),
    }
}

/// Type of the items, their number, and they.
fn array<W: Write, T>(
    out: &mut W,
    item_type: u32,
    items: &[T],
    write_item: impl Fn(&mut W, &T) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(&item_type.to_le_bytes())?;
    out.write_all(&(items.len() as u64).to_le_bytes())?;
    items.iter().try_for_each(|item| write_item(out, item))
}

fn text(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

/// A writer that knows how far it is.
struct Counted<W> {
    out: W,
    written: u64,
}

impl<W: Write> Counted<W> {
    fn pad(&mut self) -> io::Result<()> {
        let missing = self.written.next_multiple_of(ALIGNMENT) - self.written;
        self.write_all(&[0; ALIGNMENT as usize][..missing as usize])
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
