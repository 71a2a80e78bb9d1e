//! Tensors as handles, in the manner of DLPack.
//!
//! A [`TensorHandle`] is a name-less view of memory that some library owns: element type, shape,
//! strides, a pointer, and what keeps the memory alive. Exporting is free; importing is one copy.
//! Dropping the handle lets the owner go, inside the library that allocated it.

use std::any::Any;
use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use crate::device::DType;
use crate::error::{Error, Result};

/// Rust types that are elements of tensors.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// The element type this stands for.
    const DTYPE: DType;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($ty:ty => $dtype:ident),*) => {
        $(
            impl sealed::Sealed for $ty {}
            impl Element for $ty {
                const DTYPE: DType = DType::$dtype;
            }
        )*
    };
}
elements!(f32 => F32, f64 => F64, u32 => U32, i64 => I64, u8 => U8);

/// What frees the memory behind a handle: a pointer and the function of the owning library.
pub(crate) type Deleter = unsafe extern "C" fn(*mut c_void);

/// A tensor in host memory that is passed without being copied.
///
/// # Shapes
/// `shape` and `strides` have one entry per axis; strides are in elements and not negative.
///
/// ```
/// use sdk::TensorHandle;
///
/// let weights = TensorHandle::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])?;
/// assert_eq!(weights.shape(), [2, 3]);
/// assert_eq!(weights.to_vec::<f32>()?[5], 6.0);
/// assert!(weights.to_vec::<u32>().is_err());
/// # Ok::<(), sdk::Error>(())
/// ```
pub struct TensorHandle {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) data: *const c_void,
    pub(crate) owner: *mut c_void,
    pub(crate) deleter: Option<Deleter>,
}

// SAFETY: a handle only reads its memory, and the owner behind it is `Send + Sync` by the bounds
// of the constructors; an owner from another library promises the same by the boundary's contract.
unsafe impl Send for TensorHandle {}
// SAFETY: as above; nothing is written through a handle.
unsafe impl Sync for TensorHandle {}

impl TensorHandle {
    /// A handle that owns `values`, contiguous in row-major order.
    ///
    /// # Errors
    /// When the number of values is not the product of `shape`.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: &[usize]) -> Result<Self> {
        let n = shape.iter().product::<usize>();
        if n != values.len() {
            let message =
                format!("{} values do not fill a tensor of shape {shape:?}", values.len());
            return Err(Error::new("tensor::shape", message));
        }
        let data = values.as_ptr().cast();
        // SAFETY: `data` points at `values`, whose buffer does not move when the vector does.
        Ok(unsafe {
            Self::from_owner(values, T::DTYPE, shape.to_vec(), contiguous_strides(shape), data)
        })
    }

    /// A handle to memory that `owner` keeps alive.
    ///
    /// # Safety
    /// `data` must stay valid and unwritten for every element that `shape` and `strides` reach,
    /// for as long as `owner` lives, and must be aligned for `dtype`.
    pub unsafe fn from_owner<O: Any + Send + Sync>(
        owner: O,
        dtype: DType,
        shape: Vec<usize>,
        strides: Vec<usize>,
        data: *const c_void,
    ) -> Self {
        let owner = Box::into_raw(Box::new(owner)).cast();
        Self { dtype, shape, strides, data, owner, deleter: Some(delete::<O>) }
    }

    /// Another handle to the same memory, which keeps the first one alive.
    pub fn share(this: &Arc<Self>) -> Self {
        let (dtype, shape, strides, data) =
            (this.dtype, this.shape.clone(), this.strides.clone(), this.data);
        // SAFETY: the view is that of `this`, which the new handle owns a share of.
        unsafe { Self::from_owner(Arc::clone(this), dtype, shape, strides, data) }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Extent of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        let expected = contiguous_strides(&self.shape);
        self.shape.iter().zip(&self.strides).zip(&expected).all(|((n, s), e)| *n <= 1 || s == e)
    }

    /// The elements without a copy, when they are of type `T` and contiguous.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        if self.dtype != T::DTYPE || !self.is_contiguous() {
            return None;
        }
        if self.is_empty() {
            return Some(&[]);
        }
        // SAFETY: type and layout were just checked; the owner keeps the memory while `self` lives.
        Some(unsafe { std::slice::from_raw_parts(self.data.cast::<T>(), self.len()) })
    }

    /// The elements in row-major order; one copy.
    ///
    /// # Errors
    /// When the elements are not of type `T`.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if self.dtype != T::DTYPE {
            let message = format!("tensor is {}, wanted {}", self.dtype, T::DTYPE);
            return Err(Error::new("tensor::dtype", message));
        }
        if let Some(slice) = self.as_slice::<T>() {
            return Ok(slice.to_vec());
        }
        let mut values = Vec::with_capacity(self.len());
        self.for_each_offset(|offset| {
            // SAFETY: the offset lies within shape and strides, which the owner vouches for.
            values.push(unsafe { *self.data.cast::<T>().add(offset) });
        });
        Ok(values)
    }

    /// The elements' bytes without a copy, when they are contiguous; native byte order.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if !self.is_contiguous() {
            return None;
        }
        if self.is_empty() {
            return Some(&[]);
        }
        let n = self.len() * self.dtype.size_bytes();
        // SAFETY: contiguous, so the elements span exactly these bytes; the owner keeps them.
        Some(unsafe { std::slice::from_raw_parts(self.data.cast::<u8>(), n) })
    }

    /// The elements' bytes in row-major order, native byte order; one copy.
    pub fn to_bytes(&self) -> Vec<u8> {
        let size = self.dtype.size_bytes();
        let mut bytes = Vec::with_capacity(self.len() * size);
        self.for_each_offset_run(|offset, n| {
            // SAFETY: as in `to_vec`; every element has `size` readable bytes.
            let run = unsafe {
                std::slice::from_raw_parts(self.data.cast::<u8>().add(offset * size), n * size)
            };
            bytes.extend_from_slice(run);
        });
        bytes
    }

    /// A handle that owns `bytes`, row-major, native byte order.
    ///
    /// # Errors
    /// When the number of bytes does not fit shape and type.
    pub fn from_bytes(bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Self> {
        let n = shape.iter().product::<usize>();
        if bytes.len() != n * dtype.size_bytes() {
            let message =
                format!("{} bytes do not fill a {dtype} tensor of shape {shape:?}", bytes.len());
            return Err(Error::new("tensor::shape", message));
        }
        // u64 words align for every element type.
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        // SAFETY: `words` has at least `bytes.len()` bytes, and the two do not overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), words.as_mut_ptr().cast(), bytes.len());
        };
        let data = words.as_ptr().cast();
        // SAFETY: `data` points at `words`, which the handle keeps.
        Ok(unsafe {
            Self::from_owner(words, dtype, shape.to_vec(), contiguous_strides(shape), data)
        })
    }

    fn for_each_offset_run(&self, mut visit: impl FnMut(usize, usize)) {
        if self.is_contiguous() {
            if !self.is_empty() {
                visit(0, self.len());
            }
            return;
        }
        self.for_each_offset(|offset| visit(offset, 1));
    }

    fn for_each_offset(&self, mut visit: impl FnMut(usize)) {
        let mut index = vec![0usize; self.shape.len()];
        for _ in 0..self.len() {
            visit(index.iter().zip(&self.strides).map(|(i, s)| i * s).sum());
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }
}

impl Drop for TensorHandle {
    fn drop(&mut self) {
        if let Some(deleter) = self.deleter.take() {
            // SAFETY: owner and deleter belong together, and the deleter is called once.
            unsafe { deleter(self.owner) };
        }
    }
}

impl fmt::Debug for TensorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TensorHandle({} {:?})", self.dtype, self.shape)
    }
}

/// Row-major strides, in elements.
pub fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

unsafe extern "C" fn delete<O>(owner: *mut c_void) {
    // SAFETY: `owner` was made by `Box::into_raw` of a `Box<O>` in this library.
    let owner = unsafe { Box::from_raw(owner.cast::<O>()) };
    // A panic in the owner's Drop must not cross the extern function.
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(owner)));
    if let Err(payload) = dropped {
        std::mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_handles_read_in_row_major_order() {
        let values: Vec<f32> = (0u8..6).map(f32::from).collect();
        let data = values.as_ptr().cast();
        // SAFETY: a transposed view of the six values.
        let t =
            unsafe { TensorHandle::from_owner(values, DType::F32, vec![3, 2], vec![1, 3], data) };
        assert!(!t.is_contiguous());
        assert!(t.as_slice::<f32>().is_none());
        assert_eq!(t.to_vec::<f32>().unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(t.to_bytes().len(), 24);
    }

    #[test]
    fn bytes_round_trip_for_every_type() {
        for dtype in DType::ALL {
            let bytes: Vec<u8> = (0..6 * dtype.size_bytes()).map(|b| b as u8).collect();
            let t = TensorHandle::from_bytes(&bytes, dtype, &[2, 3]).unwrap();
            assert_eq!(t.to_bytes(), bytes);
            assert!(TensorHandle::from_bytes(&bytes, dtype, &[2, 4]).is_err());
            assert_eq!(DType::from_code(dtype as u32), Some(dtype));
            assert_eq!(DType::from_name(dtype.name()), Some(dtype));
        }
    }

    #[test]
    fn a_panicking_owner_does_not_escape() {
        struct Bomb(#[expect(dead_code, reason = "keeps the memory")] Vec<f32>);
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("owner panics");
            }
        }
        let values = vec![1.0f32];
        let data = values.as_ptr().cast();
        // SAFETY: the bomb keeps the one value.
        drop(unsafe { TensorHandle::from_owner(Bomb(values), DType::F32, vec![1], vec![1], data) });
    }
}
