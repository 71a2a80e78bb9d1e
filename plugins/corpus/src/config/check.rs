//! What a schema can't say about a `data` section: names that must be known, parts that must sum
//! to 1, files that must be there.

use std::collections::BTreeMap;

use sdk::Error;

use super::{
    ChatSource, HeldBack, Paths, PretrainDataConfig, SftDataConfig, TextSource, ValSplitBy,
};
use crate::presets;
use crate::source::Format;
use crate::source::paths;

/// How far the weights of a mix may be from 1 in sum.
const SUM_TOLERANCE: f64 = 1e-6;
/// The largest part that may be held back, as the schema has it too.
const VAL_FRACTION_MAX: f64 = 0.9;
/// How alike a name must be to be taken for a misspelt one.
const SIMILARITY_MIN: f64 = 0.75;

impl PretrainDataConfig {
    /// Checks what the schema can't: names, the sum of the mix, files. Looks at the file system,
    /// never at the network.
    ///
    /// Every fault found, with its key below `data`.
    pub fn check(&self) -> Vec<Error> {
        let known = known(&self.sources, &presets::TEXT_NAMES);
        let mut faults = check_mix(&self.mix, self.val_source.as_deref(), &known);
        for name in self.names() {
            if let Some(source) = self.source(name) {
                faults.extend(text_faults(&source, &self.key(name)));
            }
        }
        faults
    }
}

impl SftDataConfig {
    /// As [`PretrainDataConfig::check`]; `pretrain_val` is checked too.
    pub fn check(&self) -> Vec<Error> {
        let known = known(&self.sources, &presets::CHAT_NAMES);
        let mut faults = check_mix(&self.mix, self.val_source.as_deref(), &known);
        for name in self.names() {
            if let Some(source) = self.source(name) {
                faults.extend(chat_faults(&source, &self.key(name)));
            }
        }
        let texts = self.pretrain_val.iter().flat_map(PretrainDataConfig::check);
        faults.extend(texts.map(|fault| {
            let key =
                fault.path.as_deref().unwrap_or("data").replacen("data", "data.pretrain_val", 1);
            fault.at(key)
        }));
        faults
    }
}

/// The names that a mix may have, and those of them that the section gives itself.
struct Known<'a> {
    own: Vec<&'a str>,
    presets: &'a [&'a str],
}

fn known<'a, S>(sources: &'a BTreeMap<String, S>, presets: &'a [&'a str]) -> Known<'a> {
    Known { own: sources.keys().map(String::as_str).collect(), presets }
}

impl Known<'_> {
    fn has(&self, name: &str) -> bool {
        self.own.contains(&name) || self.presets.contains(&name)
    }

    /// What to say about a name that is not known.
    fn help(&self, name: &str) -> String {
        let all = || self.own.iter().chain(self.presets);
        let likeness = |known: &str| {
            let is_part = name.len() >= 4 && known.starts_with(name);
            if is_part { 1.0 } else { strsim::jaro_winkler(name, known) }
        };
        let nearest = all().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        if let Some(nearest) = nearest.filter(|nearest| likeness(nearest) >= SIMILARITY_MIN) {
            return format!("did you mean `{nearest}`? if not, add `{name}` to `data.sources`");
        }
        let names: Vec<String> = all().map(|known| format!("`{known}`")).collect();
        format!("known sources: {}; add it to `data.sources`", names.join(", "))
    }
}

fn check_mix(
    mix: &BTreeMap<String, f64>,
    val_source: Option<&str>,
    known: &Known<'_>,
) -> Vec<Error> {
    let mut faults = Vec::new();
    if mix.is_empty() {
        let error = Error::new("data::mix_empty", "the mix names no source").at("data.mix");
        faults.push(error.help("give each source that is to be drawn from a part of 1"));
    }
    for (name, weight) in mix {
        faults.extend(check_part(name, *weight, known));
    }
    if let Some(name) = val_source.filter(|name| !known.has(name)) {
        let message = format!("`val_source` names `{name}`, which is no source");
        let error = Error::new("data::val_source", message).at("data.val_source");
        faults.push(error.help(known.help(name)));
    }
    let sum: f64 = mix.values().sum();
    if faults.is_empty() && (sum - 1.0).abs() > SUM_TOLERANCE {
        // Ten digits tell any slip; the last ones are those of the addition.
        let shown = (sum * 1e10).round() / 1e10;
        let message = format!("the parts of the mix must sum to 1, but sum to {shown}");
        faults.push(Error::new("data::mix_sum", message).at("data.mix"));
    }
    faults
}

fn check_part(name: &str, weight: f64, known: &Known<'_>) -> Option<Error> {
    let at = format!("data.mix.{name}");
    if !known.has(name) {
        let message = format!("the mix names `{name}`, which is no source");
        return Some(Error::new("data::mix_unknown", message).at(at).help(known.help(name)));
    }
    if !(weight > 0.0 && weight <= 1.0) {
        let message = format!("a part of the mix must be above 0 and at most 1, not {weight}");
        return Some(Error::new("data::mix_weight", message).at(at));
    }
    None
}

fn text_faults(source: &TextSource, key: &str) -> Vec<Error> {
    let mut faults: Vec<Error> =
        source.held_back().and_then(|held| fraction_fault(held, key)).into_iter().collect();
    match source {
        TextSource::World { .. } => {}
        TextSource::Text(files) => {
            faults.extend(path_faults(&files.path, files.val_path.as_ref(), Format::Text, key));
        }
        TextSource::Jsonl(files) => {
            faults.extend(path_faults(&files.path, files.val_path.as_ref(), Format::Json, key));
        }
        TextSource::Parquet(files) => {
            faults.extend(path_faults(&files.path, files.val_path.as_ref(), Format::Parquet, key));
        }
        TextSource::Hub(hub) => {
            let is_tail = hub.val_split_by == ValSplitBy::Tail && hub.val_split.is_none();
            if is_tail && hub.max_tokens.is_some() {
                let message = "`tail` needs the last document, which `max_tokens` leaves unread";
                let error = Error::new("data::val_split_by", message);
                faults.push(error.at(format!("{key}.val_split_by")));
            }
            faults.extend(hub_fault(&hub.dataset, key));
        }
    }
    faults
}

fn chat_faults(source: &ChatSource, key: &str) -> Vec<Error> {
    let mut faults: Vec<Error> =
        source.held_back().and_then(|held| fraction_fault(held, key)).into_iter().collect();
    match source {
        ChatSource::World { .. } => {}
        ChatSource::Jsonl(files) => {
            faults.extend(path_faults(&files.path, files.val_path.as_ref(), Format::Json, key));
        }
        ChatSource::Parquet(files) => {
            faults.extend(path_faults(&files.path, files.val_path.as_ref(), Format::Parquet, key));
        }
        ChatSource::Hub(hub) => faults.extend(hub_fault(&hub.dataset, key)),
    }
    faults
}

fn fraction_fault(held_back: HeldBack, key: &str) -> Option<Error> {
    let fraction = held_back.val_fraction;
    if (0.0..=VAL_FRACTION_MAX).contains(&fraction) {
        return None;
    }
    let message =
        format!("the part held back must be from 0 to {VAL_FRACTION_MAX}, not {fraction}");
    Some(Error::new("data::val_fraction", message).at(format!("{key}.val_fraction")))
}

fn path_faults(path: &Paths, val: Option<&Paths>, format: Format, key: &str) -> Vec<Error> {
    let fault = |paths: &Paths, name: &str| {
        paths::expand(paths, format).err().map(|error| error.at(keyed(key, name)))
    };
    fault(path, "path").into_iter().chain(val.and_then(|val| fault(val, "val_path"))).collect()
}

/// The key of a source's setting. A preset has no settings, so its name stands for them.
fn keyed(key: &str, name: &str) -> String {
    if key.starts_with("data.sources.") { format!("{key}.{name}") } else { key.to_owned() }
}

#[cfg(feature = "hub")]
fn hub_fault(dataset: &str, key: &str) -> Option<Error> {
    let is_part = |part: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(is_allowed)
    };
    let parts: Vec<&str> = dataset.split('/').collect();
    if parts.len() <= 2 && parts.iter().all(|part| is_part(part)) {
        return None;
    }
    let message = format!("`{dataset}` is no name of a data set of the hub");
    let error = Error::new("data::hub_name", message).at(keyed(key, "dataset"));
    Some(error.help("names have the form `owner/name`"))
}

#[cfg(not(feature = "hub"))]
fn hub_fault(dataset: &str, key: &str) -> Option<Error> {
    let message = format!("`{dataset}` is on the hub, which this build can't read");
    let error = Error::new("data::no_hub", message).at(keyed(key, "dataset"));
    Some(error.help("build with the feature `hub`, or bring the files"))
}
