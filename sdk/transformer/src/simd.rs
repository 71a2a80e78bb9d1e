//! Which instructions this machine has, and functions compiled for several sets of them.

/// Instruction sets that kernels are compiled for, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the target always has: SSE2, NEON, or plain code.
    Baseline,
    /// AVX2.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX-512 as above, and its products of bfloat16.
    Avx512Bf16,
}

/// The best level of this machine; the standard library keeps the answers of the detection.
pub fn level() -> Level {
    let best = detect();
    match AT_MOST.with(std::cell::Cell::get) {
        Some(bound) => best.min(bound),
        None => best,
    }
}

thread_local! {
    static AT_MOST: std::cell::Cell<Option<Level>> = const { std::cell::Cell::new(None) };
}

/// Runs `f` on this thread as if the machine had no more than `bound`: for tests of every path.
pub fn limited<R>(bound: Level, f: impl FnOnce() -> R) -> R {
    let before = AT_MOST.replace(Some(bound));
    let result = f();
    AT_MOST.set(before);
    result
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let is_avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    if is_avx512 && is_x86_feature_detected!("avx512bf16") {
        Level::Avx512Bf16
    } else if is_avx512 {
        Level::Avx512
    } else if is_x86_feature_detected!("avx2") {
        Level::Avx2
    } else {
        Level::Baseline
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Baseline
}
