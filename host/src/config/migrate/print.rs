//! A document printed in its format, with what was written taken over letter for letter.

use std::collections::HashSet;

use serde_json::Value;

use super::Format;
use super::layout::{Layout, is_scalar, line_start};
use super::value::{json_value, toml_value, yaml_key, yaml_value};
use crate::config::document::{Key, Node};
use crate::config::toml_print;

/// Prints a document.
pub(super) fn print(root: &Node, layout: &Layout<'_>) -> String {
    let mut printer = Printer { layout, out: String::new(), used: HashSet::new(), begin: 0 };
    for line in &layout.header {
        printer.line("", line);
    }
    match layout.format {
        Format::Json => {
            printer.json_map(root.entries(), "");
            printer.out.push('\n');
        }
        Format::Yaml => printer.yaml_map(root.entries(), ""),
        Format::Toml => printer.toml_table(root.entries(), &mut Vec::new()),
    }
    printer.finish()
}

/// What is printed behind a key.
enum Body<'a> {
    /// What was written there.
    Written(String),
    /// A value of its own.
    Fresh(&'a Node),
    /// A mapping, key by key.
    Map(&'a [(Key, Node)]),
}

struct Printer<'a> {
    layout: &'a Layout<'a>,
    out: String,
    /// Keys whose lead and comments have been printed.
    used: HashSet<usize>,
    /// Where the block begins that was made last.
    begin: usize,
}

impl Printer<'_> {
    fn line(&mut self, indent: &str, text: &str) {
        if !text.is_empty() {
            self.out.push_str(indent);
            self.out.push_str(text);
        }
        self.out.push('\n');
    }

    /// Prints what stands above a key.
    fn lead(&mut self, key: &Key, indent: &str) {
        let Some(owner) = self.layout.owner(key) else { return };
        if !key.span.is_some_and(|span| self.used.insert(span.start)) {
            return;
        }
        let is_first =
            self.out.trim().is_empty() || self.out.ends_with("{\n") || self.out.len() == self.begin;
        let skipped = owner.lead.iter().take_while(|line| is_first && line.is_empty()).count();
        for line in &owner.lead[skipped..] {
            if !(line.is_empty() && self.out.ends_with("\n\n")) {
                self.line(indent, line);
            }
        }
    }

    /// The comments that stand behind a key, where they are not part of what is printed anyway.
    fn comments(&mut self, key: &Key) {
        let comments = self.layout.owner(key).map(|owner| owner.comments.join("  "));
        if let Some(comments) = comments.filter(|comments| !comments.is_empty()) {
            self.out.push_str("  ");
            self.out.push_str(&comments);
        }
    }

    /// The comments of a line that had several keys.
    fn comments_beside(&mut self, key: &Key) {
        if !self.has_rest(key) {
            self.comments(key);
        }
    }

    /// The comment behind the key of a block, as far from it as it was.
    fn behind(&mut self, key: &Key) {
        let layout = self.layout;
        let rest = layout.owner(key).and_then(|owner| owner.rest).map(|rest| layout.slice(rest));
        match rest.filter(|rest| rest.trim_start_matches([' ', '\t']).starts_with('#')) {
            Some(rest) if !rest.contains('\n') => self.out.push_str(rest),
            _ => self.comments(key),
        }
    }

    /// Sets a section apart that is new in a file that sets its blocks apart.
    fn gap(&mut self, key: &Key, indent: &str, is_top: bool) {
        let is_spaced = self.layout.text.replace('\r', "").contains("\n\n");
        let is_first = self.out.trim().is_empty() || self.out.ends_with("{\n");
        if is_top && key.span.is_none() && is_spaced && !is_first && !self.out.ends_with("\n\n") {
            self.line(indent, "");
        }
    }

    fn body<'n>(&self, key: &Key, node: &'n Node, indent: &str) -> Body<'n> {
        let layout = self.layout;
        let is_same =
            layout.entry(key).is_some_and(|(_, original)| original.to_value() == node.to_value());
        if layout.is_block(key, node) || (node.is_map() && !is_same) {
            return Body::Map(node.entries());
        }
        match layout.entry(key).filter(|_| is_same) {
            Some((_, original)) => {
                self.written(key, original, indent).map_or(Body::Fresh(node), Body::Written)
            }
            None => Body::Fresh(node),
        }
    }

    /// Whether all that stands behind the key on its line is known to be its own.
    fn has_rest(&self, key: &Key) -> bool {
        self.layout.owner(key).is_some_and(|owner| owner.rest.is_some())
    }

    /// What stands behind a key, moved to another indentation.
    fn written(&self, key: &Key, original: &Node, indent: &str) -> Option<String> {
        let layout = self.layout;
        let (span, at) = (original.span?, key.span?.start);
        if layout.format == Format::Json {
            return Some(self.shifted(layout.slice(span), at, indent));
        }
        let text = match layout.owner(key).and_then(|owner| owner.rest) {
            Some(rest) => layout.slice(rest).trim_start_matches([' ', '\t']),
            // Several keys on a line: what ends where is known of single values only.
            None if is_scalar(original) => layout.slice(span),
            None => return None,
        };
        let is_unclear = (layout.has_aliases && text.contains(['&', '*', '<']))
            || (!self.has_rest(key) && (text.contains('\n') || text.starts_with(':')));
        let shifted = || match layout.format {
            Format::Toml => text.to_owned(),
            _ => self.shifted(text, at, indent),
        };
        (!is_unclear && !text.is_empty()).then(shifted)
    }

    fn shifted(&self, text: &str, at: usize, indent: &str) -> String {
        let text = text.replace("\r\n", "\n");
        if !text.contains('\n') {
            return text;
        }
        let start = line_start(self.layout.text, at);
        let line = &self.layout.text[start..];
        let old = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        let mut lines = text.split('\n');
        let mut shifted = lines.next().unwrap_or_default().to_owned();
        for line in lines {
            shifted.push('\n');
            match line.strip_prefix(old) {
                _ if line.trim().is_empty() => {}
                Some(rest) => shifted.push_str(&format!("{indent}{rest}")),
                None => shifted.push_str(&format!("{indent}{}", line.trim_start())),
            }
        }
        shifted
    }

    fn json_map(&mut self, entries: &[(Key, Node)], indent: &str) {
        if entries.is_empty() {
            return self.out.push_str("{}");
        }
        let inner = format!("{indent}{}", self.layout.step);
        self.out.push_str("{\n");
        for (idx, (key, node)) in entries.iter().enumerate() {
            self.gap(key, &inner, indent.is_empty());
            self.lead(key, &inner);
            self.out.push_str(&format!("{inner}{}: ", Value::from(key.text.as_str())));
            match self.body(key, node, &inner) {
                Body::Written(text) => self.out.push_str(&text),
                Body::Fresh(node) => self.out.push_str(&json_value(&node.to_value())),
                Body::Map(entries) => self.json_map(entries, &inner),
            }
            self.out.push_str(if idx + 1 < entries.len() { ",\n" } else { "\n" });
        }
        self.out.push_str(&format!("{indent}}}"));
    }

    fn yaml_map(&mut self, entries: &[(Key, Node)], indent: &str) {
        for (key, node) in entries {
            self.gap(key, indent, indent.is_empty());
            self.lead(key, indent);
            self.out.push_str(&format!("{indent}{}:", self.key(key, yaml_key)));
            match self.body(key, node, indent) {
                Body::Written(text) if text.starts_with('\n') => self.out.push_str(&text),
                Body::Written(text) => {
                    self.out.push_str(&format!(" {text}"));
                    self.comments_beside(key);
                }
                Body::Fresh(node) => {
                    self.out.push_str(&format!(" {}", yaml_value(&node.to_value())));
                    self.comments(key);
                }
                Body::Map([]) => {
                    self.out.push_str(" {}");
                    self.comments(key);
                }
                Body::Map(entries) => {
                    self.behind(key);
                    self.out.push('\n');
                    if key.span.is_none() {
                        self.begin = self.out.len();
                    }
                    let inner = format!("{indent}{}", self.layout.step);
                    self.yaml_map(entries, &inner);
                    continue;
                }
            }
            self.out.push('\n');
        }
    }

    /// A table: its own keys, then the tables in it, since a header ends what is above it.
    fn toml_table(&mut self, entries: &[(Key, Node)], path: &mut Vec<String>) {
        let (tables, own): (Vec<_>, Vec<_>) =
            entries.iter().partition(|(key, node)| self.is_table(key, node));
        for (key, node) in own {
            self.toml_entry(key, node, &mut Vec::new());
        }
        for (key, node) in tables {
            path.push(self.key(key, toml_print::key));
            let owner = self.layout.owner(key);
            let has_own = node.entries().iter().any(|(key, node)| !self.is_table(key, node));
            if has_own || node.entries().is_empty() || owner.is_some() {
                // A header that was there keeps its distance, save from what is new above it.
                let is_first = self.layout.owners().next().map(|(start, _)| start)
                    == key.span.map(|span| span.start);
                let is_old = owner.is_some_and(|owner| owner.is_header) && !is_first;
                if !is_old && !self.out.is_empty() && !self.out.ends_with("\n\n") {
                    self.out.push('\n');
                }
                self.lead(key, "");
                self.out.push_str(&format!("[{}]", path.join(".")));
                self.comments(key);
                self.out.push('\n');
            }
            self.toml_table(node.entries(), path);
            path.pop();
        }
    }

    fn toml_entry(&mut self, key: &Key, node: &Node, dotted: &mut Vec<String>) {
        dotted.push(self.key(key, toml_print::key));
        let body = self.body(key, node, "");
        if let Body::Map(entries @ [_, ..]) = body {
            entries.iter().for_each(|(key, node)| self.toml_entry(key, node, dotted));
        } else {
            self.lead(key, "");
            self.out.push_str(&format!("{} = ", dotted.join(".")));
            match body {
                Body::Written(text) => {
                    self.out.push_str(&text);
                    self.comments_beside(key);
                }
                _ => {
                    self.out.push_str(&toml_value(node));
                    self.comments(key);
                }
            }
            self.out.push('\n');
        }
        dotted.pop();
    }

    /// Whether an entry gets a header: a mapping that had one, or that nobody wrote.
    fn is_table(&self, key: &Key, node: &Node) -> bool {
        if !matches!(self.body(key, node, ""), Body::Map(_)) {
            return false;
        }
        key.span.is_none_or(|span| {
            let line = &self.layout.text[line_start(self.layout.text, span.start)..];
            let is_inline =
                self.layout.entry(key).is_some_and(|(key, node)| !self.layout.is_block(key, node));
            line.trim_start().starts_with('[') || is_inline
        })
    }

    /// A key as it was written, if it still has that name.
    fn key(&self, key: &Key, print: fn(&str) -> String) -> String {
        let written = key.span.map(|span| self.layout.slice(span)).unwrap_or_default();
        if written.trim_matches(['"', '\'']) == key.text {
            written.to_owned()
        } else {
            print(&key.text)
        }
    }

    /// What belongs to no key any more, and the end.
    fn finish(mut self) -> String {
        let left = self.layout.owners().filter(|(start, _)| !self.used.contains(start));
        let comments: Vec<&String> =
            left.flat_map(|(_, owner)| &owner.lead).filter(|line| line.starts_with('#')).collect();
        for line in comments.into_iter().chain(&self.layout.footer) {
            self.line("", line);
        }
        let end = self.out.trim_end().len();
        self.out.truncate(end);
        self.out.push('\n');
        let text = self.out.replace("\r\n", "\n");
        if self.layout.text.contains("\r\n") { text.replace('\n', "\r\n") } else { text }
    }
}
