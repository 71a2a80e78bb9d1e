//! Windows of conversations: what is in them, what of it is learnt, and how they continue.

use std::collections::BTreeMap;
use std::fs;

use sdk::{DeviceContext, StateDict};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

mod changed;
mod splits;
mod stopping;

const T: usize = 32;
const EOT: u32 = 251;

/// Opens a section with windows of `context_tokens`; nothing goes outside of `dir`.
fn opened(dir: &TempDir, section: &Value, context_tokens: usize) -> Result<SftData> {
    seeded(dir, section, context_tokens, 42)
}

fn seeded(dir: &TempDir, section: &Value, context_tokens: usize, seed: u64) -> Result<SftData> {
    let mut config: SftDataConfig = serde_json::from_value(section.clone()).unwrap();
    config.cache_dir = Some(dir.path().join("cache").display().to_string());
    let cx = PhaseContext::detached("sft", seed, DeviceContext::default());
    SftData::open(&config, &Tokenizer::byte(), context_tokens, &cx)
}

fn open(dir: &TempDir, section: &Value) -> SftData {
    opened(dir, section, T).unwrap()
}

/// Two sources of short exchanges, told apart by a letter, some too long for a window.
fn two_sources(dir: &TempDir, pack: bool) -> Value {
    let source = |letter: &str| {
        let record = |idx: usize| {
            let asked = letter.repeat(3 + 7 * idx % 40);
            json!({"instruction": asked, "output": format!("{letter}{idx}")}).to_string()
        };
        let path = dir.path().join(format!("{letter}.jsonl"));
        fs::write(&path, (0..20).map(record).collect::<Vec<_>>().join("\n")).unwrap();
        json!({"kind": "jsonl", "path": path})
    };
    let sources = json!({"a": source("a"), "b": source("b")});
    json!({"sources": sources, "mix": {"a": 0.5, "b": 0.5}, "pack": pack})
}

/// A section with one source, a file of records; `more` is put over it.
fn one_source(dir: &TempDir, records: &[Value], more: Value) -> Value {
    let path = dir.path().join("chat.jsonl");
    fs::write(&path, records.iter().map(|r| format!("{r}\n")).collect::<String>()).unwrap();
    let mut section = json!({
        "sources": {"chat": {"kind": "jsonl", "path": path, "val_fraction": 0.0}},
        "mix": {"chat": 1.0},
    });
    let Value::Object(more) = more else { panic!("no object: {more}") };
    section.as_object_mut().unwrap().extend(more);
    section
}

fn open_records(records: &[Value], more: Value) -> Result<SftData> {
    let dir = tempfile::tempdir().unwrap();
    opened(&dir, &one_source(&dir, records, more), T)
}

fn exchange(asked: &str, answer: &str) -> Value {
    json!({"instruction": asked, "output": answer})
}

fn learnt(targets: &[u32]) -> Vec<u32> {
    targets.iter().copied().filter(|target| *target != IGNORE).collect()
}

#[test]
fn only_the_answer_and_its_end_are_learnt() {
    let mut data = open_records(&[exchange("Q", "A")], json!({"pack": false})).unwrap();
    let batch = data.next_batch(1);
    assert_eq!(batch.valid_tokens, 2);
    assert_eq!(batch.ids[..7], [249, 81, EOT, 250, 65, EOT, EOT]);
    assert_eq!(batch.targets[..6], [IGNORE, IGNORE, IGNORE, 65, EOT, IGNORE]);
    assert!(batch.targets[6..].iter().all(|target| *target == IGNORE));
    assert!(batch.ids[6..].iter().all(|id| *id == EOT));
}

/// A window of 8 + 1 around six tokens: three are padding, which is the end token and not learnt.
#[test]
fn a_window_is_filled_up_with_ends_that_are_not_learnt() {
    let dir = tempfile::tempdir().unwrap();
    let section = one_source(&dir, &[exchange("Q", "A")], json!({"pack": false}));
    let mut data = opened(&dir, &section, 8).unwrap();
    let (ids, labels) = data.library.window(Split::Train, &mut data.position.clone());
    assert_eq!(ids, [249, 81, EOT, 250, 65, EOT, EOT, EOT, EOT]);
    let not = IGNORE;
    assert_eq!(labels, [not, not, not, not, 65, EOT, not, not, not]);
    // What is learnt of a window is its labels shifted by one, as they are.
    let batch = data.next_batch(1);
    assert_eq!((&batch.ids[..], &batch.targets[..]), (&ids[..8], &labels[1..]));
}

/// The reference learns padding too where everything is learnt, and never leaves the end out.
#[test]
fn what_is_learnt_follows_the_section_and_never_is_padding() {
    let targets = |assistant_only: bool, include_eot: bool| {
        let more = json!({
            "pack": false,
            "assistant_only_loss": assistant_only,
            "include_eot_in_loss": include_eot,
        });
        let batch = open_records(&[exchange("Q", "A")], more).unwrap().next_batch(1);
        let learnt = learnt(&batch.targets);
        assert_eq!(batch.valid_tokens, learnt.len());
        learnt
    };
    assert_eq!(targets(true, true), [65, EOT]);
    assert_eq!(targets(true, false), [65]);
    assert_eq!(targets(false, true), [81, EOT, 250, 65, EOT]);
    assert_eq!(targets(false, false), [81, 250, 65]);
}

#[test]
fn a_system_message_goes_before_conversations_that_have_none() {
    let own = json!({"messages": [
        {"role": "system", "content": "own"},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A"},
    ]});
    let more = json!({"pack": false, "system": "be brief"});
    let mut data = open_records(&[exchange("Q", "A"), own], more).unwrap();
    let batch = data.next_batch(2);
    let text = |ids: &[u32]| Tokenizer::byte().decode(ids);
    let mut texts: Vec<String> = batch.ids.chunks(T).map(text).collect();
    texts.sort();
    assert_eq!(texts, ["be briefQA", "ownQA"]);
    assert!(batch.ids.chunks(T).all(|ids| ids[0] == 248));
}

#[test]
fn a_template_of_ones_own_is_used_and_a_broken_one_refused() {
    let source = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eot_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    let more = json!({"pack": false, "chat_template": source});
    let mut data = open_records(&[exchange("Q", "A")], more).unwrap();
    assert!(data.chat_template().source().ends_with(source));
    let batch = data.next_batch(1);
    assert_eq!(Tokenizer::byte().decode(&batch.ids), "[user]Q[assistant]A");
    assert_eq!(learnt(&batch.targets), [65, EOT]);

    let error = open_records(&[exchange("Q", "A")], json!({"chat_template": "{{"})).unwrap_err();
    assert_eq!(error.path.unwrap(), "data.chat_template");
}

#[test]
fn packing_puts_whole_conversations_one_after_another() {
    let mut data = open_records(&[exchange("Q", "A")], json!({})).unwrap();
    let batch = data.next_batch(3);
    assert_eq!(batch.valid_tokens, 3 * 2 * ((T + 1) / 6));
    for window in batch.ids.chunks(T) {
        for conversation in window.chunks(6).take(T / 6) {
            assert_eq!(conversation, [249, 81, EOT, 250, 65, EOT]);
        }
    }
}

#[test]
fn targets_are_the_ids_shifted_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let batch = open(&dir, &two_sources(&dir, true)).next_batch(8);
    for (ids, targets) in batch.ids.chunks(T).zip(batch.targets.chunks(T)) {
        for (next, target) in ids[1..].iter().zip(targets) {
            assert!(*target == IGNORE || target == next);
        }
    }
}

#[test]
fn an_epoch_has_every_conversation_once_with_packing_or_without() {
    let dir = tempfile::tempdir().unwrap();
    for pack in [false, true] {
        let mut section = two_sources(&dir, pack);
        section["mix"] = json!({"a": 1.0});
        let mut data = open(&dir, &section);
        let n_train = data.reports()[0].n_train;
        let mut answers = Vec::new();
        while answers.len() < n_train {
            let targets = data.next_batch(1).targets;
            let answered = targets.split(|t| *t == IGNORE).filter(|answer| !answer.is_empty());
            answers.extend(answered.map(|answer| Tokenizer::byte().decode(answer)));
        }
        answers.truncate(n_train);
        answers.sort();
        answers.dedup();
        assert_eq!(answers.len(), n_train, "pack: {pack}");
    }
}

/// An empty answer whose end isn't learnt teaches nothing.
#[test]
fn conversations_without_anything_to_learn_are_left_out_and_counted() {
    let nothing = json!({"messages": [
        {"role": "user", "content": "Q"}, {"role": "assistant", "content": ""},
    ]});
    let more = json!({"pack": false, "include_eot_in_loss": false});
    let mut data = open_records(&[nothing.clone(), exchange("Q", "A")], more).unwrap();
    let report = data.reports()[0];
    assert_eq!((report.n_train, report.n_unlabelled), (1, 1));
    assert!(data.next_batch(9).targets.chunks(T).all(|targets| learnt(targets) == [65]));
    let with_end = open_records(&[nothing], json!({})).unwrap();
    assert_eq!((with_end.reports()[0].n_train, with_end.reports()[0].n_unlabelled), (1, 0));
}

#[test]
fn long_conversations_are_shortened_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let data = open(&dir, &two_sources(&dir, true));
    let report = data.reports()[0];
    assert_eq!((report.n_train, report.n_val), (18, 2));
    assert!(report.n_truncated > 0);
    let pool = &data.library.pools[0];
    for idx in 0..18 {
        let example = pool.example(Split::Train, idx);
        let ids: Vec<u32> = example.iter().map(|token| token.id()).collect();
        let labels: Vec<u32> = example.iter().map(|token| token.label()).collect();
        let reply = crate::chat::reply(&ids, &Tokenizer::byte().special());
        assert!(ids.len() <= T + 1);
        assert_eq!(learnt(&labels), [reply, &[EOT]].concat());
    }
}

#[test]
fn a_restored_position_continues_with_the_same_windows() {
    let dir = tempfile::tempdir().unwrap();
    for pack in [false, true] {
        let section = two_sources(&dir, pack);
        let mut whole = open(&dir, &section);
        for _ in 0..40 {
            whole.next_batch(1);
            let saved = StateDict::save(&mut whole).unwrap();
            let mut resumed = open(&dir, &section);
            resumed.next_batch(3);
            saved.restore(&mut resumed).unwrap();
            assert_eq!(resumed.next_batch(5), whole.clone().next_batch(5));
        }
    }
}

#[test]
fn what_a_source_gives_does_not_depend_on_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let section = two_sources(&dir, false);
    let mut alone = section.clone();
    alone["mix"] = json!({"a": 1.0});
    let answers = |data: &mut SftData, n: usize| -> Vec<String> {
        let batch = data.next_batch(n);
        let answer = |targets: &[u32]| Tokenizer::byte().decode(&learnt(targets));
        let answers = batch.targets.chunks(T).map(answer);
        answers.filter(|answer| answer.starts_with('a')).take(8).collect()
    };
    assert_eq!(answers(&mut open(&dir, &section), 40), answers(&mut open(&dir, &alone), 8));
}

#[test]
fn evaluation_is_always_the_same_and_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let section = two_sources(&dir, true);
    let (mut data, mut other) = (open(&dir, &section), open(&dir, &section));
    let first = data.eval_batches(2, 3);
    assert_eq!(data.next_batch(4), other.next_batch(4));
    assert_eq!(data.eval_batches(2, 3), first);
    let nothing = open_records(&[exchange("Q", "A")], json!({})).unwrap();
    assert!(nothing.eval_batches(2, 3).is_empty());
}

#[test]
fn evaluation_on_one_source_is_on_that_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut section = two_sources(&dir, false);
    section["mix"] = json!({"a": 1.0});
    section["val_source"] = json!("b");
    let mut data = open(&dir, &section);
    let begins = |batch: &Batch, letter: u8| {
        batch.targets.chunks(T).all(|targets| learnt(targets)[0] == u32::from(letter))
    };
    assert!(data.eval_batches(2, 3).iter().all(|batch| begins(batch, b'b')));
    assert!(begins(&data.next_batch(50), b'a'));
}

#[test]
fn bad_records_reach_the_report_with_file_and_line() {
    let good = exchange("Q", "A");
    let bot = json!({"messages": [{"role": "bot", "content": "A"}]});
    let dir = tempfile::tempdir().unwrap();
    let section = one_source(&dir, &[good.clone(), json!({"output": "A"}), good, bot], json!({}));
    let path = dir.path().join("chat.jsonl");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"messages\": [\n");
    fs::write(&path, text).unwrap();
    let data = open(&dir, &section);
    let report = data.reports()[0];
    assert_eq!((report.n_train, report.n_bad), (2, 3));
    let bad: Vec<(usize, &str)> =
        report.bad_records.iter().map(|bad| (bad.line, bad.reason.as_str())).collect();
    assert_eq!(bad[0], (2, "no known form of a conversation, with the keys `output`"));
    assert_eq!(bad[1], (4, "message 0 has invalid role `bot`"));
    assert!(bad[2].0 == 5 && bad[2].1.starts_with("invalid JSON"), "{bad:?}");
    assert!(report.bad_records.iter().all(|bad| bad.file.ends_with("chat.jsonl")));
}

#[test]
fn a_file_without_a_usable_record_is_an_error_at_its_path() {
    let error = open_records(&[json!({"output": "A"}), json!({})], json!({})).unwrap_err();
    assert_eq!(error.code, "data::records");
    assert_eq!(error.path.unwrap(), "data.sources.chat.path");
    assert!(error.message.contains("the first of 2 bad ones"), "{}", error.message);
    let asked = json!({"message_id": "1", "role": "prompter", "text": "Q", "lang": "en"});
    let error = open_records(&[asked], json!({})).unwrap_err();
    assert_eq!(error.code, "data::empty");
}

/// The reference drops a conversation that spells out a special token; here it can't do harm.
#[test]
fn spelled_out_special_tokens_stay_text_and_are_counted() {
    let records = [exchange("what is <|eot|>?", "<|asst|>"), exchange("Q", "A")];
    let mut data = open_records(&records, json!({"pack": false})).unwrap();
    let report = data.reports()[0];
    assert_eq!((report.n_train, report.n_spell_special), (2, 1));
    assert!(report.bad_records.is_empty());
    let mut answers: Vec<Vec<u32>> = data.next_batch(2).targets.chunks(T).map(learnt).collect();
    answers.sort();
    let expected = [vec![65, EOT], b"<|asst|>".map(u32::from).into_iter().chain([EOT]).collect()];
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(answers, expected);
}

#[test]
fn dialogues_of_the_world_fit_unshortened() {
    let dir = tempfile::tempdir().unwrap();
    let section = json!({"sources": {"world": {"kind": "world", "documents": 2000}}});
    let mut data = opened(&dir, &section, 128).unwrap();
    let report = data.reports()[0];
    assert_eq!((report.n_train, report.n_val, report.n_truncated), (2000, 200, 0));
    assert!(data.next_batch(16).valid_tokens >= 16 * 4);
}

#[test]
fn mixes_have_their_proportions() {
    let dir = tempfile::tempdir().unwrap();
    let mut section = two_sources(&dir, false);
    section["mix"] = json!({"a": 0.8, "b": 0.2});
    let mut n = BTreeMap::new();
    for targets in open(&dir, &section).next_batch(2000).targets.chunks(T) {
        *n.entry(learnt(targets)[0]).or_insert(0_i32) += 1;
    }
    assert!((n[&u32::from(b'a')] - 1600).abs() < 80, "{n:?}");
}
