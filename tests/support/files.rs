//! Files of a run, read without the host's help.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// One tensor of a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// `F32`, `BF16`, ….
    pub dtype: String,
    /// Extents.
    pub shape: Vec<u64>,
    /// Elements, little-endian.
    pub bytes: Vec<u8>,
}

impl Tensor {
    /// Sum of the elements.
    ///
    /// # Panics
    /// When they are not f32.
    pub fn sum(&self) -> f64 {
        assert_eq!(self.dtype, "F32", "only sums of f32 are needed so far");
        let words = self.bytes.as_chunks::<4>().0;
        words.iter().map(|word| f64::from(f32::from_le_bytes(*word))).sum()
    }
}

/// The tensors of a safetensors file: eight bytes of header length, a JSON header, the data.
///
/// # Panics
/// When it is no such file.
#[track_caller]
pub fn read_tensors(path: &Path) -> BTreeMap<String, Tensor> {
    let bytes = read(path);
    let (length, rest) = bytes.split_first_chunk::<8>().expect("a safetensors file has a header");
    let length = usize::try_from(u64::from_le_bytes(*length)).expect("a header fits memory");
    let (header, data) = rest.split_at(length);
    let header: BTreeMap<String, Value> =
        serde_json::from_slice(header).expect("the header is JSON");
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    tensors
        .map(|(name, entry)| {
            let numbers = |key: &str| -> Vec<u64> {
                entry[key].as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
            };
            let offset = |i: usize| {
                usize::try_from(numbers("data_offsets")[i]).expect("an offset fits memory")
            };
            let tensor = Tensor {
                dtype: entry["dtype"].as_str().unwrap_or_default().to_owned(),
                shape: numbers("shape"),
                bytes: data[offset(0)..offset(1)].to_vec(),
            };
            (name, tensor)
        })
        .collect()
}

/// A JSON file.
///
/// # Panics
/// When it is none.
#[track_caller]
pub fn read_json(path: &Path) -> Value {
    match serde_json::from_slice(&read(path)) {
        Ok(value) => value,
        Err(e) => panic!("`{}` is not JSON: {e}", path.display()),
    }
}

/// The lines of a JSONL file.
///
/// # Panics
/// When a line is not JSON.
#[track_caller]
pub fn read_lines(path: &Path) -> Vec<Value> {
    let text = String::from_utf8(read(path)).expect("a JSONL file is text");
    let parse = |line: &str| match serde_json::from_str(line) {
        Ok(value) => value,
        Err(e) => panic!("a line of `{}` is not JSON: {e}: {line}", path.display()),
    };
    text.lines().map(parse).collect()
}

/// All files below a directory with their bytes, by relative path.
///
/// # Panics
/// When one can't be read.
#[track_caller]
pub fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, directory: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        let entries = fs::read_dir(directory);
        let entries = entries.unwrap_or_else(|e| panic!("`{}`: {e}", directory.display()));
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                found.insert(name, read(&path));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, &mut found);
    found
}

/// Relative paths of all files below a directory, one a line, sorted.
#[track_caller]
pub fn tree(directory: &Path) -> String {
    contents(directory).into_keys().map(|name| format!("{name}\n")).collect()
}

#[track_caller]
fn read(path: &Path) -> Vec<u8> {
    match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) => panic!("reading `{}`: {e}", path.display()),
    }
}
