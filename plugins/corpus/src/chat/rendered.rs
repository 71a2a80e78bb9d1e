//! A conversation as token ids that know where they come from.

use super::marks::Slice;
use super::template::Markers;
use super::{IGNORE, Message, Role};

/// What of a conversation is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// Only what the assistant says, or everything.
    pub assistant_only: bool,
    /// Also where a message ends.
    pub include_eot: bool,
}

impl Default for Learnt {
    /// What the assistant says, and where that ends.
    fn default() -> Self {
        Self { assistant_only: true, include_eot: true }
    }
}

/// The tokens of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Token ids.
    pub ids: Vec<u32>,
    /// What they are, one piece after another.
    pub(crate) pieces: Vec<Piece>,
    eot: u32,
}

/// Tokens of the same origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// How many; a message without content is a piece of none.
    pub(crate) n_tokens: usize,
    pub(crate) origin: Origin,
    /// Whether the piece stands between an assistant's content and the end-of-turn that closes
    /// it, or is that.
    ends_answer: bool,
}

impl Piece {
    /// Whether it is a message's content.
    pub(crate) fn is_said(&self) -> bool {
        matches!(self.origin, Origin::Said(_))
    }
}

/// Where tokens come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The template's own words.
    Template,
    /// A special token, by its id.
    Special(u32),
    /// What someone says.
    Said(Role),
}

impl Rendered {
    pub(super) fn new(slices: &[Slice<'_>], messages: &[Message], markers: &Markers) -> Self {
        let mut rendered =
            Self { ids: Vec::new(), pieces: Vec::new(), eot: markers.tokenizer.special().eot };
        for slice in slices {
            match slice {
                Slice::Template(text) => rendered.push_template(text, markers),
                Slice::Content(idx, text) => {
                    let origin = Origin::Said(messages[*idx].role);
                    rendered.push(&markers.tokenizer.encode(text), origin);
                }
            }
        }
        rendered.find_ends();
        rendered
    }

    /// As long as `ids`: the id itself where it is learnt, or [`IGNORE`]. Before the first token
    /// there is nothing to tell it from, so that one never is.
    pub fn labels(&self, learnt: Learnt) -> Vec<u32> {
        let mut labels = Vec::with_capacity(self.ids.len());
        for piece in &self.pieces {
            let is_learnt = self.is_learnt(piece, learnt);
            let ids = &self.ids[labels.len()..labels.len() + piece.n_tokens];
            labels.extend(ids.iter().map(|id| if is_learnt { *id } else { IGNORE }));
        }
        if let Some(first) = labels.first_mut() {
            *first = IGNORE;
        }
        labels
    }

    /// Where the token comes from that ends a message.
    pub(crate) fn end(&self) -> Origin {
        Origin::Special(self.eot)
    }

    fn is_learnt(&self, piece: &Piece, learnt: Learnt) -> bool {
        if piece.ends_answer || piece.origin == self.end() {
            return learnt.include_eot && (piece.ends_answer || !learnt.assistant_only);
        }
        !learnt.assistant_only || piece.origin == Origin::Said(Role::Assistant)
    }

    fn push(&mut self, ids: &[u32], origin: Origin) {
        self.ids.extend(ids);
        self.pieces.push(Piece { n_tokens: ids.len(), origin, ends_answer: false });
    }

    fn push_template(&mut self, text: &str, markers: &Markers) {
        let mut rest = text;
        while let Some((at, text, id)) = markers.find(rest) {
            self.push_words(&rest[..at], markers);
            self.push(&[id], Origin::Special(id));
            rest = &rest[at + text.len()..];
        }
        self.push_words(rest, markers);
    }

    fn push_words(&mut self, text: &str, markers: &Markers) {
        if !text.is_empty() {
            self.push(&markers.tokenizer.encode(text), Origin::Template);
        }
    }

    /// Finds what follows each answer up to its end-of-turn.
    fn find_ends(&mut self) {
        let eot = self.eot;
        for idx in 0..self.pieces.len() {
            if self.pieces[idx].origin != Origin::Said(Role::Assistant) {
                continue;
            }
            let after = &mut self.pieces[idx + 1..];
            let end = after.iter().position(|piece| piece.origin != Origin::Template);
            if let Some(end) = end.filter(|end| after[*end].origin == Origin::Special(eot)) {
                after[..=end].iter_mut().for_each(|piece| piece.ends_answer = true);
            }
        }
    }
}
