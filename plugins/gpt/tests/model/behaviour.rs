//! What any GPT of this kind does, whatever its weights are.

use candle_core::{D, Tensor};
use gpt::config::ModelConfig;
use gpt::model::{Gpt, Mode, Queries};
use sdk_numerics::ops::Keys;

use crate::{IDS, assert_close, golden, ids, logits, seeded, small};

/// V256 T32 C64 L2 H4.
fn traced() -> Gpt {
    let config =
        ModelConfig { context: 32, width: 64, n_layers: 2, n_heads: 4, d_ff: 128, ..base() };
    seeded(&config, 3)
}

fn base() -> ModelConfig {
    ModelConfig { vocab: 256, ..small() }
}

/// Two rows of 17 ids.
fn two_rows() -> Tensor {
    let rows: Vec<Vec<u32>> =
        (0..2).map(|r| (0..17).map(|i| (i * 37 + r * 11) % 256).collect()).collect();
    ids(&[&rows[0], &rows[1]])
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn logits_have_a_row_of_the_vocabulary_for_each_position() {
    let config = ModelConfig {
        vocab: 128,
        context: 64,
        width: 128,
        n_layers: 2,
        n_heads: 4,
        d_ff: 256,
        ..small()
    };
    let gpt = seeded(&config, 1);
    let row: Vec<u32> = (0..65).collect();
    let logits = gpt.forward(&ids(&[&row[..64], &row[1..]]), &mut Mode::Eval).unwrap();
    assert_eq!(logits.dims(), [2, 64, 128]);
    assert_eq!(logits.dtype(), candle_core::DType::F32);
    let error = sdk_numerics::error(gpt.forward(&ids(&[&row]), &mut Mode::Eval).unwrap_err());
    assert_eq!(error.message, "65 tokens do not fit the context of 64");
}

#[test]
fn the_head_is_the_table() {
    let gpt = golden();
    assert!(gpt.params().iter().all(|(name, _, _)| !name.contains("head")));
    // h and with it the logits double where the row of a token that isn't in the input doubles.
    let before = logits(&gpt, &[3, 1, 4]);
    let (_, _, table) = gpt.params().iter().next().unwrap();
    let mut rows = table.to_vec2::<f32>().unwrap();
    rows[7].iter_mut().for_each(|x| *x *= 2.0);
    table.set(&Tensor::new(rows, table.device()).unwrap()).unwrap();
    let after = logits(&gpt, &[3, 1, 4]);
    for (before, after) in before.iter().zip(&after) {
        assert!((2.0 * before[7] - after[7]).abs() < 1e-6);
        assert_eq!(before[..7], after[..7]);
    }
}

#[test]
fn norms_and_attention_have_no_bias_and_the_gate_is_as_wide_as_the_value() {
    let config = ModelConfig { width: 512, n_heads: 8, n_layers: 1, d_ff: 1536, ..small() };
    let gpt = seeded(&config, 1);
    let biases: Vec<&str> = gpt
        .params()
        .iter()
        .map(|(name, _, _)| name)
        .filter(|name| name.ends_with("bias"))
        .collect();
    let want = ["fc_a", "fc_g", "fc_out"].map(|name| format!("blocks.0.mlp.{name}.bias"));
    assert_eq!(biases, want);
    let dims =
        |name: &str| gpt.params().get(&format!("blocks.0.mlp.{name}.weight")).dims().to_vec();
    assert_eq!((dims("fc_a"), dims("fc_g")), (vec![1536, 512], vec![1536, 512]));
    assert_eq!(dims("fc_out"), [512, 1536]);
}

#[test]
fn evaluation_repeats_and_training_does_not() {
    let gpt = seeded(&ModelConfig { dropout: 0.5, ..small() }, 1);
    assert_eq!(logits(&gpt, &IDS), logits(&gpt, &IDS));
    let mut keys = Keys::new(1);
    let mut draw = || flat(&gpt.forward(&ids(&[&IDS]), &mut Mode::Train(&mut keys)).unwrap());
    let (a, b) = (draw(), draw());
    let equal = a.iter().zip(&b).filter(|(a, b)| a == b).count();
    assert!((equal as f64) < 0.999 * a.len() as f64);
}

/// Embeddings once, and in each block the probabilities, attention's output and the feed-forward's.
#[test]
fn dropout_is_drawn_once_and_thrice_a_block() {
    let gpt = seeded(&ModelConfig { dropout: 0.5, n_layers: 3, ..small() }, 1);
    let (mut used, mut counted) = (Keys::new(5), Keys::new(5));
    gpt.forward(&ids(&[&IDS]), &mut Mode::Train(&mut used)).unwrap();
    let next = (0..=1 + 3 * 3).map(|_| counted.next_key()).last();
    assert_eq!(Some(used.next_key()), next);
}

#[test]
fn a_trace_changes_no_logit() {
    let gpt = traced();
    let plain = gpt.forward(&two_rows(), &mut Mode::Eval).unwrap();
    for layer in 0..2 {
        for queries in [Queries::Last, Queries::All] {
            let (logits, trace) =
                gpt.forward_with_attention(&two_rows(), layer, queries, &mut Mode::Eval).unwrap();
            assert_eq!(flat(&logits), flat(&plain));
            assert_eq!((trace.layer, trace.row.dims()), (layer, &[2, 4, 17][..]));
            for sum in flat(&trace.row.sum(D::Minus1).unwrap()) {
                assert!((sum - 1.0).abs() < 1e-5, "{sum}");
            }
            assert_eq!(trace.full.is_some(), queries == Queries::All);
        }
    }
    let refuse = gpt.forward_with_attention(&two_rows(), 2, Queries::Last, &mut Mode::Eval);
    assert_eq!(sdk_numerics::error(refuse.unwrap_err()).message, "layer 2 is not in [0, 2)");
}

#[test]
fn attention_looks_back_only() {
    for (t, context) in [(8, 8), (17, 256)] {
        let config = ModelConfig { context, width: 32, n_heads: 4, ..base() };
        let gpt = seeded(&config, 2);
        let row: Vec<u32> = (0..t).map(|i| i * 7 % 256).collect();
        let all = Queries::All;
        let (_, trace) =
            gpt.forward_with_attention(&ids(&[&row]), 1, all, &mut Mode::Eval).unwrap();
        let full = trace.full.unwrap();
        let t = t as usize;
        assert_eq!(full.dims(), [1, 4, t, t]);
        let rows = full.flatten(0, 2).unwrap().to_vec2::<f32>().unwrap();
        for (i, row) in rows.iter().enumerate() {
            assert!(row[i % t + 1..].iter().all(|p| *p <= 1e-6));
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let last: Vec<f32> = rows.iter().skip(t - 1).step_by(t).flatten().copied().collect();
        assert_close(&flat(&trace.row), &last, 1e-6);
    }
}

#[test]
fn traced_probabilities_are_those_before_dropout() {
    let gpt = seeded(&ModelConfig { dropout: 0.9, ..small() }, 1);
    for seed in 0..10 {
        let (mut keys, mut same) = (Keys::new(seed), Keys::new(seed));
        let mut mode = Mode::Train(&mut keys);
        let (traced, trace) =
            gpt.forward_with_attention(&ids(&[&IDS]), 0, Queries::All, &mut mode).unwrap();
        for sum in flat(&trace.full.unwrap().sum(D::Minus1).unwrap()) {
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        }
        let plain = gpt.forward(&ids(&[&IDS]), &mut Mode::Train(&mut same)).unwrap();
        assert_eq!(flat(&traced), flat(&plain));
    }
}

/// Attention of the first block from its definition, every step by hand in f64: the rotation is
/// applied to queries and keys, and once.
#[test]
fn positions_rotate_queries_and_keys_once() {
    let gpt = golden();
    let (c, d) = (8, 4);
    let table = gpt.params().get("tok_emb.weight").to_vec2::<f32>().unwrap();
    let gain = gpt.params().get("blocks.0.ln1.weight").to_vec1::<f32>().unwrap();
    let weights = gpt.params().get("blocks.0.attn.qkv.weight").to_vec2::<f32>().unwrap();
    let project = |position: usize, row: usize| {
        let x: Vec<f64> = table[IDS[position] as usize].iter().map(|x| f64::from(*x)).collect();
        let root = (x.iter().map(|x| x * x).sum::<f64>() / c as f64 + 1e-5).sqrt();
        let y = x.iter().zip(&gain).zip(&weights[row]);
        y.map(|((x, g), w)| x / root * f64::from(*g) * f64::from(*w)).sum::<f64>()
    };
    let rotated = |position: usize, first_row: usize| {
        let mut y: Vec<f64> = (0..d).map(|i| project(position, first_row + i)).collect();
        for (i, pair) in y.chunks_exact_mut(2).enumerate() {
            let angle = position as f64 * 1e4f64.powf(-2.0 * i as f64 / d as f64);
            let (a, b) = (pair[0], pair[1]);
            pair[0] = a * angle.cos() - b * angle.sin();
            pair[1] = a * angle.sin() + b * angle.cos();
        }
        y
    };
    let last = Queries::Last;
    let (_, trace) = gpt.forward_with_attention(&ids(&[&IDS]), 0, last, &mut Mode::Eval).unwrap();
    let got = trace.row.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
    for (head, got) in got.iter().enumerate() {
        let q = rotated(7, head * d);
        let score = |position: usize| {
            let k = rotated(position, c + head * d);
            q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>() / (d as f64).sqrt()
        };
        let weights: Vec<f64> = (0..8).map(|position| score(position).exp()).collect();
        let total: f64 = weights.iter().sum();
        let want: Vec<f32> = weights.iter().map(|w| (w / total) as f32).collect();
        assert_close(got, &want, 1e-6);
    }
}
