//! What a user is told about changes that were carried out.

use std::path::Path;

use super::super::describe;
use super::super::document::join;
use super::super::layers::Place;
use super::super::shape::Section;
use super::refusals::place_of;
use super::{Effect, Step, rest};

/// Of one file, so many old keys are told one by one; the rest is counted.
const TOLD_MAX: usize = 5;

/// The old keys that turned up in the files and overrides of a plan.
#[derive(Debug, Default)]
pub(in super::super) struct Log {
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// The file, where a file it is.
    file: Option<String>,
    /// What rewrites that file, without the `--write`.
    command: Option<String>,
    text: String,
}

impl Log {
    /// Adds what was carried out on a section of a document.
    pub(in super::super) fn add_section(&mut self, section: &Section) {
        let file = &section.source.name;
        // What a plugin carries is no file, and cannot be rewritten.
        let command = Path::new(file).is_file().then(|| match section.key {
            Some(_) => format!("host config migrate {file}"),
            None => format!("host config migrate {file} --phase {}", section.phase),
        });
        let owner = section.key.map(|_| section.name.as_str()).unwrap_or_default();
        for step in &section.steps {
            let text = told(step, owner, owner, true);
            let entry = Entry { file: Some(file.clone()), command: command.clone(), text };
            // A base that two sections extend is read twice.
            if !self.entries.contains(&entry) {
                self.entries.push(entry);
            }
        }
    }

    /// Adds what was carried out on an override of a key.
    pub(in super::super) fn add_input(&mut self, steps: &[Step], typed: &str) {
        let text = |step: &Step| {
            let mut step = step.clone();
            // Where a mapping has moved, what was typed is a key in it.
            if let Effect::Moved { to } = &mut step.effect
                && let Some(rest) = rest(typed, &step.key)
            {
                to.push_str(rest);
                step.key.push_str(rest);
            }
            told(&step, "", "", true)
        };
        let entry = |step| Entry { file: None, command: None, text: text(step) };
        self.entries.extend(steps.iter().map(entry));
    }

    /// The warnings: few keys one by one, of many the first ones and how many more there are.
    pub(in super::super) fn warnings(self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut entries = self.entries.into_iter().peekable();
        while let Some(first) = entries.next() {
            let (file, command) = (first.file.clone(), first.command.clone());
            let mut texts = vec![first.text];
            while let Some(next) = entries.next_if(|next| file.is_some() && next.file == file) {
                texts.push(next.text);
            }
            warnings.extend(shortened(texts, file.as_deref(), command.as_deref()));
        }
        warnings
    }
}

fn shortened(mut texts: Vec<String>, file: Option<&str>, command: Option<&str>) -> Vec<String> {
    let more = texts.len().saturating_sub(TOLD_MAX);
    if more > 1 {
        texts.truncate(TOLD_MAX);
        let file = file.unwrap_or_default();
        let tail = command.map(|command| format!("; `{command}` shows all")).unwrap_or_default();
        texts.push(format!("`{file}` has {more} more keys of an earlier version{tail}"));
        return texts;
    }
    if let (Some(last), Some(command)) = (texts.last_mut(), command) {
        last.push_str(&format!("; `{command} --write` rewrites the file"));
    }
    texts
}

/// What became of a key of `owner`, which is `new_owner` today; without a place in a report on the
/// one file that it is about.
pub(in super::super) fn told(
    step: &Step,
    owner: &str,
    new_owner: &str,
    with_place: bool,
) -> String {
    let key = join(owner, &step.key);
    let place =
        if with_place { format!(" in {}", place_of(&step.origin.place)) } else { String::new() };
    match &step.effect {
        Effect::Moved { to } => format!("`{key}`{place} is now `{}`", join(new_owner, to)),
        Effect::Respelled { from, to } => format!(
            "`{key}`{place} is now written `{}` instead of `{}`",
            describe::literal(to),
            describe::literal(from)
        ),
        Effect::Removed { why } => match step.origin.place {
            Place::File { .. } => format!("`{key}`{place} is not a setting any more: {why}"),
            _ => format!("`{key}`{place} is not a setting any more, and changes nothing: {why}"),
        },
    }
}
