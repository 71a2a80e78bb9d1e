//! The `data` section of the two phases.
//!
//! `sources` gives each source a name and says what it is, `mix` says how often each is drawn from.
//! A user's own `sources` or `mix` replaces the default as a whole (`x-replace`), so no built-in
//! source slips into a mix.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

/// How far the weights of a mix may be from 1 in sum.
const SUM_TOLERANCE: f64 = 1e-6;
const WORLD: &str = "world";

/// What a pretraining phase learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainDataConfig {
    /// The texts that `mix` may name, by name.
    #[schemars(extend("x-replace" = true, "minProperties" = 1))]
    pub sources: BTreeMap<String, TextSource>,
    /// How large a part of the windows comes from each source; the parts sum to 1.
    #[schemars(extend(
        "x-replace" = true,
        "minProperties" = 1,
        "additionalProperties" = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    ))]
    pub mix: BTreeMap<String, f64>,
}

/// What a fine-tuning phase learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SftDataConfig {
    /// The conversations that `mix` may name, by name.
    #[schemars(extend("x-replace" = true, "minProperties" = 1))]
    pub sources: BTreeMap<String, ChatSource>,
    /// How large a part of the conversations comes from each source; the parts sum to 1.
    #[schemars(extend(
        "x-replace" = true,
        "minProperties" = 1,
        "additionalProperties" = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    ))]
    pub mix: BTreeMap<String, f64>,
    /// Whether a window holds as many conversations as fit, or one.
    pub pack: bool,
}

/// Where texts come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum TextSource {
    /// The built-in stories.
    World {
        /// How many stories to train on; a tenth as many are held back.
        #[serde(default = "default_documents")]
        #[schemars(range(min = 10, max = 10_000_000))]
        documents: u64,
    },
    /// A text file; blank lines separate its documents.
    Text {
        /// The file, as a path from the working directory.
        path: String,
        /// The part of the documents that is held back.
        #[serde(default = "default_val_fraction")]
        #[schemars(range(min = 0.0, max = 0.9))]
        val_fraction: f64,
    },
    /// A file with one JSON object per line, or one JSON list of objects; each is a document.
    Jsonl {
        /// The file, as a path from the working directory.
        path: String,
        /// The key of the text in each object.
        #[serde(default = "default_field")]
        field: String,
        /// The part of the documents that is held back.
        #[serde(default = "default_val_fraction")]
        #[schemars(range(min = 0.0, max = 0.9))]
        val_fraction: f64,
    },
}

/// Where conversations come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ChatSource {
    /// Questions about the built-in stories, with answers.
    World {
        /// How many dialogues to train on; a tenth as many are held back.
        #[serde(default = "default_documents")]
        #[schemars(range(min = 10, max = 10_000_000))]
        documents: u64,
    },
    /// A file with one JSON object per line, or one JSON list of objects: either
    /// `{"messages": [{"role", "content"}, …]}` or `{"instruction", "input", "output"}`.
    Jsonl {
        /// The file, as a path from the working directory.
        path: String,
        /// The part of the conversations that is held back.
        #[serde(default = "default_val_fraction")]
        #[schemars(range(min = 0.0, max = 0.9))]
        val_fraction: f64,
    },
}

fn default_documents() -> u64 {
    20_000
}

fn default_val_fraction() -> f64 {
    0.1
}

fn default_field() -> String {
    "text".to_owned()
}

impl Default for PretrainDataConfig {
    fn default() -> Self {
        let world = TextSource::World { documents: default_documents() };
        Self {
            sources: BTreeMap::from([(WORLD.to_owned(), world)]),
            mix: BTreeMap::from([(WORLD.to_owned(), 1.0)]),
        }
    }
}

impl Default for SftDataConfig {
    fn default() -> Self {
        let world = ChatSource::World { documents: default_documents() };
        Self {
            sources: BTreeMap::from([(WORLD.to_owned(), world)]),
            mix: BTreeMap::from([(WORLD.to_owned(), 1.0)]),
            pack: true,
        }
    }
}

impl PretrainDataConfig {
    /// Checks what the schema can't: that the mix names sources and sums to 1.
    ///
    /// # Errors
    /// The first fault, with its key below `data`.
    pub fn check(&self) -> Result<()> {
        check_mix(&self.mix, &self.sources)
    }
}

impl SftDataConfig {
    /// As [`PretrainDataConfig::check`].
    ///
    /// # Errors
    /// The first fault, with its key below `data`.
    pub fn check(&self) -> Result<()> {
        check_mix(&self.mix, &self.sources)
    }
}

fn check_mix<S>(mix: &BTreeMap<String, f64>, sources: &BTreeMap<String, S>) -> Result<()> {
    if mix.is_empty() {
        let error = Error::new("data::mix_empty", "the mix names no source").at("data.mix");
        return Err(error.help("give each source that is to be drawn from a part of 1"));
    }
    for (name, weight) in mix {
        let at = format!("data.mix.{name}");
        if !sources.contains_key(name) {
            let known: Vec<String> = sources.keys().map(|known| format!("`{known}`")).collect();
            let message = format!("the mix names `{name}`, which is no source");
            let help = format!("known sources: {}; add it to `data.sources`", known.join(", "));
            return Err(Error::new("data::mix_unknown", message).at(at).help(help));
        }
        if !(*weight > 0.0 && *weight <= 1.0) {
            let message = format!("a part of the mix must be above 0 and at most 1, not {weight}");
            return Err(Error::new("data::mix_weight", message).at(at));
        }
    }
    let sum: f64 = mix.values().sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        let message = format!("the parts of the mix must sum to 1, but sum to {sum}");
        return Err(Error::new("data::mix_sum", message).at("data.mix"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pretrain(data: Value) -> PretrainDataConfig {
        serde_json::from_value(data).unwrap()
    }

    #[test]
    fn the_default_is_the_world_alone() {
        let config = pretrain(json!({}));
        assert_eq!(config, PretrainDataConfig::default());
        config.check().unwrap();
        assert_eq!(
            serde_json::to_value(&config).unwrap(),
            json!({"sources": {"world": {"kind": "world", "documents": 20000}}, "mix": {"world": 1.0}})
        );
        SftDataConfig::default().check().unwrap();
    }

    #[test]
    fn faults_of_a_mix_are_told() {
        let fault = |mix: Value| pretrain(json!({"mix": mix})).check().unwrap_err();
        assert_eq!(fault(json!({})).message, "the mix names no source");
        let unknown = fault(json!({"wold": 1.0}));
        assert_eq!(unknown.message, "the mix names `wold`, which is no source");
        assert_eq!(unknown.path.unwrap(), "data.mix.wold");
        assert_eq!(unknown.help.unwrap(), "known sources: `world`; add it to `data.sources`");
        for weight in [0.0, -1.0, 1.5] {
            assert_eq!(fault(json!({"world": weight})).code, "data::mix_weight");
        }
        assert_eq!(
            fault(json!({"world": 0.5})).message,
            "the parts of the mix must sum to 1, but sum to 0.5"
        );
    }

    #[test]
    fn unknown_keys_are_refused_at_every_depth() {
        let refused = |text: &str| serde_json::from_str::<PretrainDataConfig>(text).is_err();
        assert!(refused(r#"{"sorces": {}}"#));
        assert!(refused(r#"{"sources": {"a": {"kind": "world", "path": "x"}}}"#));
        assert!(refused(r#"{"sources": {"a": {"kind": "text", "path": "x", "field": "y"}}}"#));
        assert!(refused(r#"{"sources": {"a": {"kind": "text"}}}"#));
    }

    #[test]
    fn the_schema_marks_what_is_replaced_whole() {
        let schema = schemars::schema_for!(SftDataConfig).to_value();
        for key in ["mix", "sources"] {
            assert_eq!(schema["properties"][key]["x-replace"], true);
        }
        let weight = &schema["properties"]["mix"]["additionalProperties"];
        assert_eq!(weight["exclusiveMinimum"], 0);
        assert_eq!(schema["properties"]["pack"]["default"], true);
    }
}
