//! Builds that end early, and leave nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A context that asks to stop when it is looked for the `n`th time; and how often it was.
fn stopping_at(n: usize) -> (PhaseContext, Arc<AtomicUsize>) {
    let looked = Arc::new(AtomicUsize::new(0));
    let counted = looked.clone();
    let is_cancelled = move || counted.fetch_add(1, Ordering::Relaxed) + 1 >= n;
    let device = DeviceContext { threads: 1, ..DeviceContext::default() };
    (PhaseContext::detached_with("pretrain", 7, device, is_cancelled), looked)
}

#[test]
fn a_build_stops_when_asked_to_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    // Half of the rows have no text: they too are work that must end.
    let rows = |idx: usize| format!("{{\"text\": \"row {idx}\"}}\n{{\"other\": {idx}}}\n");
    fs::write(&path, (0..5000).map(rows).collect::<String>()).unwrap();
    let source = input(json!({"kind": "jsonl", "path": path}));
    let cache = dir.path().join("cache");
    let build = |cx: &PhaseContext| open("rows", &source, &Tokenizer::byte(), &cache, cx);
    let (unasked, looked) = stopping_at(usize::MAX);
    build(&unasked).unwrap();
    let n_looks = looked.load(Ordering::Relaxed);
    // Ten thousand records, read twice, with a look at every 256.
    assert!((78..90).contains(&n_looks), "{n_looks}");
    fs::remove_dir_all(&cache).unwrap();
    for n in [1, 2, 20, 60, n_looks] {
        let (cx, looked) = stopping_at(n);
        assert_eq!(build(&cx).unwrap_err().code, sdk::CANCELLED);
        assert_eq!(looked.load(Ordering::Relaxed), n);
        let left = fs::read_dir(cache.join("tokens"));
        let left = left
            .map_or(0, |left| left.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count());
        assert_eq!(left, 0);
    }
    assert_eq!(build(&context(1)).unwrap().meta.n_bad, 5000);
}

#[test]
fn a_file_that_is_written_to_while_it_is_read_makes_no_cache() {
    let dir = tempfile::tempdir().unwrap();
    let source = input(notes(&dir));
    let path = dir.path().join("notes.txt");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n\nmore")).unwrap();
    let cache = dir.path().join("cache");
    let error = open("notes", &source, &Tokenizer::byte(), &cache, &context(1)).unwrap_err();
    assert_eq!(error.code, "data::unsteady");
    assert_eq!(error.message, format!("`{}` was changed while it was read", path.display()));
    let left = fs::read_dir(cache.join("tokens")).unwrap();
    assert_eq!(left.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 0);
}
