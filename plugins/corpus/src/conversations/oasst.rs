//! Open Assistant: a record is a message, and messages form trees that may come in any order.
//!
//! Every path from a root to a leaf is a conversation, so answers to the same question become
//! conversations of their own that share their beginning. They are held back or trained on
//! together.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Record, required, role_of};
use crate::chat::{Message, Role};
use crate::split::stable_hash;

/// How many messages of a path are taken.
pub(crate) const MAX_MESSAGES: usize = 32;
const LANGUAGE: &str = "en";

/// A message of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    id: String,
    /// None of a root.
    parent: Option<String>,
    /// None where the role is neither the prompter's nor the assistant's.
    role: Option<Role>,
    text: String,
    /// Whether its language is English or unknown.
    is_english: bool,
}

impl Node {
    /// What keeps the threads below a root together: a hash of what it says.
    pub(crate) fn key(&self) -> u64 {
        stable_hash(self.text.as_bytes())
    }
}

/// A conversation of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thread {
    /// The tree's first message, the same for all of its threads.
    pub(crate) root: usize,
    pub(crate) messages: Vec<Message>,
}

/// What the messages of a source make.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Forest {
    /// In record order of their roots, then of the answers.
    pub(crate) threads: Vec<Thread>,
    /// Paths with an unknown role, without any text, or where one speaks twice in a row.
    pub(crate) n_dropped_threads: usize,
    /// Messages in other languages; what answers them is out of reach.
    pub(crate) n_foreign: usize,
    /// Messages that hang on nothing, by their index, and why.
    pub(crate) bad: Vec<(usize, String)>,
}

/// Reads one message.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn node(record: &Record) -> Result<Node, String> {
    let parent = match record.get("parent_id") {
        None | Some(Value::Null) => None,
        Some(Value::String(parent)) => Some(parent.clone()),
        Some(_) => return Err("`parent_id` is not a string".to_owned()),
    };
    let role = match role_of(required(record, "role")?) {
        Some(Role::System) | None => None,
        known => known,
    };
    let text = record.get("text").and_then(Value::as_str).ok_or("no text in `text`")?;
    let language = record.get("lang").and_then(Value::as_str);
    Ok(Node {
        id: required(record, "message_id")?.to_owned(),
        parent,
        role,
        text: text.trim().to_owned(),
        is_english: language.is_none_or(|language| language == LANGUAGE),
    })
}

/// The conversations of all trees.
pub(crate) fn forest(nodes: &[Node]) -> Forest {
    let mut walk = Walk::new(nodes);
    for root in (0..nodes.len()).filter(|idx| nodes[*idx].parent.is_none()) {
        if nodes[root].is_english {
            walk.walk_root(root);
        }
    }
    walk.find_unreached();
    walk.forest
}

struct Walk<'a> {
    nodes: &'a [Node],
    by_id: HashMap<&'a str, usize>,
    /// In record order, only those that are read.
    children: HashMap<&'a str, Vec<usize>>,
    forest: Forest,
}

impl<'a> Walk<'a> {
    fn new(nodes: &'a [Node]) -> Self {
        let mut forest = Forest::default();
        let mut by_id = HashMap::new();
        let mut children: HashMap<&str, Vec<usize>> = HashMap::new();
        for (idx, node) in nodes.iter().enumerate() {
            forest.n_foreign += usize::from(!node.is_english);
            if let Some(first) = by_id.insert(node.id.as_str(), idx) {
                by_id.insert(&node.id, first);
                forest.bad.push((idx, format!("`message_id` {} stands twice", node.id)));
            } else if let Some(parent) = node.parent.as_deref().filter(|_| node.is_english) {
                children.entry(parent).or_default().push(idx);
            }
        }
        Self { nodes, by_id, children, forest }
    }

    fn children(&self, idx: usize) -> &[usize] {
        self.children.get(self.nodes[idx].id.as_str()).map_or(&[], Vec::as_slice)
    }

    /// All paths from a root, depth first; an own stack, since a tree may be deep.
    fn walk_root(&mut self, root: usize) {
        if self.by_id.get(self.nodes[root].id.as_str()) != Some(&root) {
            return;
        }
        let mut path = Vec::new();
        let mut open = vec![(root, 1)];
        while let Some((idx, depth)) = open.pop() {
            path.truncate(depth - 1);
            path.push(idx);
            let next = if depth < MAX_MESSAGES { self.children(idx) } else { &[] };
            open.extend(next.iter().rev().map(|child| (*child, depth + 1)));
            if next.is_empty() {
                match thread(&path, self.nodes) {
                    Some(messages) => self.forest.threads.push(Thread { root, messages }),
                    None => self.forest.n_dropped_threads += 1,
                }
            }
        }
    }

    /// Messages whose parents lead to no root; those below a foreign one are not meant.
    fn find_unreached(&mut self) {
        let bad: HashSet<usize> = self.forest.bad.iter().map(|(idx, _)| *idx).collect();
        let is_top = |node: &Node| node.parent.is_none() || !node.is_english;
        let mut open: Vec<usize> =
            (0..self.nodes.len()).filter(|idx| is_top(&self.nodes[*idx])).collect();
        let mut reached = vec![false; self.nodes.len()];
        while let Some(idx) = open.pop() {
            if !std::mem::replace(&mut reached[idx], true) {
                open.extend(self.children(idx));
            }
        }
        for idx in (0..self.nodes.len()).filter(|idx| !reached[*idx] && !bad.contains(idx)) {
            let parent = self.nodes[idx].parent.as_deref().unwrap_or_default();
            let is_known = self.by_id.contains_key(parent);
            let why = if is_known { "leads to no root" } else { "is nowhere" };
            self.forest.bad.push((idx, format!("`parent_id` {parent} {why}")));
        }
        self.forest.bad.sort_unstable();
    }
}

/// The messages of a path, blank ones skipped; none where they make no conversation.
fn thread(path: &[usize], nodes: &[Node]) -> Option<Vec<Message>> {
    let mut messages: Vec<Message> = Vec::new();
    for node in path.iter().map(|idx| &nodes[*idx]).filter(|node| !node.text.is_empty()) {
        let role = node.role?;
        if messages.last().is_some_and(|last| last.role == role) {
            return None;
        }
        messages.push(Message::new(role, node.text.as_str()));
    }
    (!messages.is_empty()).then_some(messages)
}
