//! Every setting of the section acts: each is given another value, and something must come of it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use pretrain::Pretrain;
use sdk::testing::Settings;
use serde_json::{Value, json};
use support::Data;

/// A small model, on all of 600 tokens.
fn section(data: &Data, sources: &Value, mix: &Value, tokenizer: &Value) -> Value {
    json!({
        "model": {"V": 600, "T": 8, "C": 16, "L": 2, "H": 4, "d_ff": 24, "dropout": 0.1},
        "training": {
            "total_steps": 6, "warmup_steps": 1, "micro_B": 4, "accum_steps": 2, "eval_every": 2,
            "eval_steps": 2, "log_every": 2, "ckpt_every": 3, "grad_clip": 0.1, "eps": 1e-6,
        },
        "data": {"sources": sources, "mix": mix, "cache_dir": data.path("cache")},
        "tokenizer": tokenizer,
        "generation": support::generation(),
    })
}

/// Sources of every kind, so that each key can matter.
fn on_all_sources(data: &Data) -> Value {
    let sources = json!({
        "notes": data.files("text", "one.txt"),
        "lines": data.files("jsonl", "one.jsonl"),
        "table": data.files("parquet", "one.parquet"),
        "stories": {"kind": "world", "documents": 10},
        "web": {"kind": "hub", "dataset": "owner/set"},
        "part": {"kind": "hub", "dataset": "owner/several", "config": "small"},
    });
    let mix = json!({
        "notes": 0.3, "lines": 0.2, "table": 0.2, "stories": 0.1, "web": 0.1, "part": 0.1,
    });
    section(data, &sources, &mix, &json!({"kind": "byte"}))
}

/// One source, for the keys of another tokenizer than bytes.
fn with_tokenizer(data: &Data, tokenizer: &Value) -> Value {
    let sources = json!({"notes": data.files("text", "one.txt")});
    section(data, &sources, &json!({"notes": 1.0}), tokenizer)
}

/// The section around which nothing but its tokenizer is left to try needs as many rows.
fn with_gpt2(data: &Data) -> Value {
    let mut section = with_tokenizer(data, &json!({"kind": "gpt2"}));
    section["model"]["V"] = 50_257.into();
    section["model"]["C"] = 8.into();
    section
}

fn settings(data: &Data) -> Settings<Pretrain> {
    let vocabulary = json!({"kind": "train", "vocab_size": 300});
    let settings = Settings::new(on_all_sources(data))
        .also(with_tokenizer(data, &vocabulary))
        .also(with_gpt2(data))
        .alternatives("data.val_source", ["notes"])
        // It says how rare a pair may be, and the vocabulary must get its size.
        .only_refuses("tokenizer[train].min_frequency")
        .alternatives("tokenizer[train].min_frequency", [1000]);
    let settings = support::other_texts(settings, data, "data");
    let settings = support::other_tokenizers(settings, data, |t| with_tokenizer(data, t));
    let settings = support::other_generations(settings);
    support::other_token_cache(settings, data, "data.cache_dir")
}

#[test]
fn inside_a_process_of_its_own() {
    let Some(data) = Data::of_process() else { return };
    let found = settings(&data).find().unwrap();
    println!("{found:#?}");
    assert_eq!(found.unused, [] as [&str; 0]);
    // They are for `best_metric: weighted`, which needs conversations.
    let never = "training.best_metric_weights";
    assert_eq!(
        found.untried,
        [
            format!("{never}.pretrain_val_loss: no section has it"),
            format!("{never}.sft_val_loss: no section has it"),
        ]
    );
    support::assert_drawn(&found);
}

#[test]
fn every_setting_is_used() {
    Data::in_a_process("inside_a_process_of_its_own");
}
