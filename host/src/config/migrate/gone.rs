//! What of a document did not come along, and why.

use std::collections::HashSet;

use super::rewrite::Rewriter;
use crate::config::document::{Key, Node, NodeValue, join};
use crate::config::flat::{SWITCHES, TRAINING};

/// An entry that did not come along.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) key: Key,
    pub(super) node: Node,
    /// Its dotted key in the old file.
    pub(super) path: String,
    pub(super) why: String,
}

impl Gone {
    /// Where its key stands.
    pub(super) fn start(&self) -> usize {
        self.key.span.map_or(0, |span| span.start)
    }
}

impl Rewriter<'_> {
    /// Finds the entries that did not come along.
    pub(super) fn find_gone(
        &self,
        node: &Node,
        parent: &str,
        present: &HashSet<usize>,
        gone: &mut Vec<Gone>,
    ) -> Result<(), String> {
        for (key, child) in node.entries() {
            let path = join(parent, &key.text);
            let is_here = key.span.is_some_and(|span| present.contains(&span.start));
            let mut below = HashSet::new();
            keys_in(child, &mut below);
            let why = self.reason(key, child, &path);
            if is_here || !below.is_disjoint(present) || (why.is_none() && !below.is_empty()) {
                self.find_gone(child, &path, present, gone)?;
            } else {
                let why = why.ok_or_else(|| path.clone())?;
                gone.push(Gone { key: key.clone(), node: child.clone(), path, why });
            }
        }
        Ok(())
    }

    fn reason(&self, key: &Key, node: &Node, path: &str) -> Option<String> {
        if let Some(why) = key.span.and_then(|span| self.reasons.get(&span.start)) {
            return Some(why.clone());
        }
        let phase = self.shaped.sections.first().map(|section| section.phase.as_str());
        let phase = phase.unwrap_or_default();
        let has_amp = self.shaped.lifted.iter().any(|lifted| lifted.key == "amp_dtype");
        match node.value {
            _ if path.split_once('.').is_some_and(|(block, _)| block == TRAINING)
                && node.is_map() =>
            {
                Some(format!("the file is of phase `{phase}` alone"))
            }
            _ if node.is_map() && node.entries().is_empty() => Some("it is empty".to_owned()),
            NodeValue::Null => Some("it is empty".to_owned()),
            NodeValue::Bool(true) if SWITCHES.contains(&key.text.as_str()) => Some(if has_amp {
                "`global.amp_dtype` alone switches it on".to_owned()
            } else {
                "it needs a type; `global.amp_dtype` switches it on".to_owned()
            }),
            NodeValue::Bool(false) if SWITCHES.contains(&key.text.as_str()) => {
                Some("`global.amp_dtype` says it".to_owned())
            }
            NodeValue::String(_) if key.text == "amp_dtype" => {
                Some("mixed precision is switched off beside it".to_owned())
            }
            _ => None,
        }
    }
}

/// The places of all keys in a tree.
pub(super) fn keys_in(node: &Node, keys: &mut HashSet<usize>) {
    for (key, child) in node.entries() {
        keys.extend(key.span.map(|span| span.start));
        keys_in(child, keys);
    }
    if let NodeValue::List(items) = &node.value {
        items.iter().for_each(|item| keys_in(item, keys));
    }
}
