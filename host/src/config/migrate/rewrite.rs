//! A document in today's form: the same entries in the sectioned shape, under today's names.
//!
//! What the rest of the configuration makes of a document ([`Shaped`]) is put together again.
//! Entries keep the places of their keys, so that a printer finds what was written and what stands
//! with it, and so that every entry that did not come along can be told, with the reason.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::Format;
use super::gone::{Gone, keys_in};
use crate::config::document::{Document, Key, Node, NodeValue};
use crate::config::error::alike;
use crate::config::flat::TRAINING;
use crate::config::overrides::node_of;
use crate::config::pipeline::FILE_SUFFIX;
use crate::config::shape::{PHASES, Section, Shaped, VERSION_KEY};
use crate::config::upgrade::{Effect, told};
use crate::config::{Catalogue, global, profile};

/// Keys of a section that the host reads, in the order in which they are usually written.
const HOST_KEYS: [&str; 3] = ["phase", "extends", VERSION_KEY];

/// A document in today's form, and what it took.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) root: Node,
    /// What has another place or another word now.
    pub(super) done: Vec<String>,
    /// What is not in it any more.
    pub(super) gone: Vec<Gone>,
    /// Old values that have other words now.
    pub(super) respelled: Vec<Value>,
}

impl Rewritten {
    /// Whether the document had today's form before.
    pub(super) fn is_nothing(&self) -> bool {
        self.done.is_empty() && self.gone.is_empty()
    }
}

/// Puts a document together again in today's form.
///
/// # Errors
/// With the dotted key of an entry that was lost on the way.
pub(super) fn rewrite(
    document: &Document,
    shaped: &Shaped,
    catalogue: &Catalogue,
    format: Format,
) -> Result<Rewritten, String> {
    let mut rewriter = Rewriter {
        document,
        shaped,
        catalogue,
        format,
        done: Vec::new(),
        respelled: Vec::new(),
        reasons: HashMap::new(),
    };
    let root = rewriter.root();
    let mut present = HashSet::new();
    keys_in(&root, &mut present);
    let mut gone = Vec::new();
    rewriter.find_gone(&document.root, "", &present, &mut gone)?;
    let Rewriter { done, respelled, .. } = rewriter;
    Ok(Rewritten { root, done, gone, respelled })
}

/// A document on its way to today's form.
pub(super) struct Rewriter<'a> {
    pub(super) document: &'a Document,
    pub(super) shaped: &'a Shaped,
    pub(super) catalogue: &'a Catalogue,
    format: Format,
    pub(super) done: Vec<String>,
    pub(super) respelled: Vec<Value>,
    /// Why entries are gone, by the places of their keys.
    pub(super) reasons: HashMap<usize, String>,
}

impl Rewriter<'_> {
    fn root(&mut self) -> Node {
        let shaped = self.shaped;
        let is_pipeline = self.is_pipeline();
        let is_sectioned =
            !is_pipeline && shaped.sections.iter().any(|section| section.key.is_some());
        let is_own = |key: &str| {
            ["$schema", profile::BLOCK].contains(&key) || (is_sectioned && key == PHASES)
        };
        let own = self.document.root.entries().iter().filter(|(key, _)| is_own(&key.text));
        let mut top: Vec<(Key, Node)> = own.cloned().collect();
        if is_pipeline {
            top.append(&mut self.pipeline());
        } else {
            shaped.sections.iter().for_each(|section| self.tell_section(section));
            top.extend(shaped.sections.iter().filter_map(|section| self.section(section)));
        }
        top.extend(self.global());
        if self.format == Format::Toml {
            self.drop_nulls(&mut top);
        }
        // A sectioned file keeps its order; a global block that is new goes first.
        top.sort_by_key(|(key, _)| match key.span {
            _ if !is_sectioned => usual_place(&key.text),
            span => span.map_or(0, |span| span.start),
        });
        Node { value: NodeValue::Map(top), span: self.document.root.span }
    }

    /// Whether the document points at a file for each phase.
    pub(super) fn is_pipeline(&self) -> bool {
        let own = &self.document.source.name;
        self.shaped.sections.iter().any(|section| section.source.name != *own)
    }

    /// A section with the host's keys back in their places; none for one that is listed only.
    fn section(&self, section: &Section) -> Option<(Key, Node)> {
        let written = match section.key {
            None => None,
            Some(span) => {
                let is_own = |(key, _): &&(Key, Node)| key.span == Some(span);
                Some(self.document.root.entries().iter().find(is_own)?)
            }
        };
        let original = written.map_or(&self.document.root, |(_, node)| node);
        let mut entries = section.node.entries().to_vec();
        if entries.is_empty() && written.is_some() && !original.is_map() {
            return written.cloned();
        }
        for (key, node) in HOST_KEYS.iter().filter_map(|name| original.get(name)) {
            if !entries.iter().any(|(own, _)| own.text == key.text) {
                let today = (key.text == VERSION_KEY).then(|| self.today(section, node));
                insert_in_order(&mut entries, (key.clone(), today.unwrap_or_else(|| node.clone())));
            }
        }
        let key = written
            .map_or_else(|| Key { text: section.name.clone(), span: None }, |(key, _)| key.clone());
        Some((key, Node { value: NodeValue::Map(entries), span: section.node.span }))
    }

    /// The version of a section that has been brought to today's.
    fn today(&self, section: &Section, stated: &Node) -> Node {
        let version = self.catalogue.phase(&section.phase).map(|known| known.version);
        let value = version.map_or_else(|| stated.to_value(), Value::from);
        Node { value: node_of(&value).value, span: stated.span }
    }

    fn tell_section(&mut self, section: &Section) {
        let name = &section.name;
        let owner = section.key.map(|_| name.as_str()).unwrap_or_default();
        if section.key.is_none() {
            self.done.push(format!("all settings are in section `{name}` now"));
            let training = self.document.root.get(TRAINING);
            let block = training.and_then(|(_, node)| node.get(&section.phase));
            if block.is_some_and(|(key, _)| !has_key(&section.node, key)) {
                self.done.push(format!("`{TRAINING}.{name}` is now `{name}.{TRAINING}`"));
            }
        }
        for step in &section.steps {
            match &step.effect {
                Effect::Removed { why } => {
                    self.reasons.insert(step.origin.place.start(), why.clone());
                    continue;
                }
                Effect::Respelled { from, .. } => self.respelled.push(from.clone()),
                Effect::Moved { .. } => {}
            }
            self.done.push(told(step, owner, name, false));
        }
        self.tell_version(section);
    }

    fn tell_version(&mut self, section: &Section) {
        let (name, root) = (&section.name, &self.document.root);
        let written = section.key.map_or(Some(root), |_| Some(&root.get(name)?.1));
        let Some((_, stated)) = written.and_then(|node| node.get(VERSION_KEY)) else { return };
        let (old, new) = (stated.to_value(), self.today(section, stated).to_value());
        if old != new {
            self.done.push(format!("`{name}.{VERSION_KEY}` is now {new} instead of {old}"));
            self.respelled.push(old);
        }
    }

    /// One section for each file that a pipeline document points at, and their order.
    fn pipeline(&mut self) -> Vec<(Key, Node)> {
        let mut top = Vec::new();
        let names: Vec<&str> = self.shaped.sections.iter().map(|s| s.name.as_str()).collect();
        if names.len() > 1 {
            let order = Key { text: PHASES.to_owned(), span: None };
            top.push((order, node_of(&json!(names))));
        }
        let shaped = self.shaped;
        for section in &shaped.sections {
            let key = self.document.root.entries().iter().find(|(key, _)| {
                key.text
                    .strip_suffix(FILE_SUFFIX)
                    .is_some_and(|p| alike(p) == alike(&section.phase))
            });
            let span = key.and_then(|(key, _)| key.span);
            let base = beside(&self.document.source.name, &section.source.name);
            if let Some((key, node)) = key {
                let name = &section.name;
                self.done.push(format!("`{}` is now `{name}.extends`: `{base}`", key.text));
                self.respelled.push(node.to_value());
            }
            let key = Key { text: section.name.clone(), span };
            top.push((key, node_of(&json!({ "extends": base }))));
        }
        top
    }
}

/// Puts an entry where it stood among the others.
fn insert_in_order(entries: &mut Vec<(Key, Node)>, entry: (Key, Node)) {
    let start = |key: &Key| key.span.map(|span| span.start);
    let own = start(&entry.0);
    let is_behind = |(key, _): &(Key, Node)| start(key).zip(own).is_some_and(|(a, b)| a > b);
    let idx = entries.iter().position(is_behind).unwrap_or(entries.len());
    entries.insert(idx, entry);
}

/// Where a top-level key usually stands.
fn usual_place(key: &str) -> usize {
    const FIRST: [&str; 4] = ["$schema", profile::BLOCK, global::NAME, PHASES];
    FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len())
}

fn has_key(node: &Node, wanted: &Key) -> bool {
    let mut keys = HashSet::new();
    keys_in(node, &mut keys);
    wanted.span.is_some_and(|span| keys.contains(&span.start))
}

/// How a file names another one from its own directory.
fn beside(from: &str, file: &str) -> String {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = Path::new(from).parent().unwrap_or(Path::new(""));
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let (directory, file) = (real(directory), real(Path::new(file)));
    let shared = directory.components().zip(file.components()).take_while(|(a, b)| a == b).count();
    let up = directory.components().skip(shared).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(file.components().skip(shared)).collect();
    path.display().to_string()
}
