//! Messages to token ids.

use std::fmt;

use sdk::{Error, Result};
use tokenizer::{SpecialTexts, Tokenizer};

use super::jinja::{Jinja, fault};
use super::marks::{Around, Marks, joined};
use super::rendered::Rendered;
use super::{Message, Role};

/// How messages become tokens.
///
/// ```
/// use corpus::chat::{ChatTemplate, Message, Role};
/// use tokenizer::Tokenizer;
///
/// let template = ChatTemplate::new(None, &Tokenizer::byte())?;
/// let prompt = template.prompt(&[Message::new(Role::User, "Q")])?;
/// assert_eq!(prompt, [249, 81, 251, 250]);
/// # Ok::<(), sdk::Error>(())
/// ```
///
/// Contents and the template's own words are encoded piece by piece, as plain text. Only what the
/// template itself says can become a special token.
#[derive(Clone)]
pub struct ChatTemplate {
    jinja: Jinja,
    markers: Markers,
}

/// The special tokens by their texts, and how everything else is encoded.
#[derive(Clone)]
pub(super) struct Markers {
    pub(super) tokenizer: Tokenizer,
    /// Texts and ids, no text empty.
    special: Vec<(String, u32)>,
}

impl Markers {
    fn new(tokenizer: &Tokenizer, texts: &SpecialTexts) -> Self {
        let special = texts.all().map(str::to_owned).into_iter().zip(tokenizer.special().all());
        let special = special.filter(|(text, _)| !text.is_empty()).collect();
        Self { tokenizer: tokenizer.clone(), special }
    }

    /// The first special token in a text: where it begins, its text and its id. Of two that begin
    /// at the same place the longer one.
    pub(super) fn find(&self, text: &str) -> Option<(usize, &str, u32)> {
        let found = self.special.iter().filter_map(|(special, id)| {
            Some((text.find(special.as_str())?, special.as_str(), *id))
        });
        found.min_by_key(|(at, special, _)| (*at, usize::MAX - special.len()))
    }
}

impl ChatTemplate {
    /// A template in Jinja, or the default one.
    ///
    /// # Errors
    /// At `data.chat_template`, when it can't be read, fails on an exchange of two messages,
    /// doesn't end an answer, or opens one in a prompt otherwise than in a conversation.
    pub fn new(template: Option<&str>, tokenizer: &Tokenizer) -> Result<Self> {
        let texts = tokenizer.special_texts();
        let jinja = Jinja::new(template, texts)?;
        Ok(Self { jinja, markers: Markers::new(tokenizer, texts) })
    }

    /// The template as it travels with a model: it sets the special texts itself, so that it
    /// needs nothing but `messages` and `add_generation_prompt`.
    pub fn source(&self) -> &str {
        self.jinja.source()
    }

    /// A conversation to learn from.
    ///
    /// # Errors
    /// When there is no message, or none of the assistant's, or the template fails on them.
    pub fn render(&self, messages: &[Message]) -> Result<Rendered> {
        if messages.is_empty() {
            return Err(Error::new("chat::empty", "a conversation must be non-empty"));
        }
        if !messages.iter().any(|message| message.role == Role::Assistant) {
            let message = "a conversation needs at least one assistant message";
            return Err(Error::new("chat::no_assistant", message));
        }
        self.tokens(messages, false)
    }

    /// The tokens that the model is given to answer `messages`.
    ///
    /// # Errors
    /// When the template fails on them.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>> {
        Ok(self.tokens(messages, true)?.ids)
    }

    /// What the template makes of `messages` as text, special tokens by their texts; with
    /// `is_prompt` ready to be answered.
    ///
    /// # Errors
    /// When the template fails on them.
    pub fn text(&self, messages: &[Message], is_prompt: bool) -> Result<String> {
        let parts = messages.iter().map(|message| (message.role, message.content.as_str()));
        self.jinja.render(parts, is_prompt)
    }

    /// Whether a message spells out a special token. It is no danger: a content is encoded as
    /// plain text.
    pub fn spells_special(&self, messages: &[Message]) -> bool {
        messages.iter().any(|message| self.markers.find(&message.content).is_some())
    }

    fn tokens(&self, messages: &[Message], is_prompt: bool) -> Result<Rendered> {
        let text = self.text(messages, is_prompt)?;
        let known = messages.iter().map(|message| message.content.as_str());
        let known = known.chain([self.source()]);
        let Some(marks) = Marks::absent_from(known, messages.len()) else {
            return Err(Error::new("chat::marks", "too many messages or private characters"));
        };
        for around in [Around::Whole, Around::Trimmed] {
            let marked = self.marked(messages, is_prompt, &marks, around)?;
            if let Some(slices) = marks.split(&marked).filter(|slices| joined(slices) == text) {
                return Ok(Rendered::new(&slices, messages, &self.markers));
            }
        }
        let message = "the chat template cuts or tests a message's content";
        Err(fault("chat::content", message)
            .help("a template may trim contents, but must print them whole"))
    }

    fn marked(
        &self,
        messages: &[Message],
        is_prompt: bool,
        marks: &Marks,
        around: Around,
    ) -> Result<String> {
        let marked: Vec<(Role, String)> = messages
            .iter()
            .enumerate()
            .map(|(idx, message)| (message.role, marks.put(idx, &message.content, around)))
            .collect();
        let parts = marked.iter().map(|(role, content)| (*role, content.as_str()));
        self.jinja.render(parts, is_prompt)
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChatTemplate").field(&self.source()).finish()
    }
}
