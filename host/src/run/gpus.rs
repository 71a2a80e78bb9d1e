//! How many NVIDIA GPUs this process may use.
//!
//! Their driver is asked, through its own library and by two functions that it has had since its
//! first version. So the host is built without CUDA, and what `CUDA_VISIBLE_DEVICES` hides isn't
//! counted. The ordinals are those of the plugins, which ask the same library.

use std::ffi::c_int;

/// The driver's library.
const DRIVER: &str = "libcuda.so.1";
/// What the driver answers where it sees no GPU.
const NO_DEVICE: c_int = 100;

/// GPUs that the driver sees; none is no error.
///
/// # Errors
/// A clause that says why there is no telling: no driver, or one that doesn't start.
pub(super) fn count() -> Result<u32, String> {
    // SAFETY: the constructors of the driver's library run here, as in every program of CUDA.
    let driver = unsafe { libloading::Library::new(DRIVER) }
        .map_err(|_| format!("NVIDIA's driver isn't there, no `{DRIVER}` was found"))?;
    let answer = ask(&driver).map_err(|_| format!("`{DRIVER}` is no driver of NVIDIA's"))?;
    // Plugins go on using it.
    std::mem::forget(driver);
    match answer {
        Ok(count) => Ok(count),
        Err(NO_DEVICE) => Ok(0),
        Err(code) => Err(format!("NVIDIA's driver doesn't start, its error is {code}")),
    }
}

/// The count, or the driver's error.
fn ask(driver: &libloading::Library) -> Result<Result<u32, c_int>, libloading::Error> {
    // SAFETY: these are the types that `cuda.h` declares the two functions with.
    let (init, count) = unsafe {
        (
            driver.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit\0")?,
            driver.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDeviceGetCount\0")?,
        )
    };
    // SAFETY: `cuInit` may be called any number of times; its argument must be 0.
    let mut code = unsafe { init(0) };
    let mut n: c_int = 0;
    if code == 0 {
        // SAFETY: the driver is initialised, and writes one int to where it is told.
        code = unsafe { count(&raw mut n) };
    }
    Ok(if code == 0 { Ok(n.try_into().unwrap_or(0)) } else { Err(code) })
}
