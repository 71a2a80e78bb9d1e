//! candle tensors across the boundary.
//!
//! [`export`] lends the memory, [`export_copy`] detaches from it, [`import`] copies. State and
//! artifacts use the copy: a parameter's memory is rewritten by the next optimizer step.

use std::ffi::c_void;

use candle_core::{CpuStorage, Device, Storage, Tensor};
use sdk::{DType, Error, Result, TensorHandle};

use crate::device::{from_candle_dtype, to_candle_dtype};
use crate::error;

/// A handle to the memory of `tensor`: no copy when it lies on the CPU, one from elsewhere.
///
/// Strides and offset are kept, and the tensor lives as long as the handle. A parameter shares its
/// memory with the handle, which then shows later optimizer steps: drop the handle before the next
/// one, or take [`export_copy`].
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let t = Tensor::arange(0f32, 6.0, &Device::Cpu).and_then(|t| t.reshape((2, 3))?.t());
/// let handle = sdk_numerics::export(&t.map_err(sdk_numerics::error)?)?;
/// assert_eq!(handle.shape(), [3, 2]);
/// assert_eq!(handle.to_vec::<f32>()?, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
/// # Ok::<(), sdk::Error>(())
/// ```
///
/// # Errors
/// When the element type has no place at the boundary, or the copy from the device fails.
pub fn export(tensor: &Tensor) -> Result<TensorHandle> {
    let dtype = from_candle_dtype(tensor.dtype())?;
    let tensor = tensor.detach().to_device(&Device::Cpu).map_err(error)?;
    let shape = tensor.dims().to_vec();
    let strides = tensor.stride().to_vec();
    let data = data_pointer(&tensor)?;
    // SAFETY: the handle owns a clone of the tensor, whose storage never moves; shape and strides
    // are the tensor's own. That nobody writes meanwhile is the documented duty of the caller.
    Ok(unsafe { TensorHandle::from_owner(tensor, dtype, shape, strides, data) })
}

/// A handle to a contiguous copy of `tensor`, unaffected by what happens to it later.
///
/// # Errors
/// As [`export`].
pub fn export_copy(tensor: &Tensor) -> Result<TensorHandle> {
    export(&tensor.detach().force_contiguous().map_err(error)?)
}

/// A tensor on `device` with the elements of `handle`; one copy for f32, f64, u32, i64 and u8.
///
/// # Errors
/// When the copy to the device fails.
pub fn import(handle: &TensorHandle, device: &Device) -> Result<Tensor> {
    let shape = handle.shape();
    match handle.dtype() {
        DType::F32 => Tensor::from_vec(handle.to_vec::<f32>()?, shape, device),
        DType::F64 => Tensor::from_vec(handle.to_vec::<f64>()?, shape, device),
        DType::U32 => Tensor::from_vec(handle.to_vec::<u32>()?, shape, device),
        DType::I64 => Tensor::from_vec(handle.to_vec::<i64>()?, shape, device),
        DType::U8 => Tensor::from_vec(handle.to_vec::<u8>()?, shape, device),
        half @ (DType::Bf16 | DType::F16) => {
            Tensor::from_raw_buffer(&handle.to_bytes(), to_candle_dtype(half), shape, device)
        }
    }
    .map_err(error)
}

/// Where the first element of a CPU tensor lies.
fn data_pointer(tensor: &Tensor) -> Result<*const c_void> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(Error::new("tensor::device", "only memory of the CPU can be lent"));
    };
    let offset = layout.start_offset();
    Ok(match storage {
        CpuStorage::F32(values) => values[offset..].as_ptr().cast(),
        CpuStorage::F64(values) => values[offset..].as_ptr().cast(),
        CpuStorage::BF16(values) => values[offset..].as_ptr().cast(),
        CpuStorage::F16(values) => values[offset..].as_ptr().cast(),
        CpuStorage::U32(values) => values[offset..].as_ptr().cast(),
        CpuStorage::I64(values) => values[offset..].as_ptr().cast(),
        CpuStorage::U8(values) => values[offset..].as_ptr().cast(),
        _ => return Err(Error::new("tensor::dtype", "no such element type at the boundary")),
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    fn counting(dtype: candle_core::DType) -> Tensor {
        Tensor::arange(0u32, 24, &Device::Cpu)
            .unwrap()
            .reshape((2, 3, 4))
            .unwrap()
            .to_dtype(dtype)
            .unwrap()
    }

    #[test]
    fn every_type_makes_the_round_trip() {
        for dtype in DType::ALL {
            let t = counting(to_candle_dtype(dtype));
            let back = import(&export(&t).unwrap(), &Device::Cpu).unwrap();
            assert_eq!(back.dtype(), t.dtype());
            let values = |t: &Tensor| {
                t.to_dtype(candle_core::DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>()
            };
            assert_eq!(values(&back).unwrap(), values(&t).unwrap());
        }
    }

    #[test]
    fn views_keep_strides_and_offset() {
        let view = counting(candle_core::DType::BF16).narrow(1, 1, 2).unwrap().t().unwrap();
        let handle = export(&view).unwrap();
        assert!(!handle.is_contiguous());
        let back = import(&handle, &Device::Cpu).unwrap();
        let values = |t: &Tensor| {
            t.to_dtype(candle_core::DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>()
        };
        assert_eq!(values(&back).unwrap(), values(&view).unwrap());
    }

    #[test]
    fn handles_outlive_tensors_and_copies_detach() {
        let var = Var::from_tensor(&counting(candle_core::DType::F32)).unwrap();
        let live = export(&var).unwrap();
        let copy = export_copy(&var).unwrap();
        var.set(&var.ones_like().unwrap()).unwrap();
        drop(var);
        assert_eq!(live.as_slice::<f32>().unwrap()[5], 1.0);
        assert_eq!(copy.as_slice::<f32>().unwrap()[5], 5.0);
    }
}
