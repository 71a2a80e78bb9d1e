//! Builds a token cache: one pass to learn how to split, where that is needed, and one to encode.
//!
//! Neither holds more than a batch of pieces and, up to a bound, eight bytes for each document.

use std::path::Path;
use std::time::Instant;

use sdk::{Error, PhaseContext, Result};
use tokenizer::Tokenizer;

use super::cant;
use super::encode::encode_all;
use super::meta::Meta;
use super::shards::{SHARD_TOKENS, ShardWriter, Width};
use super::survey::survey;
use crate::Split;
use crate::progress::Progress;
use crate::source::{BAD_RECORDS_MAX, BadRecord, FileSet, Part, Piece, TextInput};
use crate::split::SplitRule;

/// Text that is encoded at once, on all threads.
const BATCH_BYTES: usize = 8 << 20;
/// What a piece takes in memory besides its text. It counts too: a batch of one-letter documents
/// would hold millions.
const PIECE_BYTES: usize = 128;
/// How many bytes of a text are shown around a marker.
const SNIPPET_BYTES: usize = 80;

/// Builds the cache of a source in the folder `place`, which isn't there yet.
pub(super) fn build(
    name: &str,
    key: &str,
    input: &TextInput,
    tokenizer: &Tokenizer,
    place: &Path,
    cx: &PhaseContext,
) -> Result<()> {
    build_with(name, key, input, tokenizer, place, SHARD_TOKENS, cx)
}

pub(super) fn build_with(
    name: &str,
    key: &str,
    input: &TextInput,
    tokenizer: &Tokenizer,
    place: &Path,
    shard_tokens: usize,
    cx: &PhaseContext,
) -> Result<()> {
    let begun = Instant::now();
    let width = Width::of(tokenizer.vocab_size());
    let writer = |split: &str| {
        ShardWriter::create(place.join(split), width, shard_tokens)
            .map_err(|error| cant("making", place, &error))
    };
    let mut build = Build {
        input,
        tokenizer,
        cx,
        place,
        train: writer("train")?,
        val: writer("val")?,
        meta: Meta::new(name, key, input, tokenizer, shard_tokens),
        batch: Batch::default(),
        is_guarded: is_guarded(tokenizer),
        n_documents: 0,
        is_full: false,
    };
    let rule = survey(name, input, cx)?;
    build.encode(&input.train, rule)?;
    if let Some(val) = &input.val {
        build.is_full = false;
        build.encode(val, SplitRule::AllVal)?;
    }
    let meta = build.finish()?;
    log_built(&meta, begun);
    Ok(())
}

/// A cache on its way.
struct Build<'a> {
    input: &'a TextInput,
    tokenizer: &'a Tokenizer,
    cx: &'a PhaseContext,
    place: &'a Path,
    train: ShardWriter,
    val: ShardWriter,
    meta: Meta,
    batch: Batch,
    /// Whether texts must not contain the tokenizer's markers.
    is_guarded: bool,
    /// Documents of this list of files that have begun.
    n_documents: u64,
    /// Whether the training split has all the tokens that it is to have.
    is_full: bool,
}

/// Pieces that wait to be encoded.
#[derive(Default)]
struct Batch {
    pieces: Vec<(Split, Piece)>,
    n_bytes: usize,
}

impl Batch {
    fn push(&mut self, split: Split, piece: Piece) {
        self.n_bytes += piece.text.len() + PIECE_BYTES;
        self.pieces.push((split, piece));
    }

    fn is_full(&self) -> bool {
        self.n_bytes >= BATCH_BYTES
    }
}

impl Build<'_> {
    fn encode(&mut self, files: &FileSet, rule: SplitRule) -> Result<()> {
        let mut documents = files.documents(&self.input.rule);
        let what = format!("tokenizing {}", self.meta.dataset);
        let mut progress = Progress::new(what, files.size(), self.cx);
        let mut split = rule.begin();
        self.n_documents = 0;
        let max = self.input.max_documents.filter(|_| rule != SplitRule::AllVal);
        while !self.is_full
            && let Some(part) = documents.next_part()?
        {
            // Nor is the next file opened: it may not be there yet.
            let is_next = !matches!(&part, Part::Piece(piece) if !piece.is_first);
            if is_next && max.is_some_and(|max| self.n_documents >= max) {
                break;
            }
            match part {
                Part::Piece(piece) => {
                    self.n_documents += u64::from(piece.is_first);
                    for (side, piece) in split.assign(piece) {
                        self.push(side, piece)?;
                    }
                }
                Part::Bad(bad) => self.note_bad(bad),
                // With an end in sight, no file is opened that may not be needed.
                Part::FileEnd if self.input.max_tokens.is_some() => self.flush()?,
                Part::FileEnd => {}
            }
            if self.batch.is_full() {
                self.flush()?;
                self.cx.check_cancelled()?;
            }
            progress.at(documents.bytes_read())?;
        }
        self.flush()?;
        self.meta.n_replaced += documents.n_replaced();
        self.meta.n_blank += documents.n_blank();
        progress.end()
    }

    fn push(&mut self, split: Split, piece: Piece) -> Result<()> {
        if self.is_guarded
            && let Some((marker, at)) = self.tokenizer.find_special(&piece.text)
        {
            return Err(self.collision(&piece, marker, at));
        }
        self.batch.push(split, piece);
        Ok(())
    }

    fn note_bad(&mut self, bad: BadRecord) {
        self.meta.n_bad += 1;
        if self.meta.bad_records.len() < BAD_RECORDS_MAX {
            self.meta.bad_records.push(bad);
        }
    }

    /// Encodes the batch and writes it out.
    fn flush(&mut self) -> Result<()> {
        let Batch { pieces, .. } = std::mem::take(&mut self.batch);
        let texts: Vec<&str> = pieces.iter().map(|(_, piece)| piece.text.as_str()).collect();
        let encoded = encode_all(&texts, self.tokenizer, self.cx.device().threads);
        for ((split, piece), tokens) in pieces.iter().zip(encoded) {
            self.write(*split, piece, tokens).map_err(|e| cant("writing", self.place, &e))?;
            if self.is_full {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, split: Split, piece: &Piece, mut tokens: Vec<u32>) -> std::io::Result<()> {
        if piece.is_last {
            tokens.push(self.tokenizer.special().eot);
        }
        let n_bytes = piece.text.len() as u64;
        let n_ended = usize::from(piece.is_last);
        match split {
            Split::Train => {
                self.meta.train_bytes += n_bytes;
                self.meta.train_documents += n_ended;
                self.train.push(&tokens)?;
                let n_tokens = self.train.n_tokens() as u64;
                let is_enough = self.input.max_tokens.is_some_and(|max| n_tokens >= max);
                self.is_full = piece.is_last && is_enough;
                Ok(())
            }
            Split::Val => {
                self.meta.val_bytes += n_bytes;
                self.meta.val_documents += n_ended;
                self.val.push(&tokens)
            }
        }
    }

    fn finish(mut self) -> Result<Meta> {
        if self.meta.train_documents + self.meta.val_documents == 0 {
            return Err(self.nothing_usable());
        }
        self.meta.train_tokens = self.train.n_tokens();
        self.meta.val_tokens = self.val.n_tokens();
        let place = self.place;
        let ended = self.train.finish().and_then(|()| self.val.finish());
        ended.map_err(|error| cant("writing", place, &error))?;
        self.meta.write(place)?;
        Ok(self.meta)
    }

    fn nothing_usable(&self) -> Error {
        let name = &self.meta.dataset;
        let first = self.meta.bad_records.first();
        let message = match first {
            None => format!("source `{name}` has no text"),
            Some(first) => format!(
                "source `{name}` has no usable record; the first of {} bad ones is `{}:{}`: {}",
                self.meta.n_bad, first.file, first.line, first.reason
            ),
        };
        let error = Error::new("data::empty", message).at(self.input.train.key());
        match first {
            Some(first) => first.helped(error),
            None => error,
        }
    }

    fn collision(&self, piece: &Piece, marker: &str, at: usize) -> Error {
        let from = piece.text.floor_char_boundary(at.saturating_sub(SNIPPET_BYTES / 4));
        let to = piece.text.ceil_char_boundary((from + SNIPPET_BYTES).min(piece.text.len()));
        let message = format!(
            "a text of source `{}` contains the marker `{marker}`: document {}, `{}`, byte {at}: \
             `{}`",
            self.meta.dataset,
            self.n_documents,
            piece.place,
            piece.text[from..to].escape_debug()
        );
        Error::new("data::special_text", message)
            .at(self.input.train.key())
            .help("take the marker out of the text: a model would take it for the real one")
    }
}

/// The ids of these two never come from text, whatever it says.
fn is_guarded(tokenizer: &Tokenizer) -> bool {
    !["byte", "gpt2"].map(Some).contains(&tokenizer.description()["kind"].as_str())
}

fn log_built(meta: &Meta, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    let megabytes = (meta.train_bytes + meta.val_bytes) as f64 / 1e6;
    log::info!(
        "source `{}`: {} tokens from {megabytes:.1} MB of text in {seconds:.1} s ({:.1} MB/s)",
        meta.dataset,
        meta.train_tokens + meta.val_tokens,
        megabytes / seconds.max(1e-9)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Place;

    #[test]
    fn a_batch_of_one_letter_documents_is_bounded_too() {
        let place = Place { file: "notes.txt".into(), line: 1 };
        let piece = Piece { text: "a".to_owned(), is_first: true, is_last: true, place };
        let mut batch = Batch::default();
        while !batch.is_full() {
            batch.push(Split::Train, piece.clone());
        }
        assert_eq!(batch.pieces.len(), BATCH_BYTES.div_ceil(129));
        assert!(size_of::<(Split, Piece)>() + size_of::<Vec<u32>>() <= PIECE_BYTES);
    }
}
