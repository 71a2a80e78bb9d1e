//! `{"instruction", "context", "response"}`: one exchange, the context below the instruction.

use super::{Record, optional, required};
use crate::chat::{Message, Role};

pub(super) fn conversation(record: &Record) -> Result<Vec<Message>, String> {
    let instruction = required(record, "instruction")?;
    let asked = match optional(record, "context")? {
        Some(context) => format!("{instruction}\n\ncontext:\n{context}"),
        None => instruction.to_owned(),
    };
    let answer = required(record, "response")?;
    Ok(vec![Message::new(Role::User, asked), Message::new(Role::Assistant, answer)])
}
