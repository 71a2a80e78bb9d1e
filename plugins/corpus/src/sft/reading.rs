//! From the records of a source to its conversations as tokens.

use std::path::Path;

use sdk::{Error, PhaseContext, Result};

use super::pool::{OpenPool, Pool};
use crate::chat::{ChatTemplate, Learnt, Message, Role};
use crate::config::{ChatForm, ChatSource};
use crate::conversations::oasst::{Node, forest};
use crate::conversations::{Parsed, parse};
use crate::example::fit;
use crate::progress::Progress;
use crate::source::{BadRecord, FileSet, Place, Read, Record, RecordSource};
use crate::split::{Split, stable_hash};
use crate::world::World;

/// After so many conversations it is looked whether the run was asked to stop.
const CHECK_EVERY: usize = 256;

/// How conversations become tokens, the same for all sources.
#[derive(Clone, Copy, Debug)]
pub(super) struct Making<'a> {
    pub(super) template: &'a ChatTemplate,
    pub(super) learnt: Learnt,
    /// Put before conversations that have no system message.
    pub(super) system: Option<&'a str>,
    pub(super) window_tokens: usize,
}

/// Reads all of a source that is written at `key`.
///
/// # Errors
/// When it can't be read, or has nothing to learn.
pub(super) fn read(
    name: &str,
    source: &ChatSource,
    key: &str,
    making: Making<'_>,
    cache_dir: &Path,
    cx: &PhaseContext,
) -> Result<Pool> {
    let pool = OpenPool::new(name);
    let mut reading = Reading { making, cx, pool, n_added: 0, first_bad: None };
    let files = RecordSource::open(source, key, cache_dir, cx)?;
    if let Some(files) = &files {
        let sides = [(Some(&files.train), Split::Train), (files.val.as_ref(), Split::Val)];
        for (files, split) in sides {
            if let Some(files) = files {
                reading.read_files(files, form_of(source), split)?;
            }
        }
    } else if let ChatSource::World { documents } = source {
        reading.read_world(*documents)?;
    }
    let pool = reading.pool.close(files.map(|files| files.held_back));
    if pool.n_examples(Split::Train) == 0 {
        let message = format!("source `{name}` has no conversation with anything to learn");
        return Err(Error::new("data::empty", message).at(key));
    }
    Ok(pool)
}

fn form_of(source: &ChatSource) -> ChatForm {
    match source {
        ChatSource::World { .. } => ChatForm::Messages,
        ChatSource::Jsonl(files) | ChatSource::Parquet(files) => files.form,
        ChatSource::Hub(hub) => hub.form,
    }
}

struct Reading<'a> {
    making: Making<'a>,
    cx: &'a PhaseContext,
    pool: OpenPool,
    /// Conversations that were tried.
    n_added: usize,
    /// The first record of the files at hand that can't be used.
    first_bad: Option<BadRecord>,
}

impl Reading<'_> {
    fn read_world(&mut self, n_dialogues: u64) -> Result<()> {
        let world = World::new(self.cx.seed());
        for (split, n) in [(Split::Train, n_dialogues), (Split::Val, n_dialogues.div_ceil(10))] {
            for idx in 0..n {
                let added = self.add(world.dialogue(split, idx).messages(), None, split)?;
                // The world is well-formed, so it is the template that can't take it.
                added.map_err(|reason| {
                    Error::new("chat::template", reason).at("data.chat_template")
                })?;
            }
        }
        Ok(())
    }

    fn read_files(&mut self, files: &FileSet, form: ChatForm, split: Split) -> Result<()> {
        let (n_before, n_bad_before) = (self.n_taken(), self.pool.report.n_bad);
        self.first_bad = None;
        let (mut nodes, mut places) = (Vec::new(), Vec::new());
        let what = format!("reading {}", self.pool.report.name);
        let mut progress = Progress::new(what, files.size(), self.cx);
        let mut records = files.records();
        while let Some(read) = records.next() {
            match read? {
                Read::Bad(bad) => self.note_bad(bad),
                Read::Record(record) => {
                    if let Some(node) = self.add_record(&record, form, split)? {
                        nodes.push(node);
                        places.push(record.place);
                    }
                }
            }
            progress.at(records.bytes_read())?;
        }
        self.pool.report.n_replaced += records.n_replaced();
        self.add_trees(&nodes, &places, split)?;
        progress.end()?;
        if self.n_taken() == n_before {
            let n_bad = self.pool.report.n_bad - n_bad_before;
            return Err(nothing_usable(files, n_bad, self.first_bad.as_ref()));
        }
        Ok(())
    }

    fn note_bad(&mut self, bad: BadRecord) {
        self.first_bad.get_or_insert_with(|| bad.clone());
        self.pool.report.note_bad(bad);
    }

    /// Conversations so far, also those that nothing is learnt from.
    fn n_taken(&self) -> usize {
        self.pool.len() + self.pool.report.n_unlabelled
    }

    /// Adds a record's conversation, or gives back the message of a tree that it is.
    fn add_record(
        &mut self,
        record: &Record,
        form: ChatForm,
        split: Split,
    ) -> Result<Option<Node>> {
        let added = match parse(&record.value, form) {
            Ok(Parsed::Node(node)) => return Ok(Some(node)),
            Ok(Parsed::Conversation(messages)) => self.add(messages, None, split)?,
            Err(reason) => Err(reason),
        };
        if let Err(reason) = added {
            self.note_bad(BadRecord::new(&record.place, reason));
        }
        Ok(None)
    }

    /// Adds the threads of trees. Those of one tree stay on one side, since they share their
    /// beginning, and so do trees that ask the same.
    fn add_trees(&mut self, nodes: &[Node], places: &[Place], split: Split) -> Result<()> {
        let forest = forest(nodes);
        let report = &mut self.pool.report;
        report.n_left_out += forest.n_dropped_threads + forest.n_foreign;
        for (idx, reason) in &forest.bad {
            self.note_bad(BadRecord::new(&places[*idx], reason));
        }
        for thread in forest.threads {
            if thread.messages.iter().all(|message| message.role != Role::Assistant) {
                self.pool.report.n_unlabelled += 1;
                continue;
            }
            let key = nodes[thread.root].key();
            if let Err(reason) = self.add(thread.messages, Some(key), split)? {
                self.note_bad(BadRecord::new(&places[thread.root], reason));
            }
        }
        Ok(())
    }

    /// Adds a conversation; `key` keeps it together with others, else that is its content. The
    /// inner error says why the template can't take it.
    fn add(
        &mut self,
        mut messages: Vec<Message>,
        key: Option<u64>,
        split: Split,
    ) -> Result<Result<(), String>> {
        if self.n_added.is_multiple_of(CHECK_EVERY) {
            self.cx.check_cancelled()?;
        }
        self.n_added += 1;
        let Making { template, learnt, system, window_tokens } = self.making;
        let key = key.unwrap_or_else(|| content_key(&messages));
        if let Some(system) = system.filter(|_| messages.iter().all(|m| m.role != Role::System)) {
            messages.insert(0, Message::new(Role::System, system));
        }
        let example = match fit(&messages, template, learnt, window_tokens) {
            Ok(example) => example,
            Err(error) => return Ok(Err(error.message)),
        };
        self.pool.report.n_spell_special += usize::from(template.spells_special(&messages));
        self.pool.push(&example, key, split);
        Ok(Ok(()))
    }
}

/// A hash of who says what, the same for a conversation in whatever form it comes.
fn content_key(messages: &[Message]) -> u64 {
    let said = messages.iter().flat_map(|m| [m.role.name(), "\0", &m.content, "\0"]);
    stable_hash(said.collect::<String>().as_bytes())
}

fn nothing_usable(files: &FileSet, n_bad: usize, first: Option<&BadRecord>) -> Error {
    let Some(first) = first else {
        let names: Vec<String> = files.files().iter().map(|f| format!("`{}`", f.name())).collect();
        let message = format!("no conversation in {}", names.join(", "));
        return Error::new("data::empty", message).at(files.key());
    };
    let BadRecord { file, line, reason } = first;
    let message = format!(
        "no usable record; the first of {n_bad} bad ones is `{file}` at line {line}: {reason}"
    );
    first.helped(Error::new("data::records", message).at(files.key()))
}
