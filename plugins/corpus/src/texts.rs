//! The texts that a phase trains on, as text: for what must be made from them before there is a
//! tokenizer.

use std::collections::VecDeque;

use sdk::{PhaseContext, Result};

use crate::Split;
use crate::cache::{cache_dir, survey};
use crate::config::{PretrainDataConfig, TextSource};
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
    Files { documents: Box<Documents>, split: Assigner, ready: VecDeque<String> },
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
            (_, Some(input)) => {
                let split = survey(name, &input, cx)?.begin();
                let documents = Box::new(input.train.documents(&input.rule));
                Texts::Files { documents, split, ready: VecDeque::new() }
            }
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
            Self::Files { documents, split, ready } => {
                while ready.is_empty() {
                    let Some(part) = documents.next_part()? else { break };
                    let Part::Piece(piece) = part else { continue };
                    let train = split.assign(piece).into_iter();
                    ready.extend(train.filter(|(s, _)| *s == Split::Train).map(|(_, p)| p.text));
                }
                Ok(ready.pop_front())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
}
