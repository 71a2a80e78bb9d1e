//! How a file looks: which comments and blank lines stand with which key, and what was written
//! behind it, letter for letter.
//!
//! A line has one *owner*: the key that it sets. Comments and blank lines above an owner's line are
//! its lead; what stands behind its key, up to the lead of the next owner, is its rest. Keys are
//! known by the byte at which they stand.

use std::collections::{BTreeMap, HashMap};

use super::Format;
use super::comments::{self, Found};
use crate::config::document::{Document, Key, Node, NodeValue};
use crate::config::source::Span;

/// Magic comments by which editors find a schema; they count at the top of a file only.
const FOR_EDITORS: [&str; 2] = ["#:schema", "# yaml-language-server:"];

/// The looks of one file.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) text: &'a str,
    pub(super) format: Format,
    /// What stands at the top of the file and belongs to no key.
    pub(super) header: Vec<String>,
    /// What stands behind the last key.
    pub(super) footer: Vec<String>,
    /// One step of indentation.
    pub(super) step: String,
    pub(super) has_aliases: bool,
    owners: BTreeMap<usize, Owner>,
    /// Every entry of every mapping, by the place of its key.
    entries: HashMap<usize, (Key, Node)>,
}

/// What stands with a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Owner {
    /// Comment lines and blank ones above it, without indentation.
    pub(super) lead: Vec<String>,
    /// The comments behind it.
    pub(super) comments: Vec<String>,
    /// All that stands behind its `:` or `=`.
    pub(super) rest: Option<Span>,
    /// From the beginning of its line to the end of what is written there.
    pub(super) whole: Option<Span>,
    /// What its line begins with.
    pub(super) indent: String,
    /// Whether it is a TOML table's header.
    pub(super) is_header: bool,
}

impl<'a> Layout<'a> {
    /// Looks at a document.
    pub(super) fn of(document: &'a Document, format: Format) -> Self {
        let text = document.source.text.as_str();
        let found = comments::find(text, format);
        let mut layout = Self {
            text,
            format,
            header: Vec::new(),
            footer: Vec::new(),
            step: "  ".to_owned(),
            has_aliases: found.has_aliases,
            owners: BTreeMap::new(),
            entries: HashMap::new(),
        };
        let mut by_line = BTreeMap::new();
        layout.visit(&document.root, &mut by_line);
        layout.fill(&by_line, &found);
        layout.split_header();
        if format == Format::Json {
            // Braces are no comments.
            layout.header.clear();
        }
        if let Some(step) = layout.detect_step(&document.root) {
            layout.step = step;
        }
        layout
    }

    /// What stands with a key, if its line is its own.
    pub(super) fn owner(&self, key: &Key) -> Option<&Owner> {
        self.owners.get(&key.span?.start)
    }

    /// The entry as it was written.
    pub(super) fn entry(&self, key: &Key) -> Option<&(Key, Node)> {
        self.entries.get(&key.span?.start)
    }

    /// All owners in file order.
    pub(super) fn owners(&self) -> impl Iterator<Item = (usize, &Owner)> {
        self.owners.iter().map(|(start, owner)| (*start, owner))
    }

    /// The comments behind a key.
    pub(super) fn comments(&self, start: usize) -> Vec<String> {
        self.owners.get(&start).map(|owner| owner.comments.clone()).unwrap_or_default()
    }

    /// Takes the lead of a key away.
    pub(super) fn take_lead(&mut self, start: usize) -> Vec<String> {
        self.owners.get_mut(&start).map(|owner| std::mem::take(&mut owner.lead)).unwrap_or_default()
    }

    /// Makes another key the owner of a line, where the one that was is not kept and it is: of
    /// `[a.b]` the table `a`.
    pub(super) fn reassign(&mut self, lost: &[usize], kept: &dyn Fn(usize) -> bool) {
        for &start in lost {
            let line = line_start(self.text, start);
            let end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
            let on_line = self.entries.keys().copied().filter(|key| (line..end).contains(key));
            let heir = on_line.filter(|key| kept(*key)).min();
            if let Some(heir) = heir
                && let Some(owner) = self.owners.remove(&start)
            {
                self.owners.insert(heir, Owner { rest: None, ..owner });
            }
        }
    }

    /// Puts lines above the lead of the first of the keys at or behind a byte that is kept, or at
    /// the end of the file.
    pub(super) fn prepend(&mut self, at: usize, lines: Vec<String>, kept: &dyn Fn(usize) -> bool) {
        let next = self.owners.range_mut(at..).find(|(start, _)| kept(**start));
        match next {
            Some((_, owner)) => drop(owner.lead.splice(0..0, lines)),
            None => drop(self.footer.splice(0..0, lines)),
        }
    }

    /// Whether a node is a mapping that is written over several lines, one key each.
    pub(super) fn is_block(&self, key: &Key, node: &Node) -> bool {
        let Some((_, original)) = self.entry(key).filter(|_| node.is_map()) else {
            return node.is_map();
        };
        let Some(span) = original.span else { return true };
        let begins_flow = self.text[span.start.min(self.text.len())..].starts_with('{');
        match self.format {
            Format::Json => self.slice(span).contains('\n'),
            Format::Yaml => original.is_map() && !begins_flow,
            Format::Toml => !begins_flow,
        }
    }

    /// A piece of the text.
    pub(super) fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    fn visit(&mut self, node: &Node, by_line: &mut BTreeMap<usize, usize>) {
        for (key, child) in node.entries() {
            if let Some(span) = key.span {
                let line = line_start(self.text, span.start);
                let is_dotted = self.format == Format::Toml;
                // Of `a.b = 1` the last key owns the line, of `a: {b: 1}` the first.
                if is_dotted || !by_line.contains_key(&line) {
                    by_line.insert(line, span.start);
                }
                self.entries.entry(span.start).or_insert_with(|| (key.clone(), child.clone()));
            }
            // Within `{…}` no line is a key's own.
            let is_flow = self.format != Format::Json && !self.is_block(key, child);
            if is_flow {
                self.visit(child, &mut BTreeMap::new());
            } else {
                self.visit(child, by_line);
            }
        }
    }

    fn fill(&mut self, by_line: &BTreeMap<usize, usize>, found: &Found) {
        let lines: Vec<(usize, &str)> = comments::lines(self.text).collect();
        let mut begin = 0;
        let mut previous: Option<usize> = None;
        for (idx, (start, _)) in lines.iter().enumerate() {
            let Some(&key) = by_line.get(start) else { continue };
            let lead = self.lead_of(&lines[begin..idx], found);
            self.close(previous, &lines[begin..idx - lead.len()], found);
            let owner = Owner { lead, indent: indent_of(lines[idx].1), ..Owner::default() };
            self.owners.insert(key, owner);
            (previous, begin) = (Some(key), idx);
        }
        self.footer = self.lead_of(&lines[begin..], found);
        if previous.is_none() {
            self.footer = lines.iter().map(|(_, line)| (*line).to_owned()).collect();
            return;
        }
        self.close(previous, &lines[begin..lines.len() - self.footer.len()], found);
    }

    /// The comment lines and blank ones at the end of some lines.
    fn lead_of(&self, lines: &[(usize, &str)], found: &Found) -> Vec<String> {
        let is_lead = |(start, line): &&(usize, &str)| {
            let begin = start + indent_of(line).len();
            let is_comment = found.comments.iter().any(|comment| comment.start == begin);
            (line.trim().is_empty() || is_comment) && !found.within_text.contains(start)
        };
        let mut lead: Vec<String> = lines
            .iter()
            .rev()
            .take_while(is_lead)
            .map(|(_, line)| line.trim().to_owned())
            .collect();
        lead.reverse();
        lead
    }

    /// Notes what stands behind an owner's key, now that its last line is known.
    fn close(&mut self, key: Option<usize>, lines: &[(usize, &str)], found: &Found) {
        let Some((last, line)) = lines.last() else { return };
        let end = last + line.trim_end().len();
        let Some(key) = key else {
            // What no key owns: the mark at which a YAML document begins.
            self.header = lines.iter().map(|(_, line)| (*line).to_owned()).collect();
            return;
        };
        let first = lines.first().map_or(key, |(start, line)| start + indent_of(line).len());
        let within = |comment: &&Span| (key..end).contains(&comment.start);
        let comments: Vec<String> = found
            .comments
            .iter()
            .filter(within)
            .map(|comment| self.slice(*comment).trim_end().to_owned())
            .collect();
        let is_header = self.format == Format::Toml && self.text[first..].starts_with('[');
        let rest = (!is_header).then(|| self.behind(key, end)).flatten();
        if let Some(owner) = self.owners.get_mut(&key) {
            owner.whole = Some(Span { start: first, end });
            (owner.comments, owner.rest, owner.is_header) = (comments, rest, is_header);
        }
    }

    fn behind(&self, key: usize, end: usize) -> Option<Span> {
        let key_end = self.entries.get(&key)?.0.span?.end;
        let mark = match self.format {
            Format::Toml => '=',
            _ => ':',
        };
        let between = self.text.get(key_end..end)?;
        let at = between.find(mark).filter(|at| between[..*at].trim().is_empty())?;
        Some(Span { start: key_end + at + 1, end })
    }

    /// Comments at the top that a blank line keeps from the first key are the file's own.
    fn split_header(&mut self) {
        let Some((_, first)) = self.owners.iter_mut().next() else { return };
        let is_for_editors = |line: &&String| FOR_EDITORS.iter().any(|mark| line.starts_with(mark));
        let after_blank = first.lead.iter().rposition(String::is_empty).map(|idx| idx + 1);
        let own =
            after_blank.unwrap_or_else(|| first.lead.iter().take_while(is_for_editors).count());
        self.header.extend(first.lead.drain(..own));
    }

    /// The indentation of the first key that is indented.
    fn detect_step(&self, root: &Node) -> Option<String> {
        let indents = self.owners.values().map(|owner| owner.indent.as_str());
        let base = match self.format {
            Format::Json => "",
            _ => self.owner(&root.entries().first()?.0)?.indent.as_str(),
        };
        let deeper = indents.filter_map(|indent| indent.strip_prefix(base));
        deeper
            .filter(|indent| !indent.is_empty())
            .min_by_key(|indent| indent.len())
            .map(str::to_owned)
    }
}

/// The first byte of the line that a byte stands in.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at.min(text.len())].rfind('\n').map_or(0, |newline| newline + 1)
}

fn indent_of(line: &str) -> String {
    line[..line.len() - line.trim_start().len()].to_owned()
}

/// Whether a value is one of its own, neither list nor mapping.
pub(super) fn is_scalar(node: &Node) -> bool {
    !matches!(node.value, NodeValue::List(_) | NodeValue::Map(_))
}
