//! Writes tokens into files of bounded size.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::shard_path;

/// Tokens in a shard; the last one of a split has fewer.
pub(super) const SHARD_TOKENS: usize = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;

/// How a token lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    U16,
    U32,
}

impl Width {
    /// The narrowest for a vocabulary.
    pub(super) fn of(vocab_size: usize) -> Self {
        if vocab_size <= 1 << 16 { Self::U16 } else { Self::U32 }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }

    /// The name in `meta.json`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::U16 => "uint16-le",
            Self::U32 => "uint32-le",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::U16, Self::U32].into_iter().find(|width| width.name() == name)
    }
}

/// Writes one split.
pub(super) struct ShardWriter {
    folder: PathBuf,
    width: Width,
    shard_tokens: usize,
    n_tokens: usize,
    open: Option<BufWriter<File>>,
}

impl ShardWriter {
    /// A writer into a new folder.
    pub(super) fn create(folder: PathBuf, width: Width, shard_tokens: usize) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, width, shard_tokens, n_tokens: 0, open: None })
    }

    pub(super) fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Appends tokens, over as many shards as it takes.
    pub(super) fn push(&mut self, mut tokens: &[u32]) -> io::Result<()> {
        while !tokens.is_empty() {
            let in_shard = self.n_tokens % self.shard_tokens;
            if in_shard == 0 {
                self.next_shard()?;
            }
            let n = tokens.len().min(self.shard_tokens - in_shard);
            self.write(&tokens[..n])?;
            self.n_tokens += n;
            tokens = &tokens[n..];
        }
        Ok(())
    }

    fn write(&mut self, tokens: &[u32]) -> io::Result<()> {
        let Some(file) = &mut self.open else { return Ok(()) };
        for token in tokens {
            let bytes = token.to_le_bytes();
            file.write_all(&bytes[..self.width.bytes()])?;
        }
        Ok(())
    }

    fn next_shard(&mut self) -> io::Result<()> {
        self.end_shard()?;
        let path = shard_path(&self.folder, self.n_tokens / self.shard_tokens);
        self.open = Some(BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?));
        Ok(())
    }

    fn end_shard(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        open.into_inner()?.sync_all()
    }

    /// Writes out what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.end_shard()
    }
}
