//! One split's tokens as one stream, in memory or mapped.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use super::shard_path;
use super::shards::Width;

/// A stream of tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Tokens {
    /// Of a source that is never written down.
    Memory(Arc<[u32]>),
    /// Of a cache.
    Mapped(Arc<Shards>),
}

/// Mapped files, each but the last with `shard_tokens` tokens.
#[derive(Debug)]
pub(crate) struct Shards {
    maps: Vec<Mmap>,
    width: Width,
    shard_tokens: usize,
    n_tokens: usize,
}

impl Tokens {
    /// Maps the shards of a folder, which [`super::Meta::check_parts`] has found whole.
    pub(super) fn map(
        folder: &Path,
        n_tokens: usize,
        width: Width,
        shard_tokens: usize,
    ) -> io::Result<Self> {
        let map = |idx| {
            let file = File::open(shard_path(folder, idx))?;
            // SAFETY: a cache is never written after it is renamed to its place, only unlinked,
            // which leaves a mapping as it is.
            unsafe { Mmap::map(&file) }
        };
        let n_shards = n_tokens.div_ceil(shard_tokens);
        let maps = (0..n_shards).map(map).collect::<io::Result<_>>()?;
        Ok(Self::Mapped(Arc::new(Shards { maps, width, shard_tokens, n_tokens })))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Memory(tokens) => tokens.len(),
            Self::Mapped(shards) => shards.n_tokens,
        }
    }

    /// Memory that they take; mapped ones take what the system can spare.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Memory(tokens) => size_of_val(&**tokens),
            Self::Mapped(_) => 0,
        }
    }

    /// `n` tokens from `start` on, over the bounds of shards.
    ///
    /// # Panics
    /// When there are fewer.
    pub(crate) fn window(&self, start: usize, n: usize) -> Vec<u32> {
        assert!(start + n <= self.len(), "a window lies inside its stream");
        match self {
            Self::Memory(tokens) => tokens[start..start + n].to_vec(),
            Self::Mapped(shards) => (start..start + n).map(|idx| shards.token(idx)).collect(),
        }
    }
}

impl Shards {
    fn token(&self, idx: usize) -> u32 {
        let map = &self.maps[idx / self.shard_tokens];
        let at = idx % self.shard_tokens * self.width.bytes();
        match self.width {
            Width::U16 => u32::from(u16::from_le_bytes([map[at], map[at + 1]])),
            Width::U32 => u32::from_le_bytes([map[at], map[at + 1], map[at + 2], map[at + 3]]),
        }
    }
}
