//! Named tensors of a model: borrowed from an artifact, or made from a file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;

use candle_core::Device;
use sdk::{DType, Error, Result, TensorHandle};
use sdk_numerics::error;

/// Tensors by name; those of an artifact are not copied.
#[derive(Debug)]
pub enum Tensors<'a> {
    /// An artifact's own.
    Borrowed(&'a BTreeMap<String, TensorHandle>),
    /// Renamed, converted or read from a file.
    Owned(BTreeMap<String, TensorHandle>),
}

impl Deref for Tensors<'_> {
    type Target = BTreeMap<String, TensorHandle>;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Borrowed(tensors) => tensors,
            Self::Owned(tensors) => tensors,
        }
    }
}

impl Tensors<'_> {
    /// The same values as contiguous f32; copies everything unless everything is that already.
    ///
    /// # Errors
    /// When a tensor holds no floats.
    pub(crate) fn into_f32(self) -> Result<Self> {
        if self.values().all(is_plain) {
            return Ok(self);
        }
        let converted = self.iter().map(|(name, tensor)| Ok((name.clone(), to_f32(name, tensor)?)));
        Ok(Self::Owned(converted.collect::<Result<_>>()?))
    }
}

fn is_plain(tensor: &TensorHandle) -> bool {
    tensor.dtype() == DType::F32 && tensor.is_contiguous()
}

/// A contiguous f32 copy of a tensor of floats.
fn to_f32(name: &str, tensor: &TensorHandle) -> Result<TensorHandle> {
    if !matches!(tensor.dtype(), DType::F32 | DType::F64 | DType::Bf16 | DType::F16) {
        let message = format!("`{name}` holds no floats: {}", tensor.dtype());
        return Err(Error::new("gpt::dtype", message));
    }
    let values = sdk_numerics::import(tensor, &Device::Cpu)?;
    let values = values.to_dtype(candle_core::DType::F32).map_err(error)?;
    sdk_numerics::export(&values)
}

/// The bytes of a tensor, copied only when they lie in pieces.
pub(crate) fn bytes(tensor: &TensorHandle) -> Cow<'_, [u8]> {
    tensor.as_bytes().map_or_else(|| Cow::Owned(tensor.to_bytes()), Cow::Borrowed)
}
