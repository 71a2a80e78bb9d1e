//! The keys of a schema as a reader wants them listed: block by block, each key with what it takes,
//! its default, its range, its unit and what it is for.
//!
//! `host plugins inspect` and the reference page are made from this, so they cannot disagree with
//! what is checked.

use sdk::ChangeKind;
use serde_json::{Map, Value};

use super::KnownPhase;
use super::document::join;
use super::key_words::{limits, takes};
use super::schema::{Alternatives, Schema};

/// What stands for a name of the user's choice in a path.
const ANY_NAME: &str = "NAME";
/// How deep blocks may lie; a schema that goes deeper is going in circles.
const DEPTH_MAX: usize = 8;
/// Most places that are looked at: a schema that leads back to itself has no end.
const VISITS_MAX: usize = 2000;

/// A mapping with fixed keys.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyBlock {
    /// Its dotted path in the section; empty for the section itself.
    pub path: String,
    /// What it is for.
    pub about: String,
    /// The key and the value that tell it from the other mappings that may stand there.
    pub when: Option<(String, String)>,
    /// Its keys, in the order of the schema.
    pub keys: Vec<KeyEntry>,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyEntry {
    /// Its name in the block.
    pub name: String,
    /// What it takes: `integer or null`.
    pub takes: String,
    /// The value that holds where nobody gives one.
    pub default: Option<Value>,
    /// Whether the block needs it.
    pub is_required: bool,
    /// The range or the size: `at least 1`; empty where there is none.
    pub limits: String,
    /// What a number counts or measures.
    pub unit: Option<String>,
    /// What it is for, on one line.
    pub about: String,
    /// Named values with what each means, where the schema says so.
    pub choices: Vec<(String, String)>,
    /// Whether blocks of its own are listed for it.
    pub has_blocks: bool,
    /// Whether its default is a mapping whose values are the defaults of such a block.
    pub is_default_in_block: bool,
}

/// A key or a value that has another name today.
#[derive(Clone, Debug, PartialEq)]
pub struct FormerKey {
    /// The version of the section that changed it.
    pub version: u32,
    /// What it was.
    pub was: String,
    /// What it is.
    pub is: String,
}

/// All blocks of a phase's section.
pub fn section_keys(known: &KnownPhase) -> Vec<KeyBlock> {
    blocks(&known.schema, &known.defaults)
}

/// All blocks of a schema; `defaults` are the values that hold where nobody gives any.
pub fn blocks(schema: &Value, defaults: &Value) -> Vec<KeyBlock> {
    let mut lister = Lister::default();
    lister.visit(&Schema::new(schema).top(), "", Some(defaults), DEPTH_MAX);
    lister.blocks
}

/// What a section's keys and values were called before.
pub fn former_keys(known: &KnownPhase) -> Vec<FormerKey> {
    let keys = known.changes.iter().filter_map(|change| {
        let (was, is) = match &change.kind {
            ChangeKind::Moved { from, to } => (format!("`{from}`"), format!("`{to}`")),
            ChangeKind::Respelled { key, from, to } => {
                (format!("`{key}`: `{from}`"), format!("`{to}`"))
            }
            ChangeKind::Removed { key, why, .. } => (format!("`{key}`"), format!("gone: {why}")),
            ChangeKind::Implied { .. } | ChangeKind::Unknown => return None,
        };
        Some(FormerKey { version: change.version, was, is })
    });
    keys.collect()
}

/// A description on one line a paragraph: doc comments are wrapped, pages and editors wrap anew.
pub(super) fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[derive(Default)]
struct Lister {
    blocks: Vec<KeyBlock>,
    visits: usize,
}

impl Lister {
    /// Lists every mapping with fixed keys that may stand at a place.
    fn visit(
        &mut self,
        place: &Alternatives<'_>,
        path: &str,
        default: Option<&Value>,
        depth_left: usize,
    ) {
        let Some(depth_left) = depth_left.checked_sub(1) else { return };
        self.visits += 1;
        if self.visits > VISITS_MAX {
            return;
        }
        let mut opening = Vec::new();
        for alternative in place.each().filter(|one| properties(one).is_some()) {
            let block = block(&alternative, place, path, default);
            let keys = block.keys.iter().filter(|key| key.has_blocks);
            opening.extend(keys.map(|key| (key.name.clone(), alternative.child(&key.name))));
            self.add(block);
        }
        for (key, below) in opening {
            let default = default.and_then(|default| default.get(&key));
            self.visit(&below, &join(path, &key), default, depth_left);
        }
        if let Some((below, name)) = members(place) {
            self.visit(&below, &join(path, name), None, depth_left);
        }
    }

    /// Adds a block once: two alternatives may have a key in common.
    fn add(&mut self, block: KeyBlock) {
        let is_same = |other: &KeyBlock| {
            (&other.path, &other.when, &other.keys) == (&block.path, &block.when, &block.keys)
        };
        if !self.blocks.iter().any(is_same) {
            self.blocks.push(block);
        }
    }
}

fn block(
    alternative: &Alternatives<'_>,
    place: &Alternatives<'_>,
    path: &str,
    default: Option<&Value>,
) -> KeyBlock {
    let when = tag(alternative);
    // Of one mapping among several its own words count; of the only one those nearest to its key.
    let about =
        if when.is_some() { alternative.text("description") } else { place.text("description") };
    let names = alternative.keys();
    let is_tag = |name: &str| when.as_ref().is_some_and(|(tag, _)| tag == name);
    let keys = names
        .into_iter()
        .filter(|name| !is_tag(name))
        .map(|name| entry(alternative, name, default))
        .collect();
    KeyBlock { path: path.to_owned(), about: unwrapped(about.unwrap_or_default()), when, keys }
}

/// One key of a block; `defaults` are the values of the block that hold where nobody gives any.
pub(super) fn entry(block: &Alternatives<'_>, name: &str, defaults: Option<&Value>) -> KeyEntry {
    let place = block.child(name);
    let own = place.schemas().first().and_then(|schema| schema.get("default"));
    let default = defaults.and_then(|defaults| defaults.get(name)).or(own);
    let about = unwrapped(place.text("description").unwrap_or_default());
    let has_plain_block = place.each().any(|one| properties(&one).is_some() && tag(&one).is_none());
    KeyEntry {
        name: name.to_owned(),
        takes: takes(&place),
        default: default.cloned(),
        is_required: is_required(block, name),
        limits: limits(&place),
        unit: place.text("x-unit").map(str::to_owned),
        about: about.replace("\n\n", " "),
        choices: choices(&place),
        has_blocks: leads_to_block(&place, DEPTH_MAX),
        is_default_in_block: has_plain_block && default.is_some_and(Value::is_object),
    }
}

fn is_required(block: &Alternatives<'_>, name: &str) -> bool {
    let mut required =
        block.schemas().iter().filter_map(|schema| schema.get("required")?.as_array()).flatten();
    required.any(|required| required == name)
}

/// The key of a mapping that has one value only, and that value.
fn tag(alternative: &Alternatives<'_>) -> Option<(String, String)> {
    properties(alternative)?.iter().find_map(|(key, property)| {
        Some((key.clone(), property.get("const")?.as_str()?.to_owned()))
    })
}

/// The named values that the schema describes one by one, and the kinds of a tagged mapping.
fn choices(place: &Alternatives<'_>) -> Vec<(String, String)> {
    let described = place.each().filter_map(|alternative| {
        let value = match alternative.schemas().first()?.get("const") {
            Some(value) => value.as_str()?.to_owned(),
            None => tag(&alternative).map(|(key, value)| format!("{key}: {value}"))?,
        };
        Some((value, unwrapped(alternative.text("description")?)))
    });
    described.collect()
}

fn properties<'a>(alternative: &Alternatives<'a>) -> Option<&'a Map<String, Value>> {
    alternative.schemas().first()?.get("properties")?.as_object()
}

/// What may stand under any name of a mapping, or at any index of a list, and what stands for that
/// name in a path.
fn members<'a>(place: &Alternatives<'a>) -> Option<(Alternatives<'a>, &'static str)> {
    let has = |keyword: &str| {
        place.schemas().iter().any(|schema| schema.get(keyword).is_some_and(Value::is_object))
    };
    if has("additionalProperties") || has("patternProperties") {
        return Some((place.child(ANY_NAME), ANY_NAME));
    }
    has("items").then(|| (place.child("0"), "N"))
}

fn leads_to_block(place: &Alternatives<'_>, depth_left: usize) -> bool {
    let Some(depth_left) = depth_left.checked_sub(1) else { return false };
    place.each().any(|alternative| properties(&alternative).is_some())
        || members(place).is_some_and(|(below, _)| leads_to_block(&below, depth_left))
}
