//! The reference page: every key of the host and of some phases, in Markdown.
//!
//! It begins with what is true for all plugins (`reference_page.md`); everything behind that is made
//! from the schemas, by the same code as `host plugins inspect`.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::config::{
    Global, KeyBlock, KeyEntry, KnownPhase, former_keys, global_schema, key_blocks, profile_schema,
    section_keys,
};

const BEGINNING: &str = include_str!("reference_page.md");

/// The keys that the host reads in every section.
const SECTION_KEYS: &str = "\
| key | takes | for |
|---|---|---|
| `extends` | string | a profile, or a file beside this one, whose section of the same phase this one builds on |
| `phase` | string | the phase, where the section's name is not the phase's |
| `schema_version` | integer | the version of the section's keys that it was written for; without it, of any |

";

/// The page for these phases.
pub(super) fn page(phases: &[&KnownPhase]) -> String {
    let mut keys = Keys::default();
    let defaults = serde_json::to_value(Global::default()).unwrap_or_default();
    keys.part("global", "`global`", "What all phases of a run share.");
    keys.blocks("global", &key_blocks(&global_schema(), &defaults));
    keys.part("profile", "`profile`", "What a file says about itself; the host lists it by this.");
    keys.blocks("profile", &key_blocks(&profile_schema(), &json!({})));
    keys.part("any section", "Any section", "What the host reads in every section.");
    keys.text.push_str(SECTION_KEYS);
    for known in phases {
        keys.phase(known);
    }
    format!("{BEGINNING}## Keys\n\n{}\n{}\n", keys.contents, keys.text.trim_end())
}

/// The part of the page that is made from schemas.
#[derive(Default)]
struct Keys {
    contents: String,
    text: String,
    /// Blocks with all that is below them, and where they are described.
    described: HashMap<String, String>,
}

impl Keys {
    fn part(&mut self, name: &str, title: &str, about: &str) {
        let _ = writeln!(self.contents, "- [{name}](#{})", anchor(title));
        let _ = writeln!(self.text, "## {title}\n\n{about}\n");
    }

    fn phase(&mut self, known: &KnownPhase) {
        let about = known.schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let source =
            format!("Of plugin `{}`; version {} of its keys.", known.plugin, known.version);
        let title = format!("Phase `{}`", known.phase);
        self.part(&format!("phase `{}`", known.phase), &title, format!("{about} {source}").trim());
        self.blocks(&known.phase, &section_keys(known));
        self.former(known);
    }

    fn blocks(&mut self, section: &str, blocks: &[KeyBlock]) {
        let mut rest = blocks;
        while let Some(first) = rest.first() {
            let tree = first_tree(rest);
            let n_same = tree.iter().take_while(|block| block.path == first.path).count();
            let path = path(section, first);
            if !first.path.is_empty() {
                let link = format!("  - [`{path}`](#{})\n", anchor(&path));
                self.contents.push_str(&link);
                let _ = writeln!(self.text, "### `{path}`\n");
            }
            if first.when.is_none() && !first.path.is_empty() && !first.about.is_empty() {
                let _ = writeln!(self.text, "{}\n", first.about);
            }
            let fingerprint = fingerprint(tree);
            if let Some(same) = self.described.get(&fingerprint) {
                let link = format!("[`{same}`](#{})", anchor(same));
                let _ = writeln!(self.text, "Keys and defaults are those of {link}.\n");
                rest = &rest[tree.len()..];
            } else {
                self.described.insert(fingerprint, path);
                self.tables(&tree[..n_same]);
                rest = &rest[n_same..];
            }
        }
    }

    /// The tables of the mappings that may stand at one place.
    fn tables(&mut self, blocks: &[KeyBlock]) {
        for (idx, block) in blocks.iter().enumerate() {
            if let Some((key, value)) = &block.when {
                let _ = writeln!(self.text, "With `{key}: {value}`: {}\n", lower(&block.about));
            }
            if block.keys.is_empty() {
                self.text.push_str("No other keys.\n\n");
            } else if idx > 0 && blocks[idx - 1].keys == block.keys {
                self.text.push_str("The same keys again.\n\n");
            } else {
                let _ = writeln!(self.text, "{}", table(&block.keys));
            }
        }
    }

    /// Old keys, those with one fate in one row.
    fn former(&mut self, known: &KnownPhase) {
        let mut rows: Vec<(String, String)> = Vec::new();
        for key in former_keys(known) {
            match rows.iter_mut().find(|(_, is)| *is == key.is) {
                Some((was, _)) => *was += &format!(", {}", key.was),
                None => rows.push((key.was, key.is)),
            }
        }
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "### Old keys of `{}`\n", known.phase);
        self.text.push_str("They are still taken; `host config migrate FILE` rewrites them.\n\n");
        self.text.push_str("| was | is |\n|---|---|\n");
        for (was, is) in rows {
            let _ = writeln!(self.text, "| {was} | {is} |");
        }
        self.text.push('\n');
    }
}

fn path(section: &str, block: &KeyBlock) -> String {
    if block.path.is_empty() { section.to_owned() } else { format!("{section}.{}", block.path) }
}

/// The first block with those at the same place and all that are below it.
fn first_tree(blocks: &[KeyBlock]) -> &[KeyBlock] {
    let Some(first) = blocks.first() else { return blocks };
    let is_in = |block: &&KeyBlock| {
        let below = block.path.strip_prefix(&first.path);
        first.path.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    &blocks[..blocks.iter().take_while(is_in).count()]
}

/// What a tree of blocks says, whatever it is called.
fn fingerprint(tree: &[KeyBlock]) -> String {
    let root = tree.first().map_or(0, |first| first.path.len());
    let blocks = tree.iter().map(|block| (&block.path[root..], &block.when, &block.keys));
    format!("{:?}", blocks.collect::<Vec<_>>())
}

/// A sentence that goes on behind a colon; a name keeps its capital.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// The anchor that a page's reader gives a heading.
fn anchor(title: &str) -> String {
    let lower = title.to_lowercase().replace(' ', "-");
    lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

fn table(keys: &[KeyEntry]) -> String {
    let has_limits = keys.iter().any(|key| !key.limits.is_empty());
    let has_units = keys.iter().any(|key| key.unit.is_some());
    let row = |[key, takes, default, limits, unit, about]: [&str; 6]| {
        let cells = [(key, true), (takes, true), (default, true), (limits, has_limits)];
        let cells = cells.into_iter().chain([(unit, has_units), (about, true)]);
        let cells: Vec<String> = cells
            .filter(|(_, is_shown)| *is_shown)
            .map(|(cell, _)| cell.replace('|', "\\|"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut table = row(["key", "takes", "default", "range", "unit", "for"]);
    table.push_str(&row(["---"; 6]).replace(' ', ""));
    for key in keys {
        let (name, default, about) = (format!("`{}`", key.name), default(key), about(key));
        let unit = key.unit.as_deref().unwrap_or_default();
        table.push_str(&row([&name, &key.takes, &default, &key.limits, unit, &about]));
    }
    table
}

fn default(key: &KeyEntry) -> String {
    match &key.default {
        _ if key.is_required => "**required**".to_owned(),
        Some(_) if key.is_default_in_block => "below".to_owned(),
        Some(value) => format!("`{value}`"),
        None => String::new(),
    }
}

fn about(key: &KeyEntry) -> String {
    let mut text = key.about.clone();
    for (value, meaning) in &key.choices {
        let _ = write!(text, "<br>`{value}`: {meaning}");
    }
    text
}
