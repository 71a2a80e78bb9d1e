//! From what a user said to the tokens that the model is given.

use corpus::chat::{ChatTemplate, Message, Role};
use sdk::{ChatMessage, ChatRole, Error, GenerateRequest, Result};
use tokenizer::Tokenizer;

/// Tokens to continue.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) ids: Vec<u32>,
    /// Messages of the history that are not in it.
    pub(super) n_dropped: usize,
    /// New tokens that there is room for; text that is continued has room for any number.
    pub(super) room: usize,
}

/// A text to be continued.
///
/// # Errors
/// When there is none, or there is a history.
pub(super) fn raw(request: &GenerateRequest, tokenizer: &Tokenizer) -> Result<Prompt> {
    if !request.history.is_empty() {
        let message = "a text that is continued has no history";
        return Err(Error::new("generate::history", message).help("put it into the prompt"));
    }
    let ids = tokenizer.encode(&request.prompt);
    if ids.is_empty() {
        return Err(empty());
    }
    Ok(Prompt { ids, n_dropped: 0, room: usize::MAX })
}

/// A message to be answered, behind as much of the history as leaves room for an answer of
/// `max_new_tokens` or a quarter of the context, whichever is less. The oldest exchanges go first;
/// a system message that opens the history stays.
///
/// # Errors
/// When there is no message, or it fills the context alone.
pub(super) fn chat(
    request: &GenerateRequest,
    template: &ChatTemplate,
    context: usize,
    max_new_tokens: usize,
) -> Result<Prompt> {
    if request.prompt.is_empty() {
        return Err(empty());
    }
    let mut messages: Vec<Message> = request.history.iter().map(message).collect();
    messages.push(Message::new(Role::User, request.prompt.as_str()));
    let n_all = messages.len();
    let reserve = max_new_tokens.min(context / 4).max(1);
    let mut ids = template.prompt(&messages)?;
    if ids.len() + reserve > context {
        (messages, ids) = without_oldest(&messages, template, context.saturating_sub(reserve))?;
    }
    if ids.len() >= context {
        let message = format!(
            "the message leaves no room for an answer: {} tokens of a context of {context}",
            ids.len()
        );
        return Err(Error::new("generate::context", message).help("say it in fewer words"));
    }
    let room = context - ids.len();
    Ok(Prompt { ids, n_dropped: n_all - messages.len(), room })
}

/// The messages without as many of the oldest exchanges as must go for at most `max_tokens`, and
/// their tokens; the last message stays in any case.
fn without_oldest(
    messages: &[Message],
    template: &ChatTemplate,
    max_tokens: usize,
) -> Result<(Vec<Message>, Vec<u32>)> {
    let starts = exchange_starts(messages);
    let kept = |n_dropped: usize| [&messages[..starts[0]], &messages[starts[n_dropped]..]].concat();
    // The more is dropped the shorter it gets, so the least that must go is found by halving.
    let (mut too_few, mut enough) = (0, starts.len() - 1);
    while too_few < enough {
        let middle = usize::midpoint(too_few, enough);
        if template.prompt(&kept(middle))?.len() <= max_tokens {
            enough = middle;
        } else {
            too_few = middle + 1;
        }
    }
    let messages = kept(enough);
    let ids = template.prompt(&messages)?;
    Ok((messages, ids))
}

/// Where exchanges begin: behind a system message that opens the history, at each user's message
/// after that, and at the last message.
fn exchange_starts(messages: &[Message]) -> Vec<usize> {
    let first = usize::from(messages[0].role == Role::System);
    let last = messages.len() - 1;
    let users = (first + 1..last).filter(|idx| messages[*idx].role == Role::User);
    let mut starts: Vec<usize> = std::iter::once(first).chain(users).collect();
    if first < last {
        starts.push(last);
    }
    starts
}

fn message(said: &ChatMessage) -> Message {
    let role = match said.role {
        ChatRole::System => Role::System,
        ChatRole::User => Role::User,
        ChatRole::Assistant => Role::Assistant,
    };
    Message::new(role, said.content.as_str())
}

fn empty() -> Error {
    Error::new("generate::empty", "the prompt is empty")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: ChatRole, content: &str) -> ChatMessage {
        ChatMessage { role, content: content.to_owned() }
    }

    fn request(prompt: &str) -> GenerateRequest {
        let history = vec![
            said(ChatRole::System, "be brief"),
            said(ChatRole::User, "one?"),
            said(ChatRole::Assistant, "two"),
            said(ChatRole::User, "three?"),
            said(ChatRole::Assistant, "four"),
        ];
        GenerateRequest { history, ..GenerateRequest::new(prompt) }
    }

    /// What is left with this context, its markers left out, how many were dropped, and the room.
    fn fitted(context: usize, max_new_tokens: usize) -> (String, usize, usize) {
        let tokenizer = Tokenizer::byte();
        let template = ChatTemplate::new(None, &tokenizer).unwrap();
        let prompt = chat(&request("five?"), &template, context, max_new_tokens).unwrap();
        assert!(prompt.ids.len() + prompt.room == context);
        (tokenizer.decode(&prompt.ids), prompt.n_dropped, prompt.room)
    }

    #[test]
    fn the_oldest_exchange_goes_first_and_is_counted() {
        // Of each message its text and two markers; one more opens the answer.
        let all = "be briefone?twothree?fourfive?";
        assert_eq!(fitted(200, 50), (all.to_owned(), 0, 157));
        assert_eq!(fitted(48, 5), (all.to_owned(), 0, 5));
        assert_eq!(fitted(48, 6), ("be briefthree?fourfive?".to_owned(), 2, 16));
        assert_eq!(fitted(36, 100), ("be brieffive?".to_owned(), 4, 18));
        // Not even a quarter is left: the answer gets what there is.
        assert_eq!(fitted(20, 100), ("be brieffive?".to_owned(), 4, 2));
    }

    /// Dropping them one by one would take a minute.
    #[test]
    fn a_history_of_thousands_of_messages_is_shortened_at_once() {
        let exchange = [said(ChatRole::User, "one?"), said(ChatRole::Assistant, "two")];
        let history = exchange.into_iter().cycle().take(10_000).collect();
        let request = GenerateRequest { history, ..GenerateRequest::new("five?") };
        let template = ChatTemplate::new(None, &Tokenizer::byte()).unwrap();
        // The message is 8 tokens, an exchange 11.
        let prompt = chat(&request, &template, 50, 9).unwrap();
        assert_eq!((prompt.ids.len(), prompt.n_dropped, prompt.room), (41, 9_994, 9));
        let prompt = chat(&request, &template, 50, 10).unwrap();
        assert_eq!((prompt.ids.len(), prompt.n_dropped, prompt.room), (30, 9_996, 20));
    }

    #[test]
    fn a_message_that_fills_the_context_is_refused() {
        let template = ChatTemplate::new(None, &Tokenizer::byte()).unwrap();
        let error = chat(&request("five?"), &template, 18, 5).unwrap_err();
        assert_eq!(
            error.message,
            "the message leaves no room for an answer: 18 tokens of a context of 18"
        );
        assert_eq!(chat(&request(""), &template, 99, 5).unwrap_err().code, "generate::empty");
    }

    #[test]
    fn a_text_to_continue_is_not_empty_and_has_no_history() {
        let tokenizer = Tokenizer::byte();
        let ids = raw(&GenerateRequest::new("ab"), &tokenizer).unwrap().ids;
        assert_eq!(ids, [97, 98]);
        let empty = raw(&GenerateRequest::new(""), &tokenizer).unwrap_err();
        assert_eq!(empty.message, "the prompt is empty");
        assert_eq!(raw(&request("x"), &tokenizer).unwrap_err().code, "generate::history");
    }
}
