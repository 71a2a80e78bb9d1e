//! The model from outside: the numbers of the reference, and what must hold of any such model, of
//! its training and of its generation.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod behaviour;
mod caching;
mod ending;
mod generating;
mod golden;
mod learning;
mod masking;
mod mixed_precision;
mod recomputing;
mod written_out;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use gpt::config::ModelConfig;
use gpt::model::{Gpt, Mode};
use sdk::{Generator, TensorHandle};
use sdk_numerics::ops::Keys;
use sdk_numerics::{Gradients, ParamKind, Workers};

const IDS: [u32; 8] = [3, 1, 4, 1, 5, 9, 2, 6];
const TARGETS: [u32; 8] = [1, 4, 1, 5, 9, 2, 6, 3];
const IGNORE: u32 = u32::MAX;

fn small() -> ModelConfig {
    ModelConfig {
        vocab: 11,
        context: 8,
        width: 8,
        n_layers: 2,
        n_heads: 2,
        d_ff: 12,
        dropout: 0.0,
        rope_theta: 1e4,
    }
}

fn seeded(config: &ModelConfig, seed: u64) -> Gpt {
    let mut init = Generator::new(seed, "model init");
    Gpt::new(config, &mut init, &Device::Cpu, DType::F32).unwrap()
}

/// The small model with the formula's weights.
fn golden() -> Gpt {
    with_formula(seeded(&small(), 0))
}

fn with_formula(gpt: Gpt) -> Gpt {
    let mut tensors = BTreeMap::new();
    for (k, (name, kind, var)) in gpt.params().iter().enumerate() {
        let value = |i: usize| {
            let (i, k) = (i as f64, k as f64);
            match kind {
                ParamKind::Norm => 1.0 + 0.1 * (0.3 * i + k).sin(),
                ParamKind::Bias => 0.05 * (0.2 * i + k).cos(),
                ParamKind::Weight | ParamKind::Embedding => 0.2 * (0.7 * i + 1.3 * k).sin(),
            }
        };
        let values: Vec<f32> = (0..var.elem_count()).map(|i| value(i) as f32).collect();
        tensors.insert(name.to_owned(), TensorHandle::from_vec(values, var.dims()).unwrap());
    }
    gpt.params().load_tensors(&tensors).unwrap();
    gpt
}

fn ids(rows: &[&[u32]]) -> Tensor {
    let t = rows[0].len();
    Tensor::from_vec(rows.concat(), (rows.len(), t), &Device::Cpu).unwrap()
}

fn logits(gpt: &Gpt, input: &[u32]) -> Vec<Vec<f32>> {
    gpt.forward(&ids(&[input]), &mut Mode::Eval).unwrap().squeeze(0).unwrap().to_vec2().unwrap()
}

fn mean_loss(gpt: &Gpt, targets: &[u32]) -> f64 {
    let (sum, valid) =
        gpt.loss_sum(&ids(&[&IDS]), &ids(&[targets]), Some(IGNORE), &mut Mode::Eval).unwrap();
    f64::from(sum.to_scalar::<f32>().unwrap()) / valid as f64
}

/// Gradients of the mean loss over `rows`, cut into `shards`, on two threads.
fn gradients(gpt: &Gpt, rows: &[&[u32]], shards: usize, dropout_seed: Option<u64>) -> Gradients {
    let mut gradients = Gradients::new(gpt.params());
    let tokens = rows.len() * (rows[0].len() - 1);
    let cut: Vec<Vec<&[u32]>> = rows.chunks(rows.len() / shards).map(<[_]>::to_vec).collect();
    Workers::new(2)
        .gradients(gpt.params(), cut, &mut gradients, |rows| {
            let x: Vec<&[u32]> = rows.iter().map(|r| &r[..r.len() - 1]).collect();
            let y: Vec<&[u32]> = rows.iter().map(|r| &r[1..]).collect();
            let mut keys = dropout_seed.map(Keys::new);
            let mut mode = keys.as_mut().map_or(Mode::Eval, Mode::Train);
            gpt.loss_sum(&ids(&x), &ids(&y), None, &mut mode)
                .and_then(|(sum, _)| sum / tokens as f64)
                .map_err(sdk_numerics::error)
        })
        .unwrap();
    gradients
}

fn assert_close(got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= tolerance, "{i}: {got} {want}");
    }
}
