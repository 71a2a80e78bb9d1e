//! The stand-in phases: one setting of each kind that a plugin's schema may have.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use host::config::{Catalogue, KnownPhase};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Toy {
    training: Training,
    data: Data,
    tokenizer: Option<Tokenizer>,
    loss: Option<Loss>,
    blocks: Vec<Block>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Training {
    #[schemars(range(min = 1))]
    total_steps: u32,
    offset: i64,
    base_lr: f64,
    betas: [f64; 2],
    eval_batches: Option<u32>,
    optimizer: Optimizer,
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    keep: f64,
    save_best: bool,
    note: String,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            total_steps: 1,
            offset: 0,
            base_lr: 1e-4,
            betas: [0.9, 0.95],
            eval_batches: None,
            optimizer: Optimizer::default(),
            keep: 0.5,
            save_best: false,
            note: String::new(),
        }
    }
}

#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Optimizer {
    #[default]
    Adamw,
    Sgd,
}

#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Data {
    #[schemars(extend("x-replace" = true))]
    mix: BTreeMap<String, f64>,
    paths: BTreeMap<String, String>,
    files: Vec<String>,
    anything: BTreeMap<String, Value>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tokenizer {
    path: String,
    vocab_size: Option<u32>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Loss {
    Plain { scale: f64 },
    Focal { gamma: f64 },
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Block {
    #[schemars(length(min = 1, max = 20))]
    name: String,
    size: Option<(u8, u8)>,
}

/// Two phases of one plugin, and no profiles.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue {
        phases: ["try", "practise"].map(known).into(),
        plugin_profiles: Vec::new(),
        profile_dirs: Vec::new(),
    });
    &CATALOGUE
}

fn known(phase: &str) -> KnownPhase {
    KnownPhase {
        phase: phase.to_owned(),
        plugin: "toy".to_owned(),
        schema: schemars::schema_for!(Toy).to_value(),
        defaults: serde_json::to_value(Toy::default()).expect("plain values"),
        version: 1,
        ..KnownPhase::default()
    }
}
