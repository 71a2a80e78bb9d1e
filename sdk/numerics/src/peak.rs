//! What the machine's products reach: the yardstick of a step's speed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ops::square_product;
use crate::parallel::Workers;

/// How long the measurement takes.
const TIME: Duration = Duration::from_millis(50);
/// Rows and columns of the products: their matrices stay in the second-level cache.
const SIZE: usize = 256;

impl Workers {
    /// Floating-point operations per second of f32 matrix products on all of these threads at
    /// once, a multiplication and an addition being two.
    ///
    /// Measured for 50 ms, once a process and number of threads; the best of several rounds, so
    /// that a neighbour's burst doesn't count.
    ///
    /// ```
    /// assert!(sdk_numerics::Workers::new(1).peak_flops() > 1e8);
    /// ```
    pub fn peak_flops(&self) -> f64 {
        static KNOWN: Mutex<BTreeMap<usize, f64>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(self.threads()).or_insert_with(|| measure(self.threads()))
    }
}

fn measure(threads: usize) -> f64 {
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(rate)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or(0.0)).sum()
    })
}

/// The best rate of this thread.
fn rate() -> f64 {
    let (a, b) = (vec![0.5f32; SIZE * SIZE], vec![0.25f32; SIZE * SIZE]);
    let mut to = vec![0f32; SIZE * SIZE];
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    while begin.elapsed() < TIME {
        let start = Instant::now();
        square_product(SIZE, &a, &b, &mut to);
        best = best.min(start.elapsed().as_secs_f64());
    }
    std::hint::black_box(&to);
    2.0 * (SIZE as f64).powi(3) / best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_measured_once() {
        let start = Instant::now();
        let peak = Workers::new(2).peak_flops();
        assert!((1e8..1e14).contains(&peak), "{peak}");
        assert_eq!(Workers::new(2).peak_flops(), peak);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
