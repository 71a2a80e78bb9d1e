//! Matrix products on the calling thread.
//!
//! In AVX-512 they are our own: weights are packed once per optimizer step and activations are read
//! where they lie, which beats packing both for each product; bfloat16 has no other product to fall
//! back on. Elsewhere the gemm crate computes them (AVX2, NEON and plain code, chosen at run time).
//!
//! Legend: y (M, N) = x (M, K) · Wᵀ for a weight W stored (N, K), as linear layers have it.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod pack;
mod portable;

use crate::buffer::Buffer;
use crate::kernels::out;
use crate::simd::{Level, level};

pub use portable::add_product;

/// In which precision factors are multiplied; sums are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// Factors rounded to bfloat16.
    Bf16,
}

impl Precision {
    /// Whether this machine multiplies in this precision, and does not only emulate it.
    pub fn is_native(self) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => level() >= Level::Avx512Bf16,
        }
    }
}

/// A matrix inside of a slice: element (i, j) lies at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    values: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Mat<'a> {
    /// Row-major, rows `row_stride` apart.
    pub fn rows(values: &'a [f32], row_stride: usize) -> Self {
        Self { values, row_stride, column_stride: 1 }
    }

    /// The transposed matrix.
    #[must_use]
    pub fn t(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// Whether rows and columns `0..m`, `0..n` lie inside of the slice.
    fn holds(&self, m: usize, n: usize) -> bool {
        m == 0
            || n == 0
            || (m - 1) * self.row_stride + (n - 1) * self.column_stride < self.values.len()
    }
}

/// A right factor of `k` rows and `n` columns, packed for this machine.
#[derive(Clone, Debug, Default)]
pub struct Panels {
    values: Buffer,
    n: usize,
    k: usize,
}

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Onto<'a> {
    /// Nothing.
    Zero,
    /// What stands where the result goes.
    Itself,
    /// These rows, so far apart; 0 repeats one row, such as a bias.
    Rows(&'a [f32], usize),
}

/// Where a product goes.
#[derive(Debug)]
pub struct To<'a> {
    /// From its first element on.
    pub values: &'a mut [f32],
    /// From one row to the next.
    pub stride: usize,
    /// What it is added to.
    pub onto: Onto<'a>,
}

impl<'a> To<'a> {
    /// Rows `stride` apart that are overwritten.
    pub fn rows(values: &'a mut [f32], stride: usize) -> Self {
        Self { values, stride, onto: Onto::Zero }
    }

    /// Rows `stride` apart that are added to.
    pub fn sum(values: &'a mut [f32], stride: usize) -> Self {
        Self { values, stride, onto: Onto::Itself }
    }

    /// The same place, for `onto` and the product.
    #[must_use]
    pub fn onto(self, onto: Onto<'a>) -> Self {
        Self { onto, ..self }
    }

    /// # Panics
    /// When m × n do not lie inside of the slices.
    fn check(&self, (m, n): (usize, usize)) {
        if m == 0 || n == 0 {
            return;
        }
        let last = (m - 1) * self.stride + n;
        assert!(n <= self.stride && last <= self.values.len(), "a product writes outside");
        if let Onto::Rows(rows, stride) = self.onto {
            assert!((m - 1) * stride + n <= rows.len(), "a product is added to what is outside");
        }
    }

    /// Where what element (i, j) is added to lies, and the next row; null for nothing.
    #[cfg(target_arch = "x86_64")]
    fn start_of(&self, onto: Onto<'_>, i: usize, j: usize) -> (*const f32, usize) {
        match onto {
            Onto::Zero => (std::ptr::null(), 0),
            Onto::Itself => (self.values[i * self.stride + j..].as_ptr(), self.stride),
            Onto::Rows(rows, stride) => (rows[i * stride + j..].as_ptr(), stride),
        }
    }

    /// The product by the gemm crate.
    fn portable(&mut self, (m, n, k): (usize, usize, usize), left: Mat<'_>, right: Mat<'_>) {
        if let Onto::Rows(rows, stride) = self.onto {
            for (i, row) in self.values.chunks_mut(self.stride).take(m).enumerate() {
                row[..n].copy_from_slice(&rows[i * stride..][..n]);
            }
        }
        let adds = !matches!(self.onto, Onto::Zero);
        portable::run((m, n, k), left, right, out(self.values), self.stride, adds);
    }
}

/// Products in one precision, with the memory that they need from call to call.
#[derive(Debug)]
pub struct Products {
    precision: Precision,
    is_own: bool,
    left: Buffer,
    right: Panels,
}

/// Inner elements that are walked before the tiles of a block are written.
const INNER: usize = 384;
/// Rows of a block: their left factor stays in the second-level cache.
const BLOCK: usize = 240;

impl Products {
    /// Products in `precision` by the best means of this machine.
    pub fn new(precision: Precision) -> Self {
        let is_own = match precision {
            Precision::F32 => level() >= Level::Avx512,
            Precision::Bf16 => level() >= Level::Avx512Bf16,
        };
        Self { precision, is_own, left: Buffer::default(), right: Panels::default() }
    }

    /// Whether factors are packed; without it, [`Panels`] stay empty and cost nothing.
    pub fn packs(&self) -> bool {
        self.is_own
    }

    fn is_bf16(&self) -> bool {
        self.precision == Precision::Bf16
    }

    /// Packs a right factor, of `k` rows and `n` columns; nothing where products don't pack.
    ///
    /// # Panics
    /// When the matrix does not lie inside of its slice, or neither rows nor columns are contiguous.
    pub fn pack(&self, (k, n): (usize, usize), from: Mat<'_>, to: &mut Panels) {
        (to.n, to.k) = (n, k);
        if !self.is_own {
            return;
        }
        assert!(from.holds(k, n), "packing reads outside of its matrix");
        #[cfg(target_arch = "x86_64")]
        {
            use avx512::COLUMNS;
            let is_bf16 = self.is_bf16();
            to.values.at_least(pack::right_room(n, k, is_bf16));
            let (start, panels) = (from.values.as_ptr(), to.values.as_mut_ptr());
            // SAFETY: `from` holds the factor, `to` has the room, and `is_own` found the features.
            unsafe {
                match (from.column_stride, from.row_stride, is_bf16) {
                    (1, ld, true) => pack::columns_bf16::<COLUMNS>(start, ld, k, n, panels),
                    (1, ld, false) => pack::columns_f32::<COLUMNS>(start, ld, k, n, panels),
                    (ld, 1, true) => pack::rows_bf16(start, ld, k, n, panels),
                    (ld, 1, false) => pack::rows_f32(start, ld, k, n, panels),
                    _ => panic!("a factor needs contiguous rows or columns"),
                }
            }
        }
    }

    /// `to` = `left` · `right` for a factor that was packed; `source` is what it was packed from.
    ///
    /// Only the first `n` columns and `k` rows of `right` take part.
    ///
    /// # Panics
    /// When a matrix does not lie inside of its slice.
    pub fn by_panels(
        &mut self,
        (m, n, k): (usize, usize, usize),
        left: Mat<'_>,
        (right, source): (&Panels, Mat<'_>),
        to: &mut To<'_>,
    ) {
        to.check((m, n));
        if m == 0 || n == 0 {
            return;
        }
        if !self.is_own || k == 0 {
            return to.portable((m, n, k), left, source);
        }
        assert!(left.holds(m, k), "a product reads outside of its left factor");
        assert!(n <= right.n && k <= right.k, "a product reads outside of its panels");
        #[cfg(target_arch = "x86_64")]
        self.own((m, n, k), left, right, to);
    }

    /// `to` = `left` · `right`.
    ///
    /// # Panics
    /// As [`Products::by_panels`].
    pub fn product(
        &mut self,
        size: (usize, usize, usize),
        left: Mat<'_>,
        right: Mat<'_>,
        to: &mut To<'_>,
    ) {
        self.products(size, [(left, to)], right);
    }

    /// As [`Products::product`] for some left factors of one size, for which the right one is packed
    /// once.
    ///
    /// # Panics
    /// As [`Products::by_panels`].
    pub fn products<const N: usize>(
        &mut self,
        (m, n, k): (usize, usize, usize),
        mut lefts: [(Mat<'_>, &mut To<'_>); N],
        right: Mat<'_>,
    ) {
        // A long inner extent is packed in parts, so that a part stays in the cache.
        let step = if self.is_own { part(k, 2 * INNER) } else { k.max(1) };
        let mut panels = std::mem::take(&mut self.right);
        for start in (0..k.max(1)).step_by(step) {
            let k = step.min(k - start);
            let right = right.from(start, 0);
            self.pack((k, n), right, &mut panels);
            for (left, to) in &mut lefts {
                let onto = if start > 0 { Onto::Itself } else { to.onto };
                let to = &mut To { values: to.values, stride: to.stride, onto };
                self.by_panels((m, n, k), left.from(0, start), (&panels, right), to);
            }
        }
        self.right = panels;
    }

    #[cfg(target_arch = "x86_64")]
    fn own(
        &mut self,
        (m, n, k): (usize, usize, usize),
        left: Mat<'_>,
        right: &Panels,
        to: &mut To<'_>,
    ) {
        use avx512::{COLUMNS, Left, ROWS, Tile, tile_bf16, tile_f32};
        let is_bf16 = self.is_bf16();
        let (inner, per_element) = (pack::elements(k, is_bf16), if is_bf16 { 2 } else { 1 });
        let panel = pack::elements(right.k, is_bf16) * COLUMNS;
        let step = part(inner, INNER);
        for q in (0..inner).step_by(step) {
            let inner = step.min(inner - q);
            let k = (inner * per_element).min(k - q * per_element);
            for i in (0..m).step_by(BLOCK) {
                let m = BLOCK.min(m - i);
                let block = self.left_block(left.from(i, q * per_element), m, k);
                for j in (0..n).step_by(COLUMNS) {
                    let right = right.values[j / COLUMNS * panel + q * COLUMNS..].as_ptr();
                    for tile in (0..m).step_by(ROWS) {
                        let onto = if q > 0 { Onto::Itself } else { to.onto };
                        let (onto, onto_stride) = to.start_of(onto, i + tile, j);
                        let out = Tile {
                            start: to.values[(i + tile) * to.stride + j..].as_mut_ptr(),
                            stride: to.stride,
                            rows: ROWS.min(m - tile),
                            columns: COLUMNS.min(n - j),
                            onto,
                            onto_stride,
                        };
                        let at = if block.is_packed { tile * inner } else { tile * block.row };
                        let left = Left { start: block.start.wrapping_add(at), ..block };
                        // SAFETY: `by_panels` and `pack` saw that all of them lie inside of their
                        // slices, and `is_own` found the features.
                        unsafe {
                            if is_bf16 {
                                tile_bf16(inner, left, right, out);
                            } else {
                                tile_f32(inner, left, right, out);
                            }
                        }
                    }
                }
            }
        }
    }

    /// A block of the left factor as tiles read it: where it lies, or packed into `self.left`.
    #[cfg(target_arch = "x86_64")]
    fn left_block(&mut self, left: Mat<'_>, m: usize, k: usize) -> avx512::Left {
        use avx512::{Left, ROWS};
        let is_bf16 = self.is_bf16();
        if left.column_stride == 1 && !is_bf16 {
            return Left { start: left.values.as_ptr(), row: left.row_stride, is_packed: false };
        }
        let room = pack::left_room(m, k, is_bf16);
        self.left.at_least(room);
        let (inner, start) = (pack::elements(k, is_bf16), self.left.as_mut_ptr());
        if left.column_stride == 1 {
            // SAFETY: `left` holds the block, `self.left` has room, and `is_own` found BF16.
            unsafe { pack::round_rows(left.values.as_ptr(), left.row_stride, m, k, start) };
            return Left { start, row: inner, is_packed: false };
        }
        assert!(left.row_stride == 1 || m == 1, "a factor needs contiguous rows or columns");
        let (from, ld) = (left.values.as_ptr(), left.column_stride);
        // SAFETY: as above.
        unsafe {
            if is_bf16 {
                pack::columns_bf16::<ROWS>(from, ld, k, m, start);
            } else {
                pack::columns_f32::<ROWS>(from, ld, k, m, start);
            }
        }
        Left { start, row: 0, is_packed: true }
    }
}

impl<'a> Mat<'a> {
    /// The matrix that begins at row `i` and column `j`.
    pub(crate) fn from(self, i: usize, j: usize) -> Self {
        let start = (i * self.row_stride + j * self.column_stride).min(self.values.len());
        Self { values: &self.values[start..], ..self }
    }
}

/// The length of parts of about equal length, at most `most`, that make up `n`.
fn part(n: usize, most: usize) -> usize {
    n.div_ceil(n.div_ceil(most).max(1)).next_multiple_of(2).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::limited;

    fn wave(n: usize, k: f64) -> Vec<f32> {
        (0..n).map(|i| ((i as f64 * k).sin()) as f32).collect()
    }

    fn rounded(x: f32) -> f64 {
        let bits = x.to_bits();
        f64::from(f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000))
    }

    /// Compares with f64 for all four ways in which the factors may lie.
    fn agrees(precision: Precision, (m, n, k): (usize, usize, usize)) {
        let (a, b) = (wave(m * k, 0.7), wave(k * n, 1.3));
        let exact = |x: f32| if precision == Precision::Bf16 { rounded(x) } else { f64::from(x) };
        let turned = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
        };
        let (at, bt) = (turned(&a, m, k), turned(&b, k, n));
        let mut products = Products::new(precision);
        let stride = n + 3;
        for (left, right) in [
            (Mat::rows(&a, k), Mat::rows(&b, n)),
            (Mat::rows(&a, k), Mat::rows(&bt, k).t()),
            (Mat::rows(&at, m).t(), Mat::rows(&b, n)),
            (Mat::rows(&at, m).t(), Mat::rows(&bt, k).t()),
        ] {
            for add in [false, true] {
                let mut to = vec![1.0f32; m * stride];
                let onto = if add { Onto::Itself } else { Onto::Zero };
                let mut place = To { values: &mut to, stride, onto };
                products.product((m, n, k), left, right, &mut place);
                for i in 0..m {
                    for j in 0..n {
                        let sum: f64 =
                            (0..k).map(|q| exact(a[i * k + q]) * exact(b[q * n + j])).sum();
                        let want = sum + if add { 1.0 } else { 0.0 };
                        let got = f64::from(to[i * stride + j]);
                        assert!((got - want).abs() < 2e-6 * k as f64, "{m} {n} {k}: {got} {want}");
                    }
                    assert_eq!(to[i * stride + n..(i + 1) * stride], [1.0; 3]);
                }
            }
        }
    }

    const SIZES: [(usize, usize, usize); 9] = [
        (1, 1, 1),
        (3, 5, 7),
        (12, 32, 16),
        (13, 33, 17),
        (25, 31, 64),
        (40, 97, 129),
        (250, 70, 33),
        (5, 40, 801),
        (30, 100, 1600),
    ];

    #[test]
    fn products_in_f32_agree_on_every_path() {
        for bound in [Level::Baseline, Level::Avx2, Level::Avx512] {
            limited(bound, || SIZES.into_iter().for_each(|size| agrees(Precision::F32, size)));
        }
    }

    #[test]
    fn products_in_bf16_are_exact_sums_of_rounded_factors() {
        if Precision::Bf16.is_native() {
            SIZES.into_iter().for_each(|size| agrees(Precision::Bf16, size));
        }
    }
}
