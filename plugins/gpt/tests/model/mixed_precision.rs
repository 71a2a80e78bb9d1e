//! Training with products in bfloat16: near f32, and everything else still in f32.

use gpt::config::ModelConfig;
use gpt::model::{Gpt, Mode, Training};
use sdk_numerics::ops::{Compute, Keys};
use sdk_numerics::{AdamW, AdamWConfig, Gradients};

use crate::{IDS, gradients, ids, logits, seeded, small};

const BF16: Training = Training { compute: Compute::Bf16, recomputes_blocks: false };

fn model(training: Training) -> Gpt {
    let config = ModelConfig { width: 64, n_heads: 4, d_ff: 128, ..small() };
    seeded(&config, 5).with_training(training)
}

fn loss(gpt: &Gpt) -> f64 {
    let mut keys = Keys::new(1);
    let (sum, n) = gpt
        .loss_sum(&ids(&[&IDS]), &ids(&[&crate::TARGETS]), None, &mut Mode::Train(&mut keys))
        .unwrap();
    f64::from(sum.to_scalar::<f32>().unwrap()) / n as f64
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut b.iter().map(|b| f64::from(*b)))
}

/// A factor carries an error of at most 2⁻⁹; some ten products lie one behind another.
#[test]
fn loss_and_gradients_stay_within_the_bound_of_bfloat16() {
    let (plain, mixed) = (model(Training::default()), model(BF16));
    let (want, got) = (loss(&plain), loss(&mixed));
    assert!(got != want && (got / want - 1.0).abs() < 2e-3, "{got} {want}");
    let run = |gpt: &Gpt| gradients(gpt, &[&IDS], 1, Some(1));
    let (want, got) = (run(&plain), run(&mixed));
    assert!(got.missing().is_empty());
    for (name, _, _) in plain.params().iter() {
        let far = distance(&got.get(name).unwrap(), &want.get(name).unwrap());
        assert!(far > 1e-5 && far < 2e-2, "{name}: {far}");
    }
}

/// Twenty steps on eight tokens: the loss falls by more than half, and the two stay together.
#[test]
fn training_follows_that_in_f32() {
    let run = |training| {
        let gpt = model(training);
        let mut optimizer = AdamW::new(gpt.params(), AdamWConfig::default());
        let rotated: Vec<u32> = IDS.iter().chain(&IDS[..1]).copied().collect();
        let mut losses = Vec::new();
        for _ in 0..20 {
            losses.push(loss(&gpt));
            let mut gradients: Gradients = gradients(&gpt, &[&rotated], 1, Some(1));
            gradients.clip(Some(1.0));
            optimizer.step(gpt.params(), &gradients, 2e-3).unwrap();
        }
        losses
    };
    let (plain, mixed) = (run(Training::default()), run(BF16));
    assert!(plain[19] < 0.5 * plain[0], "{plain:?}");
    for (a, b) in mixed.iter().zip(&plain) {
        assert!((a / b - 1.0).abs() < 0.02, "{mixed:?} {plain:?}");
    }
}

#[test]
fn evaluation_stays_in_f32() {
    assert_eq!(logits(&model(BF16), &IDS), logits(&model(Training::default()), &IDS));
}
