//! Caches: equal builds, complete parts, one builder, nothing that could be taken for another.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use sdk::{DeviceContext, PhaseContext};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenizer::{TrainConfig, TrainModel};

use super::build::build_with;
use super::*;
use crate::config::TextSource;

mod failing;

fn context(threads: usize) -> PhaseContext {
    PhaseContext::detached("pretrain", 7, DeviceContext { threads, ..DeviceContext::default() })
}

fn input(source: Value) -> TextInput {
    let source: TextSource = serde_json::from_value(source).unwrap();
    TextInput::open(&source, "data.sources.notes", Path::new("/none"), &context(1))
        .unwrap()
        .unwrap()
}

/// Forty documents, in a file of their own in `dir`.
fn notes(dir: &TempDir) -> Value {
    let names = ["alpha", "beta", "gamma", "delta"];
    let document = |idx: usize| format!("{} number {idx}", names[idx % 4]);
    let path = dir.path().join("notes.txt");
    fs::write(&path, (0..40).map(document).collect::<Vec<_>>().join("\n\n")).unwrap();
    json!({"kind": "text", "path": path})
}

fn opened(dir: &TempDir, source: Value) -> Result<TokenCache> {
    open("notes", &input(source), &Tokenizer::byte(), &dir.path().join("cache"), &context(2))
}

/// The content of every file below a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut contents = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents.extend(self::contents(&path));
        } else {
            contents.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    contents
}

fn all(tokens: &Tokens) -> Vec<u32> {
    tokens.window(0, tokens.len())
}

fn built(
    dir: &TempDir,
    name: &str,
    source: &TextInput,
    shard_tokens: usize,
    threads: usize,
) -> PathBuf {
    let place = dir.path().join(name);
    let byte = Tokenizer::byte();
    build_with("notes", "key", source, &byte, &place, shard_tokens, &context(threads)).unwrap();
    place
}

/// In the order of the texts: the reference's buffer that shuffles them is gone, since windows are
/// drawn from anywhere; and what is held back goes by document, not by a number of tokens.
#[test]
fn two_builds_are_equal_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let source = input(notes(&dir));
    let relative = |place: PathBuf| -> Vec<(PathBuf, Vec<u8>)> {
        let of = |(path, bytes): (PathBuf, Vec<u8>)| {
            (path.strip_prefix(&place).unwrap().to_owned(), bytes)
        };
        contents(&place).into_iter().map(of).collect()
    };
    // Shards of 1024 bytes too, the reference's size for this.
    for (n_tokens, name) in [(512, "a"), (50, "b")] {
        let one = relative(built(&dir, &format!("{name}1"), &source, n_tokens, 1));
        let other = relative(built(&dir, &format!("{name}4"), &source, n_tokens, 4));
        assert_eq!(one, other);
        let is_full = |bytes: &Vec<u8>| bytes.len() == 2 * n_tokens;
        assert!(one.iter().any(|(path, bytes)| path.starts_with("train") && is_full(bytes)));
    }
    let first = relative(dir.path().join("b1"));
    let names: Vec<String> = first.iter().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(names[0], "meta.json");
    // 40 documents of 14.5 bytes on average and an end token each, a tenth of them held back.
    let n_shards = |split: &str| names.iter().filter(|name| name.starts_with(split)).count();
    assert_eq!((n_shards("train"), n_shards("val")), (12, 2));
}

#[test]
fn meta_says_what_there_is_in_order_and_without_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let place = built(&dir, "built", &input(notes(&dir)), 50, 1);
    let text = fs::read_to_string(place.join("meta.json")).unwrap();
    let meta: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = meta.keys().collect();
    assert!(keys.is_sorted(), "{keys:?}");
    assert_eq!((&meta["dtype"], &meta["train_documents"]), (&json!("uint16-le"), &json!(36)));
    assert_eq!(meta["split_rule"], "0.1 of the documents, by their hashes");
    let n = |key: &str| meta[key].as_u64().unwrap();
    assert_eq!(n("train_tokens"), n("train_bytes") + 36);
    assert_eq!(n("val_tokens"), n("val_bytes") + 4);
}

#[test]
fn a_window_crosses_the_bounds_of_shards() {
    let dir = tempfile::tempdir().unwrap();
    let source = input(notes(&dir));
    let large = load(&built(&dir, "large", &source, 1 << 20, 1), &Tokenizer::byte()).unwrap();
    let small = load(&built(&dir, "small", &source, 7, 1), &Tokenizer::byte()).unwrap();
    assert_eq!(all(&small.train), all(&large.train));
    for start in 0..20 {
        assert_eq!(small.val.window(start, 30), all(&large.val)[start..start + 30]);
    }
    let eot = Tokenizer::byte().special().eot;
    assert_eq!(all(&large.train).iter().filter(|id| **id == eot).count(), 36);
}

#[test]
fn the_missing_parts_are_listed_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let place = built(&dir, "built", &input(notes(&dir)), 100, 1);
    assert!(load(&place, &Tokenizer::byte()).is_ok());
    fs::remove_file(place.join("train/00002.bin")).unwrap();
    fs::remove_file(place.join("val/00000.bin")).unwrap();
    let error = load(&place, &Tokenizer::byte()).unwrap_err();
    assert_eq!(error.code, "data::cache_missing");
    let told =
        format!("token cache `{}` lacks `train/00002.bin`, `val/00000.bin`", place.display());
    assert_eq!(error.message, told);

    fs::remove_dir_all(&place).unwrap();
    let error = load(&place, &Tokenizer::byte()).unwrap_err();
    let told = format!("token cache `{}` lacks `meta.json`, `train`, `val`", place.display());
    assert_eq!(error.message, told);
}

#[test]
fn another_tokenizer_is_told_by_its_hash() {
    let dir = tempfile::tempdir().unwrap();
    let place = built(&dir, "built", &input(notes(&dir)), 100, 1);
    let meta = fs::read_to_string(place.join("meta.json")).unwrap();
    let hash = Tokenizer::byte().description()["hash"].as_str().unwrap().to_owned();
    fs::write(place.join("meta.json"), meta.replace(&hash, "abc")).unwrap();
    let error = load(&place, &Tokenizer::byte()).unwrap_err();
    assert_eq!(error.code, "data::cache_tokenizer");
    let told = "tokenizer hash mismatch: the cache of `notes` was built with `abc`, but this is `";
    assert!(error.message.starts_with(told), "{}", error.message);
}

/// The reference keeps files of bytes beside these for texts without a tokenizer, valid by time and
/// size of what they were made from; here bytes are a tokenizer, and there is one kind of cache.
#[test]
fn a_cache_is_built_once_and_again_only_where_it_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let first = all(&opened(&dir, notes(&dir)).unwrap().train);
    let tokens = dir.path().join("cache/tokens");
    let before = contents(&tokens);
    assert_eq!(before.len(), 4, "{:?}", before.keys());
    let (shard, _) = before.iter().find(|(path, _)| path.ends_with("train/00000.bin")).unwrap();
    let written = || fs::metadata(shard).unwrap().modified().unwrap();
    let at = written();
    assert_eq!(all(&opened(&dir, notes(&dir)).unwrap().train), first);
    assert_eq!(written(), at);

    fs::write(shard, b"half").unwrap();
    assert_eq!(all(&opened(&dir, notes(&dir)).unwrap().train), first);
    assert_eq!(contents(&tokens), before);

    // Other texts at the same place are another cache, and the first stays what it is.
    let source = notes(&dir);
    fs::write(source["path"].as_str().unwrap(), "one\n\nmore\n\nthen").unwrap();
    let cache = opened(&dir, source).unwrap();
    assert_eq!((cache.meta.train_documents, cache.meta.val_documents), (2, 1));
    assert!(before.iter().all(|(path, bytes)| fs::read(path).unwrap() == *bytes));
}

#[test]
fn what_a_killed_run_left_is_never_used() {
    let dir = tempfile::tempdir().unwrap();
    let source = notes(&dir);
    let key = meta::key("notes", &input(source.clone()), &Tokenizer::byte(), &context(1)).unwrap();
    let left = dir.path().join("cache/tokens").join(format!("{key}.building/train"));
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("00099.bin"), b"stale").unwrap();
    let cache = opened(&dir, source).unwrap();
    assert_eq!(cache.meta.train_documents, 36);
    let names: Vec<PathBuf> = contents(&dir.path().join("cache/tokens")).into_keys().collect();
    assert!(names.iter().all(|name| !name.ends_with("00099.bin")), "{names:?}");
}

#[test]
fn two_at_once_build_one_cache() {
    let dir = tempfile::tempdir().unwrap();
    let source = notes(&dir);
    let begin = Barrier::new(4);
    let open = || {
        begin.wait();
        all(&opened(&dir, source.clone()).unwrap().train)
    };
    let all: Vec<Vec<u32>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(all.iter().all(|tokens| *tokens == all[0]));
    assert_eq!(contents(&dir.path().join("cache/tokens")).len(), 4);
}

#[test]
fn whatever_changes_the_tokens_changes_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let source = notes(&dir);
    let key = |source: &Value| {
        meta::key("notes", &input(source.clone()), &Tokenizer::byte(), &context(1)).unwrap()
    };
    let first = key(&source);
    let with = |name: &str, value: Value| {
        let mut changed = source.clone();
        changed[name] = value;
        key(&changed)
    };
    assert_ne!(with("val_fraction", json!(0.2)), first);
    assert_ne!(with("val_split_by", json!("tail")), first);
    assert_ne!(with("documents", json!("lines")), first);
    let path = dir.path().join("notes.txt");
    let moved = dir.path().join("moved.txt");
    fs::copy(&path, &moved).unwrap();
    assert_eq!(with("path", json!(moved)), first);
    fs::write(&path, "other").unwrap();
    assert_ne!(key(&source), first);
}

#[test]
fn a_marker_in_a_text_ends_the_build_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let marker = Tokenizer::byte().special_texts().eot.clone();
    fs::write(&path, format!("one\n\ntwo\nlïnes {marker} more\n\nthree")).unwrap();
    let source = json!({"kind": "text", "path": path});
    // The ids of the byte tokenizer can't be confused.
    assert_eq!(opened(&dir, source.clone()).unwrap().meta.train_documents, 2);

    let mut texts = (0..2000).map(|idx| format!("one two three {}", idx * 37));
    let config = TrainConfig { model: TrainModel::Bpe, vocab_size: 270, min_frequency: 2 };
    let trained = Tokenizer::train(&config, &mut texts, &mut |_| Ok(())).unwrap();
    let marker = trained.special_texts().eot.clone();
    fs::write(&path, format!("one\n\ntwo\nlïnes {marker} more\n\nthree")).unwrap();
    let error = open("notes", &input(source), &trained, &dir.path().join("cache"), &context(1))
        .unwrap_err();
    assert_eq!(error.code, "data::special_text");
    assert_eq!(error.path.unwrap(), "data.sources.notes.path");
    let told = format!(
        "a text of source `notes` contains the marker `eot`: document 2, `{}:5`, byte 11: \
         `two\\nlïnes {marker} more`",
        path.display()
    );
    assert_eq!(error.message, told);
    let folder = dir.path().join("cache/tokens");
    let left = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let left: Vec<PathBuf> =
        left.filter(|path| path.extension() != Some("lock".as_ref())).collect();
    // The cache of the byte tokenizer.
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn nothing_usable_is_an_error_that_names_the_first_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    fs::write(&path, "\n{\"id\": 1}\n[]\n").unwrap();
    let error = opened(&dir, json!({"kind": "jsonl", "path": path})).unwrap_err();
    assert_eq!(error.code, "data::empty");
    let told = format!(
        "source `notes` has no usable record; the first of 2 bad ones is `{}:2`: no string under \
         `text`, `content` or `document`; its keys: `id`",
        path.display()
    );
    assert_eq!(error.message, told);
    fs::write(&path, " \n").unwrap();
    let error = opened(&dir, json!({"kind": "text", "path": path})).unwrap_err();
    assert_eq!(error.message, "source `notes` has no text");
}

#[test]
fn the_tail_is_held_back_where_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let cache = |text: &str, fraction: f64| {
        fs::write(&path, text).unwrap();
        let source = json!({
            "kind": "text", "path": path, "val_split_by": "tail", "val_fraction": fraction,
        });
        let cache = opened(&dir, source).unwrap();
        let text = |tokens: &Tokens| Tokenizer::byte().decode(&all(tokens));
        (text(&cache.train), text(&cache.val), cache.meta)
    };
    let (train, val, _) = cache("a\n\nb\n\nc\n\nd\n\ne", 0.4);
    assert_eq!((train.as_str(), val.as_str()), ("abc", "de"));
    let (train, val, meta) = cache("0123456789", 0.3);
    assert_eq!((train.as_str(), val.as_str()), ("0123456", "789"));
    assert_eq!((meta.train_documents, meta.val_documents), (1, 1));
    let (train, val, _) = cache("aaaaaa€€", 0.4);
    assert_eq!((train.as_str(), val.as_str()), ("aaaaaa", "€€"));
    let long = "some words ".repeat(300_000);
    let (train, val, _) = cache(&long, 0.5);
    assert_eq!((train.len(), val.len()), (long.len() / 2, long.len() / 2 - 1));
}

#[test]
fn a_split_of_files_covers_them_shares_none_and_is_always_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let text = |idx: usize| format!("note {idx}\n\nwith more\n");
    for idx in 0..20 {
        fs::write(dir.path().join(format!("{idx}.md")), text(idx)).unwrap();
    }
    let source = json!({
        "kind": "text", "path": dir.path(), "documents": "files", "val_fraction": 0.2,
    });
    let documents = |tokens: &Tokens| -> Vec<String> {
        let eot = Tokenizer::byte().special().eot;
        let all = all(tokens);
        let documents = all.split(|id| *id == eot).map(|ids| Tokenizer::byte().decode(ids));
        documents.filter(|text| !text.is_empty()).collect()
    };
    let cache = opened(&dir, source.clone()).unwrap();
    let (train, val) = (documents(&cache.train), documents(&cache.val));
    assert_eq!((train.len(), val.len()), (16, 4));
    let mut both = [train, val.clone()].concat();
    both.sort();
    let mut expected: Vec<String> = (0..20).map(text).collect();
    expected.sort();
    assert_eq!(both, expected);
    fs::remove_dir_all(dir.path().join("cache")).unwrap();
    assert_eq!(documents(&opened(&dir, source).unwrap().val), val);

    let one = json!({"kind": "text", "path": dir.path().join("3.md"), "documents": "files"});
    assert_eq!(opened(&dir, one).unwrap().val.len(), 0);
}

#[test]
fn no_more_documents_than_asked_for_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = input(notes(&dir));
    source.max_documents = Some(20);
    let place = built(&dir, "built", &source, 1000, 1);
    let meta = load(&place, &Tokenizer::byte()).unwrap().meta;
    assert_eq!((meta.train_documents, meta.val_documents), (18, 2));
    // The split by a bound on the hash holds back 4 of these 40; training stops at 200 tokens.
    source.max_documents = None;
    source.max_tokens = Some(200);
    let cache = load(&built(&dir, "less", &source, 1000, 1), &Tokenizer::byte()).unwrap();
    assert!((200..216).contains(&cache.train.len()), "{}", cache.train.len());
}

#[test]
fn files_of_their_own_are_held_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = notes(&dir);
    let val = dir.path().join("val.txt");
    fs::write(&val, "held\n\nback").unwrap();
    source["val_path"] = json!(val);
    let cache = opened(&dir, source).unwrap();
    assert_eq!((cache.meta.train_documents, cache.meta.val_documents), (40, 2));
    assert_eq!(Tokenizer::byte().decode(&all(&cache.val)), "heldback");
}
