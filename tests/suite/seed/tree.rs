//! The settings tree of the language models' system with its defaults, at two of its commits, and
//! its settings in today's names.

use serde_json::{Value, json};

use super::merged;

/// A commit of that system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// The one that brought named profiles.
    Guide,
    /// The last one.
    Head,
}

/// What files replaced as it stood.
const MIXES: [&str; 2] = ["data.mix_pretrain", "data.mix_sft"];

/// All defaults. Blocks that nothing read are here with some of their keys.
pub(super) fn tree(age: Age) -> Value {
    let is_head = age == Age::Head;
    let amp_dtype = if is_head { "fp32" } else { "fp16" };
    let mix_sft = if is_head {
        json!({"primer": 0.1, "oasst1": 0.7, "dolly15k": 0.2})
    } else {
        json!({"oasst1": 0.67, "dolly15k": 0.33})
    };
    json!({
        "tokenizer": {
            "tokenizer_type": "bpe",
            "model_path": "artifacts/tokenizer/v2/spm.model",
            "vocab_size": 16000,
            "normalization": "nfkc",
            "byte_fallback": true,
            "special_tokens": special_tokens(),
            "tokenizer_sha256": null,
            "expected_special_token_ids": {"sys": 3, "usr": 4, "asst": 5, "eot": 6},
        },
        "data": {
            "caches": {
                "raw_cache_dir": "data/cache/hf",
                "pretrain_token_cache": "data/cache/pretrain",
                "sft_token_cache": "data/cache/sft",
                "streams_token_cache": "data/cache/streams",
            },
            "chunking": {"pack_to_T": true, "stride": 1},
            "wikitext": {"config": "wikitext-103-raw-v1", "val_split": "val", "max_tokens": null},
            "fineweb_edu": {"name": "CC-MAIN-2024-10", "streaming": true, "shuffle": true},
            "gutenberg": {"dataset_id": "nikolina-p/gutenberg_clean_en_splits"},
            "dolly": {"include_system": false, "max_examples": null},
            "oasst1": {"english_only": true, "max_messages": 32, "take_trees": null},
            "roam": {"root_dir": ".roam-data", "glob_pattern": "**/*.md", "val_frac": 0.1},
            "primer": {"path": "data/primer.txt", "val_frac": 0.1, "seed": 42},
            "mix_pretrain": {"fineweb_edu": 0.7, "wikitext": 0.2, "roam": 0.1},
            "mix_sft": mix_sft,
            "val_pretrain_source": "wikitext",
            "val_sft_source": if is_head { "sft" } else { "wikitext" },
            "allow_missing_idx": false,
        },
        "model": {
            "V": 16000, "T": 512, "C": 384, "L": 8, "H": 6, "d_ff": 1152,
            "dropout": 0.1, "rope_theta": 10000.0,
            "norm_type": "rmsnorm", "mlp_type": "swiglu",
            "attention": {"attn_type": "mha", "use_kv_cache": true, "kv_cache_dtype": "fp16"},
        },
        "training": {
            "pretrain": merged(&training(amp_dtype), &json!({
                "total_steps": 17000, "base_lr": 3e-4, "warmup_steps": 340, "min_lr": 3e-5,
                "weight_decay": 0.1, "best_metric": "pretrain_val_loss",
            }), "", &[]),
            "sft": merged(&training(amp_dtype), &json!({
                "total_steps": if is_head { 1889 } else { 6000 },
                "base_lr": 1e-4,
                "warmup_steps": if is_head { 189 } else { 120 },
                "min_lr": 1e-5, "weight_decay": 0.05, "best_metric": "sft_val_loss",
            }), "", &[]),
        },
        "sft_format": {
            "assistant_only_loss": true,
            "include_eot_in_loss": false,
            "pack_sequences": true,
            "packing_policy": "prefer_boundary_allow_truncate",
            "require_eot": true,
            "allow_truncate_mid_turn": true,
            "ban_role_tokens_during_generation": true,
        },
        "generation": {
            "max_new_tokens": 256, "temperature": 0.9, "top_k": 50, "top_p": null,
            "repetition_penalty": null, "stop_token_id": null, "banned_token_ids": null,
        },
        "benchmark": {"candidate_T": [512, 1024], "timeout_s": 20, "steps_measure": 10},
        "reproducibility": {
            "torch_num_threads": null,
            "torch_matmul_precision": null,
            "dataset_shuffle_buffer_size": 10000,
        },
    })
}

/// What the two phases' blocks have in common.
fn training(amp_dtype: &str) -> Value {
    json!({
        "seed": 42, "micro_B": 16, "accum_steps": 1, "eval_every": 200, "eval_steps": 50,
        "eval_batches": null, "micro_B_eval": null, "log_every": 50, "ckpt_every": 1000,
        "optimizer": "adamw", "betas": [0.9, 0.95], "eps": 1e-8,
        "decay_norm_and_bias": true, "decay_embeddings": true, "grad_clip": 1.0,
        "amp": false, "amp_dtype": amp_dtype, "activation_checkpointing": false,
        "save_best": true, "best_metric_weights": null,
    })
}

fn special_tokens() -> Value {
    let text = |name: &str| format!("<|ngpt_{name}_84a5023f67d74cf29cc4001becde983c|>");
    json!({"sys": text("sys"), "usr": text("usr"), "asst": text("asst"), "eot": text("eot")})
}

/// What a file resolved to: the defaults with all that it says.
pub(super) fn resolved(age: Age, file: &Value) -> Value {
    merged(&tree(age), file, "", &MIXES)
}

/// The settings of one phase in that tree that something read, in today's sectioned form. Keys that
/// the tree leaves out are left out here too.
///
/// Mixed precision was for Apple's GPUs alone; on a CPU the switch did nothing.
pub(super) fn in_todays_names(tree: &Value, phase: &str) -> Value {
    let training = &tree["training"][phase];
    let mut section = json!({
        "model": without(&tree["model"], &["norm_type", "mlp_type", "attention"]),
        "training": without(training, &["seed", "optimizer", "amp", "amp_dtype"]),
        "generation": tree["generation"],
    });
    let mut put = |block: &str, key: &str, value: &Value| {
        if !value.is_null() {
            section[block][key] = value.clone();
        }
    };
    let (data, format) = (&tree["data"], &tree["sft_format"]);
    put("data", "mix", &data[format!("mix_{phase}")]);
    put("data", "cache_dir", &data["caches"][format!("{phase}_token_cache")]);
    put("generation", "ban_role_tokens", &format["ban_role_tokens_during_generation"]);
    if phase == "pretrain" {
        put("data", "val_source", &data["val_pretrain_source"]);
    } else {
        // `sft` stood for the conversations of the mix.
        put("data", "val_source", &data["val_sft_source"]);
        put("data", "assistant_only_loss", &format["assistant_only_loss"]);
        put("data", "include_eot_in_loss", &format["include_eot_in_loss"]);
    }
    put("tokenizer", "path", &tree["tokenizer"]["model_path"]);
    json!({"global": {"seed": training["seed"], "amp_dtype": null}, phase: section})
}

fn without(block: &Value, keys: &[&str]) -> Value {
    let mut block = block.clone();
    if let Some(map) = block.as_object_mut() {
        keys.iter().for_each(|key| drop(map.remove(*key)));
    }
    block
}
