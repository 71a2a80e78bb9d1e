//! How often each word occurs.

use std::collections::BTreeMap;

use sdk::Result;

use crate::words::{Pattern, Words};

/// Words with how often they occur, in the order of the words.
pub(super) type Counts = BTreeMap<String, u64>;

/// How much text is read: the trainers count in 32 bits.
const TEXT_BYTES_MAX: u64 = i32::MAX as u64;
/// How often progress is told.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Counts the words of the first 2 GB of text.
pub(super) fn count(
    pattern: Pattern,
    texts: &mut dyn Iterator<Item = String>,
    progress: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Counts> {
    let words = Words::new(pattern)?;
    let mut counts = Counts::new();
    let (mut n_bytes, mut told) = (0, 0);
    for text in texts {
        n_bytes += text.len() as u64;
        if n_bytes > TEXT_BYTES_MAX {
            break;
        }
        words.for_each(&text, |word| match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => drop(counts.insert(word.to_owned(), 1)),
        });
        if n_bytes - told >= PROGRESS_BYTES {
            told = n_bytes;
            progress(n_bytes)?;
        }
    }
    progress(n_bytes)?;
    Ok(counts)
}
