//! Products by the gemm crate: any machine, any strides, nothing packed beforehand.

use std::mem::MaybeUninit;

use super::Mat;
use crate::kernels::{Out, out};

/// `to` += `a` · `b`, with `to` m × n in rows `stride` apart and `k` the inner extent.
///
/// # Panics
/// When a matrix does not lie inside of its slice.
pub fn add_product(
    size: (usize, usize, usize),
    a: Mat<'_>,
    b: Mat<'_>,
    to: &mut [f32],
    stride: usize,
) {
    run(size, a, b, out(to), stride, true);
}

pub(super) fn run(
    (m, n, k): (usize, usize, usize),
    a: Mat<'_>,
    b: Mat<'_>,
    to: &mut Out,
    stride: usize,
    add: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= stride && (m - 1) * stride + n <= to.len(), "a product writes outside");
    if k == 0 {
        if !add {
            for row in to.chunks_mut(stride).take(m) {
                row[..n].fill(MaybeUninit::new(0.0));
            }
        }
        return;
    }
    assert!(a.holds(m, k) && b.holds(k, n), "a product reads outside of its factors");
    // SAFETY: the bounds of all three were just checked; strides of slices fit `isize`; without
    // `add` gemm only writes to `to`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            to.as_mut_ptr().cast::<f32>(),
            1,
            stride as isize,
            add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
