//! Tiles of a matrix product in AVX-512: f32, and bfloat16 pairs that are added up in f32.
//!
//! A tile is [`ROWS`] × [`COLUMNS`] of the result, held in registers while the inner extent is
//! walked. The left factor is read where it lies (its rows are contiguous along the inner extent),
//! or packed `[inner][ROWS]`; the right one is always packed `[inner][COLUMNS]`. In bfloat16 one
//! element of either is a pair of neighbours along the inner extent, in 32 bits: `vdpbf16ps`
//! multiplies both and adds them.

use std::arch::x86_64::*;

/// Rows of a tile.
pub(super) const ROWS: usize = 12;
/// Columns of a tile.
pub(super) const COLUMNS: usize = 32;
/// Lanes of a vector.
pub(super) const LANES: usize = 16;

/// Where a tile's left factor lies, in elements of 32 bits.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub(super) start: *const f32,
    /// From one row to the next.
    pub(super) row: usize,
    /// Whether it is packed: then an element of the inner extent is `ROWS` behind the one before.
    pub(super) is_packed: bool,
}

/// A tile of the result: its place, the elements between rows, and how much of it there is.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) start: *mut f32,
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// What the sums are added to, likewise; null for nothing.
    pub(super) onto: *const f32,
    pub(super) onto_stride: usize,
}

/// The lanes below `n`.
#[inline(always)]
pub(super) fn lanes(n: usize) -> __mmask16 {
    if n >= LANES { 0xffff } else { (1u16 << n) - 1 }
}

/// Walks the inner extent: at each element the right factor's vectors, of which there are one or
/// two, and each row's element.
///
/// A macro, so that the sums stay in registers up to the end: a function can be inlined into one
/// with other features only at the compiler's discretion.
macro_rules! walk {
    ([$($v:literal),+], $inner:expr, $left:expr, $right:expr, $tile:expr, $vector:expr, $one:expr, $sum:expr) => {{
        const VECTORS: usize = [$($v),+].len();
        // What the sums go to has often left the cache; while it comes, the inner extent is walked.
        for i in 0..$tile.rows {
            let to = $tile.start.wrapping_add(i * $tile.stride);
            $(_mm_prefetch::<_MM_HINT_ET0>(to.wrapping_add(LANES * $v).cast());)+
        }
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        let mut b = $right;
        if $left.is_packed {
            let mut a = $left.start;
            for _ in 0..$inner {
                let y = [$($vector(b.add(LANES * $v))),+];
                for (i, sum) in sums.iter_mut().enumerate() {
                    let x = $one(a.add(i));
                    *sum = [$($sum(sum[$v], x, y[$v])),+];
                }
                a = a.add(ROWS);
                b = b.add(COLUMNS);
            }
        } else {
            // Rows beyond the last repeat it; their sums are not stored.
            let rows: [*const f32; ROWS] =
                std::array::from_fn(|i| $left.start.add(i.min($tile.rows - 1) * $left.row));
            for q in 0..$inner {
                let y = [$($vector(b.add(LANES * $v))),+];
                for (sum, row) in sums.iter_mut().zip(rows) {
                    let x = $one(row.add(q));
                    *sum = [$($sum(sum[$v], x, y[$v])),+];
                }
                b = b.add(COLUMNS);
            }
        }
        let adds = !$tile.onto.is_null();
        if $tile.columns == LANES * VECTORS && $tile.rows == ROWS {
            // Stores with masks cost more, and most tiles are whole.
            for (i, mut sum) in sums.into_iter().enumerate() {
                let to = $tile.start.add(i * $tile.stride);
                if adds {
                    let onto = $tile.onto.add(i * $tile.onto_stride);
                    $(sum[$v] = _mm512_add_ps(sum[$v], _mm512_loadu_ps(onto.add(LANES * $v)));)+
                }
                $(_mm512_storeu_ps(to.add(LANES * $v), sum[$v]);)+
            }
            return;
        }
        let masks = [$(lanes($tile.columns.saturating_sub(LANES * $v))),+];
        for (i, mut sum) in sums.into_iter().enumerate().take($tile.rows) {
            let to = $tile.start.add(i * $tile.stride);
            if adds {
                let onto = $tile.onto.add(i * $tile.onto_stride);
                $(
                    let there = _mm512_maskz_loadu_ps(masks[$v], onto.wrapping_add(LANES * $v));
                    sum[$v] = _mm512_add_ps(sum[$v], there);
                )+
            }
            $(_mm512_mask_storeu_ps(to.wrapping_add(LANES * $v), masks[$v], sum[$v]);)+
        }
    }};
}

/// `tile` = what it is added to + `left` · `right`, in f32.
///
/// # Safety
/// The machine has AVX-512 F. `left` holds `tile.rows` rows of `inner` elements (packed: `inner` ×
/// [`ROWS`]), `right` `inner` × [`COLUMNS`], the tile may be written and
/// what it is added to read.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn tile_f32(inner: usize, left: Left, right: *const f32, tile: Tile) {
    // SAFETY: both read what the caller promises.
    let vector = |p| unsafe { _mm512_loadu_ps(p) };
    // SAFETY: as above.
    let one = |p: *const f32| unsafe { _mm512_set1_ps(*p) };
    let sum = |sum, a, b| _mm512_fmadd_ps(a, b, sum);
    // SAFETY: the caller's promise.
    unsafe {
        // A head of attention is often no wider than one vector.
        if tile.columns <= LANES {
            walk!([0], inner, left, right, tile, vector, one, sum);
        } else {
            walk!([0, 1], inner, left, right, tile, vector, one, sum);
        }
    }
}

/// As [`tile_f32`], of pairs of bfloat16, added up in f32.
///
/// # Safety
/// As [`tile_f32`], and the machine has AVX-512 BF16; `inner` counts pairs.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn tile_bf16(inner: usize, left: Left, right: *const f32, tile: Tile) {
    // SAFETY: the caller's promise; the vector types are 512 bits of anything.
    let vector = |p| -> __m512bh { unsafe { std::mem::transmute(_mm512_loadu_ps(p)) } };
    // SAFETY: as above.
    let one = |p: *const f32| -> __m512bh { unsafe { std::mem::transmute(_mm512_set1_ps(*p)) } };
    let sum = |sum, a, b| _mm512_dpbf16_ps(sum, a, b);
    // SAFETY: as above.
    unsafe {
        if tile.columns <= LANES {
            walk!([0], inner, left, right, tile, vector, one, sum);
        } else {
            walk!([0, 1], inner, left, right, tile, vector, one, sum);
        }
    }
}
