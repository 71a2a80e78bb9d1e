//! The device of a phase as a candle device.
//!
//! The host passes plain data ([`sdk::DeviceContext`]); each plugin library makes one candle device
//! per ordinal from it and keeps it, because tensors of two CUDA device objects do not mix.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use candle_core::{Device, Tensor};
use sdk::{DType, DeviceContext, DeviceKind, Error, Result};

/// Kinds of device that this build computes on: a trainer's [`sdk::Trainer::DEVICES`].
///
/// ```
/// assert!(sdk_numerics::DEVICES.contains(&sdk::DeviceKind::Cpu));
/// ```
pub const DEVICES: &[DeviceKind] =
    if cfg!(feature = "cuda") { &[DeviceKind::Cpu, DeviceKind::Cuda] } else { &[DeviceKind::Cpu] };

/// Rows and columns of the products that measure a device: on an H100 each takes some 3 ms.
const PEAK_SIZE: usize = 4096;
/// How often; the first ones wake the device up.
const PEAK_ROUNDS: usize = 8;

static CUDA_DEVICES: Mutex<BTreeMap<u32, Device>> = Mutex::new(BTreeMap::new());

/// The candle device of `context`; the same one for every call with the same ordinal.
///
/// ```
/// let cpu = sdk_numerics::device(&sdk::DeviceContext::default())?;
/// assert!(cpu.is_cpu());
/// # Ok::<(), sdk::Error>(())
/// ```
///
/// # Errors
/// When CUDA is asked for and this library was built without the `cuda` feature, or the driver
/// refuses the ordinal.
pub fn device(context: &DeviceContext) -> Result<Device> {
    if context.kind == DeviceKind::Cpu {
        return Ok(Device::Cpu);
    }
    let ordinal = context.ordinal;
    if !cfg!(feature = "cuda") {
        let message =
            format!("device `cuda:{ordinal}` asked for, but this plugin was built without CUDA");
        return Err(Error::new("device::unsupported", message)
            .help("rebuild the plugin with `--features cuda`, or run with `--device cpu`"));
    }
    let mut devices = CUDA_DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = devices.get(&ordinal) {
        return Ok(device.clone());
    }
    let device = Device::new_cuda(ordinal as usize).map_err(|e| {
        let said = crate::error(e);
        let message = format!("device `cuda:{ordinal}` can't be opened: {}", plain(&said.message));
        Error::new("device::open", message)
            .help("`nvidia-smi` shows the GPUs and their driver; `--device cpu` does without")
    })?;
    devices.insert(ordinal, device.clone());
    Ok(device)
}

/// What CUDA's driver said, `DriverError(CODE, "words")` where it comes from: its words and its code.
fn plain(said: &str) -> String {
    let inside = said.strip_prefix("DriverError(").and_then(|rest| rest.strip_suffix(')'));
    match inside.and_then(|inside| inside.split_once(", ")) {
        Some((code, words)) => format!("{} ({code})", words.trim_matches('"')),
        None => said.to_owned(),
    }
}

/// Floating-point operations per second of f32 matrix products on `device`, a multiplication and an
/// addition being two: what [`crate::Workers::peak_flops`] is for the CPU.
///
/// The best of some products of candle's own, which take 200 MB of the device meanwhile.
///
/// # Errors
/// When the device can't multiply, or has not the memory.
pub fn device_peak_flops(device: &Device) -> Result<f64> {
    product_rate(device, PEAK_SIZE).map_err(crate::error)
}

/// Operations per second of the best of some products of `n` rows and columns.
fn product_rate(device: &Device, n: usize) -> candle_core::Result<f64> {
    let a = Tensor::ones((n, n), candle_core::DType::F32, device)?;
    let mut best = f64::INFINITY;
    for _ in 0..PEAK_ROUNDS {
        device.synchronize()?;
        let begin = Instant::now();
        a.matmul(&a)?;
        // What was asked of a GPU has only been queued.
        device.synchronize()?;
        best = best.min(begin.elapsed().as_secs_f64());
    }
    Ok(2.0 * (n as f64).powi(3) / best)
}

/// candle's name for an element type.
pub fn to_candle_dtype(dtype: DType) -> candle_core::DType {
    match dtype {
        DType::F32 => candle_core::DType::F32,
        DType::F64 => candle_core::DType::F64,
        DType::Bf16 => candle_core::DType::BF16,
        DType::F16 => candle_core::DType::F16,
        DType::U32 => candle_core::DType::U32,
        DType::I64 => candle_core::DType::I64,
        DType::U8 => candle_core::DType::U8,
    }
}

/// The SDK's name for an element type of candle.
///
/// # Errors
/// When the type has no place at the boundary (the 8-, 6- and 4-bit floats, i16, i32).
pub fn from_candle_dtype(dtype: candle_core::DType) -> Result<DType> {
    DType::ALL.into_iter().find(|d| to_candle_dtype(*d) == dtype).ok_or_else(|| {
        let message = format!("tensors of type {} can't leave a plugin", dtype.as_str());
        Error::new("tensor::dtype", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_map_both_ways() {
        for dtype in DType::ALL {
            assert_eq!(from_candle_dtype(to_candle_dtype(dtype)).unwrap(), dtype);
            assert_eq!(to_candle_dtype(dtype).size_in_bytes(), dtype.size_bytes());
        }
        assert!(from_candle_dtype(candle_core::DType::F8E4M3).is_err());
    }

    #[test]
    fn the_drivers_words_come_without_those_of_the_code() {
        let said = r#"DriverError(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal")"#;
        assert_eq!(plain(said), "invalid device ordinal (CUDA_ERROR_INVALID_DEVICE)");
        assert_eq!(plain("something else"), "something else");
    }

    #[test]
    fn products_of_a_device_are_measured() {
        let rate = product_rate(&Device::Cpu, 64).unwrap();
        assert!((1e7..1e14).contains(&rate), "{rate}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_is_refused() {
        let context =
            DeviceContext { kind: DeviceKind::Cuda, ordinal: 1, ..DeviceContext::default() };
        let error = device(&context).unwrap_err();
        assert_eq!(
            error.message,
            "device `cuda:1` asked for, but this plugin was built without CUDA"
        );
        assert!(error.help.is_some());
    }
}
