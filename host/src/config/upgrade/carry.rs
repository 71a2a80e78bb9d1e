//! Carries changes out on one layer of a section.

use serde_json::Value;

use sdk::{Change, ChangeKind};

use super::super::KnownPhase;
use super::super::document::{Key, Node};
use super::super::layers::Origin;
use super::super::overrides::node_of;
use super::super::schema::{Kind, Schema, kind_of};
use super::refusals;
use super::tree::{self, Taken, segments};
use super::{Carried, Effect, Step};

/// One layer of a section that may be of an older version.
pub(super) struct Layer<'a> {
    pub(super) known: &'a KnownPhase,
    /// The section's name, the first segment of dotted keys.
    pub(super) name: &'a str,
    /// The version that the section states.
    pub(super) stated: Option<u32>,
    /// Where the layer was written.
    pub(super) origin: &'a Origin,
}

impl Layer<'_> {
    /// Carries out every change that the layer needs, in order.
    pub(super) fn carry_out(&self, root: &mut Node) -> Carried {
        let mut carried = Carried::default();
        for change in self.known.changes.iter().filter(|change| self.needs(change)) {
            match &change.kind {
                ChangeKind::Moved { from, to } => self.relocate(root, from, to, &mut carried),
                ChangeKind::Respelled { key, from, to } => {
                    self.respell(root, key, from, to, &mut carried);
                }
                ChangeKind::Removed { key, why, accepts } => {
                    self.remove(root, key, why, accepts, &mut carried);
                }
                ChangeKind::Implied { by, key, value } => self.imply(root, by, key, value),
                ChangeKind::Unknown => {
                    if let Some(stated) = self.stated {
                        let error = refusals::newer_host(self, stated, change);
                        carried.errors.push(error);
                        return carried;
                    }
                }
            }
        }
        self.sweep(root, &mut carried);
        carried.steps.sort_by_key(|step| step.origin.place.start());
        carried
    }

    /// Whether the layer may be older than a change.
    pub(super) fn needs(&self, change: &Change) -> bool {
        self.stated.is_none_or(|stated| stated < change.version)
    }

    /// Whether a key is an old one here: any key in a section that says it is older, else one that
    /// today's schema does not know.
    pub(super) fn is_old(&self, path: &[String]) -> bool {
        self.stated.is_some() || !self.is_of_today(path)
    }

    fn is_of_today(&self, path: &[String]) -> bool {
        let mut place = Schema::new(&self.known.schema).top();
        for segment in path {
            if !place.keys().contains(&segment.as_str()) {
                return place.is_open();
            }
            place = place.child(segment);
        }
        true
    }

    /// Whether a key of today may have a value today: one of those named, where it names them.
    fn may_be_of_today(&self, path: &[String], value: &Value) -> bool {
        let place = Schema::new(&self.known.schema).at(path);
        let named = place.named_values();
        named.is_empty()
            || named.iter().any(|named| same(named, value))
            || (value.is_null() && place.takes(Kind::Null))
    }

    fn relocate(&self, root: &mut Node, from: &str, to: &str, carried: &mut Carried) {
        let (from, to) = (segments(from), segments(to));
        if self.is_old(&from) {
            self.move_entry(root, &from, &to, carried);
        }
    }

    /// Moves an entry. Where a mapping meets one that is not replaced whole, what is in it moves
    /// entry by entry.
    fn move_entry(&self, root: &mut Node, from: &[String], to: &[String], carried: &mut Carried) {
        let Some((_, node)) = tree::get(root, from) else { return };
        let schema = Schema::new(&self.known.schema);
        let meets = tree::get(root, to).is_some_and(|(_, present)| present.is_map());
        if meets && node.is_map() && !schema.at(to).is_replaced_whole() {
            let keys: Vec<String> =
                node.entries().iter().map(|(key, _)| key.text.clone()).collect();
            for key in keys {
                let child = |path: &[String]| [path, std::slice::from_ref(&key)].concat();
                self.move_entry(root, &child(from), &child(to), carried);
            }
            tree::take(root, from);
            return;
        }
        let Some(taken) = tree::take(root, from) else { return };
        let (from, place) = (from.join("."), to.join("."));
        let step = self.step(&taken, Effect::Moved { to: place.clone() });
        let missing = (1..to.len()).filter(|len| tree::get(root, &to[..*len]).is_none());
        let made: Vec<String> = missing.map(|len| to[..len].join(".")).collect();
        let old = carried.as_written(&from);
        if let Some(conflict) = tree::put(root, to, taken) {
            carried.errors.push(refusals::both_set(self, &old, &place, &step, conflict));
        }
        carried.add_move(step, &from, &place);
        carried.made.extend(made);
    }

    fn respell(&self, root: &mut Node, key: &str, from: &Value, to: &Value, carried: &mut Carried) {
        let path = segments(key);
        if !self.is_old(&path) && self.may_be_of_today(&path, from) {
            return;
        }
        let key_span = tree::get(root, &path).and_then(|(key, _)| key.span);
        let Some(node) = tree::get_mut(root, &path) else { return };
        if !same(&node.to_value(), from) {
            return;
        }
        let span = node.span;
        node.value = node_of(to).value;
        carried.add(Step {
            key: path.join("."),
            origin: self.origin.within(key_span, span),
            effect: Effect::Respelled { from: from.clone(), to: to.clone() },
        });
    }

    fn imply(&self, root: &mut Node, by: &str, key: &str, value: &Value) {
        let by = segments(by);
        if !self.is_old(&by) {
            return;
        }
        let Some((by_key, by_node)) = tree::get(root, &by) else { return };
        // It has no place of its own; an error about it points at the key that brought it.
        let (span, path) = (by_key.span.or(by_node.span), segments(key));
        if tree::get(root, &path).is_none() {
            let node = Node { value: node_of(value).value, span };
            tree::put(root, &path, Taken::new(Key { text: String::new(), span: None }, node));
        }
    }

    fn remove(
        &self,
        root: &mut Node,
        key: &str,
        why: &str,
        accepts: &[Value],
        carried: &mut Carried,
    ) {
        let path = segments(key);
        if !self.is_old(&path) {
            return;
        }
        let Some(taken) = tree::take(root, &path) else { return };
        tree::prune(root, &path[..path.len() - 1]);
        let found = taken.node.to_value();
        let step = self.step(&taken, Effect::Removed { why: why.to_owned() });
        if accepts.is_empty() || accepts.iter().any(|value| same(value, &found)) {
            carried.add(step);
        } else {
            let old = carried.as_written(&step.key);
            carried.errors.push(refusals::meant_something(self, &old, &step, &found, accepts));
        }
    }

    fn step(&self, taken: &Taken, effect: Effect) -> Step {
        let origin = self.origin.within(taken.key.span, taken.node.span);
        Step { key: taken.path.join("."), origin, effect }
    }

    /// Takes away the mappings that only old keys stood in. What is left in one was never known.
    fn sweep(&self, root: &mut Node, carried: &mut Carried) {
        let old: Vec<Vec<String>> = self
            .known
            .changes
            .iter()
            .filter(|change| self.needs(change))
            .filter_map(|change| match &change.kind {
                ChangeKind::Moved { from: key, .. } | ChangeKind::Removed { key, .. } => {
                    Some(segments(key))
                }
                _ => None,
            })
            .collect();
        let mut blocks: Vec<&[String]> = old
            .iter()
            .flat_map(|path| (1..path.len()).map(|len| &path[..len]))
            .filter(|block| !self.is_of_today(block))
            .collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.len()));
        for block in blocks {
            if !tree::get(root, block).is_some_and(|(_, node)| node.is_map()) {
                continue;
            }
            let Some(taken) = tree::take(root, block) else { continue };
            let known: Vec<&str> = old
                .iter()
                .filter_map(|path| path.strip_prefix(block)?.first().map(String::as_str))
                .collect();
            let unknown = taken.node.entries().iter();
            let block = carried.as_written(&block.join("."));
            carried.errors.extend(
                unknown.map(|(key, node)| refusals::never_known(self, &block, key, node, &known)),
            );
        }
    }
}

/// Whether two values are the same to a reader: `1` and `1.0` are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_same = |(key, a): (&String, &Value)| other.get(key).is_some_and(|b| same(a, b));
            one.len() == other.len() && one.iter().all(is_same)
        }
        _ => kind_of(one) == kind_of(other) && one == other,
    }
}
