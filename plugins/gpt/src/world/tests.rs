//! What the world promises: readable, reproducible, distinct, and nothing of one split in the
//! other.

use super::event::Plot;
use super::words::{ANIMALS, COLOURS, FOODS, NAMES, OBJECTS, PLACES, TIMES};
use super::*;
use crate::chat::render;
use crate::tokenizer::Tokenizer;

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
            "At lunch Zoe fed rice to the vole. \"Which animal did Zoe feed?\" asked Mum. \"The vole.\" The vole ate the rice.",
            "It was a mint quilt that Ada hid in the attic. What did Ada hide? It was a mint quilt. Ada hid the quilt in the attic. \"Who hid the quilt?\" asked Gran. \"Ada.\"",
            "Tess gave Sam a green hat on the hill. Who got the hat? It was Sam. Now Sam had a green hat. The end.",
            "On Tuesday Olga fed plums to the cat. The cat ate the plums. Who had some plums to give? It was Olga.",
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
            (
                "It was a silver bell that Zoe saw at the zoo. Later she fed plums to the duck in winter. Which animal ate the plums?",
                "the duck"
            ),
            ("Yara fed plums to the fox at sunset. Which animal did Yara feed?", "the fox"),
            ("Ivy gave the yak some rice at midnight. Which animal ate the rice?", "the yak"),
            ("Olga gave Dan a navy top in the kitchen. Who gave the top?", "Olga"),
            ("Where did Olga meet Dan?", "in the kitchen"),
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
    assert!(train.len() > 10_000 && held_back.len() > 10_000, "{}", held_back.len());
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
    for idx in 0..N {
        let dialogue = world.dialogue(Split::Train, idx);
        assert!(dialogue.n_tokens() <= DIALOGUE_TOKENS_MAX, "{dialogue:?}");
        let rendered = render(&dialogue.messages(), &Tokenizer::Byte).unwrap();
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
    assert_eq!(names * things, 181_500);
    assert_eq!(names * FOODS.len() * ANIMALS.len() * TIMES.len(), 207_000);
    assert_eq!(names * (names - 1) * things, 4_356_000);
    assert_eq!(format!("{:?}", Plot::Gift), "Gift", "the hash rests on the plots' names");
}
