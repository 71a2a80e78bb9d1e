//! Weights to start from: PyTorch checkpoints, safetensors files, our own checkpoints.
//!
//! `fixtures/*.pt` are made by `fixtures/make_checkpoints.py` with PyTorch 2.15.0: V 11, T 8, C 8,
//! L 2, H 2, d_ff 12; parameter k holds ((37 i + 11 k) mod 257 - 128) / 1024 at flat index i.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use gpt::config::ModelConfig;
use gpt::import::torch::TorchCheckpoint;
use gpt::import::{check_sizes, initial, known};
use gpt::model::Gpt;
use sdk::{Artifact, Artifacts, Generator, StateDict, TensorHandle};
use serde_json::json;

fn small() -> ModelConfig {
    ModelConfig {
        vocab: 11,
        context: 8,
        width: 8,
        n_layers: 2,
        n_heads: 2,
        d_ff: 12,
        dropout: 0.1,
        rope_theta: 1e4,
    }
}

fn fresh(config: &ModelConfig, seed: u64) -> Gpt {
    let mut init = Generator::new(seed, "model init");
    Gpt::new(config, &mut init, &Device::Cpu, DType::F32).unwrap()
}

fn values(gpt: &Gpt) -> Vec<(String, Vec<f32>)> {
    let values = |(name, tensor): (String, TensorHandle)| (name, tensor.to_vec().unwrap());
    gpt.params().to_tensors().unwrap().into_iter().map(values).collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn file(path: &Path, tensors: BTreeMap<String, TensorHandle>) -> Artifacts {
    let format = path.extension().unwrap_or_default().to_string_lossy();
    let settings = json!({ "path": path, "format": format });
    let mut given = Artifacts::default();
    given.push("init_from", Artifact { tensors, ..Artifact::new("init", "file", settings) });
    given
}

fn message(given: &Artifacts) -> String {
    initial(given).unwrap_err().message
}

#[test]
fn a_pytorch_checkpoint_is_read_bit_for_bit() {
    let checkpoint = TorchCheckpoint::read(&fixture("seed.pt")).unwrap();
    assert_eq!(checkpoint.sizes, small());
    assert_eq!((checkpoint.step, checkpoint.best_val_loss), (1, Some(2.5)));
    assert!(checkpoint.has_optimizer);
    assert_eq!(TorchCheckpoint::read_sizes(&fixture("seed.pt")).unwrap(), small());

    let given = file(&fixture("seed.pt"), BTreeMap::new());
    let gpt = fresh(&small(), 1);
    initial(&given).unwrap().unwrap().load_into(&gpt).unwrap();
    assert_eq!(gpt.params().count(), 1280);
    for (k, (name, _, var)) in gpt.params().iter().enumerate() {
        let read: Vec<f32> = var.flatten_all().unwrap().to_vec1().unwrap();
        for (i, value) in read.iter().enumerate() {
            let wanted = ((37 * i + 11 * k) % 257) as f32 - 128.0;
            assert_eq!(value.to_bits(), (wanted / 1024.0).to_bits(), "{name} {i}");
        }
    }
}

#[test]
fn a_checkpoint_without_optimizer_and_best_loads_as_none() {
    let checkpoint = TorchCheckpoint::read(&fixture("bare.pt")).unwrap();
    assert_eq!((checkpoint.step, checkpoint.best_val_loss), (100, None));
    assert!(!checkpoint.has_optimizer);
    // `lm_head.weight` is the table of embeddings under another name.
    assert_eq!(checkpoint.tensors.len(), 22);
    assert!(!checkpoint.tensors.contains_key("lm_head.weight"));
}

#[test]
fn a_hostile_checkpoint_is_refused_and_not_run() {
    let error = TorchCheckpoint::read(&fixture("hostile.pt")).unwrap_err();
    assert_eq!(error.code, "gpt::pickle");
    assert!(error.message.contains("it names `posix.system`"), "{}", error.message);
    assert!(!Path::new("was-run").exists() && !fixture("was-run").exists());
}

#[test]
fn an_untied_head_is_refused() {
    let error = TorchCheckpoint::read(&fixture("untied.pt")).unwrap_err();
    assert_eq!(error.code, "gpt::untied");
}

#[test]
fn files_that_are_no_checkpoints_are_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broken.pt");
    let whole = fs::read(fixture("bare.pt")).unwrap();
    for n in [0, 3, 1000, whole.len() / 2, whole.len() - 30] {
        fs::write(&path, &whole[..n]).unwrap();
        let message = message(&file(&path, BTreeMap::new()));
        assert!(message.contains("broken.pt`: no PyTorch checkpoint"), "{n}: {message}");
    }
    // A damaged byte ends in an error or in a model, never in a panic.
    for at in (0..whole.len()).step_by(23) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).unwrap();
        let given = file(&path, BTreeMap::new());
        if let Ok(Some(found)) = initial(&given) {
            let _ = found.load_into(&fresh(&small(), 1));
        }
    }
    fs::remove_file(&path).unwrap();
    assert!(message(&file(&path, BTreeMap::new())).ends_with("there is no such file"));
    let other = message(&file(&directory.path().join("model.onnx"), BTreeMap::new()));
    assert!(other.ends_with("model.onnx` has no format known here: `onnx`"), "{other}");
}

#[test]
fn sizes_that_differ_are_all_listed_and_dropout_may() {
    let current = ModelConfig {
        vocab: 256,
        context: 16,
        width: 12,
        n_layers: 3,
        n_heads: 3,
        d_ff: 20,
        dropout: 0.0,
        rope_theta: 5e5,
    };
    let given = file(&fixture("bare.pt"), BTreeMap::new());
    let gpt = fresh(&current, 1);
    let before = values(&gpt);
    let error = initial(&given).unwrap().unwrap().load_into(&gpt).unwrap_err();
    assert!(
        error.message.ends_with(
            "bare.pt` doesn't fit the model: V: loaded=11, current=256; T: loaded=8, current=16; \
             C: loaded=8, current=12; L: loaded=2, current=3; H: loaded=2, current=3; \
             d_ff: loaded=12, current=20; rope_theta: loaded=10000, current=500000"
        ),
        "{}",
        error.message
    );
    assert_eq!(error.path.as_deref(), Some("model"));
    assert_eq!(values(&gpt), before);
    let same = ModelConfig { dropout: 0.5, ..small() };
    check_sizes(&small(), &same, "it").unwrap();
}

#[test]
fn a_checkpoint_of_ours_gives_its_model_and_says_its_sizes() {
    let mut gpt = fresh(&small(), 5);
    let state = StateDict::save(&mut gpt).unwrap();
    let mut tensors: BTreeMap<_, _> =
        state.tensors.into_iter().map(|(name, t)| (format!("model/{name}"), t)).collect();
    tensors.insert("optimizer/m".into(), TensorHandle::from_vec(vec![0f32], &[1]).unwrap());
    let section = json!({ "model": small(), "tokenizer": { "kind": "byte" } });
    let settings = json!({ "phase": "pretrain", "plugin": "pretrain", "section": section });
    let mut given = Artifacts::default();
    given.push("init_from", Artifact { tensors, ..Artifact::new("c", "checkpoint", settings) });

    let found = known(&given).unwrap().unwrap();
    assert_eq!(
        (found.sizes, found.origin.as_str()),
        (Some(small()), "the checkpoint of phase `pretrain`")
    );
    assert_eq!(found.tokenizer.unwrap()["kind"], "byte");
    let other = fresh(&small(), 6);
    let found = initial(&given).unwrap().unwrap();
    assert_eq!(found.tokenizer, Some(tokenizer::Tokenizer::byte()));
    found.load_into(&other).unwrap();
    assert_eq!(values(&gpt), values(&other));
}

#[test]
fn a_checkpoint_of_another_trainer_is_refused() {
    let settings = json!({ "phase": "mae", "plugin": "mae", "section": {} });
    let tensors = [("encoder/w".to_owned(), TensorHandle::from_vec(vec![0f32], &[1]).unwrap())];
    let artifact =
        Artifact { tensors: tensors.into(), ..Artifact::new("c", "checkpoint", settings) };
    let mut given = Artifacts::default();
    given.push("init_from", artifact);
    assert_eq!(message(&given), "the checkpoint of phase `mae` holds no GPT");
}

#[test]
fn a_safetensors_file_in_our_names_needs_no_sizes() {
    let gpt = fresh(&small(), 5);
    let directory = tempfile::tempdir().unwrap();
    let given = file(&directory.path().join("m.safetensors"), gpt.params().to_tensors().unwrap());
    let found = initial(&given).unwrap().unwrap();
    assert_eq!(found.sizes, None);
    let other = fresh(&small(), 6);
    found.load_into(&other).unwrap();
    assert_eq!(values(&gpt), values(&other));

    let wide = fresh(&ModelConfig { width: 12, n_heads: 2, ..small() }, 1);
    let error = initial(&given).unwrap().unwrap().load_into(&wide).unwrap_err();
    assert!(error.message.contains("`tok_emb.weight` has float32 [11, 8]"), "{}", error.message);
}

#[test]
fn half_precision_weights_become_single_precision() {
    let gpt = fresh(&small(), 5);
    let half = |tensor: &TensorHandle| {
        let tensor = sdk_numerics::import(tensor, &Device::Cpu).unwrap();
        sdk_numerics::export(&tensor.to_dtype(DType::BF16).unwrap()).unwrap()
    };
    let tensors = gpt.params().to_tensors().unwrap();
    let tensors = tensors.iter().map(|(name, tensor)| (name.clone(), half(tensor))).collect();
    let given = file(Path::new("/nowhere/m.safetensors"), tensors);
    let other = fresh(&small(), 6);
    initial(&given).unwrap().unwrap().load_into(&other).unwrap();
    for ((name, a), (_, b)) in values(&gpt).into_iter().zip(values(&other)) {
        for (a, b) in a.iter().zip(&b) {
            assert_eq!(b.to_bits() & 0xFFFF, 0, "{name}");
            assert!((a - b).abs() <= a.abs() / 256.0, "{name}: {a} {b}");
        }
    }
}

#[test]
fn a_llama_without_its_config_or_with_a_foreign_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let tensor = TensorHandle::from_vec(vec![0f32; 88], &[11, 8]).unwrap();
    let tensors: BTreeMap<_, _> = [("model.embed_tokens.weight".to_owned(), tensor)].into();
    let given = file(&directory.path().join("model.safetensors"), tensors);
    assert!(message(&given).ends_with("a Llama's tensors alone don't say how many heads it has"));

    let config = json!({
        "model_type": "qwen2", "vocab_size": 11, "max_position_embeddings": 8, "hidden_size": 8,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "intermediate_size": 12, "rms_norm_eps": 1e-6, "hidden_act": "gelu",
        "rope_scaling": { "factor": 2.0 }, "attention_bias": true,
    });
    fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    let message = message(&given);
    for key in [
        "model_type",
        "num_key_value_heads",
        "rms_norm_eps",
        "hidden_act",
        "rope_scaling",
        "attention_bias",
        "tie_word_embeddings",
    ] {
        assert!(message.contains(&format!("`{key}` must be")), "{key}: {message}");
    }
}

#[test]
fn the_newest_weights_are_taken_and_none_is_no_error() {
    assert!(initial(&Artifacts::default()).unwrap().is_none());
    assert!(known(&Artifacts::default()).unwrap().is_none());
    let mut given = file(&fixture("bare.pt"), BTreeMap::new());
    given.push("x", Artifact::new("tokenizer", "tokenizer", json!({})));
    assert_eq!(known(&given).unwrap().unwrap().sizes, Some(small()));
    let promised = gpt::handover::Promised {
        model: ModelConfig { vocab: 256, ..small() },
        tokenizer: json!({ "kind": "train", "vocab_size": 256 }),
        is_chat: false,
    };
    given.push("pretrain", promised.artifact());
    let found = known(&given).unwrap().unwrap();
    assert_eq!(found.sizes.unwrap().vocab, 256);
    assert_eq!(found.origin, "the model handed on by `pretrain`");
}
