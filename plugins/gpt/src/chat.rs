//! The chat template, the same for training, evaluation and generation.
//!
//! A message is its role's token, its text and an end-of-turn token; a conversation is its messages
//! one after another, without newlines or a begin token. A prompt is the messages so far and the
//! assistant's token, so a reply ends where the model says end-of-turn.

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::tokenizer::{SpecialTokens, Tokenizer};

/// The label of a token that isn't learnt.
pub const IGNORE: u32 = u32::MAX;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// Who asks.
    User,
    /// Who answers: what the model learns to say.
    Assistant,
}

/// One turn of a conversation. Keys that a data set has besides these are of no use here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

impl Role {
    /// The token that opens a message of this role.
    pub fn token(self, special: &SpecialTokens) -> u32 {
        match self {
            Self::System => special.sys,
            Self::User => special.usr,
            Self::Assistant => special.asst,
        }
    }
}

/// A conversation to learn from: its tokens, and the same again as labels where they are learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Token ids.
    pub ids: Vec<u32>,
    /// As long as `ids`: the id itself, or [`IGNORE`].
    pub labels: Vec<u32>,
}

impl Rendered {
    /// Tokens with the labels that the template gives them.
    pub fn from_ids(ids: Vec<u32>, special: &SpecialTokens) -> Self {
        let labels = labels(&ids, special);
        Self { ids, labels }
    }

    /// How many tokens are learnt.
    pub fn n_labelled(&self) -> usize {
        self.labels.iter().filter(|label| **label != IGNORE).count()
    }
}

/// A conversation with its labels.
///
/// # Errors
/// When there is no message, or none of the assistant's.
pub fn render(messages: &[Message], tokenizer: &Tokenizer) -> Result<Rendered> {
    if messages.is_empty() {
        return Err(Error::new("chat::empty", "a conversation must be non-empty"));
    }
    if !messages.iter().any(|message| message.role == Role::Assistant) {
        let message = "a conversation needs at least one assistant message";
        return Err(Error::new("chat::no_assistant", message));
    }
    Ok(Rendered::from_ids(token_ids(messages, tokenizer), &tokenizer.special()))
}

/// The tokens that the model is given to answer `messages`.
pub fn prompt(messages: &[Message], tokenizer: &Tokenizer) -> Vec<u32> {
    let mut ids = token_ids(messages, tokenizer);
    ids.push(tokenizer.special().asst);
    ids
}

/// The last reply in a conversation: what follows the last assistant token, up to the next
/// end-of-turn or the end. Empty where nobody answered.
pub fn reply<'a>(ids: &'a [u32], special: &SpecialTokens) -> &'a [u32] {
    let Some(opened) = ids.iter().rposition(|id| *id == special.asst) else {
        return &[];
    };
    let said = &ids[opened + 1..];
    let end = said.iter().position(|id| *id == special.eot).unwrap_or(said.len());
    &said[..end]
}

/// The labels of a conversation's tokens: each assistant message's text and its end-of-turn, and
/// nothing else.
pub fn labels(ids: &[u32], special: &SpecialTokens) -> Vec<u32> {
    let mut is_reply = false;
    let label = |id: &u32| {
        let is_role = special.roles().contains(id);
        let label = if is_reply && !is_role { *id } else { IGNORE };
        is_reply = *id == special.asst || (is_reply && !is_role && *id != special.eot);
        label
    };
    ids.iter().map(label).collect()
}

fn token_ids(messages: &[Message], tokenizer: &Tokenizer) -> Vec<u32> {
    let special = tokenizer.special();
    let mut ids = Vec::new();
    for message in messages {
        ids.push(message.role.token(&special));
        ids.extend(tokenizer.encode(&message.content));
        ids.push(special.eot);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYS: u32 = 248;
    const USR: u32 = 249;
    const ASST: u32 = 250;
    const EOT: u32 = 251;
    const Q: u32 = b'Q' as u32;
    const A: u32 = b'A' as u32;

    fn user(content: &str) -> Message {
        Message::new(Role::User, content)
    }

    fn assistant(content: &str) -> Message {
        Message::new(Role::Assistant, content)
    }

    #[test]
    fn the_answer_and_its_end_are_learnt_and_nothing_else() {
        let rendered = render(&[user("Q"), assistant("A")], &Tokenizer::Byte).unwrap();
        assert_eq!(rendered.ids, [USR, Q, EOT, ASST, A, EOT]);
        assert_eq!(rendered.labels, [IGNORE, IGNORE, IGNORE, IGNORE, A, EOT]);
        assert_eq!(rendered.n_labelled(), 2);
    }

    #[test]
    fn every_assistant_turn_is_learnt() {
        let system = Message::new(Role::System, "S");
        let messages = [system, assistant("A"), user("Q"), assistant("")];
        let rendered = render(&messages, &Tokenizer::Byte).unwrap();
        assert_eq!(rendered.ids[0], SYS);
        let learnt: Vec<u32> =
            rendered.labels.iter().copied().filter(|label| *label != IGNORE).collect();
        assert_eq!(learnt, [A, EOT, EOT]);
    }

    #[test]
    fn conversations_without_an_answer_are_refused() {
        assert_eq!(render(&[], &Tokenizer::Byte).unwrap_err().code, "chat::empty");
        let error = render(&[user("Q")], &Tokenizer::Byte).unwrap_err();
        assert_eq!(error.message, "a conversation needs at least one assistant message");
    }

    #[test]
    fn a_prompt_ends_with_the_assistants_token() {
        let ids = prompt(&[user("Q")], &Tokenizer::Byte);
        assert_eq!(ids, [USR, Q, EOT, ASST]);
    }

    #[test]
    fn a_reply_is_what_the_last_assistant_said() {
        let special = Tokenizer::Byte.special();
        assert_eq!(reply(&[USR, Q, EOT, ASST, A, A, EOT, USR], &special), [A, A]);
        assert_eq!(reply(&[ASST, Q, EOT, ASST, A], &special), [A]);
        assert!(reply(&[USR, Q, EOT], &special).is_empty());
    }
}
