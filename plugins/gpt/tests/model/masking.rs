//! Targets that are not learned: what they leave of the loss, of the gradients and of a step.

use corpus::Batch;
use gpt::config::{ModelConfig, TrainingConfig};
use gpt::learner::Learner;
use gpt::model::{Gpt, Mode};
use gpt::sampling::log_prob;
use sdk::{DeviceContext, PhaseContext, StateDict, StepReport};
use sdk_numerics::{Gradients, Workers};

use crate::{IDS, IGNORE, TARGETS, assert_close, golden, ids, logits, mean_loss, seeded, small};

/// Adds the gradient of the rows' loss sum divided by `valid_tokens`; returns that loss.
fn accumulate(
    gpt: &Gpt,
    rows: &[(&[u32], &[u32])],
    valid_tokens: usize,
    into: &mut Gradients,
) -> f64 {
    let (x, y): (Vec<&[u32]>, Vec<&[u32]>) = rows.iter().copied().unzip();
    let loss = |()| {
        gpt.loss_sum(&ids(&x), &ids(&y), Some(IGNORE), &mut Mode::Eval)
            .and_then(|(sum, _)| sum / valid_tokens as f64)
            .map_err(sdk_numerics::error)
    };
    Workers::new(1).gradients(gpt.params(), vec![()], into, loss).unwrap()
}

/// The targets of positions from `first` on, the others ignored.
fn from(first: usize) -> [u32; 8] {
    let mut targets = TARGETS;
    targets[..first].fill(IGNORE);
    targets
}

#[test]
fn a_masked_loss_is_that_of_the_targets_left() {
    let gpt = golden();
    let rows = logits(&gpt, &IDS);
    for first in 0..8 {
        let left = rows.iter().zip(&TARGETS).skip(first);
        let total: f64 = left.map(|(row, target)| -log_prob(row, *target)).sum();
        let want = total / (8 - first) as f64;
        assert!((mean_loss(&gpt, &from(first)) - want).abs() < 1e-6, "{first}");
    }
    let mut scattered = TARGETS;
    for i in [0, 2, 3, 6] {
        scattered[i] = IGNORE;
    }
    let want: f64 = [1, 4, 5, 7].map(|i| -log_prob(&rows[i], TARGETS[i])).iter().sum();
    assert!((mean_loss(&gpt, &scattered) - want / 4.0).abs() < 1e-6);
}

#[test]
fn every_parameter_learns_from_an_answer_alone() {
    let gpt = seeded(&small(), 5);
    let mut gradients = Gradients::new(gpt.params());
    accumulate(&gpt, &[(&IDS, &from(5))], 3, &mut gradients);
    assert!(gradients.missing().is_empty());
    for (name, _, _) in gpt.params().iter() {
        let gradient = gradients.get(name).unwrap();
        assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
        assert!(gradient.iter().any(|g| *g != 0.0), "{name} has no gradient");
    }
}

/// Seven targets and one. The reference takes the mean of each micro-batch and then their mean, so
/// that the one weighs as much as the seven: that is another gradient by far.
#[test]
fn micro_batches_weigh_by_their_targets() {
    let gpt = golden();
    let (many, one) = (from(1), from(7));
    let rows: [(&[u32], &[u32]); 2] = [(&IDS, &many), (&TARGETS, &one)];
    let run = |cut: &[&[(&[u32], &[u32])]], divisors: &[usize]| {
        let mut gradients = Gradients::new(gpt.params());
        let parts = cut.iter().zip(divisors);
        let loss: f64 = parts.map(|(rows, n)| accumulate(&gpt, rows, *n, &mut gradients)).sum();
        (loss, gradients)
    };
    let (want, whole) = run(&[&rows], &[8]);
    let (got, accumulated) = run(&[&rows[..1], &rows[1..]], &[8, 8]);
    let (theirs, means) = run(&[&rows[..1], &rows[1..]], &[14, 2]);
    assert!((got - want).abs() < 1e-6 && (theirs - want).abs() > 1e-2, "{got} {theirs} {want}");
    let mut farthest = 0f32;
    for (name, _, _) in gpt.params().iter() {
        let want = whole.get(name).unwrap();
        assert_close(&accumulated.get(name).unwrap(), &want, 1e-6);
        let apart = means.get(name).unwrap().into_iter().zip(want).map(|(a, b)| (a - b).abs());
        farthest = apart.fold(farthest, f32::max);
    }
    assert!(farthest > 1e-2, "{farthest}");
}

/// The reference divides by the number of targets of the batch, which is 0 here.
#[test]
fn a_batch_without_targets_is_zero_and_no_nan() {
    let gpt = golden();
    let (x, none) = (ids(&[&IDS]), from(8));
    let (sum, valid) = gpt.loss_sum(&x, &ids(&[&none]), Some(IGNORE), &mut Mode::Eval).unwrap();
    assert_eq!((sum.to_scalar::<f32>().unwrap(), valid), (0.0, 0));
    let mut gradients = Gradients::new(gpt.params());
    assert_eq!(accumulate(&gpt, &[(&IDS, &none)], 1, &mut gradients), 0.0);
    assert_eq!((gradients.clip(Some(1.0)), gradients.missing().len()), (0.0, 0));
}

fn cx() -> PhaseContext {
    let device = DeviceContext { threads: 2, ..DeviceContext::default() };
    PhaseContext::detached("sft", 42, device)
}

/// A learner without dropout, whose update is smooth in the gradient: AdamW's eps is large.
fn learner() -> Learner {
    let model = ModelConfig { width: 16, ..small() };
    let training = TrainingConfig {
        base_lr: 1e-2,
        warmup_steps: 0,
        total_steps: 10,
        eps: 1e-2,
        ..TrainingConfig::default()
    };
    Learner::new(&model, &training, &cx()).unwrap()
}

/// `n` sequences of eight whose first `n_ignored` targets are ignored.
fn batch(first_id: u32, n: usize, n_ignored: usize) -> Batch {
    let ids: Vec<u32> = (0..n as u32 * 8).map(|i| (i * i + first_id * 3) % 11).collect();
    let target = |(i, id): (usize, &u32)| if i < n_ignored { IGNORE } else { (id * 7 + 1) % 11 };
    let targets: Vec<u32> = ids.iter().enumerate().map(target).collect();
    Batch { ids, targets, n, t: 8, valid_tokens: n * 8 - n_ignored }
}

fn joined(a: &Batch, b: &Batch) -> Batch {
    Batch {
        ids: [&a.ids[..], &b.ids].concat(),
        targets: [&a.targets[..], &b.targets].concat(),
        n: a.n + b.n,
        t: a.t,
        valid_tokens: a.valid_tokens + b.valid_tokens,
    }
}

fn grad_norm(report: &StepReport) -> f64 {
    report.metrics.iter().find(|(name, _)| name == "grad_norm").unwrap().1
}

fn weights(learner: &mut Learner) -> Vec<f32> {
    let state = StateDict::save(learner).unwrap();
    let model = state.tensors.iter().filter(|(name, _)| name.starts_with("model/"));
    model.flat_map(|(_, tensor)| tensor.to_vec::<f32>().unwrap()).collect()
}

/// Two steps of two micro-batches are two updates, and each is that of one batch of both.
#[test]
fn a_step_of_two_micro_batches_is_that_of_one_of_both() {
    let (mut cut, mut whole) = (learner(), learner());
    for step in 0..2 {
        let (a, b) = (batch(step, 2, 3), batch(step + 5, 2, 13));
        let got = cut.step(u64::from(step), &[a.clone(), b.clone()]).unwrap();
        let want = whole.step(u64::from(step), &[joined(&a, &b)]).unwrap();
        assert!((got.loss - want.loss).abs() < 1e-6, "{got:?} {want:?}");
        assert!((grad_norm(&got) - grad_norm(&want)).abs() < 1e-6, "{got:?} {want:?}");
    }
    assert_close(&weights(&mut cut), &weights(&mut whole), 2e-6);
    assert_eq!(StateDict::save(&mut cut).unwrap().values["optimizer/t"], 2);
}

#[test]
fn a_micro_batch_without_targets_changes_nothing() {
    let (mut with, mut without) = (learner(), learner());
    let (some, none) = (batch(1, 2, 3), batch(6, 2, 16));
    let got = with.step(0, &[some.clone(), none.clone()]).unwrap();
    let want = without.step(0, std::slice::from_ref(&some)).unwrap();
    assert_eq!((got.loss, grad_norm(&got)), (want.loss, grad_norm(&want)));
    assert_eq!(weights(&mut with), weights(&mut without));
    let mut mean = |batches: &[Batch]| with.evaluate(batches, &cx()).unwrap();
    assert_eq!(mean(&[some.clone(), none.clone()]), mean(&[some]));
    assert_eq!(mean(&[none]), None);
}

/// Nothing is learned in such a step, and nothing is lost: the mean of nothing is no NaN.
#[test]
fn a_step_without_targets_is_no_nan() {
    let mut learner = learner();
    learner.step(0, &[batch(1, 2, 3)]).unwrap();
    let report = learner.step(1, &[batch(6, 2, 16)]).unwrap();
    assert_eq!((report.loss, grad_norm(&report)), (0.0, 0.0));
    assert!(weights(&mut learner).iter().all(|w| w.is_finite()));
    assert!(learner.step(2, &[batch(2, 2, 3)]).unwrap().loss > 1.0);
}
