//! The sentences of the world, with `{slots}` where an event's words go.
//!
//! Besides the slots of an event a frame may use `{subject}`, who opens the sentence, and
//! `{actor}`, the same inside a sentence; a slot written with a capital (`{Place}`) gets one in the
//! text. Frames that open with a place or a time are used in stories only: a dialogue shows each
//! answer letter by letter as it is asked for.

use super::event::{Event, Plot};

/// A question about an event and the words that answer it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) ask: &'static str,
    pub(super) answer: &'static str,
}

/// All wordings for one plot.
#[derive(Debug)]
pub(super) struct Frames {
    /// Sentences that tell every fact in the spelling of the answers.
    pub(super) plain: &'static [&'static str],
    /// Sentences that tell every fact and open with one of them.
    pub(super) fronted: &'static [&'static str],
    /// Sentences that repeat some of the facts.
    pub(super) recaps: &'static [&'static str],
    /// Questions of a word or two, each for another fact; clear where a story has one event.
    pub(super) short: &'static [Question],
    /// Questions in groups by what they ask for, so that each kind is as likely as another.
    pub(super) questions: &'static [&'static [Question]],
}

const fn q(ask: &'static str, answer: &'static str) -> Question {
    Question { ask, answer }
}

const THING: Frames = Frames {
    plain: &[
        "{subject} {hid} a {colour} {object} {place}.",
        "It was a {colour} {object} that {actor} {hid} {place}.",
    ],
    fronted: &["{Place} {actor} {hid} a {colour} {object}."],
    recaps: &[
        "So the {object} was {place}.",
        "The {colour} {object} was {place} all day.",
        "{who} liked the {colour} {object}.",
        "{who} {hid} the {object} {place}.",
        "It was {who} who {hid} the {object}.",
    ],
    short: &[
        q("Who?", "{who}"),
        q("What?", "a {colour} {object}"),
        q("Where?", "{place}"),
        q("Which colour?", "{colour}"),
    ],
    questions: &[
        &[q("Who {hid} the {object}?", "{who}"), q("Who {hid} a {colour} {object}?", "{who}")],
        &[
            q("What did {who} {hide}?", "a {colour} {object}"),
            q("What was {place}?", "a {colour} {object}"),
        ],
        &[
            q("Where was the {object}?", "{place}"),
            q("Where did {who} {hide} the {object}?", "{place}"),
        ],
        &[
            q("What colour was the {object}?", "{colour}"),
            q("Which colour was the {object}?", "{colour}"),
        ],
    ],
};

const MEAL: Frames = Frames {
    plain: &[
        "{subject} fed {food} to the {animal} {time}.",
        "{subject} gave the {animal} some {food} {time}.",
    ],
    fronted: &["{Time} {actor} fed {food} to the {animal}."],
    recaps: &[
        "The {animal} ate the {food}.",
        "The {animal} liked {who}.",
        "{who} fed the {animal} {time}.",
        "So the {animal} had {food} {time}.",
        "It was {who} who fed the {animal}.",
    ],
    short: &[
        q("Who?", "{who}"),
        q("What food?", "{food}"),
        q("Which animal?", "the {animal}"),
        q("When?", "{time}"),
    ],
    questions: &[
        &[q("Who fed the {animal}?", "{who}"), q("Who had some {food} to give?", "{who}")],
        &[
            q("What did the {animal} eat?", "{food}"),
            q("What did {who} feed the {animal}?", "{food}"),
        ],
        &[
            q("Which animal ate the {food}?", "the {animal}"),
            q("Which animal did {who} feed?", "the {animal}"),
        ],
        &[
            q("When did the {animal} eat?", "{time}"),
            q("When did {who} feed the {animal}?", "{time}"),
        ],
    ],
};

const GIFT: Frames = Frames {
    plain: &[
        "{subject} gave {friend} a {colour} {object} {place}.",
        "{subject} gave a {colour} {object} to {friend} {place}.",
    ],
    fronted: &["{Place} {actor} gave {friend} a {colour} {object}."],
    recaps: &[
        "{friend} thanked {who}.",
        "Now {friend} had a {colour} {object}.",
        "{friend} got the {object} {place}.",
        "The {object} was from {who}.",
        "So {who} gave and {friend} got.",
    ],
    short: &[
        q("Who gave?", "{who}"),
        q("Who got?", "{friend}"),
        q("What?", "a {colour} {object}"),
        q("Where?", "{place}"),
        q("Which colour?", "{colour}"),
    ],
    questions: &[
        &[q("Who gave the {object}?", "{who}"), q("Who was the {object} from?", "{who}")],
        &[q("Who got the {object}?", "{friend}"), q("Who was the {object} for?", "{friend}")],
        &[
            q("What did {friend} get?", "a {colour} {object}"),
            q("What did {who} give {friend}?", "a {colour} {object}"),
        ],
        &[
            q("Where did {friend} get the {object}?", "{place}"),
            q("Where did {who} meet {friend}?", "{place}"),
        ],
        &[
            q("What colour was the {object}?", "{colour}"),
            q("Which colour was the {object}?", "{colour}"),
        ],
    ],
};

/// What a story may open with.
pub(super) const OPENERS: [&str; 7] = [
    "The sun was up.",
    "It was warm.",
    "Rain fell softly.",
    "Birds sang.",
    "All was still.",
    "A wind blew.",
    "One day it snowed.",
];

/// What a story may close with.
pub(super) const CLOSERS: [&str; 6] = [
    "It was a good day.",
    "{who} smiled.",
    "Then {who} went home.",
    "{who} told it to Gran.",
    "And that was that.",
    "The end.",
];

/// The wordings for a plot.
pub(super) fn frames(plot: Plot) -> &'static Frames {
    match plot {
        Plot::Thing => &THING,
        Plot::Meal => &MEAL,
        Plot::Gift => &GIFT,
    }
}

/// Fills a frame; `pronoun_after` is set for a second event, with the word that leads to it.
///
/// # Panics
/// When the frame has a slot that no event has: frames are constants, and a test fills them all.
pub(super) fn fill(frame: &str, event: &Event, pronoun_after: Option<&str>) -> String {
    let mut text = String::with_capacity(frame.len() + 32);
    let mut rest = frame;
    while let Some((before, (slot, after))) =
        rest.split_once('{').and_then(|(before, tail)| Some((before, tail.split_once('}')?)))
    {
        text.push_str(before);
        match (slot, pronoun_after) {
            ("subject", Some(lead)) => text += &format!("{lead} {}", event.who.pronoun),
            ("actor", Some(_)) => text.push_str(event.who.pronoun),
            ("subject" | "actor", None) => text.push_str(event.who.text),
            _ => text += &slot_text(slot, event),
        }
        rest = after;
    }
    text + rest
}

fn slot_text(slot: &str, event: &Event) -> String {
    let word = event.word(&slot.to_ascii_lowercase());
    let word = word.unwrap_or_else(|| panic!("a frame has the unknown slot `{slot}`"));
    let has_capital = slot.starts_with(|first: char| first.is_ascii_uppercase());
    if has_capital { capitalised(word) } else { word.to_owned() }
}

/// The text with a capital first letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use sdk::Generator;

    use super::*;
    use crate::Split;
    use crate::world::words::NAMES;

    #[test]
    fn every_frame_has_the_slots_of_its_plot() {
        let mut rng = Generator::new(1, "frames");
        for plot in [Plot::Thing, Plot::Meal, Plot::Gift] {
            let event = Event::draw(plot, NAMES[6], Split::Train, &mut rng);
            let known = frames(plot);
            let asked = known.questions.iter().copied().flatten().chain(known.short);
            let asked = asked.flat_map(|q| [&q.ask, &q.answer]);
            let told = known.plain.iter().chain(known.fronted).chain(known.recaps);
            for frame in told.chain(asked).chain(&CLOSERS) {
                let text = fill(frame, &event, Some("Then"));
                assert!(!text.contains(['{', '}']) && !text.contains("  "), "{frame}: {text}");
                assert!(!text.ends_with(" .") && !text.ends_with(" ?"), "{frame}: {text}");
            }
        }
    }
}
