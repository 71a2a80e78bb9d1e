//! Windows of conversations: what is in them, what of it is learnt, and how they continue.

use std::fs;

use sdk::StateDict;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const T: usize = 32;
const EOT: u32 = 251;

/// Two sources of short exchanges, told apart by a letter, some too long for a window.
fn config(dir: &TempDir, pack: bool) -> SftDataConfig {
    let source = |letter: &str| {
        let record = |idx: usize| {
            let asked = letter.repeat(3 + 7 * idx % 40);
            json!({"instruction": asked, "output": format!("{letter}{idx}")}).to_string()
        };
        let path = dir.path().join(letter);
        fs::write(&path, (0..20).map(record).collect::<Vec<_>>().join("\n")).unwrap();
        json!({"kind": "jsonl", "path": path})
    };
    let sources = json!({"a": source("a"), "b": source("b")});
    let mix = json!({"a": 0.5, "b": 0.5});
    serde_json::from_value(json!({"sources": sources, "mix": mix, "pack": pack})).unwrap()
}

fn open(config: &SftDataConfig) -> SftData {
    SftData::open(config, &Tokenizer::Byte, T, 42).unwrap()
}

/// Opens one file of records, or says why not.
fn open_records(records: &[Value]) -> Result<SftData> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.jsonl");
    fs::write(&path, records.iter().map(|r| format!("{r}\n")).collect::<String>()).unwrap();
    let sources = json!({"chat": {"kind": "jsonl", "path": path, "val_fraction": 0.0}});
    let config = json!({"sources": sources, "mix": {"chat": 1.0}});
    SftData::open(&serde_json::from_value(config).unwrap(), &Tokenizer::Byte, T, 42)
}

#[test]
fn only_the_answer_and_its_end_are_learnt() {
    let mut data = open_records(&[json!({"instruction": "Q", "output": "A"})]).unwrap();
    data.library.pack = false;
    let batch = data.next_batch(1);
    assert_eq!(batch.valid_tokens, 2);
    assert_eq!(batch.ids[..7], [249, 81, EOT, 250, 65, EOT, EOT]);
    assert_eq!(batch.targets[..6], [IGNORE, IGNORE, IGNORE, 65, EOT, IGNORE]);
    assert!(batch.targets[6..].iter().all(|target| *target == IGNORE));
    assert!(batch.ids[6..].iter().all(|id| *id == EOT));
}

#[test]
fn packing_puts_whole_conversations_one_after_another() {
    let records = json!({"instruction": "Q", "output": "A"});
    let mut data = open_records(&[records]).unwrap();
    let batch = data.next_batch(3);
    assert_eq!(batch.valid_tokens, 3 * 2 * ((T + 1) / 6));
    for window in batch.ids.chunks(T) {
        for conversation in window.chunks(6).take(T / 6) {
            assert_eq!(conversation, [249, 81, EOT, 250, 65, EOT]);
        }
    }
}

#[test]
fn an_epoch_has_every_conversation_once_with_packing_or_without() {
    let dir = tempfile::tempdir().unwrap();
    for pack in [false, true] {
        let mut config = config(&dir, pack);
        config.mix = BTreeMap::from([("a".to_owned(), 1.0)]);
        let mut data = open(&config);
        let n_train = data.reports()[0].n_train;
        let mut answers = Vec::new();
        while answers.len() < n_train {
            let targets = data.next_batch(1).targets;
            let answered = targets.split(|t| *t == IGNORE).filter(|answer| !answer.is_empty());
            answers.extend(answered.map(|answer| Tokenizer::Byte.decode(answer)));
        }
        answers.truncate(n_train);
        answers.sort();
        answers.dedup();
        assert_eq!(answers.len(), n_train, "pack: {pack}");
    }
}

#[test]
fn long_conversations_are_shortened_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let data = open(&config(&dir, true));
    let report = data.reports()[0];
    assert_eq!((report.n_train, report.n_val), (18, 2));
    assert!(report.n_truncated > 0);
    let learnt = data.library.pools[0].train.iter().all(|example| {
        let reply = crate::chat::reply(&example.ids, &Tokenizer::Byte.special());
        example.ids.len() <= T + 1 && example.n_labelled() == reply.len() + 1
    });
    assert!(learnt);
}

#[test]
fn a_restored_position_continues_with_the_same_windows() {
    let dir = tempfile::tempdir().unwrap();
    for pack in [false, true] {
        let config = config(&dir, pack);
        let mut whole = open(&config);
        for _ in 0..40 {
            whole.next_batch(1);
            let saved = StateDict::save(&mut whole).unwrap();
            let mut resumed = open(&config);
            resumed.next_batch(3);
            saved.restore(&mut resumed).unwrap();
            assert_eq!(resumed.next_batch(5), whole.clone().next_batch(5));
        }
    }
}

#[test]
fn evaluation_is_always_the_same_and_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, true);
    let (mut data, mut other) = (open(&config), open(&config));
    let first = data.eval_batches(2, 3);
    assert_eq!(data.next_batch(4), other.next_batch(4));
    assert_eq!(data.eval_batches(2, 3), first);
    assert!(
        open_records(&[json!({"instruction": "Q", "output": "A"})])
            .unwrap()
            .eval_batches(2, 3)
            .is_empty()
    );
}

#[test]
fn bad_records_reach_the_report() {
    let good = json!({"instruction": "Q", "output": "A"});
    let data = open_records(&[good.clone(), json!({"output": "A"}), good]).unwrap();
    let lines: Vec<usize> = data.reports()[0].bad_records.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [2]);
    let error = open_records(&[json!({"output": "A"})]).unwrap_err();
    assert_eq!(error.path.unwrap(), "data.sources.chat.path");
}

#[test]
fn dialogues_of_the_world_fit_unshortened() {
    let config = serde_json::from_value(json!({
        "sources": {"world": {"kind": "world", "documents": 2000}}
    }));
    let mut data = SftData::open(&config.unwrap(), &Tokenizer::Byte, 128, 42).unwrap();
    let report = data.reports()[0];
    assert_eq!((report.n_train, report.n_val, report.n_truncated), (2000, 200, 0));
    assert!(data.next_batch(16).valid_tokens >= 16 * 4);
}
