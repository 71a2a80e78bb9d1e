//! The words of the world: one list per slot of a story.
//!
//! The lists are short: what a small model learns here in minutes is to read a fact off a story,
//! and each word that it must know first costs it examples. There are thousands of facts all the
//! same. Inside a list no two words share a preposition and a first letter, and no word stands in two
//! lists. So a slot can be told by its word, and a small model that copies a word has one letter to
//! get right before the rest follows.

/// A character, with the pronoun that stands for the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: &'static str,
    pub(super) pronoun: &'static str,
}

const fn she(text: &'static str) -> Name {
    Name { text, pronoun: "she" }
}

const fn he(text: &'static str) -> Name {
    Name { text, pronoun: "he" }
}

pub(super) const NAMES: [Name; 10] = [
    she("Ada"),
    he("Ben"),
    she("Cleo"),
    he("Finn"),
    she("Ivy"),
    he("Kai"),
    she("Mira"),
    he("Sam"),
    she("Uma"),
    she("Zoe"),
];

pub(super) const COLOURS: [&str; 6] = ["blue", "green", "pink", "red", "white", "yellow"];

pub(super) const OBJECTS: [&str; 10] =
    ["bell", "coin", "drum", "flute", "kite", "lamp", "mug", "ring", "shell", "vase"];

pub(super) const PLACES: [&str; 10] = [
    "in the barn",
    "in the cave",
    "by the fence",
    "in the garden",
    "on the hill",
    "at the mill",
    "under the oak",
    "by the pond",
    "by the river",
    "in the shed",
];

pub(super) const ANIMALS: [&str; 10] =
    ["bear", "cat", "duck", "fox", "goat", "hen", "lamb", "owl", "swan", "yak"];

pub(super) const FOODS: [&str; 8] =
    ["apples", "bread", "corn", "figs", "honey", "nuts", "plums", "rice"];

pub(super) const TIMES: [&str; 8] = [
    "at dawn",
    "at lunch",
    "at noon",
    "at sunset",
    "on Monday",
    "on Sunday",
    "in May",
    "in winter",
];

/// What can be done with a thing at a place: in the past, and after `did`.
pub(super) const DEEDS: [(&str, &str); 4] =
    [("hid", "hide"), ("left", "leave"), ("lost", "lose"), ("found", "find")];

/// Who asks in a story: nobody that a story is about.
pub(super) const ASKERS: [&str; 4] = ["Gran", "Mum", "Dad", "Grandpa"];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_word_tells_its_slot_and_a_letter_tells_the_word() {
        let names: Vec<&str> = NAMES.iter().map(|name| name.text).collect();
        let lists: [&[&str]; 7] = [&names, &COLOURS, &OBJECTS, &PLACES, &ANIMALS, &FOODS, &TIMES];
        let mut words = HashSet::new();
        for list in lists {
            let mut starts = HashSet::new();
            for phrase in list {
                let (before, word) = phrase.rsplit_once(' ').unwrap_or(("", phrase));
                assert!(words.insert(word), "`{word}` stands twice");
                assert!(starts.insert((before, &word[..1])), "`{phrase}` starts like another");
            }
        }
    }
}
