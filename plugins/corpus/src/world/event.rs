//! What happens in a story, and which happenings are held back.
//!
//! An event is a plot and one word for each of its slots. Whether it is held back follows from a
//! hash of those words alone, so no seed, wording or order of drawing can move an event from one
//! split to the other. Stories of the training split have no held-back event, those of the
//! validation split have no other.

use sdk::Generator;

use super::words::{ANIMALS, COLOURS, DEEDS, FOODS, NAMES, Name, OBJECTS, PLACES, TIMES};
use crate::{Split, stable_hash};

/// One of so many events is held back.
const HELD_BACK_EVERY: u64 = 10;

/// The kinds of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plot {
    /// Somebody hides, loses, finds … a thing somewhere.
    Thing,
    /// Somebody feeds an animal at some time.
    Meal,
    /// Somebody gives a friend a thing somewhere.
    Gift,
}

/// A plot with its slots filled; slots that the plot has no use for are empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) plot: Plot,
    pub(super) who: Name,
    friend: &'static str,
    colour: &'static str,
    object: &'static str,
    place: &'static str,
    food: &'static str,
    animal: &'static str,
    time: &'static str,
    /// Past and base form of the verb: a matter of wording, not a fact.
    deed: (&'static str, &'static str),
}

impl Event {
    /// An event of `split` about `who`.
    pub(super) fn draw(plot: Plot, who: Name, split: Split, rng: &mut Generator) -> Self {
        loop {
            let event = Self::draw_any(plot, who, rng);
            if event.split() == split {
                return event;
            }
        }
    }

    fn draw_any(plot: Plot, who: Name, rng: &mut Generator) -> Self {
        let nothing = Self {
            plot,
            who,
            friend: "",
            colour: "",
            object: "",
            place: "",
            food: "",
            animal: "",
            time: "",
            deed: ("", ""),
        };
        if plot == Plot::Meal {
            let (food, animal, time) = (one(&FOODS, rng), one(&ANIMALS, rng), one(&TIMES, rng));
            return Self { food, animal, time, ..nothing };
        }
        let (colour, object, place) = (one(&COLOURS, rng), one(&OBJECTS, rng), one(&PLACES, rng));
        let thing = Self { colour, object, place, ..nothing };
        if plot == Plot::Thing {
            return Self { deed: one(&DEEDS, rng), ..thing };
        }
        let others: Vec<Name> = NAMES.into_iter().filter(|name| *name != who).collect();
        Self { friend: one(&others, rng).text, ..thing }
    }

    /// The split that the event belongs to.
    pub(super) fn split(&self) -> Split {
        let held_back = stable_hash(self.facts().as_bytes()).is_multiple_of(HELD_BACK_EVERY);
        if held_back { Split::Val } else { Split::Train }
    }

    /// The facts, such as `Thing|Mira|red|kite|in the barn`.
    pub(super) fn facts(&self) -> String {
        let slots = [
            self.who.text,
            self.friend,
            self.colour,
            self.object,
            self.place,
            self.food,
            self.animal,
            self.time,
        ];
        let mut facts = format!("{:?}", self.plot);
        for slot in slots.iter().filter(|slot| !slot.is_empty()) {
            facts.push('|');
            facts.push_str(slot);
        }
        facts
    }

    /// The word for a slot's name in a frame; `None` for a name that no event has.
    pub(super) fn word(&self, slot: &str) -> Option<&'static str> {
        Some(match slot {
            "who" => self.who.text,
            "friend" => self.friend,
            "colour" => self.colour,
            "object" => self.object,
            "place" => self.place,
            "food" => self.food,
            "animal" => self.animal,
            "time" => self.time,
            "hid" => self.deed.0,
            "hide" => self.deed.1,
            _ => return None,
        })
    }
}

/// One element of a list that isn't empty, each equally likely.
pub(super) fn one<T: Copy>(items: &[T], rng: &mut Generator) -> T {
    items[rng.below(items.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_held_back_whatever_the_wording() {
        let mut rng = Generator::new(5, "event");
        let mut held_back = 0;
        for _ in 0..20_000 {
            let who = one(&NAMES, &mut rng);
            let event = Event::draw_any(Plot::Thing, who, &mut rng);
            let reworded = Event { deed: ("saw", "see"), ..event };
            assert_eq!(event.split(), reworded.split());
            held_back += u32::from(event.split() == Split::Val);
        }
        assert!(held_back.abs_diff(2000) < 200, "{held_back}");
    }
}
