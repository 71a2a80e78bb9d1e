//! This model is a Llama: which tensor is which, here, in Hugging Face's `LlamaForCausalLM` and in
//! llama.cpp's GGUF files.
//!
//! Legend: V vocabulary, C width, D channels of a head, F feed-forward width. Three things differ
//! from Hugging Face: names, one fused matrix for Q, K and V, and the order of the rows of Q and K.
//! Rotary positions turn pairs of channels by the same angles everywhere, but here (and in
//! llama.cpp) pair i is the adjacent rows 2i and 2i + 1 of a head, in Hugging Face the rows i and
//! i + D/2.

use std::collections::BTreeMap;

use sdk::{Error, Result, TensorHandle};

use crate::config::ModelConfig;

/// Which rows of our tensor a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    All,
    Query,
    Key,
    Value,
}

use Rows::{All, Key, Query, Value};

/// An extent of a tensor.
#[derive(Clone, Copy, Debug)]
enum Size {
    V,
    C,
    F,
}

use Size::{C, F, V};

type Row = (&'static str, &'static str, &'static str, Rows, &'static [Size]);

/// The tensors of a layer: name here, in Hugging Face, in GGUF; which rows of ours; shape.
const LAYER: [Row; 12] = [
    ("ln1.weight", "input_layernorm.weight", "attn_norm.weight", All, &[C]),
    ("attn.qkv.weight", "self_attn.q_proj.weight", "attn_q.weight", Query, &[C, C]),
    ("attn.qkv.weight", "self_attn.k_proj.weight", "attn_k.weight", Key, &[C, C]),
    ("attn.qkv.weight", "self_attn.v_proj.weight", "attn_v.weight", Value, &[C, C]),
    ("attn.proj.weight", "self_attn.o_proj.weight", "attn_output.weight", All, &[C, C]),
    ("ln2.weight", "post_attention_layernorm.weight", "ffn_norm.weight", All, &[C]),
    ("mlp.fc_a.weight", "mlp.up_proj.weight", "ffn_up.weight", All, &[F, C]),
    ("mlp.fc_a.bias", "mlp.up_proj.bias", "ffn_up.bias", All, &[F]),
    ("mlp.fc_g.weight", "mlp.gate_proj.weight", "ffn_gate.weight", All, &[F, C]),
    ("mlp.fc_g.bias", "mlp.gate_proj.bias", "ffn_gate.bias", All, &[F]),
    ("mlp.fc_out.weight", "mlp.down_proj.weight", "ffn_down.weight", All, &[C, F]),
    ("mlp.fc_out.bias", "mlp.down_proj.bias", "ffn_down.bias", All, &[C]),
];

/// The tensor of the embeddings and the output head.
pub(crate) const EMBEDDING: &str = "tok_emb.weight";
const OUTER: [Row; 2] = [
    (EMBEDDING, "model.embed_tokens.weight", "token_embd.weight", All, &[V, C]),
    ("ln_f.weight", "model.norm.weight", "output_norm.weight", All, &[C]),
];

/// A tensor of a Llama, and where it lies in ours.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Name of our tensor.
    pub(crate) ours: String,
    /// Name in a `LlamaForCausalLM`.
    pub(crate) hugging_face: String,
    /// Name in a GGUF file.
    pub(crate) gguf: String,
    /// Which rows of our tensor.
    pub(crate) rows: Rows,
    /// Shape of the part.
    pub(crate) shape: Vec<usize>,
}

/// All parts of a model, in the order of our parameters.
pub(crate) fn parts(model: &ModelConfig) -> Vec<Part> {
    let extent = |size: &Size| match size {
        V => model.vocab,
        C => model.width,
        F => model.d_ff,
    };
    let part = |row: &Row, places: [String; 3]| {
        let [ours, hugging_face, gguf] = &places;
        Part {
            ours: format!("{ours}{}", row.0),
            hugging_face: format!("{hugging_face}{}", row.1),
            gguf: format!("{gguf}{}", row.2),
            rows: row.3,
            shape: row.4.iter().map(extent).collect(),
        }
    };
    let outer = |row: &Row| part(row, Default::default());
    let layers = (0..model.n_layers).flat_map(|i| {
        LAYER.iter().map(move |row| {
            part(row, [format!("blocks.{i}."), format!("model.layers.{i}."), format!("blk.{i}.")])
        })
    });
    let [embedding, norm] = OUTER.each_ref().map(outer);
    std::iter::once(embedding).chain(layers).chain([norm]).collect()
}

impl Part {
    /// Shape of our tensor, of which this is a part.
    pub(crate) fn whole_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if self.rows != All {
            shape[0] *= 3;
        }
        shape
    }

    /// Whether its rows are channels that rotary positions turn.
    pub(crate) fn is_rotary(&self) -> bool {
        matches!(self.rows, Query | Key)
    }

    /// This part of the bytes of our tensor.
    pub(crate) fn of<'a>(&self, whole: &'a [u8]) -> &'a [u8] {
        let index = match self.rows {
            All => return whole,
            Query => 0,
            Key => 1,
            Value => 2,
        };
        let n = whole.len() / 3;
        &whole[index * n..(index + 1) * n]
    }

    /// Bytes of one row.
    pub(crate) fn row_bytes(&self, element_bytes: usize) -> usize {
        self.shape[1..].iter().product::<usize>() * element_bytes
    }
}

/// Checks that tensors are exactly those of a model, whatever their types.
///
/// # Errors
/// One error that lists every missing, unknown and ill-shaped tensor.
pub(crate) fn check(tensors: &BTreeMap<String, TensorHandle>, model: &ModelConfig) -> Result<()> {
    let wanted: BTreeMap<String, Vec<usize>> =
        parts(model).into_iter().map(|part| (part.ours.clone(), part.whole_shape())).collect();
    let unknown = tensors.keys().filter(|name| !wanted.contains_key(*name));
    let mut faults: Vec<String> = unknown.map(|name| format!("`{name}` is unknown")).collect();
    for (name, shape) in &wanted {
        match tensors.get(name) {
            None => faults.push(format!("`{name}` is missing")),
            Some(tensor) if tensor.shape() != shape => {
                faults.push(format!("`{name}` has {:?}, wanted {shape:?}", tensor.shape()));
            }
            Some(_) => {}
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let message = format!("the tensors are not those of the model: {}", faults.join("; "));
    Err(Error::new("gpt::tensors", message))
}

/// Rows of Q or K from adjacent pairs, ours, to pairs half a head apart, Hugging Face's.
pub(crate) fn to_half_split(rows: &[u8], row_bytes: usize, head_width: usize) -> Vec<u8> {
    move_rows(rows, row_bytes, head_width, |row| (row, half_split(row, head_width)))
}

/// The reverse of [`to_half_split`].
pub(crate) fn to_adjacent(rows: &[u8], row_bytes: usize, head_width: usize) -> Vec<u8> {
    move_rows(rows, row_bytes, head_width, |row| (half_split(row, head_width), row))
}

/// Where row `row` of a head of `head_width` rows stands in Hugging Face's order.
fn half_split(row: usize, head_width: usize) -> usize {
    row / 2 + (row % 2) * (head_width / 2)
}

/// Moves row `from` of each head to row `to`; `places` says both for each row.
fn move_rows(
    rows: &[u8],
    row_bytes: usize,
    head_width: usize,
    places: impl Fn(usize) -> (usize, usize),
) -> Vec<u8> {
    let mut moved = vec![0; rows.len()];
    let head_bytes = head_width * row_bytes;
    for (source, target) in rows.chunks(head_bytes).zip(moved.chunks_mut(head_bytes)) {
        for row in 0..head_width {
            let (from, to) = places(row);
            target[to * row_bytes..][..row_bytes]
                .copy_from_slice(&source[from * row_bytes..][..row_bytes]);
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_move_half_a_head_apart_and_back() {
        // Two heads of six channels, one byte a row.
        let ours: Vec<u8> = (0..12).collect();
        let theirs = to_half_split(&ours, 1, 6);
        assert_eq!(theirs, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        for pair in 0..3 {
            assert_eq!(theirs[pair], ours[2 * pair]);
            assert_eq!(theirs[pair + 3], ours[2 * pair + 1]);
        }
        assert_eq!(to_adjacent(&theirs, 1, 6), ours);
        let wide: Vec<u8> = (0..32).collect();
        assert_eq!(to_half_split(&wide, 4, 4)[..8], [0, 1, 2, 3, 8, 9, 10, 11]);
        assert_eq!(to_adjacent(&to_half_split(&wide, 4, 4), 4, 4), wide);
    }

    #[test]
    fn parts_cover_every_parameter_once() {
        let model =
            ModelConfig { vocab: 11, width: 8, n_layers: 2, d_ff: 12, ..Default::default() };
        let parts = parts(&model);
        let values: usize = parts.iter().map(|part| part.shape.iter().product::<usize>()).sum();
        assert_eq!(values, model.parameter_count());
        assert_eq!(parts.len(), 2 + 2 * 12);
        assert_eq!(parts[2].hugging_face, "model.layers.0.self_attn.q_proj.weight");
        assert_eq!(parts[2].gguf, "blk.0.attn_q.weight");
        assert_eq!(parts[2].whole_shape(), [24, 8]);
        let whole: Vec<u8> = (0..24).collect();
        assert_eq!(parts[4].of(&whole), (16..24).collect::<Vec<u8>>());
    }
}
