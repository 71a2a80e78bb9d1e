//! Reads the files that a user brings, and names every record that can't be used.
//!
//! A file that can't be read, or that has no usable record at all, is an error at the source's
//! `path`. A single bad record is not: it is left out, and reported with its line.

use std::fs;

use sdk::{Error, Result};
use serde_json::Value;

use super::split::{split_documents, stable_hash};
use crate::chat::{Message, Role};

/// A record that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Its line in the file; where the file is one JSON list, its place in the list. From 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Usable records, taken apart, and the rest.
#[derive(Debug)]
pub(super) struct Records<T> {
    pub(super) train: Vec<T>,
    pub(super) val: Vec<T>,
    pub(super) bad: Vec<BadRecord>,
}

/// A file of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceFile<'a> {
    /// The source's name.
    pub(super) source: &'a str,
    pub(super) path: &'a str,
    pub(super) val_fraction: f64,
}

impl SourceFile<'_> {
    /// The documents of a text file, which blank lines separate.
    pub(super) fn texts(&self) -> Result<Records<String>> {
        let text = self.read()?;
        let documents = text.split("\n\n").map(str::trim).filter(|document| !document.is_empty());
        let hashed: Vec<(u64, String)> = documents
            .map(|document| (stable_hash(document.as_bytes()), document.to_owned()))
            .collect();
        if hashed.is_empty() {
            return Err(self.error("data::empty", format!("`{}` is empty", self.path)));
        }
        let (train, val) = split_documents(hashed, self.val_fraction);
        Ok(Records { train, val, bad: Vec::new() })
    }

    /// The documents of a JSON file, each the text under `field`.
    pub(super) fn fields(&self, field: &str) -> Result<Records<String>> {
        self.parsed(|record| match record.get(field) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.clone()),
            Some(Value::String(_)) => Err(format!("`{field}` is blank")),
            Some(_) => Err(format!("`{field}` is not a string")),
            None => Err(format!("no `{field}`")),
        })
    }

    /// The conversations of a JSON file.
    pub(super) fn conversations(&self) -> Result<Records<Vec<Message>>> {
        self.parsed(conversation)
    }

    /// Parses each record; what fails is kept with its line.
    fn parsed<T>(&self, parse: impl Fn(&Value) -> Result<T, String>) -> Result<Records<T>> {
        let text = self.read()?;
        let (mut hashed, mut bad) = (Vec::new(), Vec::new());
        for (line, record) in json_records(&text) {
            let hash = |value: &Value| stable_hash(value.to_string().as_bytes());
            match record.and_then(|value| Ok((hash(&value), parse(&value)?))) {
                Ok(usable) => hashed.push(usable),
                Err(reason) => bad.push(BadRecord { line, reason }),
            }
        }
        if hashed.is_empty() {
            return Err(self.nothing_usable(&bad));
        }
        let (train, val) = split_documents(hashed, self.val_fraction);
        Ok(Records { train, val, bad })
    }

    fn read(&self) -> Result<String> {
        let text = fs::read_to_string(self.path).map_err(|error| {
            self.error("data::read", format!("reading `{}`: {error}", self.path))
                .help("the path counts from the directory that the run is started in")
        })?;
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        Ok(text.replace("\r\n", "\n"))
    }

    fn nothing_usable(&self, bad: &[BadRecord]) -> Error {
        let Some(first) = bad.first() else {
            return self.error("data::empty", format!("`{}` is empty", self.path));
        };
        let message = format!(
            "`{}` has no usable record; the first of {} bad ones is at line {}: {}",
            self.path,
            bad.len(),
            first.line,
            first.reason
        );
        self.error("data::records", message)
    }

    fn error(&self, code: &str, message: String) -> Error {
        Error::new(code, message).at(format!("data.sources.{}.path", self.source))
    }
}

/// The records of a file that is one JSON list, or has one object per line.
fn json_records(text: &str) -> Vec<(usize, Result<Value, String>)> {
    if text.trim_start().starts_with('[')
        && let Ok(list) = serde_json::from_str::<Vec<Value>>(text)
    {
        return list.into_iter().enumerate().map(|(idx, value)| (idx + 1, Ok(value))).collect();
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse = |line| serde_json::from_str(line).map_err(|error| format!("invalid JSON: {error}"));
    lines.map(|(idx, line)| (idx + 1, parse(line))).collect()
}

fn conversation(record: &Value) -> Result<Vec<Message>, String> {
    if !record.is_object() {
        return Err("not a JSON object".to_owned());
    }
    let messages = match record.get("messages") {
        Some(messages) => messages_of(messages)?,
        None => exchange(record)?,
    };
    if messages.is_empty() {
        return Err("`messages` must be non-empty".to_owned());
    }
    if !messages.iter().any(|message| message.role == Role::Assistant) {
        return Err("needs at least one assistant message".to_owned());
    }
    Ok(messages)
}

fn messages_of(messages: &Value) -> Result<Vec<Message>, String> {
    let Value::Array(messages) = messages else {
        return Err("`messages` is not a list".to_owned());
    };
    let message = |(idx, message): (usize, &Value)| {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        let role =
            role_of(role).ok_or_else(|| format!("message {idx} has invalid role `{role}`"))?;
        let content = message.get("content").and_then(Value::as_str);
        let content = content.ok_or_else(|| format!("message {idx} has no text in `content`"))?;
        Ok(Message::new(role, content))
    };
    messages.iter().enumerate().map(message).collect()
}

fn role_of(name: &str) -> Option<Role> {
    match name.to_ascii_lowercase().as_str() {
        "system" => Some(Role::System),
        "user" | "prompter" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        _ => None,
    }
}

/// An instruction, with its input below it where there is one, and the output as the answer.
fn exchange(record: &Value) -> Result<Vec<Message>, String> {
    let text = |key: &str| record.get(key).and_then(Value::as_str).filter(|t| !t.trim().is_empty());
    let (Some(instruction), Some(output)) = (text("instruction"), text("output")) else {
        return Err("neither `messages` nor an `instruction` with an `output`".to_owned());
    };
    let asked = match text("input") {
        Some(input) => format!("{instruction}\n\n{input}"),
        None => instruction.to_owned(),
    };
    Ok(vec![Message::new(Role::User, asked), Message::new(Role::Assistant, output)])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    /// A file with a text, for as long as it is held.
    struct Written {
        path: PathBuf,
        _dir: TempDir,
    }

    impl Written {
        fn new(text: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("notes");
            fs::write(&path, text).unwrap();
            Self { path, _dir: dir }
        }

        fn source(&self) -> SourceFile<'_> {
            SourceFile { source: "notes", path: self.path.to_str().unwrap(), val_fraction: 0.5 }
        }
    }

    #[test]
    fn blank_lines_separate_documents() {
        let records =
            Written::new("\u{FEFF}one\r\n\r\ntwo\nlines\n\n\n\n").source().texts().unwrap();
        let mut all = [records.train, records.val].concat();
        all.sort();
        assert_eq!(all, ["one", "two\nlines"]);
    }

    #[test]
    fn bad_records_are_reported_with_their_lines() {
        let text = r#"{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
{"messages": [

{"instruction": "I", "input": " ", "output": "O"}
{"instruction": "I"}
{"messages": [{"role": "bot", "content": "A"}]}
{"messages": [{"role": "user", "content": "Q"}]}
{"messages": [{"role": "user"}]}
{"messages": []}
7
"#;
        let records = Written::new(text).source().conversations().unwrap();
        assert_eq!(records.train.len() + records.val.len(), 2);
        let bad: Vec<(usize, &str)> =
            records.bad.iter().map(|bad| (bad.line, bad.reason.as_str())).collect();
        assert_eq!(
            bad,
            [
                (2, "invalid JSON: EOF while parsing a list at line 1 column 14"),
                (5, "neither `messages` nor an `instruction` with an `output`"),
                (6, "message 0 has invalid role `bot`"),
                (7, "needs at least one assistant message"),
                (8, "message 0 has no text in `content`"),
                (9, "`messages` must be non-empty"),
                (10, "not a JSON object"),
            ]
        );
    }

    #[test]
    fn a_list_of_records_is_read_too() {
        let text = r#"[
            {"instruction": "Add.", "input": "1 + 1", "output": "2"},
            {"text": "no conversation"}
        ]"#;
        let records = Written::new(text).source().conversations().unwrap();
        assert_eq!(records.train[0][0], Message::new(Role::User, "Add.\n\n1 + 1"));
        assert_eq!(records.bad[0].line, 2);
        let texts = Written::new(text).source().fields("text").unwrap();
        assert_eq!(
            (texts.train.as_slice(), texts.bad.len()),
            (&["no conversation".to_owned()][..], 1)
        );
    }

    #[test]
    fn unusable_files_are_errors_at_their_path() {
        let missing = SourceFile { source: "notes", path: "/no/such/file", val_fraction: 0.1 };
        let error = missing.texts().unwrap_err();
        assert_eq!(error.code, "data::read");
        assert_eq!(error.path.unwrap(), "data.sources.notes.path");
        assert!(error.message.starts_with("reading `/no/such/file`: "), "{}", error.message);

        assert_eq!(Written::new(" \n\n").source().texts().unwrap_err().code, "data::empty");
        assert_eq!(Written::new("").source().conversations().unwrap_err().code, "data::empty");
        let error = Written::new("\n{}\n[]\n").source().conversations().unwrap_err();
        let told = "has no usable record; the first of 2 bad ones is at line 2: neither";
        assert!(error.message.contains(told), "{}", error.message);
    }
}
