//! A `LlamaForCausalLM` as our model: sizes from its `config.json`, tensors under our names.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use sdk::{DType, Error, Result, TensorHandle};
use serde::Deserialize;
use serde_json::Value;

use crate::config::ModelConfig;
use crate::llama::{Part, parts, to_adjacent};
use crate::weights::{Tensors, bytes};

/// Rows of the embeddings there.
const EMBEDDING: &str = "model.embed_tokens.weight";

/// As many layers as a section can ask for.
const MAX_LAYERS: usize = 1024;

/// What matters here of a `config.json`; the defaults are those of `transformers`.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    model_type: String,
    vocab_size: usize,
    max_position_embeddings: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    #[serde(default)]
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<RopeParameters>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
}

#[derive(Debug, Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
}

/// The sizes that a `config.json` beside a file says; none when there is no such file.
///
/// # Errors
/// When it can't be read, or is that of a model that ours can't be.
pub(super) fn sizes_beside(file: &Path) -> Result<Option<ModelConfig>> {
    let path = file.with_file_name("config.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unfit(&path, &e)),
    };
    let config: Config = serde_json::from_str(&text).map_err(|e| unfit(&path, &e))?;
    let faults = config.faults();
    if !faults.is_empty() {
        return Err(unfit(&path, &faults.join("; ")));
    }
    Ok(Some(config.sizes()))
}

fn unfit(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new("gpt::config_json", format!("`{}`: {why}", path.display()))
}

impl Config {
    /// What this Llama does and our model can't.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut want = |is_fine: bool, key: &str, wanted: &str| {
            if !is_fine {
                faults.push(format!("`{key}` must be {wanted}"));
            }
        };
        let heads = self.num_attention_heads;
        want(self.model_type == "llama", "model_type", "`llama`");
        want(self.num_hidden_layers <= MAX_LAYERS, "num_hidden_layers", "at most 1024");
        let has_all_heads = self.num_key_value_heads.is_none_or(|n| n == heads);
        want(has_all_heads, "num_key_value_heads", "that of `num_attention_heads`");
        let fills_width = self.head_dim.is_none_or(|d| d.saturating_mul(heads) == self.hidden_size);
        want(fills_width, "head_dim", "`hidden_size / num_attention_heads`");
        let eps = self.rms_norm_eps.unwrap_or(1e-6);
        want((eps - 1e-5).abs() < 1e-9, "rms_norm_eps", "1e-5");
        let is_silu = self.hidden_act.as_deref().is_none_or(|name| name == "silu");
        want(is_silu, "hidden_act", "`silu`");
        want(self.rope_scaling.as_ref().is_none_or(Value::is_null), "rope_scaling", "null");
        let rope_type = self.rope_parameters.as_ref().and_then(|rope| rope.rope_type.as_deref());
        want(rope_type.is_none_or(|name| name == "default"), "rope_type", "`default`");
        want(!self.attention_bias, "attention_bias", "false");
        want(self.tie_word_embeddings, "tie_word_embeddings", "true");
        faults
    }

    fn sizes(&self) -> ModelConfig {
        let theta = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
        ModelConfig {
            vocab: self.vocab_size,
            context: self.max_position_embeddings,
            width: self.hidden_size,
            n_layers: self.num_hidden_layers,
            n_heads: self.num_attention_heads,
            d_ff: self.intermediate_size,
            rope_theta: theta.or(self.rope_theta).unwrap_or(10_000.0),
            ..ModelConfig::default()
        }
    }
}

/// Whether tensors have the names of a `LlamaForCausalLM`.
pub(super) fn is_llama(tensors: &BTreeMap<String, TensorHandle>) -> bool {
    tensors.contains_key(EMBEDDING)
}

/// A Llama's tensors as ours, in f32: Q, K and V in one matrix, the rows of Q and K in adjacent
/// pairs, and biases of 0 where it has none.
///
/// # Errors
/// When sizes or a tensor are missing, or a shape is another than the sizes say.
pub(super) fn to_ours(
    tensors: &BTreeMap<String, TensorHandle>,
    sizes: Option<&ModelConfig>,
) -> Result<BTreeMap<String, TensorHandle>> {
    let Some(sizes) = sizes else {
        let message = "a Llama's tensors alone don't say how many heads it has";
        return Err(Error::new("gpt::config_json", message)
            .help("put the model's `config.json` beside the file"));
    };
    if let Some(fault) = sizes.check().into_iter().next() {
        return Err(fault);
    }
    let tensors = Tensors::Borrowed(tensors).into_f32()?;
    let mut ours: BTreeMap<String, (Vec<u8>, Vec<usize>)> = BTreeMap::new();
    for part in parts(sizes) {
        let values = read_part(&tensors, &part, sizes.head_width())?;
        let whole = ours.entry(part.ours.clone());
        whole.or_insert_with(|| (Vec::new(), part.whole_shape())).0.extend(values);
    }
    let handle = |(name, (bytes, shape)): (String, (Vec<u8>, Vec<usize>))| {
        Ok((name, TensorHandle::from_bytes(&bytes, DType::F32, &shape)?))
    };
    ours.into_iter().map(handle).collect()
}

fn read_part(
    tensors: &BTreeMap<String, TensorHandle>,
    part: &Part,
    head_width: usize,
) -> Result<Vec<u8>> {
    let name = &part.hugging_face;
    let Some(tensor) = tensors.get(name) else {
        if name.ends_with(".bias") {
            return Ok(vec![0; part.shape[0] * DType::F32.size_bytes()]);
        }
        return Err(Error::new("gpt::tensors", format!("`{name}` is missing")));
    };
    if tensor.shape() != part.shape {
        let message = format!("`{name}` has {:?}, wanted {:?}", tensor.shape(), part.shape);
        return Err(Error::new("gpt::tensors", message));
    }
    let rows = bytes(tensor);
    Ok(if part.is_rotary() {
        to_adjacent(&rows, part.row_bytes(DType::F32.size_bytes()), head_width)
    } else {
        rows.into_owned()
    })
}
