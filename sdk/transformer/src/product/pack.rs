//! Factors of a product in the order in which tiles read them.
//!
//! A right factor is cut into panels of [`COLUMNS`] columns, each `[inner][COLUMNS]`; a left one
//! that can't be read where it lies into tiles of [`ROWS`] rows, each `[inner][ROWS]`. What is
//! beyond the edge is zero. In bfloat16 an element holds two neighbours along the inner extent,
//! rounded to the nearest; an odd last one stands beside a zero.

use std::arch::x86_64::*;

use super::avx512::{COLUMNS, LANES, ROWS, lanes};

/// Elements of the inner extent as tiles count them.
pub(super) fn elements(inner: usize, is_bf16: bool) -> usize {
    if is_bf16 { inner.div_ceil(2) } else { inner }
}

/// Pairs (low, high) of bfloat16, one in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn interleave(low: __m512, high: __m512) -> __m512 {
    // SAFETY: both types are 256 bits of anything.
    let bits = |x: __m512| -> __m256i { unsafe { std::mem::transmute(_mm512_cvtneps_pbh(x)) } };
    let low = _mm512_cvtepu16_epi32(bits(low));
    let high = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits(high)));
    _mm512_castsi512_ps(_mm512_or_si512(low, high))
}

/// Pairs of neighbours in `low`, then of those in `high`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn neighbours(low: __m512, high: __m512) -> __m512 {
    // SAFETY: both types are 512 bits of anything.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) }
}

/// Parts of `TO` columns of a matrix whose rows run along the inner extent: part `p` is
/// `to[p][q][i] = from[q · ld + p · TO + i]`, zero beyond the last of `n` columns.
///
/// Some rows at a time go to all parts, so that neither the lines of the matrix nor the pages of
/// the parts are visited again and again.
///
/// A macro, as functions with other features are not inlined into each other.
macro_rules! columns {
    ($to_columns:expr, $is_bf16:expr, ($from:expr, $ld:expr, $inner:expr, $n:expr, $to:expr), |$q:ident, $row:ident| $value:expr) => {{
        let elements = elements($inner, $is_bf16);
        for first in (0..elements).step_by(LANES) {
            for (part, begin) in (0..$n).step_by($to_columns).enumerate() {
                for lane in (0..$to_columns).step_by(LANES) {
                    let read = lanes(($n - begin).saturating_sub(lane).min($to_columns - lane));
                    let write = lanes($to_columns - lane);
                    let from = $from.wrapping_add(begin + lane);
                    let to = $to.wrapping_add(part * $to_columns * elements + lane);
                    let $row = |q: usize| _mm512_maskz_loadu_ps(read, from.wrapping_add(q * $ld));
                    for $q in first..elements.min(first + LANES) {
                        _mm512_mask_storeu_ps(to.wrapping_add($q * $to_columns), write, $value);
                    }
                }
            }
        }
    }};
}

/// Parts of `TO` columns, in pairs of bfloat16.
///
/// # Safety
/// The machine has AVX-512 BF16. `from` holds `inner` rows of `n`, `ld` apart; `to` has room for
/// `elements(inner) · TO` to a part.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn columns_bf16<const TO: usize>(
    from: *const f32,
    ld: usize,
    inner: usize,
    n: usize,
    to: *mut f32,
) {
    // SAFETY: masked to what the caller promises.
    unsafe {
        columns!(TO, true, (from, ld, inner, n, to), |q, row| {
            let has_next = 2 * q + 1 < inner;
            let next = if has_next { row(2 * q + 1) } else { _mm512_setzero_ps() };
            interleave(row(2 * q), next)
        });
    }
}

/// Parts of `TO` columns, in f32.
///
/// # Safety
/// As [`columns_bf16`], without BF16.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn columns_f32<const TO: usize>(
    from: *const f32,
    ld: usize,
    inner: usize,
    n: usize,
    to: *mut f32,
) {
    // SAFETY: masked to what the caller promises.
    unsafe {
        columns!(TO, false, (from, ld, inner, n, to), |q, row| row(q));
    }
}

/// Panels of [`COLUMNS`] rows that run along the inner extent, turned over: panel `p` is
/// `to[p][q][i] = from[(p · COLUMNS + i) · ld + q]`, zero beyond the last of `n` rows.
///
/// # Safety
/// As [`columns_bf16`], with `n` rows of `inner` in `from`.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn rows_bf16(from: *const f32, ld: usize, inner: usize, n: usize, to: *mut f32) {
    // SAFETY: the caller's promise; loads are masked to it.
    unsafe {
        turn(elements(inner, true), n, to, |i, q| {
            let row = from.wrapping_add(i * ld + 2 * q);
            let left = inner.saturating_sub(2 * q);
            let low = _mm512_maskz_loadu_ps(lanes(left), row);
            let next = lanes(left.saturating_sub(LANES));
            neighbours(low, _mm512_maskz_loadu_ps(next, row.wrapping_add(LANES)))
        });
    }
}

/// As [`rows_bf16`], in f32.
///
/// # Safety
/// As [`rows_bf16`], without BF16.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn rows_f32(from: *const f32, ld: usize, inner: usize, n: usize, to: *mut f32) {
    // SAFETY: the caller's promise; loads are masked to it.
    unsafe {
        turn(inner, n, to, |i, q| {
            _mm512_maskz_loadu_ps(lanes(inner - q), from.wrapping_add(i * ld + q))
        });
    }
}

/// Writes panels from vectors of their columns: `load(i, q)` gives elements `q..q + 16` of column
/// `i` of `n`, all of `elements`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn turn(elements: usize, n: usize, to: *mut f32, load: impl Fn(usize, usize) -> __m512) {
    for (panel, first) in (0..n).step_by(COLUMNS).enumerate() {
        let to = to.wrapping_add(panel * COLUMNS * elements);
        for q in (0..elements).step_by(LANES) {
            for lane in (0..COLUMNS).step_by(LANES) {
                let begin = first + lane;
                let mut block = [_mm512_setzero_ps(); LANES];
                for (i, row) in block.iter_mut().enumerate().take(n.saturating_sub(begin)) {
                    *row = load(begin + i, q);
                }
                let block = transposed(block);
                for (i, row) in block.iter().enumerate().take(elements - q) {
                    // SAFETY: `to` has room for `elements · COLUMNS` to a panel.
                    unsafe { _mm512_storeu_ps(to.add((q + i) * COLUMNS + lane), *row) };
                }
            }
        }
    }
}

/// The transpose of 16 × 16: first within 128 bits, then of those.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(r: [__m512; LANES]) -> [__m512; LANES] {
    let zero = _mm512_setzero_ps();
    let (mut t, mut u) = ([zero; LANES], [zero; LANES]);
    for i in (0..LANES).step_by(2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    let low = |a, b| _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    let high =
        |a, b| _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    for i in (0..LANES).step_by(4) {
        u[i] = low(t[i], t[i + 2]);
        u[i + 1] = high(t[i], t[i + 2]);
        u[i + 2] = low(t[i + 1], t[i + 3]);
        u[i + 3] = high(t[i + 1], t[i + 3]);
    }
    for i in 0..4 {
        t[i] = _mm512_shuffle_f32x4::<0x88>(u[i], u[i + 4]);
        t[i + 4] = _mm512_shuffle_f32x4::<0xdd>(u[i], u[i + 4]);
        t[i + 8] = _mm512_shuffle_f32x4::<0x88>(u[i + 8], u[i + 12]);
        t[i + 12] = _mm512_shuffle_f32x4::<0xdd>(u[i + 8], u[i + 12]);
    }
    for i in 0..4 {
        u[i] = _mm512_shuffle_f32x4::<0x88>(t[i], t[i + 8]);
        u[i + 8] = _mm512_shuffle_f32x4::<0xdd>(t[i], t[i + 8]);
        u[i + 4] = _mm512_shuffle_f32x4::<0x88>(t[i + 4], t[i + 12]);
        u[i + 12] = _mm512_shuffle_f32x4::<0xdd>(t[i + 4], t[i + 12]);
    }
    u
}

/// Rows of `k` in bfloat16, two neighbours to an element, `elements(k)` to a row.
///
/// # Safety
/// The machine has AVX-512 BF16. `from` holds `m` rows, `ld` apart; `to` has room.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn round_rows(from: *const f32, ld: usize, m: usize, k: usize, to: *mut f32) {
    let n = elements(k, true);
    for i in 0..m {
        for q in (0..n).step_by(LANES) {
            // SAFETY: masked to what the caller promises.
            unsafe {
                let row = from.wrapping_add(i * ld + 2 * q);
                let left = k - 2 * q;
                let low = _mm512_maskz_loadu_ps(lanes(left), row);
                let next = lanes(left.saturating_sub(LANES));
                let high = _mm512_maskz_loadu_ps(next, row.wrapping_add(LANES));
                let to = to.add(i * n + q);
                _mm512_mask_storeu_ps(to, lanes(n - q), neighbours(low, high));
            }
        }
    }
}

/// Room of `m` rows in tiles.
pub(super) fn left_room(m: usize, inner: usize, is_bf16: bool) -> usize {
    m.div_ceil(ROWS) * ROWS * elements(inner, is_bf16)
}

/// Room of the panels of `n` columns.
pub(super) fn right_room(n: usize, inner: usize, is_bf16: bool) -> usize {
    n.div_ceil(COLUMNS) * COLUMNS * elements(inner, is_bf16)
}
