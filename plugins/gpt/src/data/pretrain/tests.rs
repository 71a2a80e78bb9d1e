//! Windows of text: where they come from, how they continue, what is refused.

use std::fs;

use sdk::StateDict;
use serde_json::json;
use tempfile::TempDir;

use super::*;

const T: usize = 16;

/// A source of digits and one of letters, so that a window shows where it comes from.
fn two_sources(dir: &TempDir) -> PretrainDataConfig {
    let text = |from: u8| {
        let document = |idx: u8| (0..40).map(|k| char::from(from + (idx + k) % 10)).collect();
        (0..10).map(document).collect::<Vec<String>>().join("\n\n")
    };
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let lines = text(b'a')
        .lines()
        .filter(|line| !line.is_empty())
        .fold(String::new(), |all, l| all + &json!({ "text": l }).to_string() + "\n");
    serde_json::from_value(json!({
        "sources": {
            "digits": {"kind": "text", "path": write("digits.txt", text(b'0'))},
            "letters": {"kind": "jsonl", "path": write("letters.jsonl", lines)},
        },
        "mix": {"digits": 0.25, "letters": 0.75},
    }))
    .unwrap()
}

fn open(config: &PretrainDataConfig) -> PretrainData {
    PretrainData::open(config, &Tokenizer::Byte, T, 42).unwrap()
}

#[test]
fn targets_are_inputs_shifted_by_one() {
    let mut data = open(&PretrainDataConfig::default());
    let batch = data.next_batch(8);
    assert_eq!((batch.ids.len(), batch.targets.len(), batch.valid_tokens), (8 * T, 8 * T, 8 * T));
    for (x, y) in batch.ids.chunks(T).zip(batch.targets.chunks(T)) {
        assert_eq!(x[1..], y[..T - 1]);
    }
}

#[test]
fn windows_come_in_the_proportions_of_the_mix_and_from_one_source_each() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = open(&two_sources(&dir));
    let batch = data.next_batch(4000);
    let is_digit = |id: &u32| (u32::from(b'0')..=u32::from(b'9')).contains(id);
    let is_letter = |id: &u32| *id >= u32::from(b'a') && *id <= u32::from(b'z');
    let digits = batch.ids.chunks(T).filter(|window| window.iter().any(is_digit)).count();
    let letters = batch.ids.chunks(T).filter(|window| window.iter().any(is_letter)).count();
    assert_eq!(digits + letters, 4000);
    assert!(digits.abs_diff(1000) < 100, "{digits}");
}

#[test]
fn documents_end_with_an_end_token_and_a_tenth_is_held_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = open(&two_sources(&dir));
    let report = data.reports()[0];
    assert_eq!((report.n_train, report.n_val), (9, 1));
    assert_eq!((report.train_tokens, report.val_tokens), (9 * 41, 41));
    assert_eq!(data.streams[0].val[40], Tokenizer::Byte.special().eot);
}

#[test]
fn a_restored_position_continues_with_the_same_windows() {
    let dir = tempfile::tempdir().unwrap();
    let config = two_sources(&dir);
    let mut whole = open(&config);
    whole.next_batch(7);
    let saved = StateDict::save(&mut whole).unwrap();
    let mut resumed = open(&config);
    saved.restore(&mut resumed).unwrap();
    for n in [1, 5, 3] {
        assert_eq!(whole.next_batch(n), resumed.next_batch(n));
    }
}

#[test]
fn evaluation_is_always_the_same_and_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = two_sources(&dir);
    let (mut data, mut other) = (open(&config), open(&config));
    let first = data.eval_batches(3, 4);
    assert_eq!(data.next_batch(4), other.next_batch(4));
    assert_eq!(data.eval_batches(3, 4), first);
    assert_ne!(first[0], first[1]);
}

#[test]
fn growing_one_source_does_not_shift_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = two_sources(&dir);
    let digits = |config: &PretrainDataConfig| {
        let windows = open(config).next_batch(200).ids;
        let is_digit = |window: &&[u32]| window.iter().any(|id| (48..58).contains(id));
        windows.chunks(T).filter(is_digit).map(<[u32]>::to_vec).collect::<Vec<_>>()
    };
    let before = digits(&config);
    config.sources.insert("letters".to_owned(), TextSource::World { documents: 20 });
    assert_eq!(digits(&config), before);
}

#[test]
fn short_sources_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = two_sources(&dir);
    let error = PretrainData::open(&config, &Tokenizer::Byte, 64, 42).unwrap_err();
    assert_eq!(error.message, "split val of source `digits` has 41 tokens, but a window needs 65");
    assert_eq!(error.path.unwrap(), "data.sources.digits.path");
}

#[test]
fn a_source_may_hold_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = two_sources(&dir);
    for source in config.sources.values_mut() {
        if let TextSource::Text { val_fraction, .. } | TextSource::Jsonl { val_fraction, .. } =
            source
        {
            *val_fraction = 0.0;
        }
    }
    assert_eq!(open(&config).eval_batches(2, 2), []);
}
