//! Exports, read back: a Hugging Face folder by the importer, a GGUF file by candle's reader.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value as Gguf};
use candle_core::{DType, Device};
use gpt::config::{GenerationConfig, ModelConfig};
use gpt::export::{FORMATS, export};
use gpt::handover::Handover;
use gpt::import::initial;
use gpt::model::Gpt;
use safetensors::SafeTensors;
use sdk::{Artifact, Artifacts, ExportRequest, Generator, PhaseContext, Result, TensorHandle};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenizer::Tokenizer;

const D: usize = 6;

fn sizes() -> ModelConfig {
    ModelConfig {
        vocab: 260,
        context: 16,
        width: 2 * D,
        n_layers: 2,
        n_heads: 2,
        d_ff: 10,
        dropout: 0.1,
        rope_theta: 5e4,
    }
}

fn fresh(seed: u64) -> Gpt {
    let mut init = Generator::new(seed, "model init");
    Gpt::new(&sizes(), &mut init, &Device::Cpu, DType::F32).unwrap()
}

fn handover(is_chat: bool) -> Handover {
    Handover {
        model: sizes(),
        tokenizer: Tokenizer::byte(),
        is_chat,
        chat_template: None,
        generation: Some(GenerationConfig { temperature: 0.7, ..GenerationConfig::default() }),
        example_prompt: Some("Who?".to_owned()),
    }
}

fn given(gpt: &Gpt, is_chat: bool) -> Artifacts {
    let mut given = Artifacts::default();
    for artifact in handover(is_chat).artifacts(gpt).unwrap() {
        given.push("sft", artifact);
    }
    given
}

fn try_export(given: &Artifacts, format: &str, directory: &Path) -> Result<()> {
    let directory = directory.display().to_string();
    let request = ExportRequest { format: format.to_owned(), directory };
    export(given, &request, &PhaseContext::detached("sft", 1, Default::default()))
}

fn exported(gpt: &Gpt, is_chat: bool, format: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    try_export(&given(gpt, is_chat), format, directory.path()).unwrap();
    directory
}

fn values(gpt: &Gpt) -> BTreeMap<String, Vec<f32>> {
    let values = |(name, tensor): (String, TensorHandle)| (name, tensor.to_vec().unwrap());
    gpt.params().to_tensors().unwrap().into_iter().map(values).collect()
}

fn json_of(directory: &TempDir, name: &str) -> Value {
    serde_json::from_slice(&fs::read(directory.path().join(name)).unwrap()).unwrap()
}

/// The tensors of a safetensors file.
fn tensors_of(path: &Path) -> BTreeMap<String, TensorHandle> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        let handle = TensorHandle::from_bytes(view.data(), sdk::DType::F32, view.shape()).unwrap();
        (name.to_owned(), handle)
    };
    file.iter().map(tensor).collect()
}

#[test]
fn a_hugging_face_folder_leads_back_bit_for_bit() {
    let gpt = fresh(3);
    let directory = exported(&gpt, false, "hf");
    let path = directory.path().join("model.safetensors");
    let settings = json!({ "path": path, "format": "safetensors" });
    let mut given = Artifacts::default();
    let artifact = Artifact::new("init", "file", settings);
    given.push("init_from", Artifact { tensors: tensors_of(&path), ..artifact });

    let found = initial(&given).unwrap().unwrap();
    assert_eq!(found.sizes, Some(sizes()));
    let other = fresh(4);
    found.load_into(&other).unwrap();
    assert_eq!(values(&gpt), values(&other));
}

#[test]
fn rows_of_q_and_k_move_by_the_formula_and_those_of_v_stay() {
    let gpt = fresh(3);
    let directory = exported(&gpt, false, "hf");
    let theirs = tensors_of(&directory.path().join("model.safetensors"));
    let c = sizes().width;
    let ours = &values(&gpt)["blocks.1.attn.qkv.weight"];
    for (index, name) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
        let tensor = &theirs[&format!("model.layers.1.self_attn.{name}.weight")];
        assert_eq!(tensor.shape(), [c, c]);
        let tensor = tensor.to_vec::<f32>().unwrap();
        for row in 0..c {
            // Row i of a head's half s is channel 2 i + s of ours.
            let (head, s, i) = (row / D, row % D / (D / 2), row % (D / 2));
            let moved = head * D + 2 * i + s;
            let from = index * c + if name == "v_proj" { row } else { moved };
            assert_eq!(tensor[row * c..][..c], ours[from * c..][..c], "{name} {row}");
        }
    }
    assert_eq!(theirs.len(), 2 + 2 * 12);
    assert!(!theirs.contains_key("lm_head.weight"));
}

#[test]
fn the_config_is_that_of_a_stock_llama() {
    let config = json_of(&exported(&fresh(3), false, "hf"), "config.json");
    let wanted = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 12,
        "intermediate_size": 10, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "head_dim": 6, "rms_norm_eps": 1e-5, "rope_theta": 5e4,
        "max_position_embeddings": 16, "vocab_size": 260, "hidden_act": "silu", "mlp_bias": true,
        "attention_bias": false, "tie_word_embeddings": true, "torch_dtype": "float32",
        "bos_token_id": 251, "eos_token_id": 251, "pad_token_id": 251,
    });
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(config[key], *value, "{key}");
    }
}

#[test]
fn the_tokenizer_its_template_and_how_to_draw_go_along() {
    let chat = exported(&fresh(3), true, "hf");
    let template = fs::read_to_string(chat.path().join("chat_template.jinja")).unwrap();
    assert!(template.contains("add_generation_prompt") && template.contains("<|asst|>"));
    let config = json_of(&chat, "tokenizer_config.json");
    assert_eq!(config["chat_template"], template);
    assert_eq!(
        (&config["eos_token"], &config["model_max_length"]),
        (&json!("<|eot|>"), &json!(16))
    );
    let map = json_of(&chat, "special_tokens_map.json");
    assert_eq!(map["additional_special_tokens"], json!(["<|sys|>", "<|usr|>", "<|asst|>"]));
    let generation = json_of(&chat, "generation_config.json");
    assert_eq!(generation["temperature"], 0.7);
    assert_eq!(generation["top_k"], 50);
    assert_eq!(generation["suppress_tokens"], json!([248, 249, 250]));
    assert_eq!(json_of(&chat, "tokenizer.json"), Tokenizer::byte().huggingface_json().unwrap());
    assert!(
        fs::read_to_string(chat.path().join("README.md")).unwrap().contains("LlamaForCausalLM")
    );

    let base = exported(&fresh(3), false, "hf");
    assert!(!base.path().join("chat_template.jinja").exists());
    assert_eq!(json_of(&base, "tokenizer_config.json").get("chat_template"), None);
}

fn text<'a>(content: &'a Content, key: &str) -> &'a str {
    content.metadata[key].to_string().unwrap()
}

#[test]
fn a_gguf_file_holds_every_tensor_as_it_is() {
    let gpt = fresh(3);
    let directory = exported(&gpt, true, "gguf");
    let mut file = fs::File::open(directory.path().join("model.gguf")).unwrap();
    let content = Content::read(&mut file).unwrap();
    let mut read = |name: &str| {
        let tensor = content.tensor(&mut file, name, &Device::Cpu).unwrap();
        let tensor = tensor.dequantize(&Device::Cpu).unwrap();
        (tensor.dims().to_vec(), tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
    };
    let ours = values(&gpt);
    let c = sizes().width;
    for layer in 0..2 {
        let qkv = &ours[&format!("blocks.{layer}.attn.qkv.weight")];
        for (index, name) in ["attn_q", "attn_k", "attn_v"].into_iter().enumerate() {
            let (shape, values) = read(&format!("blk.{layer}.{name}.weight"));
            assert_eq!((shape, &values[..]), (vec![c, c], &qkv[index * c * c..][..c * c]));
        }
        let same = [
            ("ln1.weight", "attn_norm.weight"),
            ("attn.proj.weight", "attn_output.weight"),
            ("ln2.weight", "ffn_norm.weight"),
            ("mlp.fc_a.weight", "ffn_up.weight"),
            ("mlp.fc_a.bias", "ffn_up.bias"),
            ("mlp.fc_g.weight", "ffn_gate.weight"),
            ("mlp.fc_g.bias", "ffn_gate.bias"),
            ("mlp.fc_out.weight", "ffn_down.weight"),
            ("mlp.fc_out.bias", "ffn_down.bias"),
        ];
        for (here, there) in same {
            let (_, values) = read(&format!("blk.{layer}.{there}"));
            assert_eq!(values, ours[&format!("blocks.{layer}.{here}")], "{there}");
        }
    }
    assert_eq!(read("token_embd.weight"), (vec![260, c], ours["tok_emb.weight"].clone()));
    assert_eq!(read("output_norm.weight").1, ours["ln_f.weight"]);
    // The head is the table of embeddings: no tensor of its own.
    assert_eq!(content.tensor_infos.len(), 2 + 2 * 12);
    assert!(content.tensor_infos.values().all(|info| info.offset % 32 == 0));
    assert_eq!(content.tensor_data_offset % 32, 0);
}

#[test]
fn a_gguf_file_says_sizes_tokens_and_template() {
    let directory = exported(&fresh(3), true, "gguf");
    let mut file = fs::File::open(directory.path().join("model.gguf")).unwrap();
    let content = Content::read(&mut file).unwrap();
    assert_eq!(text(&content, "general.architecture"), "llama");
    let numbers = [
        ("block_count", 2),
        ("context_length", 16),
        ("embedding_length", 12),
        ("feed_forward_length", 10),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 2),
        ("rope.dimension_count", 6),
        ("vocab_size", 260),
    ];
    for (key, wanted) in numbers {
        assert_eq!(content.metadata[&format!("llama.{key}")].to_u32().unwrap(), wanted, "{key}");
    }
    let number = |key: &str| content.metadata[key].to_f32().unwrap();
    assert_eq!(number("llama.attention.layer_norm_rms_epsilon"), 1e-5);
    assert_eq!(number("llama.rope.freq_base"), 5e4);

    assert_eq!(text(&content, "tokenizer.ggml.model"), "gpt2");
    assert_eq!(text(&content, "tokenizer.ggml.pre"), "gpt-2");
    let list = |key: &str| content.metadata[key].to_vec().unwrap();
    let tokens: Vec<&String> =
        list("tokenizer.ggml.tokens").iter().map(|token| token.to_string().unwrap()).collect();
    assert_eq!(tokens.len(), 260);
    assert_eq!((tokens[65].as_str(), tokens[32].as_str(), tokens[10].as_str()), ("A", "Ġ", "Ċ"));
    assert_eq!((tokens[251].as_str(), tokens[259].as_str()), ("<|eot|>", "[PAD259]"));
    let types: Vec<i32> =
        list("tokenizer.ggml.token_type").iter().map(|kind| kind.to_i32().unwrap()).collect();
    assert_eq!((types[65], types[248], types[251], types[259]), (1, 3, 3, 5));
    assert!(list("tokenizer.ggml.merges").is_empty());
    assert!(matches!(content.metadata["tokenizer.ggml.eos_token_id"], Gguf::U32(251)));
    assert!(matches!(content.metadata["tokenizer.ggml.add_bos_token"], Gguf::Bool(false)));
    assert!(text(&content, "tokenizer.chat_template").contains("add_generation_prompt"));
}

#[test]
fn what_can_not_be_exported_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = try_export(&given(&fresh(3), false), "onnx", directory.path()).unwrap_err();
    assert_eq!(error.message, "a GPT has no format `onnx`; there are: hf, gguf");
    assert_eq!(FORMATS, ["hf", "gguf"]);
    let error = try_export(&Artifacts::default(), "hf", directory.path()).unwrap_err();
    assert_eq!(error.code, "artifact::missing");
    let error = try_export(&given(&fresh(3), false), "gguf", Path::new("/nowhere")).unwrap_err();
    assert_eq!(error.code, "export::write");

    let mut artifacts = handover(false).artifacts(&fresh(3)).unwrap();
    artifacts[0].tensors.remove("ln_f.weight");
    let mut damaged = Artifacts::default();
    damaged.push("sft", artifacts.remove(0));
    let error = try_export(&damaged, "hf", directory.path()).unwrap_err();
    assert_eq!(error.message, "the tensors are not those of the model: `ln_f.weight` is missing");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
