//! The `global` block of a document in today's form.

use serde_json::{Value, json};

use super::rewrite::Rewriter;
use crate::config::document::{Key, Node, NodeValue, join};
use crate::config::flat::{Lifted, SWITCHES};
use crate::config::layers::{Origin, Place};
use crate::config::lifted::{self, Judged};
use crate::config::overrides::node_of;
use crate::config::{describe, global, shared};

impl Rewriter<'_> {
    /// The shared settings: what the document's own block says, then what else it comes to.
    pub(super) fn global(&mut self) -> Option<(Key, Node)> {
        let own = self.document.root.get(global::NAME);
        let own_entries = own.map(|(_, node)| node.entries()).unwrap_or_default();
        let is_pipeline = self.is_pipeline();
        let mut entries: Vec<(Key, Node)> = own_entries.to_vec();
        let (shaped, catalogue) = (self.shaped, self.catalogue);
        let judged = lifted::judge(shaped, catalogue);
        for (block, origin) in shared::in_order(&judged, shaped) {
            for (key, node) in block.entries() {
                let mut entry = (key.clone(), node.clone());
                if file_of(origin) != Some(&self.document.source.name) {
                    // The places of another file mean nothing here.
                    entry = (Key { text: key.text.clone(), span: None }, node_of(&node.to_value()));
                }
                self.settle(&mut entries, entry);
            }
        }
        judged.iter().for_each(|judged| self.tell_lifted(judged, is_pipeline));
        for (key, _) in &entries {
            self.tell_switch(key);
        }
        for (key, node) in &mut entries {
            self.normalise(key, node);
        }
        if entries.is_empty() && own.is_none() {
            return None;
        }
        let key = own.map_or_else(
            || Key { text: global::NAME.to_owned(), span: None },
            |(key, _)| key.clone(),
        );
        let span = own.and_then(|(_, node)| node.span);
        Some((key, Node { value: NodeValue::Map(entries), span }))
    }

    /// A switch that is off beside a type in `global` itself has taken that one's place.
    fn tell_switch(&mut self, key: &Key) {
        let Some(start) = key.span.map(|span| span.start) else { return };
        let is_lifted = |lifted: &&Lifted| lifted.origin.place.start() == start;
        if self.shaped.lifted.iter().any(|lifted| is_lifted(&lifted)) {
            return;
        }
        if let Some(from) = path_of(&self.document.root, start, "")
            && is_switch(&from)
        {
            self.done.push(format!("`{from}` is now `{}`: null", join(global::NAME, &key.text)));
            self.respelled.push(Value::Bool(false));
        }
    }

    fn tell_lifted(&mut self, judged: &Judged<'_>, is_pipeline: bool) {
        let (lifted, (node, origin)) = (judged.lifted, judged.layer());
        if !is_pipeline && self.reasons.contains_key(&origin.place.start()) {
            return;
        }
        let of = match file_of(origin) {
            Some(file) if is_pipeline => format!(" of `{file}`"),
            _ => String::new(),
        };
        let (from, key) = (&lifted.from, join(global::NAME, lifted.key));
        let value = |node: &Node| node.get(lifted.key).map(|(_, node)| node.to_value());
        let (asked, counts) = (value(&lifted.node).unwrap_or_default(), value(node));
        let mut done = format!("`{from}`{of} is now `{key}`");
        if let Some(counts) = counts.filter(|counts| counts.is_null() || *counts != asked) {
            done.push_str(&format!(": {}", describe::literal(&counts)));
        }
        if let Some(plugin) = judged.unable {
            let asked = describe::literal(&asked);
            done.push_str(&format!(", since plugin `{plugin}` does not compute in `{asked}`"));
            self.respelled.push(Value::from(asked));
        }
        self.done.push(done);
        // `amp: false` is `amp_dtype: null`.
        self.respelled.push(Value::Bool(false));
    }

    /// TOML has no null: where that is the default, the key is left out.
    pub(super) fn drop_nulls(&mut self, top: &mut Vec<(Key, Node)>) {
        for (key, node) in top {
            let section = self.shaped.sections.iter().find(|section| section.name == key.text);
            let known = section.and_then(|section| self.catalogue.phase(&section.phase));
            let default = known.map(|known| known.defaults.clone()).unwrap_or_default();
            self.drop_nulls_in(node, &default);
        }
    }

    fn drop_nulls_in(&mut self, node: &mut Node, default: &Value) {
        let NodeValue::Map(entries) = &mut node.value else { return };
        entries.retain_mut(|(key, child)| {
            let default = default.get(&key.text).unwrap_or(&Value::Null);
            let is_default = matches!(child.value, NodeValue::Null) && default.is_null();
            if let Some(span) = key.span.filter(|_| is_default) {
                self.reasons
                    .insert(span.start, "null is its default, and TOML has none".to_owned());
            }
            self.drop_nulls_in(child, default);
            !is_default
        });
    }

    /// Puts a setting of `global` on top of those of lower precedence.
    fn settle(&mut self, entries: &mut Vec<(Key, Node)>, entry: (Key, Node)) {
        let name = join(global::NAME, &entry.0.text);
        let Some((key, node)) = entries.iter_mut().find(|(key, _)| key.text == entry.0.text) else {
            return entries.push(entry);
        };
        if key.span == entry.0.span && key.span.is_some() {
            return;
        }
        let winner = entry.0.span.and_then(|span| path_of(&self.document.root, span.start, ""));
        let why = match winner.filter(|winner| is_switch(winner)) {
            Some(switch) => format!("`{switch}` switches it off"),
            None if node.to_value() == entry.1.to_value() => format!("`{name}` says the same"),
            None => format!("`{name}` is {}", describe::literal(&entry.1.to_value())),
        };
        if let Some(span) = key.span {
            self.reasons.insert(span.start, why);
        }
        (*key, *node) = entry;
    }

    fn normalise(&mut self, key: &Key, node: &mut Node) {
        let old = node.to_value();
        let mut block = json!({ &key.text: old });
        global::normalise(&mut block);
        let new = block[&key.text].take();
        if new != old {
            let name = join(global::NAME, &key.text);
            let (to, from) = (describe::literal(&new), describe::literal(&old));
            self.done.push(format!("`{name}` is now written `{to}` instead of `{from}`"));
            node.value = node_of(&new).value;
            self.respelled.push(old);
        }
    }
}

/// Whether a dotted key is that of a switch.
fn is_switch(key: &str) -> bool {
    key.rsplit('.').next().is_some_and(|name| SWITCHES.contains(&name))
}

/// The dotted key that stands at a byte.
fn path_of(node: &Node, start: usize, parent: &str) -> Option<String> {
    node.entries().iter().find_map(|(key, child)| {
        let path = join(parent, &key.text);
        let is_here = key.span.is_some_and(|span| span.start == start);
        if is_here { Some(path) } else { path_of(child, start, &path) }
    })
}

fn file_of(origin: &Origin) -> Option<&String> {
    match &origin.place {
        Place::File { source, .. } => Some(&source.name),
        _ => None,
    }
}
