//! Activation checkpointing: less memory, and the same bits.

use gpt::config::ModelConfig;
use gpt::model::{Gpt, Mode, Training};
use sdk_numerics::ops::{Compute, Keys};

use crate::{IDS, TARGETS, gradients, ids, seeded, small};

fn model(compute: Compute, recomputes_blocks: bool, dropout: f64) -> Gpt {
    let config = ModelConfig { n_layers: 3, dropout, ..small() };
    seeded(&config, 5).with_training(Training { compute, recomputes_blocks })
}

fn loss(gpt: &Gpt) -> f32 {
    let mut keys = Keys::new(9);
    let mode = &mut Mode::Train(&mut keys);
    let (sum, _) = gpt.loss_sum(&ids(&[&IDS]), &ids(&[&TARGETS]), None, mode).unwrap();
    sum.to_scalar().unwrap()
}

#[test]
fn loss_and_all_gradients_are_the_same_bits() {
    for compute in [Compute::Own, Compute::Bf16] {
        for dropout in [0.0, 0.3] {
            let plain = model(compute, false, dropout);
            let checkpointed = model(compute, true, dropout);
            assert_eq!(loss(&checkpointed).to_bits(), loss(&plain).to_bits());
            let rows: [&[u32]; 2] = [&IDS, &TARGETS];
            let want = gradients(&plain, &rows, 2, Some(9));
            let got = gradients(&checkpointed, &rows, 2, Some(9));
            assert!(got.missing().is_empty());
            for (name, _, _) in plain.params().iter() {
                let gradient = got.get(name).unwrap();
                assert_eq!(gradient, want.get(name).unwrap(), "{name}");
                assert!(gradient.iter().any(|g| *g != 0.0), "{name}");
            }
        }
    }
}

/// Checkpointed gradients need the workers; a plain tape outside of them is enough here.
#[test]
fn evaluation_keeps_its_tape() {
    let gpt = model(Compute::Own, true, 0.0);
    let backward = |mode: &mut Mode<'_>| {
        let (sum, _) = gpt.loss_sum(&ids(&[&IDS]), &ids(&[&TARGETS]), None, mode).unwrap();
        sum.backward().map(|store| store.get(gpt.params().get("blocks.1.ln1.weight")).is_some())
    };
    assert!(backward(&mut Mode::Eval).unwrap());
    assert!(backward(&mut Mode::Train(&mut Keys::new(1))).is_err());
}
