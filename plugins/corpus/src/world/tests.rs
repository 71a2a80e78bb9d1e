//! What the world promises: readable, reproducible, distinct, and nothing of one split in the
//! other.

use super::event::Plot;
use super::words::{ANIMALS, COLOURS, FOODS, NAMES, OBJECTS, PLACES, TIMES};
use super::*;
use crate::chat::ChatTemplate;
use tokenizer::Tokenizer;

const N: u64 = 10_000;

fn facts(split: Split, idx: u64, what: &str) -> Vec<String> {
    let mut rng = World::new(42).stream(what, split, idx);
    Tale::draw(split, &mut rng).events.iter().map(event::Event::facts).collect()
}

#[test]
fn stories_read_like_this() {
    let world = World::new(42);
    let stories: Vec<String> = (0..4).map(|idx| world.story(Split::Train, idx)).collect();
    assert_eq!(
        stories,
        [
            "Zoe gave the swan some plums at dawn. When? At dawn. Which animal did Zoe feed? The swan. Who? Zoe. Which animal? The swan.",
            "It was a pink ring that Ada hid in the barn. Which colour? Pink. Where? In the barn. Who hid the ring? Ada. What? A pink ring.",
            "Sam gave Cleo a white vase on the hill. Who got? Cleo. Who was the vase for? It was Cleo. What? A white vase. Where? On the hill.",
            "One day it snowed. Kai fed plums to the cat on Sunday. What food? Plums. \"Who fed the cat?\" asked Dad. \"Kai.\" When? On Sunday. Who? Kai.",
        ]
    );
}

#[test]
fn dialogues_read_like_this() {
    let world = World::new(42);
    let dialogues: Vec<Dialogue> = (0..4).map(|idx| world.dialogue(Split::Val, idx)).collect();
    let turns: Vec<(&str, &str)> = dialogues
        .iter()
        .flat_map(|dialogue| &dialogue.turns)
        .map(|(user, assistant)| (user.as_str(), assistant.as_str()))
        .collect();
    assert_eq!(
        turns,
        [
            ("Zoe gave a white flute to Sam at the mill. What did Zoe give Sam?", "a white flute"),
            ("Who was the flute from?", "Zoe"),
            ("Zoe fed nuts to the yak on Monday. Which animal ate the nuts?", "the yak"),
            ("Who had some nuts to give?", "Zoe"),
            (
                "It was a pink drum that Finn hid under the oak. Where did Finn hide the drum?",
                "under the oak"
            ),
            ("Which colour was the drum?", "pink"),
            ("Kai gave a pink bell to Mira by the river. Which colour was the bell?", "pink"),
            ("Where did Mira get the bell?", "by the river"),
        ]
    );
}

#[test]
fn a_document_does_not_depend_on_what_was_drawn_before() {
    let world = World::new(3);
    let backwards: Vec<String> = (0..50).rev().map(|idx| world.story(Split::Train, idx)).collect();
    for (idx, story) in (0..50).rev().zip(backwards) {
        assert_eq!(story, World::new(3).story(Split::Train, idx));
        assert_eq!(world.dialogue(Split::Val, idx), World::new(3).dialogue(Split::Val, idx));
    }
    assert_ne!(world.story(Split::Train, 0), World::new(4).story(Split::Train, 0));
    assert_eq!(world.questions(20)[..], world.questions(40)[..20]);
}

#[test]
fn no_fact_of_one_split_is_in_the_other() {
    let all = |split| {
        let of = |what| (0..N).flat_map(move |idx| facts(split, idx, what));
        of("story").chain(of("dialogue")).chain(of("question")).collect::<HashSet<String>>()
    };
    let (train, held_back) = (all(Split::Train), all(Split::Val));
    assert!(train.len() > 10_000 && held_back.len() > 4_000, "{}", held_back.len());
    assert_eq!(train.intersection(&held_back).next(), None);
}

#[test]
fn most_documents_are_distinct() {
    let world = World::new(42);
    for split in [Split::Train, Split::Val] {
        let stories: HashSet<String> = (0..N).map(|idx| world.story(split, idx)).collect();
        assert!(stories.len() > 9_900, "{}", stories.len());
        let users: HashSet<String> =
            (0..N).map(|idx| world.dialogue(split, idx).turns.swap_remove(0).0).collect();
        assert!(users.len() > 9_000, "{}", users.len());
    }
    let questions = world.questions(5_000);
    let distinct: HashSet<&String> = questions.iter().map(|(prompt, _)| prompt).collect();
    assert_eq!(distinct.len(), 5_000);
}

#[test]
fn every_answer_can_be_read_off_and_every_dialogue_fits() {
    let world = World::new(42);
    let template = ChatTemplate::new(None, &Tokenizer::byte()).unwrap();
    for idx in 0..N {
        let dialogue = world.dialogue(Split::Train, idx);
        assert!(dialogue.n_tokens() <= DIALOGUE_TOKENS_MAX, "{dialogue:?}");
        let rendered = template.render(&dialogue.messages()).unwrap();
        assert_eq!(rendered.ids.len(), dialogue.n_tokens());
        let story = &dialogue.turns[0].0;
        for (user, answer) in &dialogue.turns {
            assert!(story.contains(answer.as_str()), "{dialogue:?}");
            assert!(user.is_ascii() && answer.is_ascii() && user.ends_with('?'));
            assert!(!answer.is_empty() && answer.split(' ').count() <= 4);
        }
    }
}

#[test]
fn no_question_gives_its_own_answer_away() {
    for (prompt, answer) in World::new(42).questions(2_000) {
        let question = prompt.rsplit(['.']).next().unwrap();
        assert!(!question.contains(&answer), "{prompt} {answer}");
    }
}

#[test]
fn stories_are_ascii_and_of_moderate_length() {
    let world = World::new(42);
    let lengths: Vec<usize> = (0..N)
        .map(|idx| world.story(Split::Train, idx))
        .inspect(|story| assert!(story.is_ascii() && !story.contains('\n'), "{story}"))
        .map(|story| story.len())
        .collect();
    let (min, max) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
    assert!(*min >= 80 && *max <= 420, "{min} to {max}");
}

#[test]
fn there_are_as_many_facts_as_the_docs_say() {
    let (names, things) = (NAMES.len(), COLOURS.len() * OBJECTS.len() * PLACES.len());
    assert_eq!(names * things, 6_000);
    assert_eq!(names * FOODS.len() * ANIMALS.len() * TIMES.len(), 6_400);
    assert_eq!(names * (names - 1) * things, 54_000);
    assert_eq!(format!("{:?}", Plot::Gift), "Gift", "the hash rests on the plots' names");
}
