//! Conversations as tokens: the same template for training, evaluation, generation and export.
//!
//! [`ChatTemplate`] turns messages into token ids. With [`DEFAULT_TEMPLATE`] a message is its
//! role's token, its text and an end-of-turn token; a conversation is its messages one after
//! another, without newlines or a begin token. A prompt is the messages so far and the assistant's
//! token, so a reply ends where the model says end-of-turn.

mod jinja;
mod marks;
mod rendered;
mod template;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenizer::SpecialTokens;

pub use jinja::{DEFAULT_TEMPLATE, check_template};
pub(crate) use rendered::Origin;
pub use rendered::{Learnt, Rendered};
pub use template::ChatTemplate;

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

impl Role {
    /// The name that templates and data sets know the role by.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
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

/// The last reply in a conversation of the default template: what follows the last assistant
/// token, up to the next end-of-turn or the end. Empty where nobody answered.
pub fn reply<'a>(ids: &'a [u32], special: &SpecialTokens) -> &'a [u32] {
    let Some(opened) = ids.iter().rposition(|id| *id == special.asst) else {
        return &[];
    };
    let said = &ids[opened + 1..];
    let end = said.iter().position(|id| *id == special.eot).unwrap_or(said.len());
    &said[..end]
}

#[cfg(test)]
mod tests;
