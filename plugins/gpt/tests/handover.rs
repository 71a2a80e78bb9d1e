//! What one phase hands on and the next one finds, with a tokenizer that has bytes of its own.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use candle_core::{DType, Device};
use gpt::config::{GenerationConfig, ModelConfig};
use gpt::handover::{Handover, load};
use gpt::import::{initial, known};
use gpt::model::Gpt;
use sdk::{Artifact, Artifacts, Generator, TensorHandle};
use serde_json::json;
use tokenizer::{Tokenizer, TokenizerConfig};

/// A tokenizer of 270 tokens, trained on texts that differ by `word`.
fn trained(word: &str) -> Tokenizer {
    let config = json!({ "kind": "train", "model": "bpe", "vocab_size": 270 });
    let config: TokenizerConfig = serde_json::from_value(config).unwrap();
    let mut texts = (0..50).map(|i| format!("{word} {word}ing {i} the other {word}er"));
    Tokenizer::train(&config.training().unwrap(), &mut texts, &mut |_| Ok(())).unwrap()
}

fn handover(tokenizer: Tokenizer) -> Handover {
    let model = ModelConfig {
        vocab: 270,
        context: 16,
        width: 8,
        n_layers: 1,
        n_heads: 2,
        d_ff: 12,
        ..ModelConfig::default()
    };
    Handover {
        model,
        tokenizer,
        is_chat: true,
        chat_template: Some("{{ messages }}".to_owned()),
        generation: Some(GenerationConfig { top_k: None, ..GenerationConfig::default() }),
        example_prompt: Some("Who?".to_owned()),
    }
}

fn fresh(model: &ModelConfig) -> Gpt {
    let mut init = Generator::new(7, "model init");
    Gpt::new(model, &mut init, &Device::Cpu, DType::F32).unwrap()
}

fn given(phase: &str, artifacts: Vec<Artifact>) -> Artifacts {
    let mut given = Artifacts::default();
    artifacts.into_iter().for_each(|artifact| given.push(phase, artifact));
    given
}

#[test]
fn model_and_tokenizer_arrive_together() {
    let ours = handover(trained("kite"));
    let artifacts = ours.artifacts(&fresh(&ours.model)).unwrap();
    let names: Vec<(&str, &str)> =
        artifacts.iter().map(|a| (a.name.as_str(), a.kind.as_str())).collect();
    assert_eq!(names, [("model", "gpt"), ("tokenizer", "tokenizer")]);
    let bytes = artifacts[1].tensors["model"].to_vec::<u8>().unwrap();
    assert_eq!(bytes, ours.tokenizer.model().unwrap());

    let (theirs, gpt) = load(&given("sft", artifacts)).unwrap();
    assert_eq!(theirs.tokenizer, ours.tokenizer);
    assert_eq!(theirs.tokenizer.encode("the kite"), ours.tokenizer.encode("the kite"));
    assert_eq!((theirs.model, theirs.is_chat), (ours.model, true));
    assert_eq!(theirs.chat_template, ours.chat_template);
    assert_eq!(theirs.generation, ours.generation);
    assert_eq!(theirs.example_prompt, ours.example_prompt);
    assert_eq!(gpt.params().get("ln_f.weight").dims(), [8]);
}

#[test]
fn a_tokenizer_that_is_its_description_has_no_artifact() {
    let ours = handover(Tokenizer::byte());
    assert_eq!(ours.promises().len(), 1);
    let given = given("sft", ours.artifacts(&fresh(&ours.model)).unwrap());
    assert_eq!(Handover::latest(&given).unwrap().unwrap().0.tokenizer, Tokenizer::byte());
}

#[test]
fn a_promise_tells_sizes_and_tokenizer_without_bytes() {
    let ours = handover(trained("kite"));
    let given = given("pretrain", ours.promises());
    let promised = Handover::promised(&given).unwrap().unwrap();
    assert_eq!(promised.model, ours.model);
    assert_eq!(promised.tokenizer, ours.tokenizer.description());
    assert_eq!(known(&given).unwrap().unwrap().tokenizer, Some(ours.tokenizer.description()));
    // But it is no model yet.
    assert_eq!(Handover::latest(&given).unwrap_err().code, "tokenizer::artifact");
    assert!(Handover::promised(&Artifacts::default()).unwrap().is_none());
}

#[test]
fn the_bytes_of_another_tokenizer_are_refused() {
    let ours = handover(trained("kite"));
    let other = handover(trained("boat"));
    let gpt = fresh(&ours.model);
    let mut mixed = ours.artifacts(&gpt).unwrap();
    mixed[1] = other.artifacts(&gpt).unwrap().remove(1);
    let error = Handover::latest(&given("sft", mixed)).unwrap_err();
    assert_eq!(error.code, "tokenizer::mismatch");
    assert!(error.message.starts_with("tokenizer mismatch: the model was trained with"));

    // The right description on the wrong bytes.
    let mut forged = ours.artifacts(&gpt).unwrap();
    let bytes = other.tokenizer.model().unwrap().to_vec();
    let n = bytes.len();
    let tensor = TensorHandle::from_vec(bytes, &[n]).unwrap();
    forged[1].tensors.insert("model".to_owned(), tensor);
    let error = Handover::latest(&given("sft", forged)).unwrap_err();
    assert_eq!(error.code, "tokenizer::mismatch");

    let mut alone = ours.artifacts(&gpt).unwrap();
    alone.pop();
    assert!(Handover::latest(&given("sft", alone)).is_err());
}

#[test]
fn each_model_finds_the_tokenizer_of_its_own_phase() {
    let (first, second) = (handover(trained("kite")), handover(trained("boat")));
    let gpt = fresh(&first.model);
    let mut given = given("pretrain", first.artifacts(&gpt).unwrap());
    second.artifacts(&gpt).unwrap().into_iter().for_each(|a| given.push("sft", a));
    let found = Handover::latest(&given).unwrap().unwrap().0;
    assert_eq!(found.tokenizer, second.tokenizer);

    // A phase that hands on the model alone: an earlier phase's tokenizer, when it is the one.
    given.push("more", first.artifacts(&gpt).unwrap().remove(0));
    let found = Handover::latest(&given).unwrap().unwrap().0;
    assert_eq!(found.tokenizer, first.tokenizer);
}

#[test]
fn a_checkpoint_brings_the_tokenizer_of_its_state() {
    let ours = handover(trained("kite"));
    let gpt = fresh(&ours.model);
    let state = gpt.params().to_tensors().unwrap().into_iter();
    let mut artifact = Artifact::new(
        "c",
        "checkpoint",
        json!({
            "phase": "pretrain",
            "section": { "model": ours.model, "tokenizer": { "kind": "train" } },
            "values": { "tokenizer/description": ours.tokenizer.description() },
        }),
    );
    artifact.tensors = state.map(|(name, tensor)| (format!("model/{name}"), tensor)).collect();
    let bytes = ours.tokenizer.model().unwrap().to_vec();
    let n = bytes.len();
    let tensor = TensorHandle::from_vec(bytes, &[n]).unwrap();
    artifact.tensors.insert("tokenizer/model".to_owned(), tensor);
    let given = given("init_from", vec![artifact]);
    let found = initial(&given).unwrap().unwrap();
    assert_eq!(found.tokenizer.as_ref(), Some(&ours.tokenizer));
    assert_eq!(known(&given).unwrap().unwrap().tokenizer, Some(ours.tokenizer.description()));
    found.load_into(&fresh(&ours.model)).unwrap();
}

#[test]
fn broken_settings_are_named() {
    let artifact = Artifact::new("model", "gpt", json!({ "model": { "V": "many" } }));
    let error = Handover::promised(&given("p", vec![artifact])).unwrap_err();
    assert!(error.message.starts_with("`model` of the model handed on:"), "{}", error.message);
}
