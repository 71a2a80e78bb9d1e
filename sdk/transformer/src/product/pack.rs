//! Factors of a product in the order in which tiles read them.
//!
//! A right factor is cut into panels of [`COLUMNS`] columns, each `[inner][COLUMNS]`; a left one
//! that can't be read where it lies into tiles of [`ROWS`] rows, each `[inner][ROWS]`. What is
//! beyond the edge is zero. In bfloat16 an element holds two neighbours along the inner extent,
//! rounded to the nearest; an odd last one stands beside a zero.

use std::arch::x86_64::*;

use super::avx512::{COLUMNS, ROWS};

/// Lanes of a vector.
const LANES: usize = 16;

/// The lanes below `n`.
#[inline(always)]
fn lanes(n: usize) -> __mmask16 {
    if n >= LANES { 0xffff } else { (1u16 << n) - 1 }
}

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

/// `to[q][i] = from[q · ld + i]` for `i < width`, zero up to `TO`: columns of a matrix whose rows
/// run along the inner extent.
///
/// # Safety
/// The machine has AVX-512 F, with `BF16` also BF16. `from` holds `inner` rows, `to` has room for
/// `elements(inner, BF16) · TO`, and `TO` is at most 2 · `LANES`.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn columns<const BF16: bool, const TO: usize>(
    from: *const f32,
    ld: usize,
    inner: usize,
    width: usize,
    to: *mut f32,
) {
    for q in 0..elements(inner, BF16) {
        for lane in (0..TO).step_by(LANES) {
            let (read, write) = (lanes(width.saturating_sub(lane)), lanes(TO - lane));
            // SAFETY: masked to what the caller promises.
            unsafe {
                let row = |q: usize| _mm512_maskz_loadu_ps(read, from.wrapping_add(q * ld + lane));
                let value = match (BF16, 2 * q + 1 < inner) {
                    (false, _) => row(q),
                    (true, true) => interleave(row(2 * q), row(2 * q + 1)),
                    (true, false) => interleave(row(2 * q), _mm512_setzero_ps()),
                };
                _mm512_mask_storeu_ps(to.wrapping_add(q * TO + lane), write, value);
            }
        }
    }
}

/// [`columns`] in f32, for machines without BF16.
///
/// # Safety
/// As [`columns`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn columns_f32<const TO: usize>(
    from: *const f32,
    ld: usize,
    inner: usize,
    width: usize,
    to: *mut f32,
) {
    for q in 0..inner {
        for lane in (0..TO).step_by(LANES) {
            let (read, write) = (lanes(width.saturating_sub(lane)), lanes(TO - lane));
            // SAFETY: masked to what the caller promises.
            unsafe {
                let row = _mm512_maskz_loadu_ps(read, from.wrapping_add(q * ld + lane));
                _mm512_mask_storeu_ps(to.wrapping_add(q * TO + lane), write, row);
            }
        }
    }
}

/// `to[q][i] = from[i · ld + q]` for `i < width`, zero up to [`COLUMNS`]: rows along the inner
/// extent, turned over.
///
/// # Safety
/// As [`columns`], with `width` rows of `inner` in `from`.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn rows_bf16(
    from: *const f32,
    ld: usize,
    inner: usize,
    width: usize,
    to: *mut f32,
) {
    // SAFETY: the caller's promise; loads are masked to it.
    unsafe {
        turn(elements(inner, true), width, to, |i, q| {
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
pub(super) unsafe fn rows_f32(
    from: *const f32,
    ld: usize,
    inner: usize,
    width: usize,
    to: *mut f32,
) {
    // SAFETY: the caller's promise; loads are masked to it.
    unsafe {
        turn(inner, width, to, |i, q| {
            _mm512_maskz_loadu_ps(lanes(inner - q), from.wrapping_add(i * ld + q))
        });
    }
}

/// Writes a panel from vectors of its columns: `load(i, q)` gives elements `q..q + 16` of column i.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn turn(n: usize, width: usize, to: *mut f32, load: impl Fn(usize, usize) -> __m512) {
    for q in (0..n).step_by(LANES) {
        for lane in (0..COLUMNS).step_by(LANES) {
            let mut block = [_mm512_setzero_ps(); LANES];
            for (i, row) in block.iter_mut().enumerate().take(width.saturating_sub(lane)) {
                *row = load(lane + i, q);
            }
            let block = transposed(block);
            for (i, row) in block.iter().enumerate().take(n - q) {
                // SAFETY: `to` has room for `n · COLUMNS`.
                unsafe { _mm512_storeu_ps(to.add((q + i) * COLUMNS + lane), *row) };
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

/// Room that [`columns`] needs for `m` rows in tiles.
pub(super) fn left_room(m: usize, inner: usize, is_bf16: bool) -> usize {
    m.div_ceil(ROWS) * ROWS * elements(inner, is_bf16)
}

/// Room of the panels of `n` columns.
pub(super) fn right_room(n: usize, inner: usize, is_bf16: bool) -> usize {
    n.div_ceil(COLUMNS) * COLUMNS * elements(inner, is_bf16)
}
