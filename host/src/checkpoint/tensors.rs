//! Named tensors in a safetensors file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors, View};
use sdk::{DType, TensorHandle};

use super::FileDigest;
use crate::atomic_write::{at, crash_point};

/// One tensor to be written.
pub struct TensorFile<'a>(pub &'a TensorHandle);

impl View for TensorFile<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::Bf16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
            DType::U32 => Dtype::U32,
            DType::I64 => Dtype::I64,
            DType::U8 => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.as_bytes().map_or_else(|| Cow::Owned(self.0.to_bytes()), Cow::Borrowed)
    }

    fn data_len(&self) -> usize {
        self.0.len() * self.0.dtype().size_bytes()
    }
}

/// Writes tensors to a new file, flushes it, and returns its digest.
///
/// # Errors
/// With the path; the file is then not to be trusted.
pub fn write_tensors<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a TensorHandle)>,
) -> io::Result<FileDigest> {
    let views = tensors.into_iter().map(|(name, tensor)| (name, TensorFile(tensor)));
    crash_point();
    // The library's files are for the user's eyes only, whatever the umask says: others may share
    // the run.
    let usual =
        File::create(path).and_then(|file| file.metadata()).map_err(at("creating", path))?;
    safetensors::serialize_to_file(views, None, path).map_err(|e| at("writing", path)(as_io(e)))?;
    fs::set_permissions(path, usual.permissions()).map_err(at("writing", path))?;
    File::open(path).and_then(|file| file.sync_all()).map_err(at("flushing", path))?;
    hash_file(path)
}

fn as_io(error: safetensors::SafeTensorError) -> io::Error {
    match error {
        safetensors::SafeTensorError::IoError(e) => e,
        other => io::Error::other(other.to_string()),
    }
}

/// Reads all tensors of a file.
///
/// # Errors
/// With the path, when it can't be read or is no safetensors file of types that we know.
pub fn read_tensors(path: &Path) -> io::Result<BTreeMap<String, Arc<TensorHandle>>> {
    let bytes = fs::read(path).map_err(at("reading", path))?;
    let bad = |e: String| at("reading", path)(io::Error::new(io::ErrorKind::InvalidData, e));
    let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let dtype = dtype_of(view.dtype()).ok_or_else(|| {
            bad(format!("tensor `{name}` has a type we don't know: {:?}", view.dtype()))
        })?;
        let tensor = TensorHandle::from_bytes(view.data(), dtype, view.shape())
            .map_err(|e| bad(format!("tensor `{name}`: {e}")))?;
        tensors.insert(name.to_owned(), Arc::new(tensor));
    }
    Ok(tensors)
}

fn dtype_of(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::BF16 => DType::Bf16,
        Dtype::F16 => DType::F16,
        Dtype::U32 => DType::U32,
        Dtype::I64 => DType::I64,
        Dtype::U8 => DType::U8,
        _ => return None,
    })
}

/// Length and BLAKE3 of a file.
///
/// # Errors
/// With the path.
pub fn hash_file(path: &Path) -> io::Result<FileDigest> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path).map_err(at("reading", path))?;
    let bytes = io::copy(&mut file, &mut hasher).map_err(at("reading", path))?;
    Ok(FileDigest { bytes, blake3: hasher.finalize().to_hex().to_string() })
}
