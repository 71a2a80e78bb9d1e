//! Token caches: what a source encodes to, built once and then mapped into memory.
//!
//! ```text
//! CACHE/tokens/KEY/meta.json        what it is and how much
//! CACHE/tokens/KEY/train/00000.bin  tokens, little-endian, 16 bits where the vocabulary allows
//! CACHE/tokens/KEY/val/00000.bin
//! CACHE/tokens/KEY.lock             held while it is built
//! ```
//!
//! The key is a hash of the files' contents, the tokenizer and every setting that changes the
//! tokens, so a cache is never stale: other data is another cache. It is built beside its place and
//! renamed, under a lock, so two runs at once build it once and a half-built one is never used.

mod build;
mod directory;
mod encode;
mod meta;
mod shards;
mod survey;
mod tokens;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sdk::{Error, PhaseContext, Result};
use tokenizer::Tokenizer;

use crate::source::{FileSet, TextInput};
pub(crate) use directory::cache_dir;
pub(crate) use meta::Meta;
pub(crate) use survey::survey;
pub(crate) use tokens::Tokens;

/// How often a lock that another process holds is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// A source's tokens and what is known about them.
#[derive(Clone, Debug)]
pub(crate) struct TokenCache {
    pub(crate) train: Tokens,
    pub(crate) val: Tokens,
    pub(crate) meta: Meta,
}

/// The tokens of the source `name`, from the cache where they are in it.
///
/// # Errors
/// When a file can't be read, nothing in it is usable, a text contains a marker of the tokenizer,
/// the cache can't be written, or the run was asked to stop.
pub(crate) fn open(
    name: &str,
    input: &TextInput,
    tokenizer: &Tokenizer,
    cache_dir: &Path,
    cx: &PhaseContext,
) -> Result<TokenCache> {
    let key = meta::key(name, input, tokenizer, cx)?;
    let place = cache_dir.join("tokens").join(&key);
    if let Ok(cache) = load(&place, tokenizer) {
        return Ok(cache);
    }
    let folder = cache_dir.join("tokens");
    fs::create_dir_all(&folder).map_err(|error| cant("making", &folder, &error))?;
    let _lock = lock(&folder.join(format!("{key}.lock")), cx)?;
    if place.exists() {
        // Another process may have built it since; if not, it is damaged.
        match load(&place, tokenizer) {
            Ok(cache) => return Ok(cache),
            Err(error) => log::warn!("source `{name}`: {error}; it is built again"),
        }
        fs::remove_dir_all(&place).map_err(|error| cant("removing", &place, &error))?;
    }
    let building = folder.join(format!("{key}.building"));
    if building.exists() {
        fs::remove_dir_all(&building).map_err(|error| cant("removing", &building, &error))?;
    }
    let built = build::build(name, &key, input, tokenizer, &building, cx).and_then(|()| {
        // The key is that of what was read before: what is read now must be the same.
        input.train.check_unchanged()?;
        input.val.iter().try_for_each(FileSet::check_unchanged)?;
        fs::rename(&building, &place).map_err(|error| cant("placing", &place, &error))
    });
    if built.is_err() {
        // It may be large, and nobody would ever use it. Whether this succeeds changes nothing:
        // the next build removes it too.
        drop(fs::remove_dir_all(&building));
    }
    built?;
    load(&place, tokenizer)
}

/// Maps a cache that is complete and of this tokenizer.
///
/// # Errors
/// With all missing parts, the parts of a wrong size, or the tokenizer that it was built with.
pub(crate) fn load(place: &Path, tokenizer: &Tokenizer) -> Result<TokenCache> {
    let meta = Meta::read(place)?;
    meta.check_tokenizer(tokenizer)?;
    meta.check_parts(place)?;
    let tokens = |split, n_tokens| {
        Tokens::map(&place.join(split), n_tokens, meta.width(), meta.shard_tokens)
            .map_err(|error| cant("mapping", place, &error))
    };
    let (train, val) = (tokens("train", meta.train_tokens)?, tokens("val", meta.val_tokens)?);
    Ok(TokenCache { train, val, meta })
}

/// Waits for a lock. It is let go when the file is closed, also by a process that dies.
fn lock(path: &Path, cx: &PhaseContext) -> Result<File> {
    let file = File::create(path).map_err(|error| cant("making", path, &error))?;
    let mut is_told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(cant("locking", path, &error)),
            Err(TryLockError::WouldBlock) => {}
        }
        if !std::mem::replace(&mut is_told, true) {
            log::info!("waiting for another process that builds `{}`", path.display());
        }
        cx.check_cancelled()?;
        thread::sleep(LOCK_PAUSE);
    }
}

fn cant(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::new("data::cache", format!("{doing} `{}`: {error}", path.display()))
        .at("data.cache_dir")
        .help("give `data.cache_dir` a folder that can be written, with space enough")
}

/// The file of a shard.
fn shard_path(folder: &Path, idx: usize) -> PathBuf {
    folder.join(format!("{idx:05}.bin"))
}

#[cfg(test)]
mod tests;
