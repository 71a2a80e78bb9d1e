//! A conversation as tokens that fit into a window, with its answer kept.

use sdk::Result;

use crate::IGNORE;
use crate::chat::{ChatTemplate, Learnt, Message, Origin, Rendered, Role};

/// A token id, and in its highest bit whether it is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(u32);

const LEARNT: u32 = 1 << 31;

impl Token {
    fn new(id: u32, label: u32) -> Self {
        debug_assert!(id < LEARNT, "no vocabulary has so many tokens");
        Self(if label == IGNORE { id } else { id | LEARNT })
    }

    /// Its id.
    pub(crate) fn id(self) -> u32 {
        self.0 & !LEARNT
    }

    /// What tells it from every other token.
    pub(crate) fn to_le_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// Its id where it is learnt, else [`IGNORE`].
    pub(crate) fn label(self) -> u32 {
        if self.0 & LEARNT == 0 { IGNORE } else { self.id() }
    }
}

/// A conversation of at most as many tokens as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) tokens: Vec<Token>,
    /// Whether something had to be given up.
    pub(crate) is_truncated: bool,
}

impl Example {
    /// How many tokens are learnt.
    pub(crate) fn n_learnt(&self) -> usize {
        self.tokens.iter().filter(|token| token.label() != IGNORE).count()
    }
}

/// Makes a conversation fit into `max_tokens`.
///
/// What is given up, in this order, until it fits: turns after the last answer; the oldest
/// exchange, again and again, but never the last; the system message; the beginning of the last
/// question; the end of the last answer.
///
/// # Errors
/// Those of [`ChatTemplate::render`].
pub(crate) fn fit(
    messages: &[Message],
    template: &ChatTemplate,
    learnt: Learnt,
    max_tokens: usize,
) -> Result<Example> {
    let whole = template.render(messages)?;
    if whole.ids.len() <= max_tokens {
        return Ok(Example { tokens: tokens(&whole, learnt), is_truncated: false });
    }
    let (mut kept, mut rendered) = without_exchanges(messages, template, max_tokens)?;
    if rendered.ids.len() > max_tokens && kept.iter().any(|m| m.role == Role::System) {
        kept.retain(|message| message.role != Role::System);
        rendered = template.render(&kept)?;
    }
    let mut tokens = tokens(&rendered, learnt);
    if tokens.len() > max_tokens {
        tokens = cut(&rendered, &tokens, max_tokens);
        // Before the first token there is nothing to tell it from.
        if let Some(first) = tokens.first_mut() {
            *first = Token(first.id());
        }
    }
    Ok(Example { tokens, is_truncated: true })
}

fn tokens(rendered: &Rendered, learnt: Learnt) -> Vec<Token> {
    let labels = rendered.labels(learnt);
    rendered.ids.iter().zip(labels).map(|(id, label)| Token::new(*id, label)).collect()
}

/// The messages up to the last answer, without as many of the oldest exchanges as must go; where
/// even the last exchange is too long, that alone. The system's messages stay.
fn without_exchanges(
    messages: &[Message],
    template: &ChatTemplate,
    max_tokens: usize,
) -> Result<(Vec<Message>, Rendered)> {
    let answers: Vec<usize> =
        (0..messages.len()).filter(|idx| messages[*idx].role == Role::Assistant).collect();
    let last = answers.last().map_or(messages.len(), |idx| idx + 1);
    let kept = |n_dropped: usize| -> Vec<Message> {
        let from = if n_dropped == 0 { 0 } else { answers[n_dropped - 1] + 1 };
        let is_kept = |(idx, message): &(usize, &Message)| {
            *idx >= from || (message.role == Role::System && *idx < answers[0])
        };
        messages[..last].iter().enumerate().filter(is_kept).map(|(_, m)| m.clone()).collect()
    };
    // The more is dropped the shorter it gets, so the least that must go is found by halving.
    let (mut too_few, mut enough) = (0, answers.len().saturating_sub(1));
    while too_few < enough {
        let middle = usize::midpoint(too_few, enough);
        if template.render(&kept(middle))?.ids.len() <= max_tokens {
            enough = middle;
        } else {
            too_few = middle + 1;
        }
    }
    let kept = kept(enough);
    let rendered = template.render(&kept)?;
    Ok((kept, rendered))
}

/// One exchange without the beginning of the question, or the answer without its end.
fn cut(rendered: &Rendered, tokens: &[Token], max_tokens: usize) -> Vec<Token> {
    let excess = tokens.len() - max_tokens;
    let (opened, answer) = last_answer(rendered);
    let asked: usize =
        rendered.pieces[..answer].iter().filter(|p| p.is_said()).map(|p| p.n_tokens).sum();
    if asked < excess {
        return tokens[opened..].iter().copied().take(max_tokens).collect();
    }
    let (mut left, mut at) = (excess, 0);
    let mut kept = Vec::with_capacity(max_tokens);
    for piece in &rendered.pieces {
        let n_cut = if piece.is_said() { left.min(piece.n_tokens) } else { 0 };
        kept.extend(&tokens[at + n_cut..at + piece.n_tokens]);
        (left, at) = (left - n_cut, at + piece.n_tokens);
    }
    kept
}

/// Where the last answer is opened, as a token, and its content, as a piece.
fn last_answer(rendered: &Rendered) -> (usize, usize) {
    let pieces = &rendered.pieces;
    let is_answer = |piece: &_| matches!(piece, Origin::Said(Role::Assistant));
    let answer = pieces.iter().rposition(|piece| is_answer(&piece.origin)).unwrap_or(0);
    // What stands before the answer belongs to it, back to the end of the turn before.
    let before = pieces[..answer].iter().rposition(|p| p.is_said() || p.origin == rendered.end());
    let opening = before.map_or(0, |idx| idx + 1);
    (pieces[..opening].iter().map(|piece| piece.n_tokens).sum(), answer)
}

#[cfg(test)]
mod tests {
    use tokenizer::Tokenizer;

    use super::*;
    use crate::chat::reply;

    /// Messages from one-letter roles, as in `["s", "be brief"]`.
    fn messages(of: &[[&str; 2]]) -> Vec<Message> {
        let role = |letter| match letter {
            "s" => Role::System,
            "u" => Role::User,
            _ => Role::Assistant,
        };
        of.iter().map(|[letter, content]| Message::new(role(*letter), *content)).collect()
    }

    fn example(of: &[[&str; 2]], template: Option<&str>, max_tokens: usize) -> Example {
        let template = ChatTemplate::new(template, &Tokenizer::byte()).unwrap();
        fit(&messages(of), &template, Learnt::default(), max_tokens).unwrap()
    }

    /// Ids as text, with the markers as `<`, `?`, `!` and `.`.
    fn text(ids: impl Iterator<Item = u32>) -> String {
        let letter = |id| match id {
            248 => '<',
            249 => '?',
            250 => '!',
            251 => '.',
            _ => char::from_u32(id).unwrap(),
        };
        ids.map(letter).collect()
    }

    /// What is left.
    fn fitted(of: &[[&str; 2]], max_tokens: usize) -> String {
        let example = example(of, None, max_tokens);
        assert!(example.tokens.len() <= max_tokens);
        assert!(example.n_learnt() > 0);
        assert_eq!(example.tokens[0].label(), IGNORE);
        text(example.tokens.iter().map(|token| token.id()))
    }

    const LONG: [[&str; 2]; 6] =
        [["s", "sys"], ["u", "one"], ["a", "two"], ["u", "three"], ["a", "four"], ["u", "x"]];

    #[test]
    fn the_last_answer_is_what_goes_last() {
        assert_eq!(fitted(&LONG, 99), "<sys.?one.!two.?three.!four.?x.");
        assert_eq!(fitted(&LONG, 30), "<sys.?one.!two.?three.!four.");
        assert_eq!(fitted(&LONG, 27), "<sys.?three.!four.");
        assert_eq!(fitted(&LONG, 17), "?three.!four.");
        assert_eq!(fitted(&LONG, 12), "?hree.!four.");
        assert_eq!(fitted(&LONG, 8), "?.!four.");
        assert_eq!(fitted(&LONG, 7), "!four.");
        assert_eq!(fitted(&LONG, 4), "!fou");
    }

    #[test]
    fn no_more_exchanges_go_than_must() {
        let of: Vec<[&str; 2]> = [["u", "q"], ["a", "a"]].into_iter().cycle().take(40).collect();
        for n_exchanges in 1..=20 {
            // An exchange is 6 tokens.
            let left = fitted(&of, 6 * n_exchanges + 5);
            assert_eq!(left, "?q.!a.".repeat(n_exchanges));
        }
    }

    #[test]
    fn what_is_left_of_a_cut_answer_is_learnt() {
        let learnt = |max_tokens| {
            let labels = example(&LONG, None, max_tokens).tokens;
            text(labels.iter().map(|t| t.label()).filter(|label| *label != IGNORE))
        };
        assert_eq!(learnt(30), "two.four.");
        assert_eq!(learnt(12), "four.");
        assert_eq!(learnt(4), "fou");
    }

    #[test]
    fn templates_with_words_of_their_own_are_shortened_too() {
        let template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eot_token }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}";
        let of = [["u", "one"], ["a", "two"], ["u", "three"], ["a", "four"]];
        let fitted = |max_tokens| {
            let example = example(&of, Some(template), max_tokens);
            text(example.tokens.iter().map(|token| token.id()))
        };
        assert_eq!(fitted(33), "[user] three.\n[assistant] four.\n");
        assert_eq!(fitted(30), "[user] ree.\n[assistant] four.\n");
        assert_eq!(fitted(27), "[user] .\n[assistant] four.\n");
        assert_eq!(fitted(26), "\n[assistant] four.\n");
        assert_eq!(fitted(15), "\n[assistant] fo");
    }

    #[test]
    fn shortening_is_told_and_keeps_the_answer() {
        let question = "q".repeat(500);
        let long = example(&[["u", &question], ["a", "in the barn"]], None, 129);
        assert!(long.is_truncated);
        assert_eq!(long.tokens.len(), 129);
        let ids: Vec<u32> = long.tokens.iter().map(|token| token.id()).collect();
        let special = Tokenizer::byte().special();
        assert_eq!(Tokenizer::byte().decode(reply(&ids, &special)), "in the barn");
        assert_eq!(long.n_learnt(), "in the barn".len() + 1);
    }
}
