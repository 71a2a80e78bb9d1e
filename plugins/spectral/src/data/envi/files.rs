//! The two files of an ENVI data set: its header and its data, found from either.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sdk::{Error, Result};

use super::header::Header;

/// Extensions that the data file beside a header may have; the first is none.
const DATA_EXTENSIONS: [&str; 8] = ["", "sli", "img", "dat", "raw", "bsq", "bil", "bip"];

/// An ENVI data set that was opened: its header, and its data file, whose size fits it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) header: Header,
    pub(super) data: File,
    /// The data file.
    pub(super) path: PathBuf,
}

impl Opened {
    /// Opens the data set that `path` names: its header or its data file.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let (header, data) = pair(path)?;
        let header = Header::read(&header)?;
        let file = File::open(&data).map_err(|error| unread(&data, &error))?;
        check_size(&header, &file, &data)?;
        Ok(Self { header, data: file, path: data })
    }
}

/// What can't be read, and why.
pub(super) fn unread(path: &Path, error: &std::io::Error) -> Error {
    Error::new("spectral::read", format!("reading `{}`: {error}", path.display()))
}

/// Header and data file.
fn pair(path: &Path) -> Result<(PathBuf, PathBuf)> {
    if !path.is_file() {
        return Err(Error::new("spectral::missing", format!("no such file: `{}`", path.display())));
    }
    let is_header = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("hdr"));
    let candidates = if is_header { data_files(path) } else { headers(path) };
    let found = candidates.iter().find(|candidate| candidate.is_file()).cloned();
    match (found, is_header) {
        (Some(data), true) => Ok((path.to_owned(), data)),
        (Some(header), false) => Ok((header, path.to_owned())),
        (None, _) => Err(alone(path, is_header, &candidates)),
    }
}

/// Where the data of a header may be: `a.hdr` belongs to `a`, `a.sli`, `a.img` and others.
fn data_files(header: &Path) -> Vec<PathBuf> {
    let cases = DATA_EXTENSIONS.iter().flat_map(|e| [(*e).to_owned(), e.to_uppercase()]);
    let mut files: Vec<PathBuf> = cases.map(|e| header.with_extension(e)).collect();
    files.dedup();
    files
}

/// Where the header of a data file may be: `a.img` has `a.img.hdr` or `a.hdr`.
fn headers(data: &Path) -> Vec<PathBuf> {
    let both = |end| [data.with_added_extension(end), data.with_extension(end)];
    ["hdr", "HDR"].into_iter().flat_map(both).collect()
}

fn alone(path: &Path, is_header: bool, candidates: &[PathBuf]) -> Error {
    let names = candidates.iter().filter(|c| c.extension().is_none_or(|e| !is_upper(e)));
    let names: Vec<String> =
        names.filter_map(|c| Some(format!("`{}`", c.file_name()?.display()))).collect();
    let other = if is_header { "data file" } else { "header" };
    let message = format!("no {other} beside `{}`", path.display());
    Error::new("spectral::missing", message).help(format!("looked for {}", names.join(", ")))
}

fn is_upper(extension: &OsStr) -> bool {
    extension.to_str().is_some_and(|e| e.chars().any(char::is_uppercase))
}

/// A file that is shorter was cut; one that is longer has numbers of another type, another size, or
/// begins later.
fn check_size(header: &Header, file: &File, path: &Path) -> Result<()> {
    let expected = header.data_bytes().unwrap_or(u64::MAX);
    let found = file.metadata().map_err(|error| unread(path, &error))?.len();
    if found == expected {
        return Ok(());
    }
    let sizes = format!(
        "{} samples × {} lines × {} bands × {} bytes + {} bytes of offset",
        header.n_samples,
        header.n_lines,
        header.n_bands,
        header.sample_type.n_bytes(),
        header.header_offset
    );
    let (data, header) = (path.display(), &header.file);
    let message = format!("`{data}` has {found} bytes, but `{header}` says {expected}: {sizes}");
    let help = if found < expected {
        "is the file whole, and `data type` right?"
    } else {
        "check `data type`, `header offset` and the sizes"
    };
    Err(Error::new("spectral::envi_size", message).help(help))
}

/// Fills `buffer` from a byte of the file on.
pub(super) fn read_at(file: &File, path: &Path, buffer: &mut [u8], at: u64) -> Result<()> {
    file.read_exact_at(buffer, at).map_err(|error| unread(path, &error))
}
