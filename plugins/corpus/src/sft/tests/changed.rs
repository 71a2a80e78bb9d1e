//! Data that is not what it was, or holds nothing back.

use super::*;

#[test]
fn a_position_in_other_conversations_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<Value> = (0..20).map(|idx| exchange("Q", &format!("A{idx}"))).collect();
    let mut data = open(&dir, &one_source(&dir, &records, json!({})));
    data.next_batch(2);
    let saved = StateDict::save(&mut data).unwrap();
    saved.restore(&mut open(&dir, &one_source(&dir, &records, json!({})))).unwrap();
    for others in [&records[..3], &[&records[..19], &[exchange("Q", "A!")]].concat()] {
        let mut other = open(&dir, &one_source(&dir, others, json!({})));
        let error = saved.restore(&mut other).unwrap_err();
        assert_eq!(error.code, "data::changed");
        let told = "source `chat` is not what it was when the checkpoint was written";
        assert_eq!(error.message, told);
    }
}

#[test]
fn an_object_over_several_lines_is_told_what_a_file_holds() {
    let dir = tempfile::tempdir().unwrap();
    let section = one_source(&dir, &[], json!({}));
    let pretty = serde_json::to_string_pretty(&exchange("Q", "A")).unwrap();
    fs::write(dir.path().join("chat.jsonl"), pretty).unwrap();
    let error = opened(&dir, &section, T).unwrap_err();
    assert_eq!(error.code, "data::records");
    let help = "a file has one JSON object per line, or is one list of objects";
    assert_eq!(error.help.as_deref(), Some(help));
}

#[test]
fn a_source_to_be_evaluated_on_must_hold_something_back() {
    let records: Vec<Value> = (0..20).map(|idx| exchange("Q", &format!("A{idx}"))).collect();
    let error = open_records(&records, json!({"val_source": "chat"})).unwrap_err();
    assert_eq!(error.code, "data::val_source");
    assert_eq!(error.path.as_deref(), Some("data.val_source"));
}
