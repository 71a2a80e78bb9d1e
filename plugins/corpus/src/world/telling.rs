//! Puts events into words: whole stories to pretrain on, and dialogues that ask about a short one.
//!
//! A story tells each fact and comes back to some of them, most often as a question with its
//! answer, so that reading an answer off the text is learnt before the first dialogue. A dialogue
//! uses a subset of the same sentences.

use sdk::Generator;

use super::event::{Event, Plot, one};
use super::frames::{CLOSERS, OPENERS, Question, capitalised, fill, frames};
use super::words::{ASKERS, NAMES};
use super::{DIALOGUE_TOKENS_MAX, Dialogue};
use crate::Split;

const LEADS: [&str; 3] = ["Then", "Later", "Soon"];
const SYSTEM: &str = "Be brief.";

/// What happens in one story, in order; all of it to the same character.
#[derive(Clone, Debug)]
pub(super) struct Tale {
    pub(super) events: Vec<Event>,
}

impl Tale {
    /// Draws a story's events from `split`.
    pub(super) fn draw(split: Split, rng: &mut Generator) -> Self {
        let who = one(&NAMES, rng);
        let plots: &[Plot] = match rng.below(20) {
            0..9 => &[Plot::Thing],
            9..15 => &[Plot::Meal],
            15..19 => &[Plot::Gift],
            _ => &[Plot::Thing, Plot::Meal],
        };
        let events = plots.iter().map(|plot| Event::draw(*plot, who, split, rng)).collect();
        Self { events }
    }

    /// The whole story, with recaps.
    pub(super) fn story(&self, rng: &mut Generator) -> String {
        let mut sentences = Vec::new();
        if rng.below(6) == 0 {
            sentences.push(one(&OPENERS, rng).to_owned());
        }
        sentences.extend(self.told(true, rng));
        let is_alone = self.events.len() == 1;
        let mut recaps: Vec<String> =
            self.events.iter().flat_map(|event| event_recaps(event, is_alone, rng)).collect();
        rng.shuffle(&mut recaps);
        sentences.append(&mut recaps);
        if rng.below(5) == 0 {
            sentences.push(fill(one(&CLOSERS, rng), &self.events[0], None));
        }
        sentences.join(" ")
    }

    /// As many questions about a short telling as fit, three at most; with `is_plain` one, and
    /// nothing but the facts.
    pub(super) fn dialogue(&self, is_plain: bool, rng: &mut Generator) -> Dialogue {
        let mut dialogue = loop {
            let dialogue = self.short_dialogue(is_plain, rng);
            if dialogue.n_tokens() <= DIALOGUE_TOKENS_MAX {
                break dialogue;
            }
        };
        let n_more = if is_plain { 0 } else { 4 };
        for _ in 0..n_more {
            let turn = self.question(rng);
            let is_new = dialogue.turns.iter().all(|(user, _)| !user.ends_with(&turn.0));
            dialogue.turns.push(turn);
            let n_turns = dialogue.turns.len();
            if !is_new || n_turns > 3 || dialogue.n_tokens() > DIALOGUE_TOKENS_MAX {
                dialogue.turns.pop();
            }
        }
        dialogue
    }

    fn short_dialogue(&self, is_plain: bool, rng: &mut Generator) -> Dialogue {
        let mut sentences = self.told(false, rng);
        if !is_plain && rng.below(6) == 0 {
            sentences.insert(0, one(&OPENERS, rng).to_owned());
        }
        let (question, answer) = self.question(rng);
        sentences.push(question);
        let system = (!is_plain && rng.below(10) == 0).then(|| SYSTEM.to_owned());
        Dialogue { system, turns: vec![(sentences.join(" "), answer)] }
    }

    /// One sentence per event that tells all its facts.
    fn told(&self, may_front: bool, rng: &mut Generator) -> Vec<String> {
        let mut sentences = Vec::new();
        for (idx, event) in self.events.iter().enumerate() {
            let known = frames(event.plot);
            let is_fronted = may_front && rng.below(6) == 0;
            let frame = one(if is_fronted { known.fronted } else { known.plain }, rng);
            let lead = (idx > 0).then(|| one(&LEADS, rng));
            sentences.push(fill(frame, event, lead));
        }
        sentences
    }

    fn question(&self, rng: &mut Generator) -> (String, String) {
        let event = one(&self.events, rng);
        let question = any_question(&event, rng);
        (fill(question.ask, &event, None), fill(question.answer, &event, None))
    }
}

fn any_question(event: &Event, rng: &mut Generator) -> Question {
    one(one(frames(event.plot).questions, rng), rng)
}

/// What a story says of an event after it has told it: short questions with their answers, a long
/// one, and sometimes a sentence instead.
///
/// Facts that are repeated soon and often are what teaches a small model to copy from its context,
/// so most of a story's letters are answers.
fn event_recaps(event: &Event, is_alone: bool, rng: &mut Generator) -> Vec<String> {
    let known = frames(event.plot);
    let mut recaps = vec![match rng.below(6) {
        0 => fill(one(known.recaps, rng), event, None),
        _ => asked(event, any_question(event, rng), rng),
    }];
    if is_alone {
        let mut short: Vec<&Question> = known.short.iter().collect();
        rng.shuffle(&mut short);
        let answered = |q: &Question| {
            let answer = fill(q.answer, event, None);
            format!("{} {}.", q.ask, capitalised(&answer))
        };
        recaps.extend(short.into_iter().take(3).map(answered));
    }
    recaps
}

/// A question and its answer, told by the narrator or spoken.
fn asked(event: &Event, question: Question, rng: &mut Generator) -> String {
    let (ask, answer) = (fill(question.ask, event, None), fill(question.answer, event, None));
    if rng.below(5) == 0 {
        let (asker, said) = (one(&ASKERS, rng), capitalised(&answer));
        return format!("\"{ask}\" asked {asker}. \"{said}.\"");
    }
    if rng.below(2) == 0 {
        return format!("{ask} {}.", capitalised(&answer));
    }
    format!("{ask} It was {answer}.")
}
