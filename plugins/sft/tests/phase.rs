//! A small phase as the host drives it, and what its evaluations measure.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use corpus::{Batch, PretrainData, PretrainDataConfig, SftData, SftDataConfig};
use gpt::config::{ModelConfig, TrainingConfig};
use gpt::learner::Learner;
use sdk::{Artifacts, DeviceContext, Evaluation, Metrics, PhaseContext, Trainer};
use serde_json::{Value, json};
use sft::{Config, Sft};
use tokenizer::Tokenizer;

fn cx() -> PhaseContext {
    PhaseContext::detached("sft", 42, DeviceContext::default())
}

/// A fresh directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sft").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// One conversation of ten tokens to train on, four to hold back, and texts to measure beside them.
fn section(directory: &Path, training: &Value) -> Value {
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    // Four markers, `ping` and `ok`.
    let chat = |asked: &str| json!({"instruction": asked, "output": "ok"}).to_string();
    let held_back: Vec<String> = ["pang", "peng", "pong", "pung"].map(chat).into();
    let text =
        |from: u8| -> String { (0..60).map(|i| char::from(from + i % 26 * 7 % 26)).collect() };
    let chats = json!({
        "kind": "jsonl", "path": write("chat.jsonl", chat("ping")),
        "val_path": write("val.jsonl", held_back.join("\n")),
    });
    let texts = json!({
        "kind": "text", "path": write("text.txt", text(b'a')),
        "val_path": write("val.txt", text(b'A')),
    });
    json!({
        "model": {"V": 256, "T": 16, "C": 32, "L": 1, "H": 4, "d_ff": 64, "dropout": 0.1},
        "training": training,
        "data": {
            "sources": {"chat": chats},
            "mix": {"chat": 1.0},
            "pretrain_val": {
                "sources": {"text": texts},
                "mix": {"text": 1.0},
                "cache_dir": directory.join("cache"),
            },
            "cache_dir": directory.join("cache"),
        },
    })
}

fn prepare(section: &Value) -> Sft {
    let config: Config = serde_json::from_value(section.clone()).unwrap();
    assert_eq!(Sft::check(&config, &Artifacts::default()), []);
    Sft::prepare(config, &Artifacts::default(), &cx()).unwrap()
}

fn evaluate(trainer: &mut Sft) -> Metrics {
    trainer.evaluate(Evaluation::Periodic, &cx()).unwrap()
}

#[test]
fn one_conversation_of_ten_tokens_is_enough_for_a_step() {
    let training = json!({"total_steps": 1, "warmup_steps": 0, "micro_B": 1, "eval_steps": 1});
    let mut trainer = prepare(&section(&directory("smoke"), &training));
    assert_eq!(trainer.facts()["conversations"], 1);
    let before = evaluate(&mut trainer);
    let report = trainer.step(0, &cx()).unwrap();
    assert!((report.loss - 256f64.ln()).abs() < 0.2, "{report:?}");
    let after = evaluate(&mut trainer);
    for name in ["loss", "sft_loss", "pretrain_loss", "perplexity"] {
        assert!(after[name].is_finite() && after[name] > 0.0, "{name}: {after:?}");
        assert_ne!(after[name], before[name], "{name}");
    }
    assert_eq!(after["loss"], after["sft_loss"]);
    assert_eq!(trainer.schedule().best.unwrap().metric, "loss");
}

/// Both losses are over as many batches, here three of two; what chooses the best is their mean by
/// the weights that are given.
#[test]
fn both_losses_are_measured_on_as_many_batches() {
    let training = json!({
        "total_steps": 2, "warmup_steps": 0, "micro_B": 1, "eval_batches": 3, "micro_B_eval": 2,
        "best_metric": "weighted",
        "best_metric_weights": {"pretrain_val_loss": 0.25, "sft_val_loss": 0.75},
    });
    let section = section(&directory("losses"), &training);
    let mut trainer = prepare(&section);
    let metrics = evaluate(&mut trainer);
    assert_eq!(trainer.schedule().best.unwrap().metric, "weighted_loss");

    let model: ModelConfig = serde_json::from_value(section["model"].clone()).unwrap();
    let training: TrainingConfig = serde_json::from_value(training).unwrap();
    let mut learner = Learner::new(&model, &training, &cx()).unwrap();
    let chats: SftDataConfig = serde_json::from_value(section["data"].clone()).unwrap();
    let texts: PretrainDataConfig = chats.pretrain_val.clone().unwrap();
    let byte = Tokenizer::byte();
    let chats = SftData::open(&chats, &byte, 16, &cx()).unwrap();
    let texts = PretrainData::open(&texts, &byte, 16, &cx()).unwrap();
    let mut loss = |batches: Vec<Batch>| learner.evaluate(&batches, &cx()).unwrap().unwrap();
    let (sft, pretrain) = (loss(chats.eval_batches(3, 2)), loss(texts.eval_batches(3, 2)));
    assert_eq!((metrics["sft_loss"], metrics["pretrain_loss"]), (sft, pretrain));
    assert!((metrics["weighted_loss"] - (0.25 * pretrain + 0.75 * sft)).abs() < 1e-12);
    assert_ne!(loss(texts.eval_batches(2, 2)), pretrain);
    assert_ne!(loss(texts.eval_batches(3, 1)), pretrain);
}
