//! The model against one written out from plain operations: where its norms, its projections and
//! its dropout are.

use candle_core::{D, DType, Device, Tensor};
use gpt::config::ModelConfig;
use gpt::model::{Gpt, Mode, Queries};
use sdk_numerics::ops::{Keys, Rope, dropout, rope};

use crate::{IDS, assert_close, gradients, ids, seeded, small};

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// `x / √(mean(x²) + 1e-5) · gain`: no mean is taken off, no bias added.
fn norm(gpt: &Gpt, name: &str, x: &Tensor) -> Tensor {
    let root = (x.sqr().unwrap().mean_keepdim(D::Minus1).unwrap() + 1e-5).unwrap().sqrt().unwrap();
    x.broadcast_div(&root).unwrap().broadcast_mul(gpt.params().get(name)).unwrap()
}

/// `x · Wᵀ`, for `(1, t, C)`.
fn project(gpt: &Gpt, name: &str, x: &Tensor) -> Tensor {
    let w = gpt.params().get(name).t().unwrap();
    x.squeeze(0).unwrap().matmul(&w).unwrap().unsqueeze(0).unwrap()
}

/// A projection with its bias.
fn affine(gpt: &Gpt, name: &str, x: &Tensor) -> Tensor {
    let y = project(gpt, &format!("{name}.weight"), x);
    y.broadcast_add(gpt.params().get(&format!("{name}.bias"))).unwrap()
}

/// The places of dropout: what survives of a tensor there.
struct Noise {
    p: f64,
    keys: Keys,
}

impl Noise {
    fn on(&mut self, x: &Tensor) -> Tensor {
        // A mask of its own, so that only the places are those of the model.
        let mask = dropout(&x.ones_like().unwrap(), self.p, self.keys.next_key()).unwrap();
        (x * mask).unwrap()
    }
}

/// Attention of one block: dropout on the probabilities, then on the output.
fn attention(gpt: &Gpt, block: usize, x: &Tensor, noise: &mut Noise) -> Tensor {
    let config = gpt.config();
    let (t, c, h) = (x.dim(1).unwrap(), config.width, config.n_heads);
    let qkv = project(gpt, &format!("blocks.{block}.attn.qkv.weight"), x);
    let head = |i: usize| {
        let part = qkv.narrow(2, i * c, c).unwrap().reshape((1, t, h, c / h)).unwrap();
        part.transpose(1, 2).unwrap().contiguous().unwrap()
    };
    let tables = Rope::new(config.context, c / h, config.rope_theta).unwrap();
    let turned = |i: usize| rope(&head(i), &tables, 0).unwrap();
    let scores = turned(0).matmul(&turned(1).t().unwrap()).unwrap();
    let scores = (scores / ((c / h) as f64).sqrt()).unwrap();
    let later = |i: usize| if i % t > i / t { f32::MIN } else { 0.0 };
    let later = Tensor::from_vec((0..t * t).map(later).collect(), (t, t), &Device::Cpu).unwrap();
    let weights = scores.broadcast_add(&later).unwrap().exp().unwrap();
    let probs = weights.broadcast_div(&weights.sum_keepdim(D::Minus1).unwrap()).unwrap();
    let y = noise.on(&probs).matmul(&head(2)).unwrap();
    let y = y.transpose(1, 2).unwrap().reshape((1, t, c)).unwrap();
    noise.on(&project(gpt, &format!("blocks.{block}.attn.proj.weight"), &y))
}

/// The gated feed-forward of one block, with dropout on its output.
fn feed_forward(gpt: &Gpt, block: usize, x: &Tensor, noise: &mut Noise) -> Tensor {
    let part = |name: &str, x: &Tensor| affine(gpt, &format!("blocks.{block}.mlp.{name}"), x);
    let gate = part("fc_g", x).silu().unwrap();
    noise.on(&part("fc_out", &(gate * part("fc_a", x)).unwrap()))
}

/// Logits of one row of ids. Nothing is dropped but in the embedding, in attention's probabilities
/// and output, and in the feed-forward's output.
fn written_out(gpt: &Gpt, row: &[u32], mut noise: Noise) -> Vec<f32> {
    let table = gpt.params().get("tok_emb.weight");
    let rows = table.index_select(&Tensor::new(row, &Device::Cpu).unwrap(), 0).unwrap();
    let mut h = noise.on(&rows.unsqueeze(0).unwrap());
    for block in 0..gpt.config().n_layers {
        let x = norm(gpt, &format!("blocks.{block}.ln1.weight"), &h);
        h = (&h + attention(gpt, block, &x, &mut noise)).unwrap();
        let x = norm(gpt, &format!("blocks.{block}.ln2.weight"), &h);
        h = (&h + feed_forward(gpt, block, &x, &mut noise)).unwrap();
    }
    flat(&project(gpt, "tok_emb.weight", &norm(gpt, "ln_f.weight", &h)))
}

#[test]
fn norms_projections_and_dropout_are_where_they_belong() {
    for p in [0.0, 0.5] {
        let gpt = crate::with_formula(seeded(&ModelConfig { dropout: p, ..small() }, 1));
        for seed in 0..4 {
            let mut keys = Keys::new(seed);
            let got = gpt.forward(&ids(&[&IDS]), &mut Mode::Train(&mut keys)).unwrap();
            let want = written_out(&gpt, &IDS, Noise { p, keys: Keys::new(seed) });
            assert_close(&flat(&got), &want, 1e-5);
        }
    }
}

/// C64 T32 H4: attention of every head and query, and a gradient for every parameter.
#[test]
fn a_block_shows_its_attention_and_has_finite_gradients() {
    let config = ModelConfig { context: 32, width: 64, n_heads: 4, d_ff: 128, ..small() };
    let gpt = seeded(&config, 1);
    let row: Vec<u32> = (0..33).map(|i| i * i % 11).collect();
    let all = Queries::All;
    let input = ids(&[&row[..32], &row[1..]]);
    let (logits, trace) = gpt.forward_with_attention(&input, 0, all, &mut Mode::Eval).unwrap();
    assert_eq!((logits.dims(), logits.dtype()), (&[2, 32, 11][..], DType::F32));
    assert_eq!(trace.full.unwrap().dims(), [2, 4, 32, 32]);
    let gradients = gradients(&gpt, &[&row], 1, None);
    for (name, _, var) in gpt.params().iter() {
        let gradient = gradients.get(name).unwrap();
        assert_eq!(gradient.len(), var.elem_count());
        assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
        assert!(gradient.iter().any(|g| *g != 0.0), "{name}");
    }
}
