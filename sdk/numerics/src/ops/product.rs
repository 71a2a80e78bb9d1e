//! Matrix products on the calling thread, by the gemm crate (AVX-512 where the machine has it).

use std::mem::MaybeUninit;

use super::kernels::Out;

/// A matrix inside of a slice: element (i, j) lies at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    values: &'a [f32],
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// Row-major, rows `row_stride` apart.
    pub(crate) fn rows(values: &'a [f32], row_stride: usize) -> Self {
        Self { values, row_stride, col_stride: 1 }
    }

    /// The transposed matrix.
    pub(crate) fn t(self) -> Self {
        Self { row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// Whether rows and columns `0..m`, `0..n` lie inside of the slice.
    fn holds(&self, m: usize, n: usize) -> bool {
        m == 0
            || n == 0
            || (m - 1) * self.row_stride + (n - 1) * self.col_stride < self.values.len()
    }
}

/// `to` = `a` · `b`, with `to` m × n in rows `stride` apart and `k` the inner extent.
///
/// # Panics
/// When a matrix does not lie inside of its slice.
pub(crate) fn product(
    (m, n, k): (usize, usize, usize),
    a: Mat<'_>,
    b: Mat<'_>,
    to: &mut Out,
    stride: usize,
) {
    run((m, n, k), a, b, to, stride, false);
}

/// `to` += `a` · `b`, as [`product`].
pub(crate) fn add_product(
    (m, n, k): (usize, usize, usize),
    a: Mat<'_>,
    b: Mat<'_>,
    to: &mut [f32],
    stride: usize,
) {
    // SAFETY: `MaybeUninit<f32>` has the layout of `f32`, and only initialised values are written.
    let to = unsafe { &mut *(std::ptr::from_mut(to) as *mut Out) };
    run((m, n, k), a, b, to, stride, true);
}

fn run(
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
    if k == 0 {
        if !add {
            for row in to.chunks_mut(stride).take(m) {
                row[..n].fill(MaybeUninit::new(0.0));
            }
        }
        return;
    }
    assert!(a.holds(m, k) && b.holds(k, n), "a product reads outside of its factors");
    assert!(n <= stride && (m - 1) * stride + n <= to.len(), "a product writes outside");
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
            a.col_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.col_stride as isize,
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
