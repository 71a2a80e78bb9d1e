//! The words of the world: one list per slot of a story.
//!
//! Inside a list no two words share a preposition and a first letter, and no word stands in two
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

pub(super) const NAMES: [Name; 25] = [
    she("Ada"),
    he("Ben"),
    she("Cleo"),
    he("Dan"),
    she("Ella"),
    he("Finn"),
    he("Gus"),
    she("Hana"),
    she("Ivy"),
    he("Jack"),
    he("Kai"),
    she("Lily"),
    she("Mira"),
    he("Ned"),
    she("Olga"),
    he("Pip"),
    he("Quin"),
    she("Rosa"),
    he("Sam"),
    she("Tess"),
    she("Uma"),
    she("Vera"),
    he("Will"),
    she("Yara"),
    she("Zoe"),
];

pub(super) const COLOURS: [&str; 15] = [
    "blue", "coral", "green", "hazel", "jade", "lilac", "mint", "navy", "pink", "red", "silver",
    "tan", "violet", "white", "yellow",
];

pub(super) const OBJECTS: [&str; 22] = [
    "acorn", "bell", "coin", "drum", "egg", "flute", "glove", "hat", "jar", "kite", "lamp", "mug",
    "net", "oar", "pen", "quilt", "ring", "shell", "top", "urn", "vase", "wand",
];

pub(super) const PLACES: [&str; 22] = [
    "in the attic",
    "in the barn",
    "in the cave",
    "on the dock",
    "under the elm",
    "by the fence",
    "in the garden",
    "on the hill",
    "at the inn",
    "in the kitchen",
    "in the loft",
    "at the mill",
    "under the oak",
    "by the pond",
    "by the quarry",
    "by the river",
    "in the shed",
    "in the tower",
    "in the valley",
    "by the well",
    "in the yard",
    "at the zoo",
];

pub(super) const ANIMALS: [&str; 23] = [
    "ant", "bear", "cat", "duck", "elk", "fox", "goat", "hen", "ibis", "jay", "kitten", "lamb",
    "mole", "newt", "owl", "pony", "quail", "robin", "swan", "toad", "vole", "wolf", "yak",
];

pub(super) const FOODS: [&str; 20] = [
    "apples", "bread", "corn", "dates", "figs", "grapes", "honey", "jam", "kale", "leeks", "melon",
    "nuts", "oats", "plums", "quince", "rice", "soup", "toast", "waffles", "yams",
];

pub(super) const TIMES: [&str; 18] = [
    "at bedtime",
    "at dawn",
    "at lunch",
    "at midnight",
    "at noon",
    "at sunset",
    "at teatime",
    "on Friday",
    "on Monday",
    "on Sunday",
    "on Tuesday",
    "on Wednesday",
    "in autumn",
    "in June",
    "in May",
    "in October",
    "in spring",
    "in winter",
];

/// What can be done with a thing at a place: in the past, and after `did`.
pub(super) const DEEDS: [(&str, &str); 6] = [
    ("hid", "hide"),
    ("left", "leave"),
    ("lost", "lose"),
    ("found", "find"),
    ("kept", "keep"),
    ("saw", "see"),
];

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
