//! What the machine's processors reach when they do nothing but multiply and add: the yardstick of
//! a step's speed.
//!
//! Each thread keeps many sums in registers, `s ← s·a + b`, and touches no memory, so no program
//! computes faster. All threads do so at once: two that share a core share its units too.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::device::DType;

/// How long a measurement takes. Clocks need the first part of it to settle.
const TIME: Duration = Duration::from_millis(24);
/// The part of it that counts: the rest.
const SETTLED: Duration = Duration::from_millis(6);
/// Rounds that a median needs.
const ROUNDS_MIN: usize = 20;
/// Sums that a thread keeps at once: enough to hide the time that each one takes.
const SUMS: usize = 12;
/// Times that each sum is continued in a round, of some 5 to 100 µs.
const LENGTH: usize = 4096;

/// Floating-point operations per second of `threads` threads at once, a multiplication and an
/// addition being two: in `f32`, or in `bf16` with sums in f32. `None` for other types, and for
/// `bf16` where the processor has no such instructions (AVX-512 BF16).
///
/// Measured for 24 ms, once a process, type and number of threads. Of each thread the median of
/// many short rounds counts, so other work on the machine hardly does.
///
/// ```
/// let peak = sdk::peak::flops(sdk::DType::F32, 1).unwrap();
/// assert!(peak > 1e8);
/// assert_eq!(sdk::peak::flops(sdk::DType::F32, 1), Some(peak));
/// assert_eq!(sdk::peak::flops(sdk::DType::I64, 1), None);
/// ```
pub fn flops(dtype: DType, threads: usize) -> Option<f64> {
    static KNOWN: Mutex<BTreeMap<(&str, usize), f64>> = Mutex::new(BTreeMap::new());
    let kernel = kernel(dtype)?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let threads = threads.max(1);
    Some(*known.entry((kernel.name, threads)).or_insert_with(|| measure(&kernel, threads)))
}

/// One round of a thread.
#[derive(Clone, Copy)]
struct Kernel {
    name: &'static str,
    /// Continues every sum [`LENGTH`] times.
    run: fn(),
    /// Operations of a round.
    operations: usize,
}

impl Kernel {
    fn new(name: &'static str, lanes: usize, run: fn()) -> Self {
        Self { name, run, operations: SUMS * LENGTH * lanes * 2 }
    }
}

fn measure(kernel: &Kernel, threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let rounds: Vec<Vec<(Instant, Instant)>> = std::thread::scope(|scope| {
        let barrier = &barrier;
        let work = move || {
            barrier.wait();
            rounds_of(kernel.run)
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
    });
    // What every thread was busy in counts: one alone may be faster.
    let from = rounds.iter().filter_map(|all| all.first()).map(|(begin, _)| *begin + SETTLED).max();
    let until = rounds.iter().filter_map(|all| all.last()).map(|(_, end)| *end).min();
    let common = from.zip(until).unwrap_or_else(|| (Instant::now(), Instant::now()));
    rounds.iter().map(|all| kernel.operations as f64 / median(all, common)).sum()
}

/// The median of the rounds that lie within a time, in seconds; of all where they are too few, as on
/// a machine that has given the threads its processors one after the other.
fn median(rounds: &[(Instant, Instant)], (from, until): (Instant, Instant)) -> f64 {
    let within = rounds.iter().filter(|(begin, end)| *begin >= from && *end <= until);
    let mut times: Vec<Duration> = within.map(|(begin, end)| *end - *begin).collect();
    if times.len() < ROUNDS_MIN {
        times = rounds.iter().map(|(begin, end)| *end - *begin).collect();
    }
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::INFINITY, |median| median.as_secs_f64().max(1e-9))
}

fn rounds_of(run: fn()) -> Vec<(Instant, Instant)> {
    let mut rounds = Vec::with_capacity(4096);
    let begin = Instant::now();
    while begin.elapsed() < TIME {
        let start = Instant::now();
        run();
        rounds.push((start, Instant::now()));
    }
    rounds
}

/// The fastest code of this machine for a type.
fn kernel(dtype: DType) -> Option<Kernel> {
    match dtype {
        DType::F32 => Some(f32_kernel()),
        DType::Bf16 => bf16_kernel(),
        _ => None,
    }
}

/// Continues the sums of a round, each from `$s` by factors that the compiler doesn't know.
///
/// A macro, so that the sums stay in registers: a function can be inlined into one with other
/// features only at the compiler's discretion.
macro_rules! round {
    ($zero:expr, $first:expr, $second:expr, |$s:ident, $a:ident, $b:ident| $next:expr) => {{
        let ($a, $b) = (black_box($first), black_box($second));
        let mut sums = [$zero; SUMS];
        for _ in 0..LENGTH {
            for sum in &mut sums {
                let $s = *sum;
                *sum = $next;
            }
        }
        black_box(sums);
    }};
}

#[cfg(target_arch = "x86_64")]
fn f32_kernel() -> Kernel {
    use x86::{avx2, avx512};
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature is there.
        return Kernel::new("AVX-512", 16, || unsafe { avx512() });
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features are there.
        return Kernel::new("AVX2", 8, || unsafe { avx2() });
    }
    Kernel::new("plain", PLAIN_LANES, plain)
}

#[cfg(target_arch = "x86_64")]
fn bf16_kernel() -> Option<Kernel> {
    let is_there = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
    // Two products for each of 16 sums.
    // SAFETY: the features are there.
    is_there.then(|| Kernel::new("AVX-512 BF16", 32, || unsafe { x86::avx512_bf16() }))
}

#[cfg(target_arch = "aarch64")]
fn f32_kernel() -> Kernel {
    // SAFETY: every processor of this kind has NEON.
    Kernel::new("NEON", 4, || unsafe { neon() })
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn f32_kernel() -> Kernel {
    Kernel::new("plain", PLAIN_LANES, plain)
}

#[cfg(not(target_arch = "x86_64"))]
fn bf16_kernel() -> Option<Kernel> {
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LENGTH, SUMS, black_box};

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512() {
        let of = |x| _mm512_set1_ps(x);
        round!(of(1.0), of(0.999), of(0.001), |s, a, b| _mm512_fmadd_ps(s, a, b));
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2() {
        let of = |x| _mm256_set1_ps(x);
        round!(of(1.0), of(0.999), of(0.001), |s, a, b| _mm256_fmadd_ps(s, a, b));
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn avx512_bf16() {
        let of = |x| _mm512_set1_ps(x);
        let pairs = |x| _mm512_cvtne2ps_pbh(of(x), of(x));
        round!(of(1.0), pairs(0.999), pairs(0.001), |s, a, b| _mm512_dpbf16_ps(s, a, b));
    }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon() {
    use std::arch::aarch64::*;
    let of = |x| vdupq_n_f32(x);
    round!(of(1.0), of(0.999), of(0.001), |s, a, b| vfmaq_f32(b, s, a));
}

/// Sums of one vector of plain code.
#[cfg(not(target_arch = "aarch64"))]
const PLAIN_LANES: usize = 4;

/// Plain code, for what the compiler makes of it.
#[cfg(not(target_arch = "aarch64"))]
fn plain() {
    let of = |x: f32| [x; PLAIN_LANES];
    round!(of(1.0), of(0.999), of(0.001), |s, a, b| std::array::from_fn(|i| s[i] * a[i] + b[i]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_reach_more_than_one_and_at_most_as_much_each() {
        let of = |threads| flops(DType::F32, threads).unwrap();
        // Two threads may share a core, and a test may share it with others.
        assert!((0.5..2.6).contains(&(of(2) / of(1))), "{} {}", of(1), of(2));
    }

    #[test]
    fn every_kind_of_code_gives_a_plausible_rate() {
        let plain = measure(&Kernel::new("plain", 4, plain_code), 1);
        let best = flops(DType::F32, 1).unwrap();
        assert!((1e7..1e12).contains(&plain), "{plain}");
        assert!((1e8..1e12).contains(&best), "{best}");
        if let Some(bf16) = flops(DType::Bf16, 1) {
            assert!((0.5..8.0).contains(&(bf16 / best)), "{bf16} of {best}");
        }
    }

    #[cfg(not(target_arch = "aarch64"))]
    fn plain_code() {
        plain();
    }

    #[cfg(target_arch = "aarch64")]
    fn plain_code() {
        neon();
    }
}
