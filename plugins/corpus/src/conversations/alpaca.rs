//! `{"instruction", "input", "output"}`: one exchange, the input below the instruction.

use super::{Record, optional, required};
use crate::chat::{Message, Role};

pub(super) fn conversation(record: &Record) -> Result<Vec<Message>, String> {
    let instruction = required(record, "instruction")?;
    let asked = match optional(record, "input")? {
        Some(input) => format!("{instruction}\n\n{input}"),
        None => instruction.to_owned(),
    };
    let answer = required(record, "output")?;
    Ok(vec![Message::new(Role::User, asked), Message::new(Role::Assistant, answer)])
}
