//! The learner's settings from the outside: what they change, and what not.

use corpus::{Batch, IGNORE};
use gpt::config::{ModelConfig, TrainingConfig};
use gpt::learner::Learner;
use sdk::{DType, DeviceContext, PhaseContext, StateDict, StepReport};
use sdk_numerics::{AdamW, Gradients, ParamKind};

use crate::{golden, small};

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
    assert_eq!(bits(&mut checkpointed), bits(&mut plain));
}

/// Weights and both moments of each, to the bit.
fn bits(learner: &mut Learner) -> Vec<(String, Vec<u8>)> {
    let state = StateDict::save(learner).unwrap();
    state.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.to_bytes())).collect()
}

#[test]
fn a_learner_goes_on_where_it_was_saved() {
    let mut whole = learner(None, false).unwrap();
    whole.step(0, &[batch(0), batch(1)]).unwrap();
    let saved = StateDict::save(&mut whole).unwrap();
    assert_eq!(saved.values["optimizer/t"], 1);
    for (name, _, _) in whole.model.params().iter() {
        for part in ["model", "optimizer/m", "optimizer/v"] {
            let tensor = saved.tensors.get(&format!("{part}/{name}"));
            assert!(tensor.is_some_and(|tensor| tensor.to_vec::<f32>().is_ok()), "{part}/{name}");
        }
    }
    assert_eq!(saved.tensors.len(), 3 * whole.model.params().len());
    let mut resumed = learner(None, false).unwrap();
    saved.restore(&mut resumed).unwrap();
    assert_eq!(bits(&mut resumed), bits(&mut whole));
    assert_eq!(train(&mut resumed), train(&mut whole));
    assert_eq!(bits(&mut resumed), bits(&mut whole));
}

/// Dropout is off in an evaluation and on again behind it, and no number of it is used up.
#[test]
fn an_evaluation_in_between_changes_nothing() {
    let (mut measured, mut plain) = (learner(None, false).unwrap(), learner(None, false).unwrap());
    for step in 0..4 {
        let mut loss = || measured.evaluate(&[batch(9), batch(step)], &cx(None)).unwrap().unwrap();
        assert_eq!(loss(), loss());
        let batches = [batch(step), batch(step + 10)];
        let got = measured.step(u64::from(step), &batches).unwrap();
        let want = plain.step(u64::from(step), &batches).unwrap();
        assert_eq!((got.loss, &got.metrics[..2]), (want.loss, &want.metrics[..2]));
        assert_ne!(measured.evaluate(&batches, &cx(None)).unwrap(), Some(got.loss));
    }
    assert_eq!(bits(&mut measured), bits(&mut plain));
}

/// Weights that give a finite loss and an infinite gradient: the values of the gate are 0, and what
/// they are weighed with is as large as f32 can say.
#[test]
fn a_gradient_that_is_no_number_is_named_and_not_taken() {
    let mut learner = learner(None, false).unwrap();
    let mut state = StateDict::save(&mut learner).unwrap();
    for (part, value) in [("fc_a", 0.0), ("fc_g", 1e4), ("fc_out", 1e38f32)] {
        let name = format!("model/blocks.1.mlp.{part}.weight");
        let shape = state.tensors[&name].shape().to_vec();
        let values = vec![value; shape.iter().product()];
        let tensor = sdk::TensorHandle::from_vec(values, &shape).unwrap();
        state.tensors.insert(name, tensor);
    }
    state.restore(&mut learner).unwrap();
    let before = bits(&mut learner);
    let error = learner.step(0, &[batch(0)]).unwrap_err();
    assert_eq!(error.code, "train::not_finite");
    assert!(error.message.starts_with("the gradient of `"), "{}", error.message);
    assert_eq!(bits(&mut learner), before);
}

/// The reference tells norms by their names, which are `ln1`, `ln2` and `ln_f`, and lets their
/// gains decay whatever it is told.
#[test]
fn decay_goes_by_kind_and_not_by_name() {
    for (decay_norm_and_bias, decay_embeddings) in [(true, true), (false, true), (true, false)] {
        let training =
            TrainingConfig { decay_norm_and_bias, decay_embeddings, ..TrainingConfig::default() };
        let (gpt, before) = (golden(), golden());
        // Zero gradients: only decay moves anything, by 1 − 0.5 · 0.1.
        let mut optimizer = AdamW::new(gpt.params(), training.adamw());
        optimizer.step(gpt.params(), &Gradients::new(gpt.params()), 0.5).unwrap();
        for (name, kind, var) in gpt.params().iter() {
            let decays = match kind {
                ParamKind::Weight => true,
                ParamKind::Norm | ParamKind::Bias => decay_norm_and_bias,
                ParamKind::Embedding => decay_embeddings,
            };
            let told = if name == "tok_emb.weight" {
                decay_embeddings
            } else if name.contains("ln") || name.ends_with("bias") {
                decay_norm_and_bias
            } else {
                true
            };
            assert_eq!(decays, told, "{name}");
            let flat = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let factor = if decays { 0.95 } else { 1.0 };
            let want: Vec<f32> =
                flat(before.params().get(name)).iter().map(|w| w * factor).collect();
            crate::assert_close(&flat(var), &want, 1e-6);
        }
    }
}

#[test]
fn mixed_precision_is_for_training_only_and_keeps_weights_in_f32() {
    let (mut plain, mut mixed) =
        (learner(None, false).unwrap(), learner(Some(DType::Bf16), false).unwrap());
    let loss = |learner: &mut Learner| learner.evaluate(&[batch(5)], &cx(None)).unwrap().unwrap();
    assert_eq!(loss(&mut plain), loss(&mut mixed));
    let (want, got) = (train(&mut plain), train(&mut mixed));
    for (a, b) in got.iter().zip(&want) {
        assert!(a.loss != b.loss && (a.loss / b.loss - 1.0).abs() < 5e-3, "{a:?} {b:?}");
    }
    let state = StateDict::save(&mut mixed).unwrap();
    assert!(state.tensors.values().all(|tensor| tensor.dtype() == DType::F32));
}

/// The reference leaves mixed precision out on the CPU without a word. Here it is off where it is
/// off, bfloat16 is computed in on the CPU too, and what can't be done is refused.
#[test]
fn float16_is_refused_and_off_is_off() {
    let (mut off, mut single) =
        (learner(None, false).unwrap(), learner(Some(DType::F32), false).unwrap());
    assert_eq!(train(&mut off), train(&mut single));
    assert_eq!(bits(&mut off), bits(&mut single));
    let error = learner(Some(DType::F16), false).err().unwrap();
    assert_eq!(error.message, "mixed precision can't compute in `float16`");
}
