//! `{"messages": [{"role", "content"}, …]}`: the form of most chat interfaces, and of the primer.

use serde_json::Value;

use super::{Record, list, role};
use crate::chat::Message;

pub(super) fn conversation(record: &Record) -> Result<Vec<Message>, String> {
    let message = |(idx, message): (usize, &Value)| {
        Ok(Message::new(role(message, "role", idx)?, content(message, idx)?))
    };
    list(record, "messages")?.iter().enumerate().map(message).collect()
}

/// A text, or parts that are all texts.
fn content(message: &Value, idx: usize) -> Result<String, String> {
    match message.get("content") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => parts.iter().map(|part| text_of(part, idx)).collect(),
        _ => Err(format!("message {idx} has no text in `content`")),
    }
}

fn text_of(part: &Value, idx: usize) -> Result<String, String> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
    if kind != "text" {
        return Err(format!("message {idx} has a part of type `{kind}`, not `text`"));
    }
    let text = part.get("text").and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| format!("message {idx} has a part without `text`"))
}
