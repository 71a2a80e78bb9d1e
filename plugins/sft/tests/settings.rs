//! Every setting of the section acts: each is given another value, and something must come of it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../../pretrain/tests/support/mod.rs"]
mod support;

use sdk::GenerateRequest;
use sdk::testing::Settings;
use serde_json::{Value, json};
use sft::Sft;
use support::Data;

/// A small model, on all of 600 tokens.
fn section(data: &Data, sources: &Value, mix: &Value, tokenizer: &Value) -> Value {
    json!({
        "model": {"V": 600, "T": 48, "C": 16, "L": 2, "H": 4, "d_ff": 24, "dropout": 0.1},
        "training": {
            "total_steps": 6, "warmup_steps": 1, "micro_B": 2, "accum_steps": 2, "eval_every": 2,
            "eval_steps": 4, "log_every": 2, "ckpt_every": 3, "grad_clip": 0.1, "eps": 1e-6,
        },
        "data": {"sources": sources, "mix": mix, "cache_dir": data.path("cache")},
        "tokenizer": tokenizer,
        "generation": support::generation(),
    })
}

/// Conversations of every kind but the built-in ones, and texts beside them.
fn on_all_sources(data: &Data) -> Value {
    let sources = json!({
        "lines": data.files("jsonl", "one-chat.jsonl"),
        "table": data.files("parquet", "one-chat.parquet"),
        "web": {"kind": "hub", "dataset": "owner/set"},
        "part": {"kind": "hub", "dataset": "owner/several", "config": "small"},
    });
    let mix = json!({"lines": 0.4, "table": 0.3, "web": 0.2, "part": 0.1});
    let mut section = section(data, &sources, &mix, &json!({"kind": "byte"}));
    section["data"]["pretrain_val"] = json!({
        "sources": {
            "notes": data.files("text", "one.txt"),
            "lines": data.files("jsonl", "one.jsonl"),
            "table": data.files("parquet", "one.parquet"),
            "stories": {"kind": "world", "documents": 100},
        },
        "mix": {"notes": 0.3, "lines": 0.3, "table": 0.2, "stories": 0.2},
        "cache_dir": data.path("cache"),
    });
    section["training"]["best_metric"] = "weighted".into();
    section["training"]["best_metric_weights"] =
        json!({"pretrain_val_loss": 0.25, "sft_val_loss": 0.75});
    section
}

/// Texts of the hub beside conversations.
fn beside_the_hub(data: &Data) -> Value {
    let mut section = with_tokenizer(data, &json!({"kind": "byte"}));
    section["data"]["pretrain_val"] = json!({
        "sources": {
            "web": {"kind": "hub", "dataset": "owner/set"},
            "part": {"kind": "hub", "dataset": "owner/several", "config": "small"},
        },
        "mix": {"web": 0.5, "part": 0.5},
        "cache_dir": data.path("cache"),
    });
    section
}

/// One source, for the keys of another tokenizer than bytes.
fn with_tokenizer(data: &Data, tokenizer: &Value) -> Value {
    let sources = json!({"lines": data.files("jsonl", "one-chat.jsonl")});
    section(data, &sources, &json!({"lines": 1.0}), tokenizer)
}

/// The built-in conversations.
fn on_the_world(data: &Data) -> Value {
    let sources = json!({"talk": {"kind": "world", "documents": 10}});
    let mut section = section(data, &sources, &json!({"talk": 1.0}), &json!({"kind": "byte"}));
    // A question and its answer are longer than those of the files.
    section["model"]["T"] = 128.into();
    section
}

/// The section around which nothing but its tokenizer is left to try needs as many rows.
fn with_gpt2(data: &Data) -> Value {
    let mut section = with_tokenizer(data, &json!({"kind": "gpt2"}));
    section["model"]["V"] = 50_257.into();
    section["model"]["C"] = 8.into();
    section
}

fn settings(data: &Data) -> Settings<Sft> {
    let to_continue = GenerateRequest { chat: Some(false), ..GenerateRequest::new("a") };
    let settings = Settings::new(on_all_sources(data))
        .also(beside_the_hub(data))
        .also(on_the_world(data))
        .also(with_gpt2(data))
        .requests([GenerateRequest::new("a"), to_continue])
        .together(
            "training.best_metric_weights",
            [json!({"pretrain_val_loss": 0.5, "sft_val_loss": 0.5})],
        )
        .alternatives("data.val_source", ["lines"])
        // Of conversations it holds only what the hub is known to have.
        .alternatives("data.cache_dir", [data.path("listed")])
        .alternatives("data.system", ["be brief"])
        .alternatives("data.pretrain_val.val_source", ["notes"]);
    let settings = other_chats(settings, data);
    let settings = support::other_texts(settings, data, "data.pretrain_val");
    let settings = support::other_tokenizers(settings, data, |t| with_tokenizer(data, t));
    let settings = support::other_generations(settings);
    support::other_token_cache(settings, data, "data.pretrain_val.cache_dir")
}

/// Other values for the keys of conversations.
fn other_chats(settings: Settings<Sft>, data: &Data) -> Settings<Sft> {
    let kinds = [("jsonl", "two-chat.jsonl"), ("parquet", "two-chat.parquet")];
    let settings = kinds.iter().fold(settings, |settings, (kind, file)| {
        let key = |name: &str| format!("data.sources.*[{kind}].{name}");
        let settings = settings.alternatives(&key("path"), [data.path(file)]);
        settings.alternatives(&key("val_path"), [data.path(file)])
    });
    let template = "{% for m in messages %}{{ asst_token + m.content + eot_token }}{% endfor %}\
                    {% if add_generation_prompt %}{{ asst_token }}{% endif %}";
    support::other_hubs(settings, "data").alternatives("data.chat_template", [template])
}

#[test]
fn inside_a_process_of_its_own() {
    let Some(data) = Data::of_process() else { return };
    let found = settings(&data).find().unwrap();
    println!("{found:#?}");
    assert_eq!(found.unused, [] as [&str; 0]);
    // A tokenizer is trained in a pretraining phase.
    let never = [".kind=train", "[train].min_frequency", "[train].model", "[train].vocab_size"];
    assert_eq!(found.untried, never.map(|key| format!("tokenizer{key}: no section has it")));
    support::assert_drawn(&found);
}

#[test]
fn every_setting_is_used() {
    Data::in_a_process("inside_a_process_of_its_own");
}
