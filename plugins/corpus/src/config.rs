//! The `data` section of the two phases.
//!
//! `sources` gives each source a name and says what it is, `mix` says how often each is drawn from.
//! A user's own `sources` or `mix` replaces the default as a whole (`x-replace`), so no built-in
//! source slips into a mix. A mix may also name a preset: a well-known data set that needs no
//! entry in `sources`.

mod check;
mod sources;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::presets;
use sources::default_documents;
pub use sources::{
    ChatForm, ChatRecords, ChatSource, HeldBack, HubChats, HubDocuments, HubTexts, Paths,
    TextDocuments, TextFiles, TextRecords, TextSource, ValSplitBy,
};

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
    /// Evaluate on this source alone, which need not be in the mix; without it, on the mix.
    pub val_source: Option<String>,
    /// Where token caches are kept; without it `$HOST_CACHE_DIR`, else `$XDG_CACHE_HOME/host`, else
    /// `~/.cache/host`.
    pub cache_dir: Option<String>,
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
    /// Evaluate on this source alone, which need not be in the mix; without it, on the mix.
    pub val_source: Option<String>,
    /// Whether a window holds as many conversations as fit, or one.
    pub pack: bool,
    /// Whether only what the assistant says is learnt, or everything.
    pub assistant_only_loss: bool,
    /// Whether the end of an answer is learnt too; without it a model never stops.
    pub include_eot_in_loss: bool,
    /// A chat template in Jinja, instead of the built-in one.
    pub chat_template: Option<String>,
    /// A system message put before the conversations that have none.
    pub system: Option<String>,
    /// Texts whose loss is measured at each evaluation too.
    pub pretrain_val: Option<PretrainDataConfig>,
    /// Where what is fetched or built once is kept; without it `$HOST_CACHE_DIR`, else
    /// `$XDG_CACHE_HOME/host`, else `~/.cache/host`.
    pub cache_dir: Option<String>,
}

impl Default for PretrainDataConfig {
    fn default() -> Self {
        let world = TextSource::World { documents: default_documents() };
        Self {
            sources: BTreeMap::from([(WORLD.to_owned(), world)]),
            mix: BTreeMap::from([(WORLD.to_owned(), 1.0)]),
            val_source: None,
            cache_dir: None,
        }
    }
}

impl Default for SftDataConfig {
    fn default() -> Self {
        let world = ChatSource::World { documents: default_documents() };
        Self {
            sources: BTreeMap::from([(WORLD.to_owned(), world)]),
            mix: BTreeMap::from([(WORLD.to_owned(), 1.0)]),
            val_source: None,
            pack: true,
            assistant_only_loss: true,
            include_eot_in_loss: true,
            chat_template: None,
            system: None,
            pretrain_val: None,
            cache_dir: None,
        }
    }
}

impl PretrainDataConfig {
    /// The source of this name: the section's own, or a preset.
    pub fn source(&self, name: &str) -> Option<TextSource> {
        self.sources.get(name).cloned().or_else(|| presets::text(name))
    }

    /// The names of the sources that are read: those of the mix in order, then `val_source` where
    /// the mix has it not.
    pub fn names(&self) -> Vec<&str> {
        names(&self.mix, self.val_source.as_deref())
    }

    /// Where a source of this name is written: its key below `sources`, or below `mix` for a preset.
    pub fn key(&self, name: &str) -> String {
        key(self.sources.contains_key(name), self.mix.contains_key(name), name)
    }
}

impl SftDataConfig {
    /// As [`PretrainDataConfig::source`].
    pub fn source(&self, name: &str) -> Option<ChatSource> {
        self.sources.get(name).cloned().or_else(|| presets::chat(name))
    }

    /// As [`PretrainDataConfig::names`].
    pub fn names(&self) -> Vec<&str> {
        names(&self.mix, self.val_source.as_deref())
    }

    /// As [`PretrainDataConfig::key`].
    pub fn key(&self, name: &str) -> String {
        key(self.sources.contains_key(name), self.mix.contains_key(name), name)
    }
}

fn names<'a>(mix: &'a BTreeMap<String, f64>, val_source: Option<&'a str>) -> Vec<&'a str> {
    let apart = val_source.filter(|name| !mix.contains_key(*name));
    mix.keys().map(String::as_str).chain(apart).collect()
}

fn key(is_written: bool, is_mixed: bool, name: &str) -> String {
    match (is_written, is_mixed) {
        (true, _) => format!("data.sources.{name}"),
        (false, true) => format!("data.mix.{name}"),
        (false, false) => "data.val_source".to_owned(),
    }
}

#[cfg(test)]
mod tests;
