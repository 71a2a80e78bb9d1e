//! The `global` block: the settings that the host owns for every phase.
//!
//! Spellings of the seed systems (`fp32`, `half`, `cuda_if_available`) are turned into the one
//! canonical spelling before the block is checked, so that everything behind it sees only that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name of the block.
pub(super) const NAME: &str = "global";

/// The settings that legacy files keep per trainer and that are lifted into `global`.
pub(super) const LEGACY_KEYS: [&str; 5] = ["seed", "device", "dtype", "amp_dtype", "deterministic"];

/// What the block takes besides its canonical spellings, in lower case.
pub(super) const OLD_SPELLINGS: [(&str, &[&str]); 3] = [
    ("device", &["cuda_if_available"]),
    ("dtype", &["fp32", "float", "bf16", "fp16", "half", "fp64", "double"]),
    ("amp_dtype", &["bf16", "fp16", "half", "float32", "fp32", "float"]),
];

/// What all phases of a run share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Global {
    /// Seed of all random numbers of the run.
    pub seed: u64,
    /// Where to compute: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[schemars(
        regex(pattern = "^(auto|cpu|cuda(:[0-9]{1,4})?)$"),
        extend("x-expected" = "`auto`, `cpu`, `cuda` or `cuda:N`")
    )]
    pub device: String,
    /// Type of weights and results.
    #[schemars(extend("enum" = ["float32", "bfloat16", "float16", "float64"]))]
    pub dtype: String,
    /// Type of the inner products under mixed precision; null switches it off.
    #[schemars(extend("enum" = ["bfloat16", "float16", null]))]
    pub amp_dtype: Option<String>,
    /// Whether to give up speed for bit-identical results where the two conflict.
    pub deterministic: bool,
    /// CPU threads; null means as many as there are cores.
    #[schemars(range(min = 1, max = 4096), extend("x-unit" = "threads"))]
    pub threads: Option<usize>,
    /// Directory in which run directories are made.
    #[schemars(length(min = 1))]
    pub output_dir: String,
    /// Name put in front of the run's directory.
    #[schemars(
        regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"),
        extend("x-expected" = "up to 100 letters, digits, `.`, `_` or `-`")
    )]
    pub run_name: Option<String>,
    /// Stop every phase after this many steps.
    #[schemars(range(min = 1), extend("x-unit" = "steps"))]
    pub max_steps: Option<u64>,
    /// Checkpoints to keep of each phase, besides the best one.
    #[schemars(range(min = 1), extend("x-unit" = "checkpoints"))]
    pub keep_checkpoints: usize,
    /// What the phases start from, as if an earlier phase had handed it on: a run by its name or its
    /// directory, a checkpoint's directory, or a file with weights.
    #[schemars(length(min = 1))]
    pub init_from: Option<String>,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            seed: 42,
            device: "auto".to_owned(),
            dtype: "float32".to_owned(),
            amp_dtype: None,
            deterministic: false,
            threads: None,
            output_dir: "runs".to_owned(),
            run_name: None,
            max_steps: None,
            keep_checkpoints: 3,
            init_from: None,
        }
    }
}

/// The block's JSON Schema.
pub fn schema() -> Value {
    schemars::schema_for!(Global).to_value()
}

/// Whether `global` has this key.
pub(super) fn is_key(key: &str) -> bool {
    schema()["properties"].get(key).is_some()
}

/// Turns known spellings of devices and dtypes into the canonical ones; leaves all else alone.
pub(super) fn normalise(block: &mut Value) {
    let Value::Object(block) = block else { return };
    if let Some(Value::String(device)) = block.get_mut("device") {
        match device.to_lowercase().as_str() {
            "cuda_if_available" => "auto".clone_into(device),
            lower if ["auto", "cpu"].contains(&lower) || lower.starts_with("cuda") => {
                *device = lower.to_owned();
            }
            _ => {}
        }
    }
    for key in ["dtype", "amp_dtype"] {
        let Some(value) = block.get_mut(key) else {
            continue;
        };
        let Some(name) = value.as_str().and_then(canonical_dtype) else {
            continue;
        };
        // Mixed precision in full precision is no mixed precision.
        *value = if key == "amp_dtype" && name == "float32" { Value::Null } else { name.into() };
    }
}

/// The canonical name of a dtype.
fn canonical_dtype(name: &str) -> Option<&'static str> {
    match name.to_lowercase().as_str() {
        "float32" | "fp32" | "float" => Some("float32"),
        "bfloat16" | "bf16" => Some("bfloat16"),
        "float16" | "fp16" | "half" => Some("float16"),
        "float64" | "fp64" | "double" => Some("float64"),
        _ => None,
    }
}

/// The `HOST_…` variables that set keys of the block, as key, variable and value; an empty variable
/// counts as unset.
pub(super) fn from_environment(environment: &[(String, String)]) -> Vec<(String, &str, &str)> {
    let schema = schema();
    let keys = schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key);
    keys.filter_map(|key| {
        let variable = format!("HOST_{}", key.to_uppercase());
        let (variable, value) = environment.iter().rfind(|(name, _)| *name == variable)?;
        (!value.is_empty()).then(|| (key.clone(), variable.as_str(), value.as_str()))
    })
    .collect()
}
