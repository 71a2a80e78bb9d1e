//! `{"conversations": [{"from", "value"}, …]}`: the form of `ShareGPT` and its kin.

use serde_json::Value;

use super::{Record, list, role};
use crate::chat::Message;

pub(super) fn conversation(record: &Record) -> Result<Vec<Message>, String> {
    let message = |(idx, message): (usize, &Value)| {
        let value = message.get("value").and_then(Value::as_str);
        let value = value.ok_or_else(|| format!("message {idx} has no text in `value`"))?;
        Ok(Message::new(role(message, "from", idx)?, value))
    };
    list(record, "conversations")?.iter().enumerate().map(message).collect()
}
