//! A step after the second takes no memory: counted on all threads, by an allocator of this test's
//! own. What is left is the report that the step returns, whose names are strings.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use corpus::{Batch, IGNORE};
use gpt::config::{ModelConfig, TrainingConfig};
use gpt::learner::Learner;
use sdk::{DType, DeviceContext, PhaseContext, StepReport};
use sdk_transformer::product::{Precision, Products};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does everything.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `f` gives, and how often it took memory.
fn counted<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let result = f();
    (result, ALLOCATIONS.load(Ordering::Relaxed) - before)
}

/// Micro-batches of a step: 5 sequences, and 3 that are shorter.
fn batches(step: u32) -> [Batch; 2] {
    [(5, 24), (3, 17)].map(|(n, t)| {
        let ids: Vec<u32> = (0..(n * t) as u32).map(|i| (i * i + 7 * i + step) % 29).collect();
        let target = |id: &u32| if id.is_multiple_of(5) { IGNORE } else { (id + 1) % 29 };
        let targets: Vec<u32> = ids.iter().map(target).collect();
        let valid_tokens = targets.iter().filter(|target| **target != IGNORE).count();
        Batch { ids, targets, n, t, valid_tokens }
    })
}

/// How often making such a report takes memory.
fn of_report(report: &StepReport) -> usize {
    let again = StepReport::new(report.loss, report.units);
    let names = report.metrics.iter();
    counted(|| names.fold(again, |again, (name, value)| again.metric(name.as_str(), *value))).1
}

/// Steps 3 to 6 of a model in this precision.
fn steps_take_no_memory(amp_dtype: Option<DType>, recomputes: bool, threads: usize) {
    let model = ModelConfig {
        vocab: 29,
        context: 24,
        width: 24,
        n_layers: 2,
        n_heads: 3,
        d_ff: 40,
        dropout: 0.1,
        ..ModelConfig::default()
    };
    let training =
        TrainingConfig { activation_checkpointing: recomputes, ..TrainingConfig::default() };
    let device = DeviceContext { threads, amp_dtype, ..DeviceContext::default() };
    let cx = PhaseContext::detached("pretrain", 42, device);
    let mut learner = Learner::new(&model, &training, &cx).expect("a learner");
    for step in 1..=6 {
        let batches = batches(step);
        let (report, taken) = counted(|| learner.step(u64::from(step), &batches).expect("a step"));
        assert!(report.loss > 2.0, "{}", report.loss);
        if step > 2 {
            assert_eq!(taken, of_report(&report), "step {step} of {amp_dtype:?}");
        }
    }
}

/// One test only: what other tests take at the same time would be counted too.
#[test]
fn a_step_after_the_second_takes_no_memory() {
    if !Products::new(Precision::F32).packs() {
        // The gemm crate computes the products here, and takes memory for each.
        return;
    }
    for (recomputes, threads) in [(false, 1), (false, 2), (true, 2)] {
        steps_take_no_memory(None, recomputes, threads);
        if Precision::Bf16.is_native() {
            steps_take_no_memory(Some(DType::Bf16), recomputes, threads);
        }
    }
}
