//! From a request to a plan.
//!
//! The order of work: find the document, take it apart, send every override to its section, merge
//! the layers, check the result. A step that fails leaves its errors behind and the later ones do
//! what can still be done, so that one look shows all faults of all phases.

use super::check::{Subject, check, make_integers};
use super::document::{self, Document};
use super::error::{ConfigError, ConfigErrors, Pointer, alike, listed};
use super::inputs::{self, Input, Target};
use super::layers::{Layer, Layered};
use super::plan::{Plan, PlannedPhase};
use super::profile::{self, ProfileInfo, Profiles};
use super::refusals::unknown_phase;
use super::schema::Schema;
use super::shape::{Section, shape};
use super::shared::{self, Findings};
use super::upgrade::Log;
use super::{Catalogue, Request, elsewhere, extends, missing};

/// What legacy command lines call a run of several phases.
pub(super) const PIPELINE: &str = "pipeline";

/// Resolves a request against profiles that were already looked up.
pub(super) fn resolve(
    request: &Request,
    catalogue: &Catalogue,
    profiles: &Profiles,
) -> Result<Plan, ConfigErrors> {
    match survey(request, catalogue, profiles) {
        (Some(plan), errors) if errors.is_empty() => Ok(plan),
        (_, errors) => Err(ConfigErrors(errors)),
    }
}

/// What can be made of a request, faulty or not, and all its faults; nothing where no document
/// could be read.
pub(super) fn survey(
    request: &Request,
    catalogue: &Catalogue,
    profiles: &Profiles,
) -> (Option<Plan>, Vec<ConfigError>) {
    let mut resolver = Resolver::new(request, catalogue, profiles);
    let inputs = inputs::gather(request, &mut resolver.errors);
    let document = resolver.document();
    let plan = document.map(|(document, info)| resolver.run(&document, info, inputs));
    resolver.errors.iter_mut().for_each(|error| profiles.answer_old_name(error));
    resolver.errors.iter_mut().for_each(|error| missing::answer(error, profiles));
    elsewhere::answer(&mut resolver.errors, plan.as_ref(), catalogue);
    (plan, resolver.errors)
}

/// The same for a document that was read from the request's file, or will be written there.
pub(super) fn survey_document(
    document: &Document,
    request: &Request,
    catalogue: &Catalogue,
    profiles: &Profiles,
) -> (Option<Plan>, Vec<ConfigError>) {
    let mut resolver = Resolver::new(request, catalogue, profiles);
    let inputs = inputs::gather(request, &mut resolver.errors);
    let (info, mut errors) = profile::info(document, "");
    resolver.errors.append(&mut errors);
    let plan = resolver.run(document, info, inputs);
    resolver.errors.iter_mut().for_each(|error| profiles.answer_old_name(error));
    (Some(plan), resolver.errors)
}

struct Resolver<'a> {
    request: &'a Request,
    catalogue: &'a Catalogue,
    profiles: &'a Profiles,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
    /// Keys of earlier versions.
    log: Log,
}

impl<'a> Resolver<'a> {
    fn new(request: &'a Request, catalogue: &'a Catalogue, profiles: &'a Profiles) -> Self {
        let (errors, warnings, log) = (Vec::new(), Vec::new(), Log::default());
        Self { request, catalogue, profiles, errors, warnings, log }
    }

    fn run(&mut self, document: &Document, info: ProfileInfo, inputs: Vec<Input>) -> Plan {
        let phase = self.phase_of(document, &info);
        let mut shaped = shape(document, phase.as_deref(), self.catalogue);
        self.point_at_phase(document, &mut shaped.errors);
        let is_whole = shaped.errors.is_empty();
        self.errors.append(&mut shaped.errors);
        self.warnings.append(&mut shaped.warnings);
        self.check_names(&shaped.sections);
        self.check_phase(document, &info, &shaped.sections);

        let inputs = inputs::route(inputs, &shaped.sections, is_whole, &mut self.errors);
        let mut found = Findings { errors: &mut self.errors, warnings: &mut self.warnings };
        let (global, global_settings) = shared::merge(&shaped, &inputs, self.catalogue, &mut found);
        let mut phases = Vec::new();
        for (idx, section) in shaped.sections.iter().enumerate() {
            let own = inputs.iter().filter(|(target, _)| *target == Target::Section(idx));
            phases.extend(self.planned(section, own.map(|(_, input)| input)));
        }
        if phases.is_empty() && self.errors.is_empty() {
            self.errors.push(nothing_to_run(document));
        }
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.append(&mut std::mem::take(&mut self.log).warnings());
        let source = document.source.name.clone();
        // A faulty block has been reported; who surveys a faulty plan asks for its layers.
        let global = global.unwrap_or_default();
        Plan { profile: info, source, global, phases, warnings, global_settings }
    }

    fn document(&mut self) -> Option<(Document, ProfileInfo)> {
        match (&self.request.profile, &self.request.file) {
            (Some(name), None) => self.profile(name),
            (None, Some(path)) => match Document::read(path) {
                Ok(document) => {
                    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                    let (info, mut errors) = profile::info(&document, &stem);
                    self.errors.append(&mut errors);
                    Some((document, info))
                }
                Err(mut errors) => {
                    self.errors.append(&mut errors);
                    None
                }
            },
            (Some(_), Some(_)) => {
                self.errors.push(
                    ConfigError::new(
                        "config::contradiction",
                        "`--profile` and `--config` exclude each other",
                    )
                    .help("give one of them; a file can build on a profile with `extends`"),
                );
                None
            }
            (None, None) => {
                self.errors.push(
                    ConfigError::new(
                        "config::no_input",
                        "neither `--profile` nor `--config` says what to run",
                    )
                    .help("`host profiles list` shows the profiles"),
                );
                None
            }
        }
    }

    fn profile(&mut self, name: &str) -> Option<(Document, ProfileInfo)> {
        let Some(found) = self.profiles.find(name) else {
            self.errors.push(self.profiles.unknown(name));
            return None;
        };
        for hidden in &found.hides {
            self.warnings.push(format!(
                "profile `{}` from `{}` hides the one from `{hidden}`",
                found.info.name, found.place
            ));
        }
        match &found.document {
            Ok(document) => Some((document.clone(), found.info.clone())),
            Err(errors) => {
                self.errors.extend(errors.iter().cloned());
                None
            }
        }
    }

    /// The phase of a flat document, from the command line or the document itself.
    fn phase_of(&mut self, document: &Document, info: &ProfileInfo) -> Option<String> {
        let own = info.phase.as_deref();
        if let (Some(asked), Some(own)) = (&self.request.phase, own)
            && alike(asked) != alike(own)
        {
            self.errors.push(
                ConfigError::new(
                    "config::contradiction",
                    format!("`{}` is for phase `{own}`, not `{asked}`", document.source.name),
                )
                .at(Pointer::Input(format!("flag --phase {asked}")))
                .help("leave `--phase` out, or choose a profile of that phase"),
            );
        }
        let phase = own.or(self.request.phase.as_deref());
        phase.filter(|phase| *phase != PIPELINE).map(str::to_owned)
    }

    /// A flat document's phase is named outside of it; an unknown one is shown where it was named.
    fn point_at_phase(&self, document: &Document, errors: &mut [ConfigError]) {
        let at = self.phase_pointer(document);
        let unplaced = |error: &&mut ConfigError| {
            error.code == "config::unknown_phase" && error.location.is_none()
        };
        for error in errors.iter_mut().filter(unplaced) {
            error.location.clone_from(&at);
        }
    }

    /// Where the phase of the whole document was named.
    fn phase_pointer(&self, document: &Document) -> Option<Pointer> {
        let block = document.root.get(profile::BLOCK);
        match (block.and_then(|(_, block)| block.get("phase")), &self.request.phase) {
            (Some((_, node)), _) => document::pointer(&document.source, node.span),
            (None, Some(asked)) => Some(Pointer::Input(format!("flag --phase {asked}"))),
            (None, None) => None,
        }
    }

    /// Refuses instances that share a name.
    fn check_names(&mut self, sections: &[Section]) {
        for (idx, section) in sections.iter().enumerate() {
            if sections[..idx].iter().any(|other| alike(&other.name) == alike(&section.name)) {
                let message = format!("two sections are named `{}`", section.name);
                let at = document::pointer(&section.source, section.key);
                let error = ConfigError::new("config::duplicate_phase", message);
                self.errors.push(error.at(at).key(&section.name));
            }
        }
    }

    /// Refuses a phase named for the whole document when sections are of another.
    fn check_phase(&mut self, document: &Document, info: &ProfileInfo, sections: &[Section]) {
        let named = info.phase.as_deref().or(self.request.phase.as_deref());
        let Some(named) = named.filter(|named| *named != PIPELINE) else { return };
        let is_other = |section: &Section| alike(&section.phase) != alike(named);
        if !self.errors.is_empty() || !sections.iter().any(is_other) {
            return;
        }
        let error = if self.catalogue.phase(named).is_none() {
            unknown_phase(self.catalogue, named)
        } else {
            let phases = listed(sections.iter().map(|section| section.name.as_str()));
            let file = &document.source.name;
            let message = format!("phase `{named}` is asked for, but `{file}` runs {phases}");
            ConfigError::new("config::contradiction", message).help(
                "name no phase for a file with sections; `--from` and `--until` choose a part of them",
            )
        };
        self.errors.push(error.at(self.phase_pointer(document)));
    }

    /// Merges and checks one section.
    fn planned<'i>(
        &mut self,
        section: &Section,
        inputs: impl Iterator<Item = &'i Input>,
    ) -> Option<PlannedPhase> {
        let known = self.catalogue.phase(&section.phase)?;
        let view = Schema::new(&known.schema);
        let mut settings = Layered::default();
        match extends::bases(section, self.catalogue, self.profiles, &mut self.warnings) {
            Ok(bases) => {
                for base in &bases {
                    settings.apply(&base.node, &base.origin(Layer::Extends), view);
                    self.log.add_section(base);
                }
            }
            Err(errors) => self.errors.extend(errors),
        }
        settings.apply(&section.node, &section.origin(Layer::File), view);
        self.log.add_section(section);
        for input in inputs {
            let errors = input.apply_to(&mut settings, &section.name, known, &mut self.log);
            self.errors.extend(errors);
        }
        make_integers(settings.value_mut(), &view.top());
        self.errors.extend(check(Subject {
            name: &section.name,
            schema: &known.schema,
            settings: &settings,
        }));
        Some(PlannedPhase {
            name: section.name.clone(),
            phase: known.phase.clone(),
            plugin: known.plugin.clone(),
            section: settings.value().clone(),
            settings,
        })
    }
}

fn nothing_to_run(document: &Document) -> ConfigError {
    ConfigError::new("config::no_phases", format!("`{}` has no phase to run", document.source.name))
        .help("add a section named after a phase")
}
