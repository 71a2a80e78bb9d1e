//! A conversation as tokens that fit into a window, with its answer kept.

use sdk::Result;

use crate::chat::{Message, Rendered, Role, render};
use crate::tokenizer::Tokenizer;

/// A conversation of at most `max_tokens` tokens, and whether it had to be shortened.
///
/// What is given up, in this order, until it fits: turns after the last answer; the oldest
/// exchange, again and again, but never the last; the system message; the beginning of the last
/// question; the end of the last answer.
///
/// # Errors
/// Those of [`render`].
pub(super) fn fit(
    messages: &[Message],
    tokenizer: &Tokenizer,
    max_tokens: usize,
) -> Result<(Rendered, bool)> {
    let whole = render(messages, tokenizer)?;
    if whole.ids.len() <= max_tokens {
        return Ok((whole, false));
    }
    let answered = messages.iter().rposition(|message| message.role == Role::Assistant);
    let mut kept = messages[..=answered.unwrap_or(0)].to_vec();
    let mut rendered = render(&kept, tokenizer)?;
    while rendered.ids.len() > max_tokens && drop_oldest_exchange(&mut kept) {
        rendered = render(&kept, tokenizer)?;
    }
    if rendered.ids.len() > max_tokens {
        kept.retain(|message| message.role != Role::System);
        rendered = render(&kept, tokenizer)?;
    }
    if rendered.ids.len() > max_tokens {
        let ids = cut(&rendered.ids, tokenizer.special().asst, max_tokens);
        rendered = Rendered::from_ids(ids, &tokenizer.special());
    }
    Ok((rendered, true))
}

/// Drops the first messages after the system's, up to an answer; `false` where that is the last.
fn drop_oldest_exchange(messages: &mut Vec<Message>) -> bool {
    let first = messages.iter().position(|message| message.role != Role::System).unwrap_or(0);
    let answer = messages[first..].iter().position(|message| message.role == Role::Assistant);
    match answer {
        Some(offset) if first + offset + 1 < messages.len() => {
            messages.drain(first..=first + offset);
            true
        }
        _ => false,
    }
}

/// The last exchange without the beginning of the question, or the answer without its end.
fn cut(ids: &[u32], asst: u32, max_tokens: usize) -> Vec<u32> {
    let opened = ids.iter().rposition(|id| *id == asst).unwrap_or(0);
    // The question's two markers, or nothing of the question.
    if ids.len() - opened + 2 > max_tokens {
        return ids[opened..].iter().copied().take(max_tokens).collect();
    }
    let excess = ids.len() - max_tokens;
    [&ids[..1], &ids[1 + excess..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{IGNORE, reply};

    /// Messages from one-letter roles, as in `["s", "be brief"]`.
    fn messages(of: &[[&str; 2]]) -> Vec<Message> {
        let role = |letter| match letter {
            "s" => Role::System,
            "u" => Role::User,
            _ => Role::Assistant,
        };
        of.iter().map(|[letter, content]| Message::new(role(*letter), *content)).collect()
    }

    /// What is left, with the markers as `<`, `?`, `!` and `.`.
    fn fitted(of: &[[&str; 2]], max_tokens: usize) -> String {
        let (rendered, _) = fit(&messages(of), &Tokenizer::Byte, max_tokens).unwrap();
        assert!(rendered.ids.len() <= max_tokens);
        assert!(rendered.n_labelled() > 0);
        assert_eq!(rendered.labels[0], IGNORE);
        let letter = |id: &u32| match id {
            248 => '<',
            249 => '?',
            250 => '!',
            251 => '.',
            _ => char::from_u32(*id).unwrap(),
        };
        rendered.ids.iter().map(letter).collect()
    }

    #[test]
    fn the_last_answer_is_what_goes_last() {
        let long =
            [["s", "sys"], ["u", "one"], ["a", "two"], ["u", "three"], ["a", "four"], ["u", "x"]];
        assert_eq!(fitted(&long, 99), "<sys.?one.!two.?three.!four.?x.");
        assert_eq!(fitted(&long, 30), "<sys.?one.!two.?three.!four.");
        assert_eq!(fitted(&long, 27), "<sys.?three.!four.");
        assert_eq!(fitted(&long, 17), "?three.!four.");
        assert_eq!(fitted(&long, 12), "?hree.!four.");
        assert_eq!(fitted(&long, 8), "?.!four.");
        assert_eq!(fitted(&long, 7), "!four.");
        assert_eq!(fitted(&long, 4), "!fou");
    }

    #[test]
    fn shortening_is_told_and_keeps_the_answer() {
        let long = messages(&[["u", &"q".repeat(500)], ["a", "in the barn"]]);
        let (rendered, is_truncated) = fit(&long, &Tokenizer::Byte, 129).unwrap();
        assert!(is_truncated);
        assert_eq!(rendered.ids.len(), 129);
        let special = Tokenizer::Byte.special();
        assert_eq!(Tokenizer::Byte.decode(reply(&rendered.ids, &special)), "in the barn");
        assert_eq!(rendered.n_labelled(), "in the barn".len() + 1);
    }
}
