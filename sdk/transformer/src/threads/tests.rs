//! What threads promise: every part once, panics with their payload, and no hang.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread::{ThreadId, current};

use super::*;

#[test]
fn every_part_is_done_once_on_any_number_of_threads() {
    for count in [0, 1, 2, 5] {
        let threads = Threads::new(count);
        for n in [0, 1, 2, 3, 100] {
            let mut times = vec![0; n];
            let mut own = vec![0; n];
            for _ in 0..50 {
                threads.each((Items::new(&mut times), Items::new(&mut own)), |i, (times, own)| {
                    *times += 1;
                    *own = i;
                });
            }
            assert_eq!(times, vec![50; n]);
            assert_eq!(own, (0..n).collect::<Vec<_>>());
        }
    }
}

#[test]
fn slices_are_cut_as_asked() {
    let threads = Threads::new(2);
    let mut values = [0; 10];
    threads.each(Chunks::new(&mut values, 4), |i, chunk| chunk.fill(i + 1));
    assert_eq!(values, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]);
    threads.each(Ranges::new(&mut values, &[1, 1, 3, 8]), |i, range| range.fill(10 * i));
    assert_eq!(values, [1, 10, 10, 20, 20, 20, 20, 20, 3, 3]);
    let back = catch_unwind(|| Ranges::new(&mut [0; 3], &[2, 1]).count());
    let beyond = catch_unwind(|| Ranges::new(&mut [0; 3], &[0, 4]).count());
    assert!(back.is_err() && beyond.is_err());
}

/// The threads that two parts run on, which wait for each other.
fn pair(threads: &Threads) -> BTreeSet<String> {
    let together = Barrier::new(2);
    let mut ids: [Option<ThreadId>; 2] = [None; 2];
    threads.each(Items::new(&mut ids), |_, id| {
        together.wait();
        *id = Some(current().id());
    });
    ids.iter().map(|id| format!("{id:?}")).collect()
}

#[test]
fn the_threads_stay() {
    let threads = Threads::new(2);
    let first = pair(&threads);
    assert_eq!(first.len(), 2);
    for _ in 0..200 {
        assert_eq!(pair(&threads), first);
    }
}

#[test]
fn a_panic_comes_back_after_the_others_are_done_and_the_threads_stay_usable() {
    let threads = Threads::new(3);
    for _ in 0..50 {
        let mut done = [false; 20];
        let payload = catch_unwind(AssertUnwindSafe(|| {
            threads.each(Items::new(&mut done), |i, done| {
                assert!(i % 7 != 5, "part {i} is bad");
                *done = true;
            });
        }))
        .unwrap_err();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "part 5 is bad");
        assert_eq!(done.iter().filter(|done| **done).count(), 17);
        assert_eq!(pair(&threads).len(), 2);
    }
}

#[test]
fn threads_that_are_busy_leave_the_work_to_the_caller() {
    let threads = Threads::new(2);
    let mut sums = [0; 4];
    threads.each(Items::new(&mut sums), |i, sum| {
        let mut inner = [0; 5];
        threads.each(Items::new(&mut inner), |j, value| *value = 10 * i + j);
        *sum = inner.iter().sum();
    });
    assert_eq!(sums, [10, 60, 110, 160]);
}

#[test]
fn callers_on_several_threads_do_not_disturb_each_other() {
    let threads = Threads::new(3);
    std::thread::scope(|scope| {
        for caller in 0..3 {
            let threads = threads.clone();
            scope.spawn(move || {
                for round in 0..300 {
                    let mut values = [0; 30];
                    threads.each(Chunks::new(&mut values, 7), |i, part| part.fill(i + round));
                    let sum: usize = values.iter().sum();
                    assert_eq!(sum, 30 * round + 7 + 14 + 21 + 8, "caller {caller}");
                }
            });
        }
    });
}
