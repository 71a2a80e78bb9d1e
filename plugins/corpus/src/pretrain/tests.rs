//! Windows of text: where they come from, how they continue, what is refused.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sdk::{DeviceContext, StateDict};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::TextSource;

const T: usize = 16;

fn context() -> PhaseContext {
    PhaseContext::detached("pretrain", 42, DeviceContext { threads: 2, ..DeviceContext::default() })
}

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
        "cache_dir": dir.path().join("cache"),
    }))
    .unwrap()
}

fn open(config: &PretrainDataConfig) -> PretrainData {
    PretrainData::open(config, &Tokenizer::byte(), T, &context()).unwrap()
}

fn is_digits(window: &[u32]) -> bool {
    window.iter().any(|id| (48..58).contains(id))
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

/// 500 tokens, windows of 10 + 1, batches of 4.
#[test]
fn windows_are_pieces_of_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bytes.txt");
    let text: String = (0..499).map(|i| char::from(b'!' + (i * i % 89) as u8)).collect();
    fs::write(&path, text).unwrap();
    let config = serde_json::from_value(json!({
        "sources": {"bytes": {"kind": "text", "path": path, "val_fraction": 0.0}},
        "mix": {"bytes": 1.0},
        "cache_dir": dir.path(),
    }))
    .unwrap();
    let mut data = PretrainData::open(&config, &Tokenizer::byte(), 10, &context()).unwrap();
    let stream = data.streams[0].train.window(0, 500);
    assert_eq!(data.streams[0].train.len(), 500);
    for _ in 0..50 {
        let batch = data.next_batch(4);
        assert_eq!((batch.n, batch.t, batch.ids.len(), batch.targets.len()), (4, 10, 40, 40));
        for (x, y) in batch.ids.chunks(10).zip(batch.targets.chunks(10)) {
            assert_eq!(x[1..], y[..9]);
            let window = [x, &y[9..]].concat();
            assert!(stream.windows(11).any(|piece| piece == window), "{window:?}");
        }
    }
}

#[test]
fn bytes_are_ids_and_a_seed_gives_its_own_windows() {
    let dir = tempfile::tempdir().unwrap();
    let config = two_sources(&dir);
    let batch = |seed| {
        let cx = PhaseContext::detached("pretrain", seed, DeviceContext::default());
        PretrainData::open(&config, &Tokenizer::byte(), T, &cx).unwrap().next_batch(8)
    };
    let first = batch(1);
    assert_eq!((first.n, first.t, first.ids.len()), (8, 16, 8 * 16));
    assert!(first.ids.iter().chain(&first.targets).all(|id| *id <= 255));
    assert_eq!(batch(1), first);
    assert_ne!(batch(2), first);
}

/// What is in `sources` and not in the mix is not even read.
#[test]
fn only_sources_that_are_named_are_built_and_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = two_sources(&dir);
    let caches = || {
        let entries = fs::read_dir(dir.path().join("cache/tokens")).unwrap().flatten();
        entries.filter(|entry| entry.path().is_dir()).count()
    };
    config.mix = [("digits".to_owned(), 1.0)].into();
    open(&config);
    assert_eq!(caches(), 1);
    open(&config);
    assert_eq!(caches(), 1);
    config.val_source = Some("letters".to_owned());
    open(&config);
    assert_eq!(caches(), 2);
}

#[test]
fn windows_come_in_the_proportions_of_the_mix_and_from_one_source_each() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = open(&two_sources(&dir));
    let batch = data.next_batch(4000);
    let is_letter = |id: &u32| *id >= u32::from(b'a') && *id <= u32::from(b'z');
    let digits = batch.ids.chunks(T).filter(|window| is_digits(window)).count();
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
    assert_eq!(data.streams[0].val.window(40, 1), [Tokenizer::byte().special().eot]);
}

#[test]
fn windows_start_anywhere_with_equal_probability() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bytes.txt");
    let text: String = (0..96).map(|idx| char::from(b' ' + 1 + idx % 90)).collect();
    fs::write(&path, &text[..30]).unwrap();
    let config = serde_json::from_value(json!({
        "sources": {"bytes": {"kind": "text", "path": path, "val_fraction": 0.0}},
        "mix": {"bytes": 1.0},
        "cache_dir": dir.path(),
    }))
    .unwrap();
    // 31 tokens and windows of 17: 15 starts, the last of which ends with the end token.
    let batch = open(&config).next_batch(15_000);
    let mut counts = [0u32; 15];
    for window in batch.ids.chunks(T) {
        counts[window[0] as usize - 33] += 1;
    }
    assert!(counts.iter().all(|count| count.abs_diff(1000) < 130), "{counts:?}");
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
fn a_position_in_other_texts_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = two_sources(&dir);
    let saved = StateDict::save(&mut open(&config)).unwrap();
    let path = dir.path().join("digits.txt");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n\n7777777777")).unwrap();
    let error = saved.restore(&mut open(&config)).unwrap_err();
    assert_eq!(error.code, "data::changed");
    assert!(error.message.starts_with("source `digits` is not what it was"), "{}", error.message);
    fs::write(&path, text).unwrap();
    saved.restore(&mut open(&config)).unwrap();
}

#[test]
fn telling_stories_stops_when_asked_to() {
    let looks = Arc::new(AtomicUsize::new(0));
    let looked = looks.clone();
    let is_cancelled = move || looked.fetch_add(1, Ordering::Relaxed) >= 4;
    let cx = PhaseContext::detached_with("pretrain", 1, DeviceContext::default(), is_cancelled);
    let config: PretrainDataConfig = serde_json::from_value(json!({
        "sources": {"world": {"kind": "world", "documents": 1_000_000}},
    }))
    .unwrap();
    let error = PretrainData::open(&config, &Tokenizer::byte(), T, &cx).unwrap_err();
    assert_eq!((error.code.as_str(), looks.load(Ordering::Relaxed)), (sdk::CANCELLED, 5));
}

#[test]
fn a_cache_that_is_there_gives_the_same_windows_as_one_that_is_built() {
    let dir = tempfile::tempdir().unwrap();
    let config = two_sources(&dir);
    let mut cold = open(&config);
    let mut warm = open(&config);
    let mut elsewhere = config;
    elsewhere.cache_dir = Some(dir.path().join("other").display().to_string());
    let mut other = open(&elsewhere);
    let batch = cold.next_batch(64);
    assert_eq!(warm.next_batch(64), batch);
    assert_eq!(other.next_batch(64), batch);
    assert_eq!(warm.eval_batches(2, 8), cold.eval_batches(2, 8));
    assert_eq!(warm.reports(), cold.reports());
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
fn evaluation_may_be_on_one_source_alone_even_outside_of_the_mix() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = two_sources(&dir);
    config.val_source = Some("digits".to_owned());
    let batches = open(&config).eval_batches(2, 50);
    assert!(batches.iter().all(|batch| batch.ids.chunks(T).all(is_digits)));

    let train = open(&config).next_batch(20);
    config.mix = [("letters".to_owned(), 1.0)].into();
    let mut data = open(&config);
    assert!(data.eval_batches(2, 50).iter().all(|batch| batch.ids.chunks(T).all(is_digits)));
    assert!(!data.next_batch(50).ids.chunks(T).any(is_digits));
    assert!(train.ids.chunks(T).any(is_digits));
    // The state is that of what is trained on.
    let saved = StateDict::save(&mut data).unwrap();
    assert!(saved.values.keys().all(|name| !name.contains("digits")), "{:?}", saved.values.keys());
}

#[test]
fn bytes_for_each_token_are_those_of_the_held_back_texts() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = two_sources(&dir);
    // Both sources hold back one document of 40 bytes and its end token.
    assert!((open(&config).val_bytes_per_token().unwrap() - 40.0 / 41.0).abs() < 1e-12);
    let long = dir.path().join("long.txt");
    fs::write(&long, format!("{}\n\n{}", "x".repeat(99), "x".repeat(99).to_uppercase())).unwrap();
    let source = json!({"kind": "text", "path": long, "val_split_by": "tail"});
    config.sources.insert("letters".to_owned(), serde_json::from_value(source).unwrap());
    let expected = 0.25 * 40.0 / 41.0 + 0.75 * 0.99;
    assert!((open(&config).val_bytes_per_token().unwrap() - expected).abs() < 1e-12);
}

#[test]
fn growing_one_source_does_not_shift_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = two_sources(&dir);
    let digits = |config: &PretrainDataConfig| {
        let windows = open(config).next_batch(200).ids;
        let of_digits = windows.chunks(T).filter(|window| is_digits(window));
        of_digits.map(<[u32]>::to_vec).collect::<Vec<_>>()
    };
    let before = digits(&config);
    config.sources.insert("letters".to_owned(), TextSource::World { documents: 20 });
    assert_eq!(digits(&config), before);
}

#[test]
fn short_sources_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = two_sources(&dir);
    let error = PretrainData::open(&config, &Tokenizer::byte(), 64, &context()).unwrap_err();
    assert_eq!(error.message, "split val of source `digits` has 41 tokens, but a window needs 65");
    assert_eq!(error.path.unwrap(), "data.sources.digits.path");

    let path = dir.path().join("wiki.txt");
    fs::write(&path, "wiki").unwrap();
    let config = serde_json::from_value(json!({
        "sources": {"wiki": {"kind": "text", "path": path}},
        "mix": {"wiki": 1.0},
        "cache_dir": dir.path(),
    }))
    .unwrap();
    let error = PretrainData::open(&config, &Tokenizer::byte(), T, &context()).unwrap_err();
    assert_eq!(error.message, "split train of source `wiki` has 5 tokens, but a window needs 17");
}

#[test]
fn a_source_may_hold_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = two_sources(&dir);
    for source in config.sources.values_mut() {
        match source {
            TextSource::Text(files) => files.val_fraction = 0.0,
            TextSource::Jsonl(files) => files.val_fraction = 0.0,
            _ => {}
        }
    }
    assert_eq!(open(&config).eval_batches(2, 2), []);
    assert_eq!(open(&config).val_bytes_per_token(), None);
    config.val_source = Some("digits".to_owned());
    let error = PretrainData::open(&config, &Tokenizer::byte(), T, &context()).unwrap_err();
    assert_eq!(error.message, "split val of source `digits` has 0 tokens, but a window needs 17");
}
