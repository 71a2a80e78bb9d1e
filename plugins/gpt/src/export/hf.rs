//! A Hugging Face folder: what `AutoModelForCausalLM` and `AutoTokenizer` of `transformers` load.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;

use safetensors::{Dtype, View};
use sdk::{DType, Error, PhaseContext, Result};
use serde_json::{Map, Value, json};

use super::{Source, unwritten};
use crate::config::{GenerationConfig, ModelConfig};
use crate::llama::{Part, parts, to_half_split};
use crate::model::NORM_EPS;

pub(super) fn write(source: &Source<'_>, cx: &PhaseContext) -> Result<()> {
    let handover = source.handover;
    let special = handover.tokenizer.special();
    source.write_json("config.json", &config(&handover.model, special.eot))?;
    source.write_json("generation_config.json", &generation_config(source))?;
    source.write_json("tokenizer.json", &handover.tokenizer.huggingface_json()?)?;
    cx.check_cancelled()?;
    source.write_json("tokenizer_config.json", &tokenizer_config(source))?;
    source.write_json("special_tokens_map.json", &special_tokens_map(source).into())?;
    if let Some(template) = &source.template {
        source.write_text("chat_template.jinja", template)?;
    }
    source.write_text("README.md", &model_card(source))?;
    write_tensors(source)?;
    cx.check_cancelled()
}

/// `config.json`; the end-of-turn token serves as every marker that a Llama has.
fn config(model: &ModelConfig, eot: u32) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": model.vocab,
        "max_position_embeddings": model.context,
        "hidden_size": model.width,
        "intermediate_size": model.d_ff,
        "num_hidden_layers": model.n_layers,
        "num_attention_heads": model.n_heads,
        "num_key_value_heads": model.n_heads,
        "head_dim": model.head_width(),
        "hidden_act": "silu",
        "rms_norm_eps": NORM_EPS,
        // The first is read up to version 4 of transformers, the second from version 5 on.
        "rope_theta": model.rope_theta,
        "rope_parameters": { "rope_type": "default", "rope_theta": model.rope_theta },
        "attention_bias": false,
        "attention_dropout": 0.0,
        "mlp_bias": true,
        "tie_word_embeddings": true,
        "initializer_range": 0.02,
        "use_cache": true,
        "torch_dtype": "float32",
        "bos_token_id": eot,
        "eos_token_id": eot,
        "pad_token_id": eot,
    })
}

/// `generation_config.json`: how the phase that trained the model draws text.
fn generation_config(source: &Source<'_>) -> Value {
    let special = source.handover.tokenizer.special();
    let generation = source.handover.generation.clone().unwrap_or_default();
    let mut config = json!({
        "bos_token_id": special.eot,
        "eos_token_id": generation.stop_token_id.unwrap_or(special.eot),
        "pad_token_id": special.eot,
        "max_new_tokens": generation.max_new_tokens,
        "do_sample": generation.temperature > 0.0,
    });
    let banned = banned_tokens(&generation, &special.roles());
    if !banned.is_empty() {
        config["suppress_tokens"] = json!(banned);
    }
    if generation.temperature > 0.0 {
        config["temperature"] = json!(generation.temperature);
        config["top_k"] = json!(generation.top_k.unwrap_or(0));
        config["top_p"] = json!(generation.top_p.unwrap_or(1.0));
    }
    if let Some(penalty) = generation.repetition_penalty {
        config["repetition_penalty"] = json!(penalty);
    }
    config
}

fn banned_tokens(generation: &GenerationConfig, roles: &[u32]) -> Vec<u32> {
    let mut banned = generation.banned_token_ids.clone().unwrap_or_default();
    if generation.ban_role_tokens {
        banned.extend(roles);
    }
    banned.sort_unstable();
    banned.dedup();
    banned
}

fn special_tokens_map(source: &Source<'_>) -> Map<String, Value> {
    let texts = source.handover.tokenizer.special_texts();
    let mut map = Map::new();
    for name in ["bos_token", "eos_token", "pad_token"] {
        map.insert(name.to_owned(), texts.eot.as_str().into());
    }
    let roles = json!([texts.sys, texts.usr, texts.asst]);
    map.insert("additional_special_tokens".to_owned(), roles);
    map
}

fn tokenizer_config(source: &Source<'_>) -> Value {
    let mut config = special_tokens_map(source);
    config.insert("tokenizer_class".to_owned(), "PreTrainedTokenizerFast".into());
    config.insert("model_max_length".to_owned(), source.handover.model.context.into());
    config.insert("clean_up_tokenization_spaces".to_owned(), false.into());
    config.insert("padding_side".to_owned(), "left".into());
    if let Some(template) = &source.template {
        config.insert("chat_template".to_owned(), template.as_str().into());
    }
    config.into()
}

fn model_card(source: &Source<'_>) -> String {
    let handover = source.handover;
    let model = &handover.model;
    let kind = handover.tokenizer.description()["kind"].as_str().unwrap_or_default().to_owned();
    let use_it = match source.template {
        Some(_) => {
            "messages = [{\"role\": \"user\", \"content\": \"Hello\"}]\n\
             ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, \
             return_tensors=\"pt\", return_dict=True)"
        }
        None => "ids = tokenizer(\"Once upon a time\", return_tensors=\"pt\")",
    };
    format!(
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n\n\
         # A GPT of {parameters} parameters\n\n\
         A stock `LlamaForCausalLM`: {layers} layers, {heads} heads, width {width}, feed-forward \
         width {d_ff}, context of {context} tokens, tied embeddings. The tokenizer is of kind \
         `{kind}` with {vocab} tokens.\n\n\
         ```python\n\
         from transformers import AutoModelForCausalLM, AutoTokenizer\n\n\
         model = AutoModelForCausalLM.from_pretrained(\".\")\n\
         tokenizer = AutoTokenizer.from_pretrained(\".\")\n\
         {use_it}\n\
         print(tokenizer.decode(model.generate(**ids)[0]))\n\
         ```\n",
        parameters = model.parameter_count(),
        layers = model.n_layers,
        heads = model.n_heads,
        width = model.width,
        d_ff = model.d_ff,
        context = model.context,
        vocab = handover.tokenizer.vocab_size(),
    )
}

fn write_tensors(source: &Source<'_>) -> Result<()> {
    let path = source.path("model.safetensors");
    let mut views = Vec::new();
    for part in parts(&source.handover.model) {
        let bytes = source.tensors[&part.ours].as_bytes();
        let bytes = bytes.ok_or_else(|| Error::new("export::layout", "a tensor lies in pieces"))?;
        let head_width = source.handover.model.head_width();
        views.push((part.hugging_face.clone(), PartView { bytes, part, head_width }));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), &path)
        .map_err(|e| unwritten(&path, &e))?;
    // It was made for its owner's eyes alone; the files beside it are as readable as usual.
    fs::metadata(source.path("config.json"))
        .and_then(|usual| fs::set_permissions(&path, usual.permissions()))
        .map_err(|e| unwritten(&path, &e))
}

/// One tensor of the file, put in order when it is written.
struct PartView<'a> {
    /// Our whole tensor.
    bytes: &'a [u8],
    part: Part,
    head_width: usize,
}

impl View for PartView<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.part.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let rows = self.part.of(self.bytes);
        if self.part.is_rotary() {
            let row_bytes = self.part.row_bytes(DType::F32.size_bytes());
            return to_half_split(rows, row_bytes, self.head_width).into();
        }
        rows.into()
    }

    fn data_len(&self) -> usize {
        self.part.of(self.bytes).len()
    }
}
