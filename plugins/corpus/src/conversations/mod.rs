//! Conversations in the forms that data sets have them, one file a form.
//!
//! A record is one conversation, except in `oasst`, where it is one message of a tree. A record
//! that can't be used is told why; nothing is guessed and nothing is left out in silence.

mod alpaca;
mod dolly;
mod messages;
pub(crate) mod oasst;
mod sharegpt;

use serde_json::{Map, Value};

use crate::chat::{Message, Role};
use crate::config::ChatForm;

type Record = Map<String, Value>;

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A conversation with at least one answer.
    Conversation(Vec<Message>),
    /// A message of a tree.
    Node(oasst::Node),
}

/// Reads a record of `form`.
///
/// # Errors
/// With what is wrong with it, as a clause.
pub(crate) fn parse(record: &Value, form: ChatForm) -> Result<Parsed, String> {
    let record = record.as_object().ok_or_else(|| "not a JSON object".to_owned())?;
    let messages = match form_of(record, form)? {
        ChatForm::Oasst => return Ok(Parsed::Node(oasst::node(record)?)),
        ChatForm::ShareGpt => sharegpt::conversation(record)?,
        ChatForm::Alpaca => alpaca::conversation(record)?,
        ChatForm::Dolly => dolly::conversation(record)?,
        ChatForm::Messages | ChatForm::Auto => messages::conversation(record)?,
    };
    if messages.is_empty() {
        return Err("a conversation must be non-empty".to_owned());
    }
    if !messages.iter().any(|message| message.role == Role::Assistant) {
        return Err("a conversation needs at least one assistant message".to_owned());
    }
    Ok(Parsed::Conversation(messages))
}

/// The form that was asked for, or the one that the record's keys tell.
fn form_of(record: &Record, form: ChatForm) -> Result<ChatForm, String> {
    if form != ChatForm::Auto {
        return Ok(form);
    }
    let told = [
        (ChatForm::Messages, ["messages"].as_slice()),
        (ChatForm::ShareGpt, &["conversations"]),
        (ChatForm::Alpaca, &["instruction", "output"]),
        (ChatForm::Dolly, &["instruction", "response"]),
        (ChatForm::Oasst, &["message_id", "role", "text"]),
    ];
    let has = |keys: &[&str]| keys.iter().all(|key| record.contains_key(*key));
    let known = told.into_iter().find(|(_, keys)| has(keys)).map(|(form, _)| form);
    known.ok_or_else(|| format!("no known form of a conversation, with {}", keys(record)))
}

/// The keys of a record, for a message.
fn keys(record: &Record) -> String {
    if record.is_empty() {
        return "no keys".to_owned();
    }
    let keys: Vec<String> = record.keys().map(|key| format!("`{key}`")).collect();
    format!("the keys {}", keys.join(", "))
}

/// A text that must be there and not be blank.
fn required<'a>(record: &'a Record, key: &str) -> Result<&'a str, String> {
    match record.get(key) {
        Some(Value::String(text)) if text.trim().is_empty() => Err(format!("`{key}` is blank")),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("`{key}` is not a string")),
        None => Err(format!("no `{key}`, but {}", keys(record))),
    }
}

/// A text that may be missing, null or blank; those are none.
fn optional<'a>(record: &'a Record, key: &str) -> Result<Option<&'a str>, String> {
    match record.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.trim().is_empty())),
        Some(_) => Err(format!("`{key}` is not a string")),
    }
}

/// A list that must be there.
fn list<'a>(record: &'a Record, key: &str) -> Result<&'a [Value], String> {
    match record.get(key) {
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(format!("`{key}` is not a list")),
        None => Err(format!("no `{key}`, but {}", keys(record))),
    }
}

/// The role of a name, in capitals or not.
fn role_of(name: &str) -> Option<Role> {
    match name.to_ascii_lowercase().as_str() {
        "system" => Some(Role::System),
        "user" | "prompter" | "human" => Some(Role::User),
        "assistant" | "gpt" => Some(Role::Assistant),
        _ => None,
    }
}

/// The role under `key` of message `idx`.
fn role(message: &Value, key: &str, idx: usize) -> Result<Role, String> {
    let name = message.get(key).and_then(Value::as_str);
    let name = name.ok_or_else(|| format!("message {idx} has no `{key}`"))?;
    role_of(name).ok_or_else(|| format!("message {idx} has invalid role `{name}`"))
}

#[cfg(test)]
mod tests;
