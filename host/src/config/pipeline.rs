//! Pipeline documents: `{"PHASE_config_path": FILE, …}`, one flat file per phase, in file order.

use std::path::{Path, PathBuf};

use super::document::{Document, Node, pointer};
use super::error::{ConfigError, alike};
use super::layers::Layer;
use super::profile;
use super::refusals::{unknown_phase, wrong_type};
use super::shape::{Section, Shaper, shape_part_or_whole};
use super::source::{Source, Span};
use super::within;

pub(super) const FILE_SUFFIX: &str = "_config_path";

impl Shaper<'_> {
    /// Whether a document points at files for phases; a phase's own key of such a name does not.
    pub(super) fn is_pipeline(&self, root: &Node, phase: Option<&str>) -> bool {
        let own_keys = self.own_keys(phase);
        root.entries().iter().any(|(key, node)| {
            let stem = key.text.strip_suffix(FILE_SUFFIX);
            let points = |stem| self.catalogue.phase(stem).is_some() || node.as_str().is_some();
            stem.is_some_and(points) && !own_keys.contains(&key.text.as_str())
        })
    }

    /// Takes a pipeline document apart.
    pub(super) fn pipeline(&mut self, root: &Node) {
        for (key, node) in root.entries() {
            let at_key = pointer(self.source, key.span);
            let Some(phase) = key.text.strip_suffix(FILE_SUFFIX) else {
                let known = self
                    .catalogue
                    .phases
                    .iter()
                    .map(|known| format!("`{}{FILE_SUFFIX}`", known.phase));
                let expected: Vec<String> = known.collect();
                self.shaped.errors.push(
                    ConfigError::new(
                        "config::unknown_key",
                        format!("unknown key `{}` beside `…{FILE_SUFFIX}`", key.text),
                    )
                    .at(at_key)
                    .key(&key.text)
                    .expected(format!("`global`, {}", expected.join(", "))),
                );
                continue;
            };
            if self.catalogue.phase(phase).is_none() {
                self.shaped
                    .errors
                    .push(unknown_phase(self.catalogue, phase).at(at_key).key(&key.text));
                continue;
            }
            let Some(file) = node.as_str() else {
                self.shaped.errors.push(wrong_type(self.source, node, "a file").key(&key.text));
                continue;
            };
            self.part(phase, file, node.span, &key.text);
        }
    }

    /// Adds the section of one phase from the file that a pipeline document points at.
    fn part(&mut self, phase: &str, file: &str, span: Option<Span>, key: &str) {
        let at = pointer(self.source, span);
        let path = beside(self.source, file);
        if let Err(error) = within::check(&path, self.source, &self.catalogue.profile_dirs) {
            return self.shaped.errors.push(error.at(at).key(key));
        }
        let document = match Document::read(&path) {
            Ok(document) => document,
            Err(errors) => {
                let errors = errors.into_iter().map(|error| match &error.location {
                    Some(_) => error,
                    None => error.at(at.clone()).key(key),
                });
                return self.shaped.errors.extend(errors);
            }
        };
        let (info, mut errors) = profile::info(&document, "");
        if let Some(other) = info.phase.filter(|other| alike(other) != alike(phase)) {
            errors.push(
                ConfigError::new(
                    "config::contradiction",
                    format!("`{file}` is for phase `{other}`, not `{phase}`"),
                )
                .at(at.clone())
                .key(key),
            );
        }
        let mut part = shape_part_or_whole(&document, Some(phase), self.catalogue, true);
        let is_phase = |section: &&Section| alike(&section.phase) == alike(phase);
        if part.errors.is_empty()
            && (part.sections.len() != 1 || part.sections.iter().all(|section| !is_phase(&section)))
        {
            errors.push(
                ConfigError::new(
                    "config::contradiction",
                    format!("`{file}` is not a file of phase `{phase}` alone"),
                )
                .at(at)
                .key(key),
            );
        }
        // A part's own `global` counts as its file's, below the one of the pipeline document.
        part.globals.iter_mut().for_each(|(_, origin)| origin.layer = Layer::File);
        self.shaped.globals.append(&mut part.globals);
        self.shaped.lifted.append(&mut part.lifted);
        self.shaped.sections.append(&mut part.sections);
        self.shaped.warnings.append(&mut part.warnings);
        self.shaped.errors.append(&mut errors);
        self.shaped.errors.append(&mut part.errors);
    }
}

/// A path in a document: as it is from the working directory, else from the document's directory.
fn beside(source: &Source, file: &str) -> PathBuf {
    let path = PathBuf::from(file);
    let near = Path::new(&source.name).parent().map(|parent| parent.join(file));
    match near {
        Some(near) if !path.exists() && near.exists() => near,
        _ => path,
    }
}
