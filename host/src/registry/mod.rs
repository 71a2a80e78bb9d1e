//! Which phases there are, whichever way their plugins came.
//!
//! One registry over plugins in libraries and plugins linked into the host (`bundled`). Nothing
//! here knows a trainer by name.

mod cache;
mod dynamic;
mod elf;
mod examine;
mod file_checks;
mod library;
mod metadata;
mod reserved;
mod search;
mod store;
#[cfg_attr(not(unix), path = "no_surroundings.rs")]
mod surroundings;
mod trust;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::read::ReadCache;
use sdk::metadata::PluginRecord;
use sdk::{Error, PhaseDescription, PluginDescription};

use crate::atomic_write::reason;
use cache::Cache;
pub use cache::blake3_of;
pub use examine::{how as process_end, perform as perform_examination, signal_of};
pub use file_checks::check_file;
pub use library::Library;
pub use sdk::abi::{HostServices, PhaseClient, PhaseSpec, Prepared, SharedArtifact};
pub use search::{SearchPath, user_config_dir};
pub use store::{Added, Locked, LockedSection, Store, library_name};
pub use surroundings::Surroundings;
pub use trust::Trust;

/// Where a plugin came from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A library file.
    Library(Arc<Library>),
    /// Linked into this host.
    Bundled,
}

impl Source {
    /// The library's file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Library(library) => Some(library.path()),
            Self::Bundled => None,
        }
    }

    /// Hash of the library's bytes.
    pub fn blake3(&self) -> Option<&str> {
        match self {
            Self::Library(library) => library.blake3(),
            Self::Bundled => None,
        }
    }

    /// What `host plugins check` found, when it looked at this very file.
    pub fn level(&self) -> Option<&str> {
        match self {
            Self::Library(library) => library.level(),
            Self::Bundled => None,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Library(library) => write!(f, "{}", library.path().display()),
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
    /// Finds every plugin of the search path, and those linked in. None of them is loaded: what was
    /// not known of a library is found out in a process of its own.
    pub fn discover() -> Self {
        let (search, cache) = (SearchPath::of_process(), Cache::of_user());
        let mut registry = Self::default();
        registry.add_bundled();
        for candidate in search.candidates() {
            match candidate.library(&cache) {
                Ok(library) => registry.add_file(Arc::new(library)),
                Err(reason) => registry.refused.push(Refused { path: candidate.path, reason }),
            }
        }
        registry.search = search;
        registry.finish();
        registry
    }

    /// The registry of one library that can be used.
    fn of_library(library: Library) -> Self {
        let mut registry = Self::default();
        registry.add_file(Arc::new(library));
        registry.finish();
        registry
    }

    /// Keeps what `host plugins check` found of the libraries in this registry.
    pub fn keep_level(&self, level: Option<&str>) {
        for plugin in &self.plugins {
            if let Source::Library(library) = &plugin.source {
                library.set_level(&Cache::of_user(), level.map(str::to_owned));
            }
        }
    }

    fn add_bundled(&mut self) {
        #[cfg(feature = "bundled")]
        {
            use bundled as _; // the linker drops the plugins' registrations without this
            match dynamic::describe(sdk::abi::root_module()) {
                Ok(library) => self.add_library(&Source::Bundled, &library),
                Err(reason) => self.notes.push(format!("bundled plugins: {reason}")),
            }
        }
    }

    fn add_file(&mut self, library: Arc<Library>) {
        if let Some(description) = library.description().cloned() {
            self.add_library(&Source::Library(library), &description);
        }
    }

    /// Sorts the phases of a library to the plugin crates that registered them.
    fn add_library(&mut self, source: &Source, library: &PluginDescription) {
        let mut by_plugin: BTreeMap<(String, String), Vec<PhaseDescription>> = BTreeMap::new();
        for phase in &library.phases {
            by_plugin
                .entry((phase.plugin.clone(), phase.version.clone()))
                .or_default()
                .push(phase.clone());
        }
        for ((name, version), phases) in by_plugin {
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
            self.plugins.push(Plugin { name, version, description, source, library, phases });
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
        let root = match &plugin.source {
            Source::Bundled => sdk::abi::root_module(),
            Source::Library(library) => library.root().map_err(|reason| {
                let message = format!("plugin `{}` can't be loaded: {reason}", plugin.name);
                Error::new("plugin::load", message)
            })?,
        };
        PhaseClient::create(root, &plugin.name, phase, spec)
    }
}

/// Loads a library into this process, which is there for nothing else.
///
/// # Errors
/// A one-line reason.
pub fn load_root(path: &Path) -> Result<sdk::abi::PluginRoot_Ref, String> {
    Ok(dynamic::load_root(path)?.1)
}

/// What a file says of its trainers, and whether this host would load it; its code never runs.
///
/// # Errors
/// A one-line reason when it is no plugin library, of whatever machine.
pub fn inspect(path: &Path) -> Result<Inspected, String> {
    let unreadable = |e: &std::io::Error| format!("can't be read: {}", reason(e));
    let file = File::open(path).map_err(|e| unreadable(&e))?;
    let records = metadata::read(&ReadCache::new(&file))?;
    let refusal = dynamic::look(&file).err();
    let blake3 = blake3_of(path).map_err(|e| e.to_string())?;
    Ok(Inspected { records, refusal, blake3 })
}

/// A library file, as far as it can be known without running it.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Its trainers.
    pub records: Vec<PluginRecord>,
    /// Why this host would not load it.
    pub refusal: Option<String>,
    /// Hash of its bytes.
    pub blake3: String,
}
