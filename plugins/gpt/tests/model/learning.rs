//! The learner's settings from the outside: what they change, and what not.

use corpus::{Batch, IGNORE};
use gpt::config::{ModelConfig, TrainingConfig};
use gpt::learner::Learner;
use sdk::{DType, DeviceContext, PhaseContext, StateDict, StepReport};

use crate::small;

fn cx(amp_dtype: Option<DType>) -> PhaseContext {
    let device = DeviceContext { amp_dtype, threads: 2, ..DeviceContext::default() };
    PhaseContext::detached("pretrain", 42, device)
}

fn learner(amp_dtype: Option<DType>, activation_checkpointing: bool) -> sdk::Result<Learner> {
    let model = ModelConfig { dropout: 0.2, width: 16, ..small() };
    let training = TrainingConfig {
        base_lr: 1e-2,
        warmup_steps: 0,
        total_steps: 10,
        activation_checkpointing,
        ..TrainingConfig::default()
    };
    Learner::new(&model, &training, &cx(amp_dtype))
}

/// Four sequences of eight, some of whose targets are not learned.
fn batch(step: u32) -> Batch {
    let ids: Vec<u32> = (0..32).map(|i| (i * i + step * 3) % 11).collect();
    let target = |i: u32| if i.is_multiple_of(5) { IGNORE } else { (i * 7 + step) % 11 };
    let targets: Vec<u32> = (0..32).map(target).collect();
    let valid_tokens = targets.iter().filter(|target| **target != IGNORE).count();
    Batch { ids, targets, n: 4, t: 8, valid_tokens }
}

/// Reports of three steps of two micro-batches each, without what is measured by the clock.
fn train(learner: &mut Learner) -> Vec<StepReport> {
    let mut step = |step: u32| {
        let batches = [batch(step), batch(step + 10)];
        let mut report = learner.step(u64::from(step), &batches).unwrap();
        let names: Vec<&str> = report.metrics.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["lr", "grad_norm", "mfu"]);
        assert!(report.metrics.pop().unwrap().1 > 0.0);
        report
    };
    (0..3).map(&mut step).collect()
}

#[test]
fn checkpointing_changes_no_bit_of_training() {
    let mut plain = learner(None, false).unwrap();
    let mut checkpointed = learner(None, true).unwrap();
    assert_eq!(train(&mut checkpointed), train(&mut plain));
    let weights = |learner: &mut Learner| {
        let state = StateDict::save(learner).unwrap();
        let tensors = state.tensors.iter();
        tensors.map(|(name, tensor)| (name.clone(), tensor.to_bytes())).collect::<Vec<_>>()
    };
    assert_eq!(weights(&mut checkpointed), weights(&mut plain));
}

#[test]
fn mixed_precision_is_for_training_only_and_keeps_weights_in_f32() {
    let (mut plain, mut mixed) =
        (learner(None, false).unwrap(), learner(Some(DType::Bf16), false).unwrap());
    let loss = |learner: &Learner| learner.evaluate(&[batch(5)], &cx(None)).unwrap().unwrap();
    assert_eq!(loss(&plain), loss(&mixed));
    let (want, got) = (train(&mut plain), train(&mut mixed));
    for (a, b) in got.iter().zip(&want) {
        assert!(a.loss != b.loss && (a.loss / b.loss - 1.0).abs() < 5e-3, "{a:?} {b:?}");
    }
    let state = StateDict::save(&mut mixed).unwrap();
    assert!(state.tensors.values().all(|tensor| tensor.dtype() == DType::F32));
}

#[test]
fn float16_is_refused() {
    let error = learner(Some(DType::F16), false).err().unwrap();
    assert_eq!(error.message, "mixed precision can't compute in `float16`");
}
