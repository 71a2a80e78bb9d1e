//! Checkpoints of the system that this one replaces: PyTorch files (`.pt`) with a dictionary of
//! `model_cfg`, `train_cfg`, `model_state`, `optimizer_state`, `step` and `best_val_loss`.
//!
//! A `.pt` file is a zip archive of one pickle, `data.pkl`, and one member a storage, `data/KEY`;
//! a tensor in the pickle names its storage, offset, shape and strides.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use candle_core::pickle::Object;
use sdk::{DType, Error, Result, TensorHandle, contiguous_strides};
use zip::ZipArchive;

use super::{drop_head, pickle};
use crate::config::ModelConfig;

/// Bytes of a pickle at most: a checkpoint of 100 layers has about 1 MB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;

/// What a `.pt` checkpoint holds that is of use here.
#[derive(Debug)]
pub struct TorchCheckpoint {
    /// Sizes, from `model_cfg`.
    pub sizes: ModelConfig,
    /// The weights, from `model_state`; the names are ours.
    pub tensors: BTreeMap<String, TensorHandle>,
    /// Completed steps.
    pub step: u64,
    /// The best validation loss, in nats per token.
    pub best_val_loss: Option<f64>,
    /// Whether the optimizer's state is there; training starts with a fresh one anyway.
    pub has_optimizer: bool,
}

impl TorchCheckpoint {
    /// Reads a checkpoint. Nothing in it is executed.
    ///
    /// # Errors
    /// When the file can't be read, is no such checkpoint, or asks for anything but weights.
    pub fn read(path: &Path) -> Result<Self> {
        Self::open(path).map_err(|e| e.context(format!("`{}`", path.display())))
    }

    /// The sizes alone, without reading the weights.
    ///
    /// # Errors
    /// As [`TorchCheckpoint::read`].
    pub fn read_sizes(path: &Path) -> Result<ModelConfig> {
        let read = || sizes(require(&Archive::open(path)?.root()?, "model_cfg")?);
        read().map_err(|e| e.context(format!("`{}`", path.display())))
    }

    fn open(path: &Path) -> Result<Self> {
        let mut archive = Archive::open(path)?;
        let root = archive.root()?;
        let sizes = sizes(require(&root, "model_cfg")?)?;
        let mut tensors = archive.tensors(require(&root, "model_state")?)?;
        drop_head(&mut tensors)?;
        Ok(Self {
            sizes,
            tensors,
            step: integer(require(&root, "step")?).unwrap_or(0),
            best_val_loss: get(&root, "best_val_loss").and_then(number),
            has_optimizer: get(&root, "optimizer_state").is_some_and(|o| *o != Object::None),
        })
    }
}

fn bad(why: impl Into<String>) -> Error {
    Error::new("gpt::torch", why)
}

/// An I/O error without its number.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
        _ => error.to_string(),
    }
}

/// The zip file, and where in it the members lie.
struct Archive {
    zip: ZipArchive<BufReader<File>>,
    file_bytes: u64,
    /// In front of the names of all members, such as `archive`.
    prefix: String,
}

impl Archive {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| bad(plain(&e)))?;
        let file_bytes = file.metadata().map_err(|e| bad(plain(&e)))?.len();
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| {
            bad(format!("no PyTorch checkpoint: {e}"))
                .help("save it anew with PyTorch 1.6 or newer")
        })?;
        let mut names = zip.file_names().flatten().map(Cow::into_owned);
        let prefix = names.find_map(|name| name.strip_suffix("/data.pkl").map(str::to_owned));
        drop(names);
        let Some(prefix) = prefix else {
            return Err(bad("no PyTorch checkpoint: the archive has no `data.pkl`"));
        };
        Ok(Self { zip, file_bytes, prefix })
    }

    /// The value that was saved; tensors in it are descriptions.
    fn root(&mut self) -> Result<Object> {
        let name = format!("{}/data.pkl", self.prefix);
        let member = self.zip.by_name(&name).map_err(|e| bad(e.to_string()))?;
        let mut bytes = Vec::new();
        member.take(MAX_PICKLE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| bad(plain(&e)))?;
        if bytes.len() as u64 > MAX_PICKLE_BYTES {
            return Err(bad("its pickle is larger than a checkpoint's"));
        }
        pickle::read(&bytes)
    }

    /// All tensors of a state dictionary; other values in it are left out.
    fn tensors(&mut self, state: &Object) -> Result<BTreeMap<String, TensorHandle>> {
        let Object::Dict(items) = state else { return Err(bad("`model_state` is no dictionary")) };
        let mut tensors = BTreeMap::new();
        // Tied weights lie in the file once; many tensors in the same bytes are an attack.
        let mut rest = self.file_bytes.saturating_mul(2);
        for (name, value) in items {
            let (Object::Unicode(name), Object::Reduce { .. }) = (name, value) else { continue };
            let stored = Stored::read(value).map_err(|why| bad(format!("`{name}` {why}")))?;
            let tensor =
                self.tensor(&stored, &mut rest).map_err(|e| e.context(format!("`{name}`")))?;
            tensors.insert(name.clone(), tensor);
        }
        Ok(tensors)
    }

    /// Reads a tensor, of which `rest` bytes at most are left to be read.
    fn tensor(&mut self, stored: &Stored, rest: &mut u64) -> Result<TensorHandle> {
        let element = stored.dtype.size_bytes();
        let values = stored.shape.iter().try_fold(element, |n, extent| n.checked_mul(*extent));
        let skipped = stored.offset.checked_mul(element);
        let (Some(n_bytes), Some(skipped)) = (values, skipped) else {
            return Err(bad("its shape is out of bounds"));
        };
        if n_bytes as u64 > self.file_bytes || skipped as u64 > self.file_bytes {
            return Err(bad("it is larger than the file"));
        }
        let left = rest.checked_sub(n_bytes as u64);
        *rest = left.ok_or_else(|| bad("with those before it, it is larger than the file"))?;
        let name = format!("{}/data/{}", self.prefix, stored.key);
        let mut member = self.zip.by_name(&name).map_err(|e| bad(e.to_string()))?;
        let mut bytes = vec![0; n_bytes];
        io::copy(&mut member.by_ref().take(skipped as u64), &mut io::sink())
            .and_then(|_| member.read_exact(&mut bytes))
            .map_err(|e| bad(format!("its storage is too short: {e}")))?;
        TensorHandle::from_bytes(&bytes, stored.dtype, &stored.shape)
    }
}

/// A tensor as the pickle describes it.
struct Stored {
    key: String,
    dtype: DType,
    /// In elements.
    offset: usize,
    shape: Vec<usize>,
}

impl Stored {
    /// Reads `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, …)`, where storage
    /// is the persistent id `("storage", torch.FloatStorage, key, device, n)`.
    fn read(value: &Object) -> std::result::Result<Self, String> {
        let unknown = || "is stored in a way that isn't known here".to_owned();
        let Object::Reduce { callable, args } = value else { return Err(unknown()) };
        let Object::Tuple(args) = &**args else { return Err(unknown()) };
        let [Object::PersistentLoad(storage), offset, shape, strides, ..] = args.as_slice() else {
            return Err(unknown());
        };
        let Object::Tuple(storage) = &**storage else { return Err(unknown()) };
        let [_, Object::Class { class_name, .. }, Object::Unicode(key), ..] = storage.as_slice()
        else {
            return Err(unknown());
        };
        let is_tensor = matches!(&**callable, Object::Class { module_name, class_name }
            if module_name == "torch._utils" && class_name == "_rebuild_tensor_v2");
        let (Some(offset), Some(shape), Some(strides)) =
            (integer(offset), integers(shape), integers(strides))
        else {
            return Err(unknown());
        };
        if !is_tensor {
            return Err(unknown());
        }
        if !is_contiguous(&shape, &strides) {
            return Err(format!("is not contiguous: strides {strides:?} of shape {shape:?}"));
        }
        Ok(Self { key: key.clone(), dtype: dtype(class_name)?, offset: offset as usize, shape })
    }
}

fn dtype(storage_class: &str) -> std::result::Result<DType, String> {
    match storage_class {
        "FloatStorage" => Ok(DType::F32),
        "DoubleStorage" => Ok(DType::F64),
        "HalfStorage" => Ok(DType::F16),
        "BFloat16Storage" => Ok(DType::Bf16),
        other => Err(format!("has elements of a type that weights don't have: `{other}`")),
    }
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let expected = if shape.contains(&0) { strides.to_vec() } else { contiguous_strides(shape) };
    shape.len() == strides.len()
        && shape.iter().zip(strides).zip(&expected).all(|((n, s), e)| *n <= 1 || s == e)
}

fn get<'a>(dictionary: &'a Object, key: &str) -> Option<&'a Object> {
    let Object::Dict(items) = dictionary else { return None };
    items.iter().find(|(k, _)| matches!(k, Object::Unicode(k) if k == key)).map(|(_, v)| v)
}

fn require<'a>(dictionary: &'a Object, key: &str) -> Result<&'a Object> {
    get(dictionary, key).ok_or_else(|| bad(format!("no checkpoint of a GPT: it has no `{key}`")))
}

fn integer(value: &Object) -> Option<u64> {
    match value {
        Object::Int(n) => u64::try_from(*n).ok(),
        Object::Long(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

fn integers(value: &Object) -> Option<Vec<usize>> {
    let Object::Tuple(items) = value else { return None };
    items.iter().map(|item| integer(item).map(|n| n as usize)).collect()
}

fn number(value: &Object) -> Option<f64> {
    match value {
        Object::Float(x) => Some(*x),
        other => integer(other).map(|n| n as f64),
    }
}

/// The model's sizes; one error that lists every field that is missing or no number.
fn sizes(model_cfg: &Object) -> Result<ModelConfig> {
    let mut missing = Vec::new();
    let mut value = |key: &str| {
        let found = get(model_cfg, key).and_then(number);
        if found.is_none() {
            missing.push(format!("`{key}`"));
        }
        found.unwrap_or_default()
    };
    let sizes = ModelConfig {
        vocab: value("V") as usize,
        context: value("T") as usize,
        width: value("C") as usize,
        n_layers: value("L") as usize,
        n_heads: value("H") as usize,
        d_ff: value("d_ff") as usize,
        dropout: value("dropout"),
        rope_theta: value("rope_theta"),
    };
    if !missing.is_empty() {
        let message = format!("`model_cfg` has no number for {}", missing.join(", "));
        return Err(bad(message));
    }
    match sizes.check().into_iter().next() {
        None => Ok(sizes),
        Some(fault) => Err(fault.context("`model_cfg`")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A tensor of `n` floats in storage `0`.
    fn tensor(n: i32) -> Object {
        let class = |module: &str, class: &str| Object::Class {
            module_name: module.to_owned(),
            class_name: class.to_owned(),
        };
        let text = |text: &str| Object::Unicode(text.to_owned());
        let storage = [text("storage"), class("torch", "FloatStorage"), text("0"), text("cpu")];
        let args = vec![
            Object::PersistentLoad(Box::new(Object::Tuple(storage.to_vec()))),
            Object::Int(0),
            Object::Tuple(vec![Object::Int(n)]),
            Object::Tuple(vec![Object::Int(1)]),
        ];
        let callable = Box::new(class("torch._utils", "_rebuild_tensor_v2"));
        Object::Reduce { callable, args: Box::new(Object::Tuple(args)) }
    }

    /// A file with one storage of 1000 floats.
    fn archive(path: &Path) -> Archive {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        for (name, n_bytes) in [("a/data.pkl", 1), ("a/data/0", 4000)] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            // Bytes that compression does not make fewer.
            let bytes: Vec<u8> =
                (0..n_bytes).map(|i: u32| (i.wrapping_mul(0x9E37_79B9) >> 13) as u8).collect();
            zip.write_all(&bytes).unwrap();
        }
        zip.finish().unwrap();
        Archive::open(path).unwrap()
    }

    #[test]
    fn tied_tensors_are_read_and_a_thousand_in_the_same_bytes_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = archive(&dir.path().join("x.pt"));
        let mut read = |n: usize| {
            let named = |i| (Object::Unicode(format!("t{i}")), tensor(1000));
            archive.tensors(&Object::Dict((0..n).map(named).collect())).map(|read| read.len())
        };
        assert_eq!(read(2).unwrap(), 2);
        let error = read(1000).unwrap_err();
        assert!(error.message.ends_with("larger than the file"), "{}", error.message);
    }
}
