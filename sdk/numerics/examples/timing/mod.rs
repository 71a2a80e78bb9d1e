//! What the examples share when they are timed: flags, the host's memory settings, the report.

use std::time::Instant;

use sdk::{Result, StepReport};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    fn mallopt(param: i32, value: i32) -> i32;
}

/// Does what the host does for every plugin before it starts one: freed pages stay with the
/// process, and candle starts no threads of its own beside the workers.
pub(crate) fn keep_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both options take any positive size; M_MMAP_THRESHOLD is -3, M_TRIM_THRESHOLD -1.
    unsafe {
        mallopt(-3, 1 << 30);
        mallopt(-1, i32::MAX);
    }
    for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        // SAFETY: called before any other thread exists.
        unsafe { std::env::set_var(name, "1") };
    }
}

/// `--threads`, 2 without it.
pub(crate) fn threads() -> usize {
    number("--threads").map_or(2, |threads| threads as usize)
}

fn number(flag: &str) -> Option<f64> {
    std::env::args().skip_while(|arg| arg != flag).nth(1)?.parse().ok()
}

/// Times steps for `--seconds` (10 without it) after some that warm up, and prints one line of
/// JSON: the rate of each, the last loss, and the most memory that the process held.
#[expect(clippy::print_stdout, reason = "the result of these programs")]
pub(crate) fn report(name: &str, mut step: impl FnMut(u64) -> Result<StepReport>) -> Result<()> {
    let seconds = number("--seconds").unwrap_or(10.0);
    for i in 0..3 {
        step(i)?;
    }
    let (begin, mut rates, mut loss) = (Instant::now(), Vec::new(), 0.0);
    while begin.elapsed().as_secs_f64() < seconds || rates.len() < 3 {
        let start = Instant::now();
        let report = step(3 + rates.len() as u64)?;
        rates.push((report.units as f64 / start.elapsed().as_secs_f64()).round());
        loss = report.loss;
    }
    let peak_mib = peak_mib();
    let report = serde_json::json!({ name: rates, "loss": loss, "peak_mib": peak_mib });
    println!("{report}");
    Ok(())
}

/// The most memory that this process held at once, in MiB; 0 where Linux doesn't tell.
fn peak_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) / 1024
}
