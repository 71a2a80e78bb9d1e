//! Which phases there are, whichever way their plugins came.
//!
//! One registry over plugins in libraries and plugins linked into the host (`bundled`). Nothing
//! here knows a trainer by name.

mod client;
mod dynamic;
mod elf;
mod file_hash;
mod reserved;
mod search;

use std::collections::BTreeMap;
use std::path::PathBuf;

use sdk::abi::PluginRoot_Ref;
use sdk::{Error, PhaseDescription, PluginDescription};

pub use client::{HostServices, PhaseClient, PhaseSpec, Prepared, SharedArtifact};
pub use file_hash::FileHash;
use reserved::reserved_key;
pub use search::{SearchPath, user_config_dir};

/// Where a plugin came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A library file and its BLAKE3 hash.
    Library {
        /// The file.
        path: PathBuf,
        /// Hash of its bytes.
        blake3: FileHash,
    },
    /// Linked into this host.
    Bundled,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Library { path, .. } => write!(f, "{}", path.display()),
            Self::Bundled => f.write_str("bundled"),
        }
    }
}

/// One plugin crate with its phases.
pub struct Plugin {
    /// Crate name.
    pub name: String,
    /// Crate version.
    pub version: String,
    /// Crate description.
    pub description: String,
    /// Where it came from.
    pub source: Source,
    /// What its library says of itself.
    pub library: PluginDescription,
    /// Its phases, by name.
    pub phases: Vec<PhaseDescription>,
    root: PluginRoot_Ref,
}

/// A file that was not taken as a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// Why, on one line.
    pub reason: String,
}

/// Plugins and phases of this process.
#[derive(Default)]
pub struct Registry {
    /// Plugins by name.
    pub plugins: Vec<Plugin>,
    /// Files that were refused.
    pub refused: Vec<Refused>,
    /// Phases that two plugins claim: neither is used.
    pub conflicts: Vec<String>,
    /// Things worth a word that change nothing.
    pub notes: Vec<String>,
    /// Where plugins were looked for.
    pub search: SearchPath,
}

impl Registry {
    /// Finds and loads every plugin of the search path, and those linked in.
    pub fn discover() -> Self {
        let search = SearchPath::of_process();
        let mut registry = Self::default();
        registry.add_bundled();
        for path in search.candidates() {
            registry.add_file(path);
        }
        registry.search = search;
        registry.finish();
        registry
    }

    /// Loads one file.
    ///
    /// # Errors
    /// A one-line reason.
    pub fn from_file(path: PathBuf) -> Result<Self, String> {
        let mut registry = Self::default();
        registry.add_file(path);
        registry.finish();
        match registry.refused.pop() {
            Some(refused) => Err(refused.reason),
            None => Ok(registry),
        }
    }

    fn add_bundled(&mut self) {
        #[cfg(feature = "bundled")]
        {
            use bundled as _; // the linker drops the plugins' registrations without this
            let root = sdk::abi::root_module();
            match dynamic::describe(root) {
                Ok(library) => self.add_library(&Source::Bundled, &library, root),
                Err(reason) => self.notes.push(format!("bundled plugins: {reason}")),
            }
        }
    }

    fn add_file(&mut self, path: PathBuf) {
        match dynamic::load(&path) {
            Ok(loaded) => {
                let source = Source::Library { path, blake3: loaded.blake3 };
                self.add_library(&source, &loaded.description, loaded.root);
            }
            Err(reason) => self.refused.push(Refused { path, reason }),
        }
    }

    /// Sorts the phases of a library to the plugin crates that registered them.
    fn add_library(&mut self, source: &Source, library: &PluginDescription, root: PluginRoot_Ref) {
        let mut by_plugin: BTreeMap<(String, String), Vec<PhaseDescription>> = BTreeMap::new();
        for phase in &library.phases {
            by_plugin
                .entry((phase.plugin.clone(), phase.version.clone()))
                .or_default()
                .push(phase.clone());
        }
        if by_plugin.is_empty() {
            self.refuse(source, "it registers no trainer".to_owned());
        }
        for ((name, version), phases) in by_plugin {
            if let Some(reason) = phases.iter().find_map(refuse_phase) {
                self.refuse(source, reason);
                continue;
            }
            let known = self.plugins.iter().find(|p| p.name == name && p.version == version);
            if let Some(known) = known {
                self.notes.push(format!(
                    "plugin `{name}` {version} from {source} is there already, from {}",
                    known.source
                ));
                continue;
            }
            let description = phases.first().map(|p| p.description.clone()).unwrap_or_default();
            let (source, library) = (source.clone(), library.clone());
            self.plugins.push(Plugin { name, version, description, source, library, phases, root });
        }
    }

    fn refuse(&mut self, source: &Source, reason: String) {
        match source {
            Source::Library { path, .. } => {
                self.refused.push(Refused { path: path.clone(), reason });
            }
            Source::Bundled => self.notes.push(format!("bundled plugins: {reason}")),
        }
    }

    /// Sorts by name and finds phases that two plugins claim.
    fn finish(&mut self) {
        self.plugins.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        let mut owners: BTreeMap<&str, Vec<&Plugin>> = BTreeMap::new();
        for plugin in &self.plugins {
            for phase in &plugin.phases {
                owners.entry(&phase.phase).or_default().push(plugin);
            }
        }
        self.conflicts = owners
            .iter()
            .filter(|(_, plugins)| plugins.len() > 1)
            .map(|(phase, plugins)| {
                let named: Vec<String> = plugins
                    .iter()
                    .map(|p| format!("plugin `{}` {} ({})", p.name, p.version, p.source))
                    .collect();
                format!("phase `{phase}` is registered by {}", named.join(" and by "))
            })
            .collect();
    }

    /// The plugin and description of every phase that one plugin alone registers.
    pub fn phases(&self) -> impl Iterator<Item = (&Plugin, &PhaseDescription)> {
        self.plugins
            .iter()
            .flat_map(|plugin| plugin.phases.iter().map(move |phase| (plugin, phase)))
            .filter(|(_, phase)| self.conflict(&phase.phase).is_none())
    }

    /// What is wrong with `phase`, when two plugins claim it.
    pub fn conflict(&self, phase: &str) -> Option<&str> {
        let start = format!("phase `{phase}` ");
        self.conflicts.iter().find(|conflict| conflict.starts_with(&start)).map(String::as_str)
    }

    /// The phase of this name and its plugin.
    pub fn find(&self, phase: &str) -> Option<(&Plugin, &PhaseDescription)> {
        self.phases().find(|(_, description)| description.phase == phase)
    }

    /// Creates a phase object.
    ///
    /// # Errors
    /// When no plugin registers the phase, or the plugin refuses its section.
    pub fn create(&self, phase: &str, spec: &PhaseSpec<'_>) -> Result<PhaseClient, Error> {
        let (plugin, _) = self.find(phase).ok_or_else(|| {
            Error::new("plugin::no_phase", format!("no plugin registers phase `{phase}`"))
        })?;
        PhaseClient::create(plugin.root, &plugin.name, phase, spec)
    }
}

/// Why a phase can't be taken: a section that claims keys of the host's.
fn refuse_phase(phase: &PhaseDescription) -> Option<String> {
    let key = reserved_key(&phase.schema)?;
    Some(format!(
        "plugin `{}`: the section of phase `{}` has a key `{key}`, which belongs to `global`",
        phase.plugin, phase.phase
    ))
}
