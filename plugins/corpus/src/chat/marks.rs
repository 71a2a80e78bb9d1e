//! Finds the messages' contents again in what a template made of them.
//!
//! What a user or a data set says must never become a special token, whatever it spells. So a
//! template is not given the contents alone but each between two characters that occur nowhere
//! else: between them it is content, and only outside of them special texts are looked for.

use std::collections::HashSet;

/// A part of a rendered text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slice<'a> {
    /// What the template itself says.
    Template(&'a str),
    /// The content of the message with this index.
    Content(usize, &'a str),
}

/// One character for each message to open its content, and one to close them all.
#[derive(Debug)]
pub(super) struct Marks {
    /// In ascending order.
    opening: Vec<char>,
    closing: char,
}

/// Which part of a content is put between marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Around {
    /// All of it.
    Whole,
    /// All but the blanks at its ends, which a template may take away.
    Trimmed,
}

impl Marks {
    /// Marks for `n` contents that occur in none of `texts`; none where those leave too few.
    pub(super) fn absent_from<'a>(texts: impl Iterator<Item = &'a str>, n: usize) -> Option<Self> {
        let taken: HashSet<char> =
            texts.flat_map(str::chars).filter(|c| is_candidate(*c)).collect();
        let mut free = candidates().filter(|c| !taken.contains(c));
        let closing = free.next()?;
        let opening: Vec<char> = free.take(n).collect();
        (opening.len() == n).then_some(Self { opening, closing })
    }

    /// The content of message `idx` with its marks.
    pub(super) fn put(&self, idx: usize, content: &str, around: Around) -> String {
        let core = match around {
            Around::Whole => content,
            Around::Trimmed => content.trim(),
        };
        let n_before = match around {
            Around::Whole => 0,
            Around::Trimmed => content.len() - content.trim_start().len(),
        };
        let (before, after) = (&content[..n_before], &content[n_before + core.len()..]);
        format!("{before}{}{core}{}{after}", self.opening[idx], self.closing)
    }

    /// Takes a rendered text apart; none where the template tore a content from its marks.
    pub(super) fn split<'a>(&self, text: &'a str) -> Option<Vec<Slice<'a>>> {
        let mut slices = Vec::new();
        let mut rest = text;
        while let Some((at, idx)) = self.next_opening(rest) {
            let content = &rest[at + self.opening[idx].len_utf8()..];
            let (content, after) = content.split_once(self.closing)?;
            slices.extend([Slice::Template(&rest[..at]), Slice::Content(idx, content)]);
            rest = after;
        }
        slices.push(Slice::Template(rest));
        Some(slices)
    }

    fn next_opening(&self, text: &str) -> Option<(usize, usize)> {
        let mut opened = text.char_indices().filter(|(_, c)| is_candidate(*c));
        opened.find_map(|(at, c)| Some((at, self.opening.binary_search(&c).ok()?)))
    }
}

/// The text without its marks.
pub(super) fn joined(slices: &[Slice<'_>]) -> String {
    let mut joined = String::new();
    for Slice::Template(text) | Slice::Content(_, text) in slices {
        joined.push_str(text);
    }
    joined
}

/// Characters that no text should hold, then those of the first private plane, ascending.
fn candidates() -> impl Iterator<Item = char> {
    ('\u{FDD0}'..='\u{FDEF}').chain('\u{F0000}'..='\u{FFFFD}')
}

fn is_candidate(c: char) -> bool {
    matches!(c, '\u{FDD0}'..='\u{FDEF}' | '\u{F0000}'..='\u{FFFFD}')
}
