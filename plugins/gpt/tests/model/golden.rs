//! The model against the numbers of the reference, and what must hold of any such model.
//!
//! The golden numbers were made with the reference implementation under PyTorch 2.3.1 on the CPU:
//! V 11, T 8, C 8, L 2, H 2, d_ff 12, no dropout, theta 1e4. Parameter k of the order of
//! declaration holds, at flat index i: norm gains `1 + 0.1 sin(0.3 i + k)`, biases
//! `0.05 cos(0.2 i + k)`, other weights `0.2 sin(0.7 i + 1.3 k)`. Input `[3, 1, 4, 1, 5, 9, 2, 6]`,
//! targets the same rotated left by one.

use candle_core::{DType, Device, Tensor};
use gpt::config::ModelConfig;
use gpt::model::{Gpt, Mode, Queries};
use sdk::{Generator, StateDict};
use sdk_numerics::ops::Keys;
use sdk_numerics::{AdamW, AdamWConfig, Gradients, ParamKind, Workers};

use crate::{
    IDS, IGNORE, TARGETS, assert_close, golden, gradients, ids, logits, mean_loss, seeded, small,
};

#[test]
fn golden_logits_and_attention() {
    let gpt = golden();
    assert_eq!(gpt.params().count(), 1280);
    let logits = logits(&gpt, &IDS);
    let first = [
        0.283106, 0.875132, 1.074339, 0.791309, 0.153086, -0.553853, -1.012185, -1.016179,
        -0.564043, 0.141274, 0.783178,
    ];
    let last = [
        0.495953, 0.672219, 0.546747, 0.175858, -0.273968, -0.600819, -0.657981, -0.419796,
        0.006821, 0.430377, 0.660750,
    ];
    assert_close(&logits[0], &first, 1e-5);
    assert_close(&logits[7], &last, 1e-5);
    let trace =
        |layer| gpt.forward_with_attention(&ids(&[&IDS]), layer, Queries::Last, &mut Mode::Eval);
    let row = trace(1).unwrap().1.row;
    assert_eq!(row.dims(), [1, 2, 8]);
    let head: Vec<f32> = row.get(0).unwrap().get(0).unwrap().to_vec1().unwrap();
    let want = [0.143472, 0.081902, 0.160069, 0.175162, 0.103234, 0.110341, 0.097469, 0.128351];
    assert_close(&head, &want, 1e-5);
    let error = sdk_numerics::error(trace(2).unwrap_err());
    assert_eq!(error.message, "layer 2 is not in [0, 2)");
}

#[test]
fn golden_loss_gradient_and_step() {
    let gpt = golden();
    assert!((mean_loss(&gpt, &TARGETS) - 2.862362).abs() < 1e-5);
    let mut masked = TARGETS;
    masked[..3].fill(IGNORE);
    assert!((mean_loss(&gpt, &masked) - 3.050618).abs() < 1e-5);

    let rotated: Vec<u32> = IDS.iter().chain(&IDS[..1]).copied().collect();
    let mut gradients = gradients(&gpt, &[&rotated], 1, None);
    let grad_norm = gradients.clip(Some(1.0));
    assert!((grad_norm - 1.702025).abs() < 1e-5, "{grad_norm}");
    let config = AdamWConfig { betas: (0.9, 0.95), ..AdamWConfig::default() };
    AdamW::new(gpt.params(), config).step(gpt.params(), &gradients, 1e-2).unwrap();
    let loss = mean_loss(&gpt, &TARGETS);
    assert!((loss - 2.628683).abs() < 1e-5, "{loss}");
}

#[test]
fn parameters_are_those_of_the_reference() {
    let config =
        ModelConfig { context: 32, width: 64, n_layers: 2, n_heads: 2, d_ff: 128, ..small() };
    let config = ModelConfig { vocab: 256, ..config };
    let gpt = seeded(&config, 1);
    assert_eq!(gpt.params().count(), 99_264);
    assert_eq!(gpt.params().count(), config.parameter_count());
    let names: Vec<&str> = gpt.params().iter().map(|(name, _, _)| name).take(12).collect();
    assert_eq!(
        names,
        [
            "tok_emb.weight",
            "blocks.0.ln1.weight",
            "blocks.0.attn.qkv.weight",
            "blocks.0.attn.proj.weight",
            "blocks.0.ln2.weight",
            "blocks.0.mlp.fc_a.weight",
            "blocks.0.mlp.fc_a.bias",
            "blocks.0.mlp.fc_g.weight",
            "blocks.0.mlp.fc_g.bias",
            "blocks.0.mlp.fc_out.weight",
            "blocks.0.mlp.fc_out.bias",
            "blocks.1.ln1.weight",
        ]
    );
    assert_eq!(gpt.params().iter().last().unwrap().0, "ln_f.weight");
    for (name, kind, var) in gpt.params().iter() {
        let values: Vec<f32> = var.flatten_all().unwrap().to_vec1().unwrap();
        let expected = match kind {
            ParamKind::Norm => "norm",
            ParamKind::Bias => "bias",
            ParamKind::Weight | ParamKind::Embedding => "weight",
        };
        match expected {
            "norm" => assert!(values.iter().all(|v| *v == 1.0), "{name}"),
            "bias" => assert!(values.iter().all(|v| *v == 0.0), "{name}"),
            _ => {
                let squares: f64 = values.iter().map(|v| f64::from(v * v)).sum();
                let std = (squares / values.len() as f64).sqrt();
                assert!((std / 0.02 - 1.0).abs() < 0.05, "{name} {std}");
            }
        }
    }
}

/// The reference seeds after it has made the model: there the seed decides nothing of it.
#[test]
fn weights_follow_the_seed() {
    let table = |seed| {
        let gpt = seeded(&small(), seed);
        gpt.params().get("blocks.1.mlp.fc_g.weight").to_vec2::<f32>().unwrap()
    };
    assert_eq!(table(1), table(1));
    assert_ne!(table(1), table(2));
}

#[test]
fn every_parameter_learns() {
    for dropout_seed in [None, Some(3)] {
        let config =
            ModelConfig { dropout: if dropout_seed.is_some() { 0.2 } else { 0.0 }, ..small() };
        let gpt = seeded(&config, 5);
        let gradients = gradients(&gpt, &[&IDS], 1, dropout_seed);
        assert!(gradients.missing().is_empty());
        for (name, _, _) in gpt.params().iter() {
            let gradient = gradients.get(name).unwrap();
            assert!(gradient.iter().any(|g| *g != 0.0), "{name} has no gradient");
        }
    }
}

#[test]
fn later_tokens_change_no_earlier_logits() {
    let gpt = golden();
    let (a, b) = (logits(&gpt, &IDS), logits(&gpt, &[3, 1, 4, 1, 5, 0, 10, 7]));
    assert_eq!(a[..5], b[..5]);
    assert_ne!(a[5], b[5]);
    // A shorter context gives the same prefix.
    for (short, long) in logits(&gpt, &IDS[..3]).iter().zip(&a) {
        assert_close(short, long, 1e-6);
    }
}

#[test]
fn rows_of_a_batch_are_independent() {
    let gpt = golden();
    let other = [7, 7, 0, 2, 10, 3, 3, 1];
    let both = gpt.forward(&ids(&[&IDS, &other]), &mut Mode::Eval).unwrap();
    for (i, input) in [IDS, other].iter().enumerate() {
        let row: Vec<Vec<f32>> = both.get(i).unwrap().to_vec2().unwrap();
        assert_close(&row.concat(), &logits(&gpt, input).concat(), 1e-6);
    }
}

#[test]
fn dropout_follows_the_keys() {
    let gpt = seeded(&ModelConfig { dropout: 0.3, ..small() }, 1);
    let run = |seed| {
        let logits = gpt.forward(&ids(&[&IDS]), &mut Mode::Train(&mut Keys::new(seed))).unwrap();
        logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert_eq!(logits(&gpt, &IDS), logits(&gpt, &IDS));
    assert_ne!(run(1), logits(&gpt, &IDS).concat());
}

#[test]
fn cutting_a_batch_changes_nothing() {
    let gpt = golden();
    let rows: [&[u32]; 4] =
        [&[3, 1, 4, 1, 5], &[9, 2, 6, 5, 3], &[5, 8, 9, 7, 9], &[3, 2, 3, 8, 4]];
    let whole = gradients(&gpt, &rows, 1, None);
    let sharded = gradients(&gpt, &rows, 2, None);
    // Accumulation: two calls on half of the rows each, the divisor that of the whole.
    let mut accumulated = Gradients::new(gpt.params());
    for half in rows.chunks(2) {
        let half = gradients_scaled(&gpt, half, &mut accumulated);
        assert!(half > 0.0);
    }
    for (name, _, _) in gpt.params().iter() {
        let want = whole.get(name).unwrap();
        assert_close(&sharded.get(name).unwrap(), &want, 1e-6);
        assert_close(&accumulated.get(name).unwrap(), &want, 1e-6);
    }
}

/// Adds the gradient of half of a 16-token step.
fn gradients_scaled(gpt: &Gpt, rows: &[&[u32]], into: &mut Gradients) -> f64 {
    let x: Vec<&[u32]> = rows.iter().map(|r| &r[..4]).collect();
    let y: Vec<&[u32]> = rows.iter().map(|r| &r[1..]).collect();
    Workers::new(1)
        .gradients(gpt.params(), vec![()], into, |()| {
            gpt.loss_sum(&ids(&x), &ids(&y), None, &mut Mode::Eval)
                .and_then(|(sum, _)| sum / 16.0)
                .map_err(sdk_numerics::error)
        })
        .unwrap()
}

#[test]
fn bad_input_is_refused_in_words() {
    let gpt = golden();
    let refuse = |input: &Tensor| {
        let error = gpt.forward(input, &mut Mode::Eval).unwrap_err();
        sdk_numerics::error(error).message
    };
    assert_eq!(refuse(&ids(&[&[0; 9]])), "9 tokens do not fit the context of 8");
    assert_eq!(refuse(&ids(&[&[0, 11]])), "id 11 is not in the vocabulary of 11");
    assert_eq!(refuse(&ids(&[&[]])), "a sequence needs at least one token");
    assert!(gpt.forward(&Tensor::new(&[1u32], &Device::Cpu).unwrap(), &mut Mode::Eval).is_err());
    let odd = ModelConfig { width: 6, ..small() };
    let mut init = Generator::new(0, "model init");
    let error = Gpt::new(&odd, &mut init, &Device::Cpu, DType::F32).unwrap_err();
    assert_eq!(error.path.as_deref(), Some("H"));
}

#[test]
fn state_makes_the_round_trip() {
    let mut a = golden();
    let saved = StateDict::save(&mut a).unwrap();
    assert_eq!(saved.tensors.len(), a.params().len());
    let mut b = seeded(&small(), 9);
    saved.restore(&mut b).unwrap();
    assert_eq!(logits(&a, &IDS), logits(&b, &IDS));
}

#[test]
fn a_few_steps_learn_one_sequence() {
    let gpt = seeded(&small(), 1);
    let mut optimizer = AdamW::new(gpt.params(), AdamWConfig::default());
    let before = mean_loss(&gpt, &TARGETS);
    let rotated: Vec<u32> = IDS.iter().chain(&IDS[..1]).copied().collect();
    for _ in 0..60 {
        let mut gradients = gradients(&gpt, &[&rotated], 1, None);
        gradients.clip(Some(1.0));
        optimizer.step(gpt.params(), &gradients, 1e-2).unwrap();
    }
    let after = mean_loss(&gpt, &TARGETS);
    assert!(before > 2.0 && after < 0.5, "{before} {after}");
}

#[test]
fn double_precision_agrees() {
    let single = golden();
    let mut init = Generator::new(0, "model init");
    let double = Gpt::new(&small(), &mut init, &Device::Cpu, DType::F64).unwrap();
    for (name, _, var) in double.params().iter() {
        var.set(&single.params().get(name).to_dtype(DType::F64).unwrap()).unwrap();
    }
    let composed = double.forward(&ids(&[&IDS]), &mut Mode::Eval).unwrap();
    let composed: Vec<f32> =
        composed.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_close(&logits(&single, &IDS).concat(), &composed, 2e-6);
}
