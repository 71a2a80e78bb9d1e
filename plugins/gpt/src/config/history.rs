//! What became of the seed system's settings: its sections are of version 0, today's of version 1.
//!
//! In that system one tree of settings holds both phases. Of its keys many were accepted and read
//! by nothing; such a key may hold anything and go. One that asked for what this trainer does not
//! do (`norm_type: layernorm`) is refused, although that system took it without a word.

use sdk::Change;

/// The version that all changes here lead to.
const VERSION: u32 = 1;

/// Blocks that described data sets whose description was built in.
const DATA_SETS: [&str; 7] =
    ["wikitext", "fineweb_edu", "gutenberg", "dolly", "oasst1", "roam", "primer"];

const UNREAD: &str = "nothing ever read it";
const OTHER_PHASE: &str = "it is a setting of the other phase";

/// The history of a pretraining section.
pub fn pretrain() -> Vec<Change> {
    let mut changes = both("pretrain");
    changes.extend([
        moved("data.mix_pretrain", "data.mix"),
        moved("data.val_pretrain_source", "data.val_source"),
        moved("data.caches.pretrain_token_cache", "data.cache_dir"),
    ]);
    let of_conversations = [
        "data.mix_sft",
        "data.val_sft_source",
        "data.caches.sft_token_cache",
        "data.allow_missing_idx",
        "sft_format.assistant_only_loss",
        "sft_format.include_eot_in_loss",
        "sft_format.pack_sequences",
        "sft_format.packing_policy",
        "sft_format.require_eot",
        "sft_format.allow_truncate_mid_turn",
    ];
    changes.extend(of_conversations.map(|key| removed(key, OTHER_PHASE)));
    changes
}

/// The history of a fine-tuning section.
pub fn sft() -> Vec<Change> {
    let mut changes = both("sft");
    changes.extend([
        moved("data.mix_sft", "data.mix"),
        moved("data.caches.sft_token_cache", "data.cache_dir"),
        moved("sft_format.assistant_only_loss", "data.assistant_only_loss"),
        moved("sft_format.include_eot_in_loss", "data.include_eot_in_loss"),
        moved("sft_format.pack_sequences", "data.pack"),
        removed(
            "sft_format.packing_policy",
            "the oldest exchanges of a long conversation go first",
        )
        .accepting(["prefer_boundary_allow_truncate"]),
        removed("sft_format.require_eot", "every message ends with its end of turn")
            .accepting([true]),
        removed(
            "sft_format.allow_truncate_mid_turn",
            "an answer that fits no window is shortened, last of all",
        )
        .accepting([true]),
        removed(
            "data.val_sft_source",
            "conversations are always measured; `data.pretrain_val` names texts to measure too",
        )
        .accepting(["sft"]),
        removed("data.allow_missing_idx", "a cache without its index is built again")
            .accepting([false]),
    ]);
    let of_texts =
        ["data.mix_pretrain", "data.val_pretrain_source", "data.caches.pretrain_token_cache"];
    changes.extend(of_texts.map(|key| removed(key, OTHER_PHASE)));
    changes
}

/// What changed in either phase.
fn both(phase: &str) -> Vec<Change> {
    let mut changes = vec![moved(&format!("training.{phase}"), "training")];
    changes.extend(training());
    changes.extend(model());
    changes.extend(tokenizer());
    changes.extend(["data.caches.raw_cache_dir", "data.caches.streams_token_cache"].map(unread));
    changes.push(unread("data.chunking"));
    changes.extend(DATA_SETS.map(|name| {
        let why = "nothing ever read it; `data.sources` describes data";
        removed(&format!("data.{name}"), why)
    }));
    changes.extend(elsewhere());
    changes
}

fn training() -> [Change; 2] {
    [
        removed("training.optimizer", "AdamW is the only optimizer").accepting(["adamw"]),
        removed("training.amp", "`global.amp_dtype` switches mixed precision on")
            .accepting([false]),
    ]
}

fn model() -> [Change; 5] {
    [
        removed("model.norm_type", "the norms are always RMSNorm").accepting(["rmsnorm"]),
        removed("model.mlp_type", "the MLP is always SwiGLU").accepting(["swiglu"]),
        removed("model.attention.attn_type", "each head always has its own keys and values")
            .accepting(["mha"]),
        removed(
            "model.attention.use_kv_cache",
            "keys and values are always kept, which changes no token",
        ),
        removed(
            "model.attention.kv_cache_dtype",
            "keys and values are kept in the type of the weights",
        ),
    ]
}

/// That system knew SentencePiece alone, whatever `tokenizer_type` said.
fn tokenizer() -> [Change; 9] {
    let in_file = "nothing ever read it; the tokenizer's file says it";
    [
        Change::implied(VERSION, "tokenizer.model_path", "tokenizer.kind", "sentencepiece"),
        moved("tokenizer.model_path", "tokenizer.path"),
        moved("tokenizer.special_tokens", "tokenizer.special"),
        moved("tokenizer.expected_special_token_ids", "tokenizer.expected"),
        removed("tokenizer.tokenizer_type", in_file),
        removed("tokenizer.vocab_size", in_file),
        removed("tokenizer.normalization", in_file),
        removed("tokenizer.byte_fallback", in_file),
        removed(
            "tokenizer.tokenizer_sha256",
            "no file is pinned by its hash; a model keeps its tokenizer and refuses another",
        )
        .accepting([()]),
    ]
}

/// Settings that are not a phase's, or that are now said for the whole run.
fn elsewhere() -> [Change; 5] {
    [
        moved("sft_format.ban_role_tokens_during_generation", "generation.ban_role_tokens"),
        removed("benchmark", "no phase measures how fast it could be"),
        removed("reproducibility.torch_num_threads", "`global.threads` says how many threads")
            .accepting([()]),
        removed("reproducibility.torch_matmul_precision", "it was PyTorch's"),
        removed(
            "reproducibility.dataset_shuffle_buffer_size",
            "windows are drawn from the whole of a source",
        ),
    ]
}

fn moved(from: &str, to: &str) -> Change {
    Change::moved(VERSION, from, to)
}

fn removed(key: &str, why: &str) -> Change {
    Change::removed(VERSION, key, why)
}

fn unread(key: &str) -> Change {
    removed(key, UNREAD)
}

#[cfg(test)]
mod tests {
    use sdk::ChangeKind;

    use super::*;

    /// The keys that are taken away, sorted.
    fn old_keys(changes: &[Change]) -> Vec<String> {
        let old = |change: &Change| match &change.kind {
            ChangeKind::Moved { from: key, .. } | ChangeKind::Removed { key, .. } => {
                Some(key.clone())
            }
            _ => None,
        };
        let mut keys: Vec<String> = changes.iter().filter_map(old).collect();
        keys.sort();
        keys
    }

    #[test]
    fn each_old_key_goes_one_way_and_both_phases_know_all_of_them() {
        let (of_texts, of_conversations) = (old_keys(&pretrain()), old_keys(&sft()));
        assert!(of_texts.is_sorted_by(|one, next| one < next), "listed twice: {of_texts:?}");
        let shared = |keys: &[String]| {
            keys.iter().filter(|key| !key.starts_with("training.")).cloned().collect::<Vec<_>>()
        };
        assert_eq!(shared(&of_texts), shared(&of_conversations));
        assert!(pretrain().iter().chain(&sft()).all(|change| change.version == VERSION));
    }
}
