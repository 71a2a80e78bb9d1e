//! The key under which a setting stands in the user's file, where that is not its key of today.
//!
//! Flat files, lifted keys and keys that a plugin has renamed keep their place in the file but not
//! their name. The place tells the name: the file is read once more, and the key at that very place
//! is the one that was written.

use std::collections::HashMap;
use std::sync::Arc;

use super::document::{Document, Node};
use super::error::alike;
use super::layers::{Origin, Place};
use super::source::{Source, Span};

/// Who a setting belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    /// `global`, or the name of the instance.
    pub(super) name: &'a str,
    /// The phase; absent for `global`.
    pub(super) phase: Option<&'a str>,
}

/// Answers for many settings; every file is read once.
#[derive(Debug, Default)]
pub(super) struct Written {
    keys: HashMap<String, HashMap<usize, Vec<WrittenKey>>>,
}

/// A key of a file. One place may have several: an alias repeats what stands elsewhere.
#[derive(Clone, Debug)]
struct WrittenKey {
    path: Vec<String>,
    /// Whether its first segment says which phase it is of.
    states_phase: bool,
}

impl Written {
    /// The origin's place, short, with the key that stands there if it is another one.
    pub(super) fn place(&mut self, origin: &Origin, owner: Owner<'_>, path: &[String]) -> String {
        self.with_key(origin.to_string(), origin, owner, path)
    }

    /// The same with column, and with everything that was typed.
    pub(super) fn place_in_full(
        &mut self,
        origin: &Origin,
        owner: Owner<'_>,
        path: &[String],
    ) -> String {
        self.with_key(origin.in_full(), origin, owner, path)
    }

    fn with_key(
        &mut self,
        place: String,
        origin: &Origin,
        owner: Owner<'_>,
        path: &[String],
    ) -> String {
        match self.other_key(origin, owner, path) {
            Some(key) => format!("{place}, as `{key}`"),
            None => place,
        }
    }

    fn other_key(&mut self, origin: &Origin, owner: Owner<'_>, path: &[String]) -> Option<String> {
        let Place::File { source, key: Some(span), .. } = &origin.place else { return None };
        let keys = self.at(source, *span);
        if keys.iter().any(|key| key.is(owner, path)) {
            return None;
        }
        keys.first().map(|key| key.path.join("."))
    }

    fn at(&mut self, source: &Arc<Source>, span: Span) -> &[WrittenKey] {
        let keys = self.keys.entry(source.name.clone()).or_insert_with(|| keys_of(source));
        keys.get(&span.start).map(Vec::as_slice).unwrap_or_default()
    }
}

impl WrittenKey {
    /// Whether this is how one writes the setting today, with or without the section's name.
    fn is(&self, owner: Owner<'_>, path: &[String]) -> bool {
        let Some((first, rest)) = self.path.split_first() else { return false };
        let names_owner = alike(first) == alike(owner.name)
            || self.states_phase
            || owner.phase.is_some_and(|phase| alike(first) == alike(phase));
        (names_owner && rest == path) || (owner.phase.is_some() && self.path == path)
    }
}

fn keys_of(source: &Arc<Source>) -> HashMap<usize, Vec<WrittenKey>> {
    let extension = source.name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let mut keys = HashMap::new();
    if let Ok(document) = Document::parse(Arc::clone(source), &extension) {
        walk(&document.root, &mut Vec::new(), false, &mut keys);
    }
    keys
}

fn walk(
    node: &Node,
    path: &mut Vec<String>,
    states_phase: bool,
    keys: &mut HashMap<usize, Vec<WrittenKey>>,
) {
    for (key, child) in node.entries() {
        let states_phase = states_phase || (path.is_empty() && child.get("phase").is_some());
        path.push(key.text.clone());
        if let Some(span) = key.span {
            let key = WrittenKey { path: path.clone(), states_phase };
            keys.entry(span.start).or_default().push(key);
        }
        walk(child, path, states_phase, keys);
        path.pop();
    }
}
