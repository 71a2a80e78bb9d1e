//! The new text held against the old one, before anybody gets to see it.
//!
//! Independent of how it was made: the text is read again and must hold what it was meant to hold,
//! nothing of the old file may be missing unless it was told, and both must resolve alike.

use serde_json::Value;

use super::Format;
use super::comments;
use super::rewrite::Rewritten;
use crate::config::describe::literal;
use crate::config::document::{Document, Node, NodeValue};
use crate::config::error::ConfigError;
use crate::config::plan::Plan;

/// What one resolving came to: a plan, and the faults.
pub(super) type Resolved = (Option<Plan>, Vec<ConfigError>);

/// Compares a new document with the old one.
///
/// # Errors
/// With what differs, as a clause.
pub(super) fn check(
    old: &Document,
    new: &Document,
    rewritten: &Rewritten,
    format: Format,
) -> Result<(), String> {
    if new.root.to_value() != rewritten.root.to_value() {
        return Err("it does not hold the values that it was meant to hold".to_owned());
    }
    no_value_is_lost(old, new, rewritten)?;
    no_comment_is_lost(&old.source.text, &new.source.text, format)
}

fn no_value_is_lost(old: &Document, new: &Document, rewritten: &Rewritten) -> Result<(), String> {
    let mut there = Vec::new();
    scalars(&new.root, &mut there);
    rewritten.gone.iter().for_each(|gone| scalars(&gone.node, &mut there));
    there.extend(rewritten.respelled.iter().map(literal));
    let mut wanted = Vec::new();
    scalars(&old.root, &mut wanted);
    for value in wanted {
        match there.iter().position(|other| *other == value) {
            Some(idx) => drop(there.swap_remove(idx)),
            None => return Err(format!("the value `{value}` of the old file is in neither")),
        }
    }
    Ok(())
}

fn scalars(node: &Node, values: &mut Vec<String>) {
    match &node.value {
        NodeValue::Map(entries) => entries.iter().for_each(|(_, child)| scalars(child, values)),
        NodeValue::List(items) => items.iter().for_each(|item| scalars(item, values)),
        _ => values.push(literal(&node.to_value())),
    }
}

fn no_comment_is_lost(old: &str, new: &str, format: Format) -> Result<(), String> {
    let text_of = |text: &str| -> Vec<String> {
        let comments = comments::find(text, format).comments.into_iter();
        comments.map(|span| text[span.start..span.end].trim_end().to_owned()).collect()
    };
    let mut there = text_of(new);
    let mut wanted = text_of(old);
    wanted.retain(|comment| match there.iter().position(|other| other == comment) {
        Some(idx) => {
            there.swap_remove(idx);
            false
        }
        None => true,
    });
    for comment in wanted {
        // What is left out stands in a comment together with its own comments.
        match there.iter().position(|other| other.contains(&comment)) {
            Some(idx) => there[idx] = there[idx].replacen(&comment, "", 1),
            None => return Err(format!("the comment `{comment}` is missing")),
        }
    }
    Ok(())
}

/// Compares what two documents come to.
///
/// # Errors
/// With what differs, as a clause.
pub(super) fn resolve_alike(old: &Resolved, new: &Resolved) -> Result<(), String> {
    let faults = |resolved: &Resolved| -> Vec<(&str, String)> {
        resolved.1.iter().map(|error| (error.code, error.key.clone())).collect()
    };
    if faults(old) != faults(new) {
        let first = new.1.first().map(|error| error.message.clone()).unwrap_or_default();
        return Err(format!("it does not resolve as the old one does: {first}"));
    }
    let (Some(old), Some(new)) = (&old.0, &new.0) else { return Ok(()) };
    if old.global != new.global {
        return Err("its `global` comes to other values".to_owned());
    }
    let sections = |plan: &Plan| -> Vec<(String, String, Value)> {
        let phases = plan.phases.iter();
        phases.map(|p| (p.name.clone(), p.phase.clone(), p.section.clone())).collect()
    };
    let differs = |(one, other): (&(String, String, Value), &(String, String, Value))| one != other;
    let (old, new) = (sections(old), sections(new));
    match old.iter().zip(&new).find(|pair| differs(*pair)) {
        Some(((name, ..), _)) => Err(format!("its section `{name}` comes to other values")),
        None if old.len() == new.len() => Ok(()),
        None => Err("it has other phases".to_owned()),
    }
}
