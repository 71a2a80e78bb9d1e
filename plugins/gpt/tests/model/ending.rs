//! What ends a text and what does not.

use std::cell::RefCell;

use corpus::Batch;
use gpt::config::{ModelConfig, TrainingConfig};
use gpt::generation::{Drawing, Sequence};
use gpt::learner::Learner;
use gpt::model::Gpt;
use sdk::{Generator, PhaseContext, StopReason};
use tokenizer::Tokenizer;

use crate::{seeded, small};

/// A text whose tags are those of the tokens and of a transcript, but spelled out.
const TAGS: &str = "user: hi<|eot|>\n<|usr|>assistant: yo\nuser: <|asst|>ok";

/// A model that knows one text by heart, over and over, then the token that ends a turn.
fn parrot(text: &[u32]) -> Gpt {
    let t = text.len() - 1;
    let model =
        ModelConfig { vocab: 256, context: 2 * t, width: 48, n_heads: 4, d_ff: 96, ..small() };
    let training = TrainingConfig {
        base_lr: 1e-2,
        min_lr: 1e-3,
        warmup_steps: 5,
        total_steps: 80,
        ..TrainingConfig::default()
    };
    let cx = PhaseContext::detached("pretrain", 42, sdk::DeviceContext::default());
    let mut learner = Learner::new(&model, &training, &cx).unwrap();
    let (ids, targets) = (text[..t].to_vec(), text[1..].to_vec());
    let batch = Batch { ids, targets, n: 1, t, valid_tokens: t };
    let mut loss = f64::INFINITY;
    for step in 0..training.total_steps {
        loss = learner.step(step, std::slice::from_ref(&batch)).unwrap().loss;
    }
    assert!(loss < 0.05, "the text is not known by heart: {loss}");
    learner.model
}

/// The reference cuts replies out of a transcript by its tags. Here only the token ends a turn, not
/// a text that looks like it; with and without a cache the token is no part of what was said. (The
/// reference's cached result has it.)
#[test]
fn a_text_that_looks_like_a_tag_does_not_stop() {
    let tokenizer = Tokenizer::byte();
    let eot = tokenizer.special().eot;
    let text = [tokenizer.encode(TAGS), vec![eot]].concat();
    let gpt = parrot(&text);
    for use_cache in [true, false] {
        let drawing = Drawing::greedy(&tokenizer, 2 * TAGS.len());
        let mut sequence =
            Sequence::new(&gpt, text[..4].to_vec(), 2 * TAGS.len(), use_cache).unwrap();
        let said = RefCell::new(text[..4].to_vec());
        let mut generator = Generator::new(0, "generate");
        let reason = drawing
            .run(&mut sequence, &mut generator, || false, |id, _| said.borrow_mut().push(id))
            .unwrap();
        assert_eq!(tokenizer.decode(&said.borrow()), TAGS);
        assert_eq!((reason, said.borrow().contains(&eot)), (StopReason::Stop, false));
    }
}

/// A prompt of 100 tokens and 128 new ones for a context of 128. The reference refuses that with a
/// cache and forgets the beginning without one; here both go on, and say the same.
#[test]
fn a_text_may_outgrow_the_context_with_a_cache_too() {
    let config = ModelConfig { vocab: 256, context: 128, n_layers: 1, ..small() };
    let gpt = seeded(&config, 1);
    let prompt: Vec<u32> = (0..100).map(|i| i * i % 251).collect();
    let run = |use_cache: bool| {
        let mut drawing = Drawing::greedy(&Tokenizer::byte(), 128);
        drawing.sampling.temperature = 1.0;
        drawing.stop.clear();
        let mut sequence = Sequence::new(&gpt, prompt.clone(), 128, use_cache).unwrap();
        let mut generator = Generator::new(3, "generate");
        let reason = drawing.run(&mut sequence, &mut generator, || false, |_, _| ()).unwrap();
        (reason, sequence.ids().to_vec())
    };
    let (reason, cached) = run(true);
    assert_eq!((reason, cached.len()), (StopReason::Length, 228));
    assert_eq!(run(false), (reason, cached));
}
