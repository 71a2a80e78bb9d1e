//! From a section to a library: what can be checked before anything starts, and the reading.

use std::path::{Path, PathBuf};

use sdk::{Error, Result};

use super::config::{LibraryConfig, SpectraSource};
use super::csv::read_csv;
use super::envi::{Cube, EnviLibrary};
use super::library::Library;
use super::material::Materials;
use super::missing::Markers;
use super::pixels;
use super::spectrum::Spectrum;
use super::split::{SplitRule, VAL_FRACTION_MAX};

/// Extensions of cubes' data files.
pub(super) const CUBES: [&str; 5] = ["img", "dat", "bsq", "bil", "bip"];

impl LibraryConfig {
    /// Checks what the schema can't: that files are there, that headers are sound and fit their
    /// data, that the pattern of materials is one. `key` is where this stands in the section.
    ///
    /// Every fault found, with its key.
    pub fn check(&self, key: &str) -> Vec<Error> {
        let mut faults = Vec::new();
        if let Err(error) = self.materials.compiled() {
            faults.push(below(&format!("{key}.materials"), "pattern", error));
        }
        faults.extend(check_fraction(&self.split, key));
        if self.sources.is_empty() {
            let error = Error::new("spectral::no_source", "there are no spectra to read");
            faults.push(error.at(format!("{key}.sources")).help(
                "give a source, such as `{\"lab\": {\"kind\": \"envi\", \"path\": \"lab.sli\"}}`",
            ));
        }
        for (name, source) in &self.sources {
            let at = format!("{key}.sources.{name}");
            faults.extend(source.check().into_iter().map(|error| below(&at, "path", error)));
        }
        faults
    }

    /// Reads all sources into one library, in the order of their names and files.
    ///
    /// # Errors
    /// When a file is missing or faulty, at its key below `key`.
    pub fn load(&self, key: &str) -> Result<Library> {
        let materials = self.materials.compiled();
        let materials = materials.map_err(|e| below(&format!("{key}.materials"), "pattern", e))?;
        let mut library = Library::default();
        for (name, source) in &self.sources {
            let spectra = source.read(&materials);
            let at = format!("{key}.sources.{name}");
            library.extend(spectra.map_err(|error| below(&at, "path", error))?);
        }
        Ok(library)
    }

    /// The spectra to train on and those held back.
    ///
    /// # Errors
    /// When one side is empty, though a part is to be held back, at its key below `key`.
    pub fn split(&self, library: Library, key: &str) -> Result<(Library, Library)> {
        let n_materials = library.materials().len();
        let (train, val) = library.split(&self.split);
        let side = match (train.is_empty(), val.is_empty()) {
            (true, _) => "no spectra to train on",
            (_, true) if self.split.val_fraction > 0.0 => "no spectra to hold back",
            _ => return Ok((train, val)),
        };
        let message = format!("the split leaves {side}; materials in all: {n_materials}");
        let help =
            "set another `val_fraction` or `val_seed`, or have `materials` tell more of them apart";
        Err(Error::new("spectral::split", message).at(format!("{key}.split")).help(help))
    }
}

/// What is wrong with the part that a split holds back, if anything is.
pub(super) fn check_fraction(split: &SplitRule, key: &str) -> Option<Error> {
    let fraction = split.val_fraction;
    if (0.0..=VAL_FRACTION_MAX).contains(&fraction) {
        return None;
    }
    let message =
        format!("the part held back must be from 0 to {VAL_FRACTION_MAX}, not {fraction}");
    let error = Error::new("spectral::val_fraction", message);
    Some(error.at(format!("{key}.split.val_fraction")))
}

/// An error about a setting below `at`: the one that it names, else `setting`.
fn below(at: &str, setting: &str, error: Error) -> Error {
    let setting = error.path.clone().unwrap_or_else(|| setting.to_owned());
    error.at(format!("{at}.{setting}"))
}

impl SpectraSource {
    fn files(&self) -> Result<Vec<PathBuf>> {
        match self {
            Self::Envi(source) => source.path.files(&["sli"]),
            Self::Csv(source) => source.path.files(&["csv", "tsv"]),
            Self::Cube(source) => source.path.files(&CUBES),
        }
    }

    /// Looks at files and headers.
    fn check(&self) -> Vec<Error> {
        let files = match self.files() {
            Ok(files) => files,
            Err(error) => return vec![error],
        };
        files.iter().filter_map(|file| self.check_file(file).err()).collect()
    }

    fn check_file(&self, file: &Path) -> Result<()> {
        match self {
            Self::Envi(source) => EnviLibrary::check(file, source.unit),
            Self::Cube(source) => pixels::check(file, source),
            Self::Csv(_) => Ok(()),
        }
    }

    fn read(&self, materials: &Materials) -> Result<Vec<Spectrum>> {
        let mut spectra = Vec::new();
        for file in self.files()? {
            spectra.extend(self.read_file(&file, materials)?);
        }
        Ok(spectra)
    }

    fn read_file(&self, file: &Path, materials: &Materials) -> Result<Vec<Spectrum>> {
        match self {
            Self::Envi(source) => {
                let library = EnviLibrary::read(file, &Markers::new(&source.missing))?;
                library.spectra(source.unit, materials)
            }
            Self::Csv(source) => {
                read_csv(file, &source.form(), &Markers::new(&source.missing), materials)
            }
            Self::Cube(source) => {
                let cube = Cube::open(file, &Markers::new(&source.missing))?;
                pixels::spectra(&cube, source)
            }
        }
    }
}
