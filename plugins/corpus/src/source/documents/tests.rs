//! What a document is, in texts and in records.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::config::TextSource;
use crate::source::TextInput;
use sdk::{DeviceContext, PhaseContext};

/// The documents of a source, and what was left out.
#[derive(Default)]
struct Found {
    texts: Vec<String>,
    bad: Vec<String>,
    n_pieces: usize,
    n_blank: usize,
    n_replaced: usize,
}

fn found(source: Value) -> Found {
    let source: TextSource = serde_json::from_value(source).unwrap();
    let cx = PhaseContext::detached("test", 1, DeviceContext::default());
    let input =
        TextInput::open(&source, "data.sources.notes", "/tmp".as_ref(), &cx).unwrap().unwrap();
    let mut documents = input.train.documents(&input.rule);
    let mut found = Found::default();
    while let Some(part) = documents.next_part().unwrap() {
        match part {
            Part::Piece(piece) => {
                if piece.is_first {
                    found.texts.push(String::new());
                }
                found.texts.last_mut().unwrap().push_str(&piece.text);
                found.n_pieces += 1;
            }
            Part::Bad(bad) => found.bad.push(format!("{}: {}", bad.line, bad.reason)),
            Part::FileEnd => {}
        }
    }
    assert_eq!(documents.bytes_read(), input.train.size());
    (found.n_blank, found.n_replaced) = (documents.n_blank(), documents.n_replaced());
    found
}

fn written(dir: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn blank_lines_separate_paragraphs() {
    let dir = tempfile::tempdir().unwrap();
    let text = "\u{FEFF}\r\none\r\n\r\n  two\nlines \n \n\n\nthree";
    let path = written(&dir, "notes.txt", text.as_bytes());
    let found = found(json!({"kind": "text", "path": path}));
    assert_eq!(found.texts, ["one", "two\nlines", "three"]);
}

/// The reference's text form of the primer puts `<dialogue>` between blocks and drops blank ones.
/// Here conversations are records, see `primer` among the presets; a text of blocks is cut at blank
/// lines, which keeps every block whole and none of what is between them.
#[test]
fn blocks_are_kept_whole_and_blank_ones_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = ["user: Q\nassistant: A", "system: S\nuser: Q", "one more"];
    let text = format!("\n\n{}\n\n \n\n{}\n\n\t\n\n{}\n\n", blocks[0], blocks[1], blocks[2]);
    let path = written(&dir, "blocks.txt", text.as_bytes());
    let source = json!({"kind": "text", "path": path});
    let found = found(source.clone());
    assert_eq!(found.texts, blocks);
    assert_eq!(self::found(source).texts, blocks);
}

#[test]
fn lines_keep_the_blanks_at_their_ends_and_blank_ones_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(&dir, "wiki.txt", b" = Title = \n \n\n Text . \nlast");
    let found = found(json!({"kind": "text", "path": path, "documents": "lines"}));
    assert_eq!(found.texts, [" = Title = ", " Text . ", "last"]);
}

#[test]
fn a_folder_of_notes_is_read_in_order_with_what_is_no_text_replaced() {
    let dir = tempfile::tempdir().unwrap();
    written(&dir, "b/two.md", b"second\n\nstill second\n");
    written(&dir, "a.md", b"fir\xFFst\r\n");
    written(&dir, "c.md", b" \n");
    written(&dir, "c.json", b"{}");
    let path = format!("{}/**/*.md", dir.path().display());
    let found = found(json!({"kind": "text", "path": path, "documents": "files"}));
    assert_eq!(found.texts, ["fir\u{FFFD}st\n", "second\n\nstill second\n"]);
    assert_eq!(found.n_replaced, 1);
}

#[test]
fn a_paragraph_does_not_go_on_in_the_next_file() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [written(&dir, "1.txt", b"one\ntwo"), written(&dir, "2.txt", b"three\n")];
    assert_eq!(found(json!({"kind": "text", "path": paths})).texts, ["one\ntwo", "three"]);
}

#[test]
fn the_first_usual_key_with_a_string_has_the_text() {
    let dir = tempfile::tempdir().unwrap();
    let lines = [
        json!({"document": "d", "text": "t", "content": "c"}),
        json!({"document": "d", "text": 7, "content": "c"}),
        json!({"id": 1, "document": "d"}),
        json!({"id": 1, "url": "x"}),
        json!({"text": " \n"}),
        json!(["no object"]),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    let path = written(&dir, "rows.jsonl", text.as_bytes());
    let usual = found(json!({"kind": "jsonl", "path": path}));
    assert_eq!(usual.texts, ["t", "c", "d"]);
    assert_eq!(
        usual.bad,
        [
            "4: no string under `text`, `content` or `document`; its keys: `id`, `url`",
            "6: not a JSON object"
        ]
    );
    assert_eq!(usual.n_blank, 1);
    let named = found(json!({"kind": "jsonl", "path": path, "field": "url"}));
    assert_eq!((named.texts, named.bad.len()), (vec!["x".to_owned()], 5));
    assert!(named.bad.contains(&"3: no `url`; its keys: `id`, `document`".to_owned()));
}

#[test]
fn a_text_without_blank_lines_comes_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let text = "Some words that go on and on.\n".repeat(200_000);
    let path = written(&dir, "long.txt", text.as_bytes());
    let found = found(json!({"kind": "text", "path": path}));
    assert_eq!((found.texts.len(), found.n_pieces), (1, 6));
    assert_eq!(found.texts[0], text.trim_end());
}
