//! The hash of a library, taken when somebody asks for it.
//!
//! Libraries are large, and most commands never look at the hash: reading all of a library would be
//! most of the time in which a mistyped configuration is answered. The file stays open from before
//! it is loaded, so that the hash is that of the file that was loaded, whatever its name means later.

use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A file and the BLAKE3 hash of its bytes.
#[derive(Clone, Debug)]
pub struct FileHash(Arc<Lazy>);

#[derive(Debug)]
struct Lazy {
    file: File,
    hex: OnceLock<Option<String>>,
}

impl FileHash {
    /// Opens a file.
    ///
    /// # Errors
    /// When it can't be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, hex) = (File::open(path)?, OnceLock::new());
        Ok(Self(Arc::new(Lazy { file, hex })))
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.0.file
    }

    /// The hash in hexadecimal digits; nothing when the file can't be read any more.
    pub fn hex(&self) -> Option<&str> {
        self.0.hex.get_or_init(|| hash(&self.0.file).ok()).as_deref()
    }
}

impl PartialEq for FileHash {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.hex() == other.hex()
    }
}

impl Eq for FileHash {}

fn hash(mut file: &File) -> io::Result<String> {
    file.rewind()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_file_that_was_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lib.so");
        fs::write(&path, "one").unwrap();
        let opened = FileHash::open(&path).unwrap();
        fs::rename(&path, directory.path().join("old.so")).unwrap();
        fs::write(&path, "two").unwrap();
        assert_eq!(opened.hex(), Some(&*blake3::hash(b"one").to_hex()));
        assert_ne!(opened, FileHash::open(&path).unwrap());
    }
}
