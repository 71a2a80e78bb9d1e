//! What it costs to hand work to threads that stay, against threads that are made each time.
//!
//! `cargo run --release -p sdk-transformer --example hand_over -- [THREADS]`
//!
//! Prints one line of JSON: the median microseconds of a round in which every thread takes part but
//! has nothing to do, right after the last one (`warm_us`), after 20 ms of sleep (`cold_us`), when
//! no thread is waited for (`alone_us`), and with threads of the round's own (`spawn_us`).

use std::sync::Barrier;
use std::time::{Duration, Instant};

use sdk_transformer::threads::{Items, Threads};

fn main() {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(2);
    let threads = Threads::new(count);
    let together = Barrier::new(threads.count());
    let mut items = vec![0u32; threads.count()];
    let mut met = |rounds, pause| {
        median(rounds, pause, || {
            threads.each(Items::new(&mut items), |_, item| {
                together.wait();
                *item += 1;
            });
        })
    };
    let (warm, cold) = (met(2000, 0), met(100, 20));
    let alone = median(2000, 0, || threads.each(Items::new(&mut items), |_, item| *item += 1));
    let spawn = median(500, 0, || {
        std::thread::scope(|scope| {
            for _ in 1..threads.count() {
                scope.spawn(|| together.wait());
            }
            together.wait();
        });
    });
    report(&threads, [warm, cold, alone, spawn]);
}

/// Microseconds of a round, the median of some.
fn median(rounds: usize, pause_ms: u64, mut round: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(pause_ms));
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[rounds / 2]
}

#[expect(clippy::print_stdout, reason = "the result of this program")]
fn report(threads: &Threads, [warm, cold, alone, spawn]: [f64; 4]) {
    println!(
        "{{\"threads\": {}, \"warm_us\": {warm:.1}, \"cold_us\": {cold:.1}, \
         \"alone_us\": {alone:.1}, \"spawn_us\": {spawn:.1}}}",
        threads.count()
    );
}
