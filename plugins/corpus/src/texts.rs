//! The texts that a phase trains on, as text: for what must be made from them before there is a
//! tokenizer.

use std::collections::VecDeque;

use sdk::{PhaseContext, Result};

use crate::Split;
use crate::cache::{cache_dir, survey};
use crate::config::{PretrainDataConfig, TextSource};
use crate::progress::Progress;
use crate::source::{Documents, Part, TextInput};
use crate::split::Assigner;
use crate::world::World;

/// The training texts of a mix, source after source, in bounded pieces.
pub struct TrainingTexts {
    sources: VecDeque<Source>,
}

struct Source {
    texts: Texts,
    /// Bytes that may still come from it.
    n_left: u64,
}

enum Texts {
    World { world: World, next: u64, n_stories: u64 },
    Files(Box<Files>),
}

struct Files {
    documents: Documents,
    split: Assigner,
    ready: VecDeque<String>,
    progress: Progress,
    /// Documents that may still begin.
    n_left: u64,
}

/// The texts that are trained on, about `max_bytes` of them, from each source of the mix in
/// proportion to its weight. What is held back is not among them.
///
/// # Errors
/// When a file is missing or can't be read, or the run was asked to stop.
pub fn training_texts(
    config: &PretrainDataConfig,
    max_bytes: u64,
    cx: &PhaseContext,
) -> Result<TrainingTexts> {
    let folder = cache_dir(config.cache_dir.as_deref());
    let mut sources = VecDeque::new();
    for (name, weight) in &config.mix {
        let Some(source) = config.source(name) else { continue };
        let n_left = (max_bytes as f64 * weight) as u64;
        let texts = match (&source, TextInput::open(&source, &config.key(name), &folder, cx)?) {
            (_, Some(input)) => Texts::Files(Box::new(Files::of(name, &input, cx)?)),
            (TextSource::World { documents }, None) => {
                Texts::World { world: World::new(cx.seed()), next: 0, n_stories: *documents }
            }
            (_, None) => continue,
        };
        sources.push_back(Source { texts, n_left });
    }
    Ok(TrainingTexts { sources })
}

impl Iterator for TrainingTexts {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(source) = self.sources.front_mut() {
            let next = if source.n_left == 0 { Ok(None) } else { source.texts.next_text() };
            match next {
                Ok(Some(text)) => {
                    source.n_left = source.n_left.saturating_sub(text.len() as u64);
                    return Some(Ok(text));
                }
                Ok(None) => drop(self.sources.pop_front()),
                Err(error) => {
                    self.sources.clear();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Texts {
    fn next_text(&mut self) -> Result<Option<String>> {
        match self {
            Self::World { world, next, n_stories } => {
                let idx = *next;
                *next += 1;
                Ok((idx < *n_stories).then(|| world.story(Split::Train, idx)))
            }
            Self::Files(files) => files.next_text(),
        }
    }
}

impl Files {
    fn of(name: &str, input: &TextInput, cx: &PhaseContext) -> Result<Self> {
        Ok(Self {
            split: survey(name, input, cx)?.begin(),
            documents: input.train.documents(&input.rule),
            ready: VecDeque::new(),
            progress: Progress::new(format!("reading {name}"), input.train.size(), cx),
            n_left: input.max_documents.unwrap_or(u64::MAX),
        })
    }

    fn next_text(&mut self) -> Result<Option<String>> {
        while self.ready.is_empty() {
            let Some(part) = self.documents.next_part()? else { break };
            self.progress.at(self.documents.bytes_read())?;
            // Nor is the next file opened: it may not be there yet.
            let is_next = !matches!(&part, Part::Piece(piece) if !piece.is_first);
            if is_next && self.n_left == 0 {
                break;
            }
            let Part::Piece(piece) = part else { continue };
            self.n_left -= u64::from(piece.is_first);
            let train = self.split.assign(piece).into_iter();
            self.ready.extend(train.filter(|(s, _)| *s == Split::Train).map(|(_, p)| p.text));
        }
        Ok(self.ready.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sdk::DeviceContext;
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_come_by_weight_and_without_what_is_held_back() {
        let dir = tempfile::tempdir().unwrap();
        let text: Vec<String> = (0..1000).map(|idx| format!("note {idx:05}")).collect();
        let path = dir.path().join("notes.txt");
        fs::write(&path, text.join("\n")).unwrap();
        let config = serde_json::from_value(json!({
            "sources": {
                "notes": {
                    "kind": "text", "path": path, "documents": "lines",
                    "val_split_by": "tail", "val_fraction": 0.9,
                },
                "world": {"kind": "world"},
            },
            "mix": {"notes": 0.5, "world": 0.5},
            "cache_dir": dir.path(),
        }))
        .unwrap();
        let cx = PhaseContext::detached("test", 1, DeviceContext::default());
        let texts = |max_bytes| -> Vec<String> {
            let texts = training_texts(&config, max_bytes, &cx).unwrap();
            texts.map(Result::unwrap).collect()
        };
        // A hundred notes of ten bytes are trained on; half of 800 bytes are forty of them.
        let some = texts(800);
        let n_notes = |texts: &[String]| texts.iter().filter(|t| t.starts_with("note ")).count();
        assert_eq!(n_notes(&some), 40);
        let n_bytes: usize = some[40..].iter().map(String::len).sum();
        assert!((400..800).contains(&n_bytes), "{n_bytes}");
        let more = texts(20_000);
        assert_eq!((n_notes(&more), more[99].as_str()), (100, "note 00099"));
    }

    fn lines(dir: &tempfile::TempDir, n: usize, val_fraction: f64) -> PretrainDataConfig {
        let path = dir.path().join("notes.txt");
        fs::write(&path, (0..n).map(|idx| format!("note {idx:05}\n")).collect::<String>()).unwrap();
        serde_json::from_value(json!({
            "sources": {"notes": {
                "kind": "text", "path": path, "documents": "lines", "val_fraction": val_fraction,
                "val_split_by": "tail",
            }},
            "mix": {"notes": 1.0},
        }))
        .unwrap()
    }

    #[test]
    fn reading_for_a_tokenizer_stops_when_asked_to() {
        let dir = tempfile::tempdir().unwrap();
        let config = lines(&dir, 3000, 0.0);
        let looks = Arc::new(AtomicUsize::new(0));
        let looked = looks.clone();
        let is_cancelled = move || looked.fetch_add(1, Ordering::Relaxed) >= 3;
        let device = DeviceContext::default();
        let cx = PhaseContext::detached_with("test", 1, device, is_cancelled);
        let mut texts = training_texts(&config, 1 << 20, &cx).unwrap();
        let read: Vec<String> = texts.by_ref().map_while(Result::ok).collect();
        // The fourth look, after as many times 256 notes, says stop.
        assert_eq!(read.len(), 4 * 256 - 1);
        assert!(texts.next().is_none());
    }

    #[test]
    fn no_more_documents_are_read_than_are_trained_on() {
        let dir = tempfile::tempdir().unwrap();
        let config = lines(&dir, 100, 0.2);
        let cx = PhaseContext::detached("test", 1, DeviceContext::default());
        let source = config.source("notes").unwrap();
        let mut input = TextInput::open(&source, "data.sources.notes", dir.path(), &cx);
        let input = input.as_mut().unwrap().as_mut().unwrap();
        input.max_documents = Some(10);
        let mut files = Files::of("notes", input, &cx).unwrap();
        let mut read = Vec::new();
        while let Some(text) = files.next_text().unwrap() {
            read.push(text);
        }
        let expected: Vec<String> = (0..8).map(|idx| format!("note {idx:05}")).collect();
        assert_eq!(read, expected);
    }
}
