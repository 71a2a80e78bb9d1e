//! Reading conversations ends when it is asked to, whatever the records are, and in bounded memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// How often it was looked whether to stop; the `n`th time it is asked to.
fn looks(section: &Value, n: usize) -> (Result<SftData>, usize) {
    let looks = Arc::new(AtomicUsize::new(0));
    let looked = looks.clone();
    let is_cancelled = move || looked.fetch_add(1, Ordering::Relaxed) + 1 >= n;
    let cx = PhaseContext::detached_with("sft", 1, DeviceContext::default(), is_cancelled);
    let config: SftDataConfig = serde_json::from_value(section.clone()).unwrap();
    let data = SftData::open(&config, &Tokenizer::byte(), T, &cx);
    (data, looks.load(Ordering::Relaxed))
}

#[test]
fn reading_stops_within_256_records_of_any_kind() {
    let asked = |idx: usize| json!({"message_id": format!("{idx}"), "role": "prompter", "text": "Q", "parent_id": null});
    let kinds: [&dyn Fn(usize) -> Value; 3] =
        [&|idx| exchange("Q", &format!("A{idx}")), &|idx| json!({ "bad": idx }), &asked];
    for (kind, record) in kinds.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let records: Vec<Value> = (0..2000).map(record).collect();
        let section = one_source(&dir, &records, json!({}));
        for n in [1, 3, 7] {
            let (data, n_looks) = looks(&section, n);
            assert_eq!(data.unwrap_err().code, sdk::CANCELLED);
            assert_eq!(n_looks, n, "{kind}");
        }
        // 2000 records are 7 times 256 and some.
        assert!(looks(&section, usize::MAX).1 >= 8, "{kind}");
    }
}

#[test]
fn of_bad_records_the_first_are_remembered_and_all_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let bad = (0..1000).map(|idx| json!({ "bad": idx }));
    let records: Vec<Value> = [exchange("Q", "A")].into_iter().chain(bad).collect();
    let data = open(&dir, &one_source(&dir, &records, json!({})));
    let report = data.reports()[0];
    assert_eq!((report.n_bad, report.bad_records.len()), (1000, 100));
    assert_eq!(report.bad_records[99].line, 101);
}

#[test]
fn replaced_bytes_of_conversations_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let section = one_source(&dir, &[exchange("Q", "A")], json!({}));
    let mut bytes = fs::read(dir.path().join("chat.jsonl")).unwrap();
    bytes.extend(b"{\"instruction\": \"\xFF\", \"output\": \"B\"}\n");
    fs::write(dir.path().join("chat.jsonl"), bytes).unwrap();
    let data = open(&dir, &section);
    assert_eq!((data.reports()[0].n_train, data.reports()[0].n_replaced), (2, 1));
}
