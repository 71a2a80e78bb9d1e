//! Entries taken out of a tree of mappings and put in elsewhere, with the places they came from.

use super::super::document::{Key, Node, NodeValue};
use super::super::source::Span;

/// An entry on its way, and where it stood.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) path: Vec<String>,
    pub(super) key: Key,
    pub(super) node: Node,
}

impl Taken {
    /// An entry that is new.
    pub(super) fn new(key: Key, node: Node) -> Self {
        Self { path: Vec::new(), key, node }
    }
}

/// A dotted key as a path.
pub(super) fn segments(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

/// The entry at a path.
pub(super) fn get<'a>(root: &'a Node, path: &[String]) -> Option<&'a (Key, Node)> {
    let (first, rest) = path.split_first()?;
    let entry = root.get(first)?;
    if rest.is_empty() { Some(entry) } else { get(&entry.1, rest) }
}

/// The mapping or value at a path, to be changed.
pub(super) fn get_mut<'a>(root: &'a mut Node, path: &[String]) -> Option<&'a mut Node> {
    let Some((first, rest)) = path.split_first() else {
        return Some(root);
    };
    let NodeValue::Map(entries) = &mut root.value else {
        return None;
    };
    let (_, child) = entries.iter_mut().find(|(key, _)| key.text == *first)?;
    get_mut(child, rest)
}

/// Takes away the mappings along a path that are empty: a mapping that nothing is left in says
/// nothing, also where its key is one of today's.
pub(super) fn prune(root: &mut Node, path: &[String]) {
    let is_empty = |node: &Node| node.is_map() && node.entries().is_empty();
    if let Some((_, parent)) = path.split_last()
        && get(root, path).is_some_and(|(_, node)| is_empty(node))
    {
        take(root, path);
        prune(root, parent);
    }
}

/// Takes the entry at a path out.
pub(super) fn take(root: &mut Node, path: &[String]) -> Option<Taken> {
    let (last, parent) = path.split_last()?;
    let NodeValue::Map(entries) = &mut get_mut(root, parent)?.value else {
        return None;
    };
    let idx = entries.iter().position(|(key, _)| key.text == *last)?;
    let (key, node) = entries.remove(idx);
    Some(Taken { path: path.to_vec(), key, node })
}

/// Puts an entry in at a path, in file order among the others; mappings that are missing on the
/// way are made.
///
/// Returns where the entry stands that has the place already. Where something that is no mapping
/// stands in the way, the entry is lost: the check refuses what stands there.
pub(super) fn put(root: &mut Node, to: &[String], taken: Taken) -> Option<Option<Span>> {
    put_below(root, to, 0, taken)
}

fn put_below(parent: &mut Node, to: &[String], depth: usize, taken: Taken) -> Option<Option<Span>> {
    if matches!(parent.value, NodeValue::Null) {
        parent.value = NodeValue::Map(Vec::new());
    }
    let NodeValue::Map(entries) = &mut parent.value else { return None };
    let text = to.get(depth)?.clone();
    let is_last = depth + 1 == to.len();
    if let Some((key, node)) = entries.iter_mut().find(|(key, _)| key.text == text) {
        return if is_last { Some(key.span) } else { put_below(node, to, depth + 1, taken) };
    }
    let idx = slot(entries, &taken);
    let entry = if is_last {
        (Key { text, span: taken.key.span }, taken.node)
    } else {
        // Nobody wrote this key; an error about it points at what it was made for.
        let mut made = Node { value: NodeValue::Map(Vec::new()), span: taken.key.span };
        put_below(&mut made, to, depth + 1, taken);
        (Key { text, span: None }, made)
    };
    entries.insert(idx, entry);
    None
}

/// Where among `entries` something belongs: the order is that of the file.
fn slot(entries: &[(Key, Node)], taken: &Taken) -> usize {
    let start = |key: &Key, node: &Node| key.span.or(node.span).map(|span| span.start);
    let own = start(&taken.key, &taken.node);
    let is_behind =
        |(key, node): &(Key, Node)| start(key, node).zip(own).is_some_and(|(a, b)| a > b);
    entries.iter().position(is_behind).unwrap_or(entries.len())
}
