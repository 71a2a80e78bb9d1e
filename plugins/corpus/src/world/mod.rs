//! The built-in data set: short stories of a small world, and questions about them.
//!
//! Everything is a pure function of (seed, split, index), so nothing is downloaded or stored and
//! document k is the same whatever was drawn before it. A tenth of all events is held back for
//! validation by a hash of the facts: of 6,000 ways to put a thing somewhere, 6,400 meals and 54,000
//! gifts. A question about a
//! held-back event can be answered only by reading its story.

mod event;
mod frames;
mod telling;
mod words;

use std::collections::HashSet;

use sdk::Generator;

use crate::Split;
use crate::chat::{Message, Role};
use telling::Tale;

/// How long a dialogue is at most, in tokens of the byte tokenizer and with the template's markers.
pub const DIALOGUE_TOKENS_MAX: usize = 128;

/// The world of one seed.
///
/// ```
/// use corpus::Split;
/// use corpus::world::World;
///
/// let world = World::new(42);
/// assert_eq!(world.story(Split::Train, 7), world.story(Split::Train, 7));
/// assert_eq!(world.questions(100).len(), 100);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct World {
    seed: u64,
}

/// A conversation to learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialogue {
    /// The system turn, where there is one.
    pub system: Option<String>,
    /// What the user says and what is answered, in order.
    pub turns: Vec<(String, String)>,
}

impl World {
    /// The world of `seed`. The seed decides which documents come, not which facts are held back.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Story `idx` of a split: one line of ASCII, about 170 characters and seldom above 350.
    pub fn story(&self, split: Split, idx: u64) -> String {
        let mut rng = self.stream("story", split, idx);
        Tale::draw(split, &mut rng).story(&mut rng)
    }

    /// Dialogue `idx` of a split, at most [`DIALOGUE_TOKENS_MAX`] long.
    pub fn dialogue(&self, split: Split, idx: u64) -> Dialogue {
        let mut rng = self.stream("dialogue", split, idx);
        Tale::draw(split, &mut rng).dialogue(false, &mut rng)
    }

    /// The first `n` held-back questions: the user's turn, with its story, and the one right
    /// answer. No user's turn stands twice.
    pub fn questions(&self, n: usize) -> Vec<(String, String)> {
        let mut asked = HashSet::new();
        let all = (0u64..).filter_map(|idx| {
            let mut rng = self.stream("question", Split::Val, idx);
            Tale::draw(Split::Val, &mut rng).dialogue(true, &mut rng).turns.pop()
        });
        all.filter(|(prompt, _)| asked.insert(prompt.clone())).take(n).collect()
    }

    fn stream(&self, what: &str, split: Split, idx: u64) -> Generator {
        Generator::new(self.seed, format!("world/{what}/{split}/{idx}"))
    }
}

impl Dialogue {
    /// The messages for the chat template.
    pub fn messages(&self) -> Vec<Message> {
        let system = self.system.iter().map(|system| Message::new(Role::System, system));
        let turn = |(user, assistant): &(String, String)| {
            [Message::new(Role::User, user), Message::new(Role::Assistant, assistant)]
        };
        system.chain(self.turns.iter().flat_map(turn)).collect()
    }

    /// The length in tokens of the byte tokenizer: each message has two markers.
    pub fn n_tokens(&self) -> usize {
        let turns = self.turns.iter().map(|(user, assistant)| user.len() + assistant.len() + 4);
        turns.sum::<usize>() + self.system.as_ref().map_or(0, |system| system.len() + 2)
    }
}

#[cfg(test)]
mod tests;
