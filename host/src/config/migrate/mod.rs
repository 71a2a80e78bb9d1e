//! Old files in today's form.
//!
//! A file is read as always, put together again in the sectioned form under today's names
//! (`rewrite`), and printed in its own format with what was written taken over letter for letter
//! (`layout`, `print`): comments, the order of keys, the spelling of numbers. Before anything is
//! shown, the new text is held against the old one (`verify`).

mod comments;
mod global_block;
mod gone;
mod layout;
mod orphans;
mod print;
mod rewrite;
mod value;
mod verify;

#[cfg(test)]
mod dresses;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;

use self::gone::{Gone, keys_in};
use self::layout::Layout;
use self::orphans::keep_orphans;
use self::rewrite::Rewritten;
use super::document::{Document, Node};
use super::error::{ConfigError, ConfigErrors};
use super::profile::{self, Profiles};
use super::resolve::{PIPELINE, survey_document};
use super::shape::shape;
use super::source::Source;
use super::{Catalogue, Request, global};

/// A file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Toml,
    Yaml,
}

/// A file in today's form.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The text as it was.
    pub old: String,
    /// The text as it is to be.
    pub new: String,
    /// What has another place or another word, a clause each.
    pub done: Vec<String>,
    /// What is left out and why, a clause each.
    pub gone: Vec<String>,
    /// What the user should know besides.
    pub remarks: Vec<String>,
}

/// Brings a file into today's form; nothing comes back for one that has it.
///
/// # Errors
/// With every fault of the file. One that is faulty is left as it is, save that keys may be missing:
/// it may be there to be extended.
pub fn migrate(
    file: &Path,
    phase: Option<&str>,
    catalogue: &Catalogue,
) -> Result<Option<Migration>, ConfigErrors> {
    let migrator = Migrator { file, phase, catalogue, profiles: Profiles::load(catalogue) };
    let document = Document::read(file).map_err(|mut errors| {
        errors.iter_mut().for_each(|error| migrator.profiles.answer_old_name(error));
        ConfigErrors(errors)
    })?;
    migrator.migrate(&document)
}

struct Migrator<'a> {
    file: &'a Path,
    phase: Option<&'a str>,
    catalogue: &'a Catalogue,
    profiles: Profiles,
}

impl Migrator<'_> {
    fn migrate(&self, document: &Document) -> Result<Option<Migration>, ConfigErrors> {
        let before = self.resolve(document);
        let is_fault = |error: &ConfigError| error.code != "config::missing_key";
        if before.1.iter().any(is_fault) {
            return Err(ConfigErrors(before.1));
        }
        let info = profile::info(document, "").0;
        let phase = info.phase.as_deref().or(self.phase).filter(|phase| *phase != PIPELINE);
        let shaped = shape(document, phase, self.catalogue);
        let format = format_of(self.file);
        let rewritten = rewrite::rewrite(document, &shaped, self.catalogue, format)
            .map_err(|key| self.fault(&format!("`{key}` was lost on the way")))?;
        if rewritten.is_nothing() {
            return Ok(None);
        }
        let text = printed(document, &rewritten, format);
        let new = Document::parse(Source::new(&document.source.name, &text), extension(format))
            .map_err(|errors| self.fault(&errors[0].message))?;
        verify::check(document, &new, &rewritten, format).map_err(|reason| self.fault(&reason))?;
        let after = self.resolve(&new);
        verify::resolve_alike(&before, &after).map_err(|reason| self.fault(&reason))?;
        let remarks = self.remarks(document, &shaped, format);
        Ok(Some(Migration {
            old: document.source.text.clone(),
            new: text,
            done: rewritten.done,
            gone: rewritten.gone.iter().map(told).collect(),
            remarks,
        }))
    }

    fn resolve(&self, document: &Document) -> verify::Resolved {
        let request = Request {
            file: Some(self.file.to_owned()),
            phase: self.phase.map(str::to_owned),
            ..Request::default()
        };
        survey_document(document, &request, self.catalogue, &self.profiles)
    }

    fn remarks(
        &self,
        document: &Document,
        shaped: &super::shape::Shaped,
        format: Format,
    ) -> Vec<String> {
        let mut remarks = Vec::new();
        if comments::find(&document.source.text, format).has_aliases {
            remarks.push("anchors, aliases and merge keys are written out".to_owned());
        }
        let own = &document.source.name;
        for section in shaped.sections.iter().filter(|section| section.source.name != *own) {
            let (file, phase) = (&section.source.name, &section.phase);
            remarks.push(format!(
                "`{file}` may be of an old form too: `host config migrate {file} --phase {phase}`"
            ));
        }
        remarks
    }

    /// The new text is not what it should be: better none than a wrong one.
    fn fault(&self, reason: &str) -> ConfigErrors {
        let file = self.file.display();
        ConfigError::new(
            "config::not_migrated",
            format!("`{file}` cannot be migrated without loss: {reason}"),
        )
        .help("this is a fault of the host, not of the file; nothing was written")
        .into()
    }
}

/// The text of a document in today's form, with what was left out in comments.
fn printed(document: &Document, rewritten: &Rewritten, format: Format) -> String {
    let mut layout = Layout::of(document, format);
    let mut present = HashSet::new();
    keys_in(&rewritten.root, &mut present);
    if format != Format::Json {
        // What is left out of a section is not told in the block that all of them share.
        let shared = |root: &Node| {
            let mut keys = HashSet::new();
            root.get(global::NAME).iter().for_each(|(_, node)| keys_in(node, &mut keys));
            keys
        };
        let (old, new) = (shared(&document.root), shared(&rewritten.root));
        let lifted: HashSet<usize> = new.difference(&old).copied().collect();
        let targets = present.difference(&lifted).copied().collect();
        keep_orphans(&mut layout, &present, &targets, &rewritten.gone);
    }
    print::print(&rewritten.root, &layout)
}

fn told(gone: &Gone) -> String {
    let value = value::json_value(&gone.node.to_value());
    format!("`{}` ({value}): {}", gone.path, gone.why)
}

fn format_of(file: &Path) -> Format {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "json" => Format::Json,
        "toml" => Format::Toml,
        _ => Format::Yaml,
    }
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Toml => "toml",
        Format::Yaml => "yaml",
    }
}
