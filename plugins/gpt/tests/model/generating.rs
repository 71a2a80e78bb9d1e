//! Generation with a model that has learned something, so that a token fed twice or a position off
//! by one shows.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use corpus::world::World;
use corpus::{Batch, Split};
use gpt::config::{GenerationConfig, ModelConfig, TrainingConfig};
use gpt::generation::{Drawing, GptGenerator, Sequence};
use gpt::handover::Handover;
use gpt::learner::Learner;
use gpt::model::Mode;
use gpt::sampling::{argmax, log_prob};
use sdk::{
    Artifacts, ChatMessage, ChatRole, GenerateReply, GenerateRequest, Generator, PhaseContext,
    StopReason, TextGenerator,
};
use tokenizer::Tokenizer;

use crate::{ids, small};

fn cx() -> PhaseContext {
    PhaseContext::detached("pretrain", 42, sdk::DeviceContext::default())
}

fn config() -> ModelConfig {
    ModelConfig { vocab: 256, context: 48, width: 48, n_layers: 2, n_heads: 4, d_ff: 96, ..small() }
}

/// Windows of stories of the built-in world.
fn batch(stories: &[u32], step: usize) -> Batch {
    let (n, t) = (8, 48);
    let starts = (0..n).map(|i| (step * n + i) * 997 % (stories.len() - t - 1));
    let starts: Vec<usize> = starts.collect();
    let take = |shift: usize| {
        starts.iter().flat_map(|s| stories[s + shift..s + shift + t].to_vec()).collect::<Vec<u32>>()
    };
    Batch { ids: take(0), targets: take(1), n, t, valid_tokens: n * t }
}

/// What 150 steps on stories hand on.
fn given() -> &'static Artifacts {
    static GIVEN: OnceLock<Artifacts> = OnceLock::new();
    GIVEN.get_or_init(|| {
        let world = World::new(1);
        let text: String = (0..200).map(|i| world.story(Split::Train, i) + "\n").collect();
        let stories = Tokenizer::byte().encode(&text);
        let training = TrainingConfig {
            total_steps: 150,
            warmup_steps: 5,
            base_lr: 6e-3,
            min_lr: 1e-3,
            ..TrainingConfig::default()
        };
        let mut learner = Learner::new(&config(), &training, &cx()).unwrap();
        let mut last = f64::INFINITY;
        for step in 0..150 {
            let report = learner.step(step, &[batch(&stories, step as usize)]).unwrap();
            let mfu = report.metrics.iter().find(|(name, _)| name == "mfu").unwrap().1;
            assert!(mfu > 0.0 && mfu < 2.0, "{mfu}");
            last = report.loss;
        }
        assert!(last < 2.2, "the model has learned too little: {last}");
        let handover = Handover {
            model: config(),
            tokenizer: Tokenizer::byte(),
            is_chat: false,
            chat_template: None,
            generation: None,
            example_prompt: None,
        };
        let mut given = Artifacts::default();
        for artifact in handover.artifacts(&learner.model).unwrap() {
            given.push("pretrain", artifact);
        }
        given
    })
}

fn open() -> GptGenerator {
    GptGenerator::open(given(), &GenerationConfig::default()).unwrap()
}

fn generate(request: &GenerateRequest) -> GenerateReply {
    open().generate(request, &cx()).unwrap()
}

fn greedy(prompt: &str, max_new_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        temperature: Some(0.0),
        max_new_tokens: Some(max_new_tokens),
        stop_tokens: Some(vec![]),
        ..GenerateRequest::new(prompt)
    }
}

/// Also beyond the context of 48, where the window moves three times.
#[test]
fn with_and_without_a_cache_the_text_is_the_same() {
    for prompt in ["M", "Mira hid", "The old kite was found in the barn by Tom and"] {
        let likeliest = greedy(prompt, 90);
        let varied = GenerateRequest { repetition_penalty: Some(1.3), ..likeliest.clone() };
        let drawn = GenerateRequest { temperature: Some(1.0), ..likeliest.clone() };
        for (request, n_distinct) in [(likeliest, 4), (varied, 6), (drawn, 10)] {
            let cached = generate(&request);
            let plain = generate(&GenerateRequest { use_cache: false, ..request });
            assert_eq!(cached, plain);
            let distinct: BTreeSet<u8> = cached.text.bytes().collect();
            assert!(distinct.len() >= n_distinct, "{:?} repeats itself", cached.text);
        }
    }
}

#[test]
fn the_first_token_is_that_of_a_plain_forward_pass() {
    let (handover, model) = gpt::handover::load(given()).unwrap();
    let prompt = handover.tokenizer.encode("Mira hid");
    let logits = model.forward(&ids(&[&prompt]), &mut Mode::Eval).unwrap();
    let last = logits.squeeze(0).unwrap().to_vec2::<f32>().unwrap().pop().unwrap();
    let wide: Vec<f64> = last.iter().map(|logit| f64::from(*logit)).collect();
    let request = GenerateRequest { trace_layer: Some(1), ..greedy("Mira hid", 1) };
    let reply = generate(&request);
    assert_eq!((reply.tokens, reply.prompt_tokens), (1, 8));
    assert_eq!(Some(reply.steps[0].id), argmax(&wide));
    assert!((reply.steps[0].logprob - log_prob(&last, reply.steps[0].id)).abs() < 1e-5);
}

#[test]
fn a_stop_token_ends_the_text_and_is_no_part_of_it() {
    let free = generate(&greedy("Mira hid", 30));
    assert_eq!((free.stop_reason, free.tokens, free.text.len()), (StopReason::Length, 30, 30));
    let stop = free.text.as_bytes()[7];
    let before = free.text.bytes().position(|byte| byte == stop).unwrap();
    for use_cache in [true, false] {
        let stop_tokens = Some(vec![255, u32::from(stop)]);
        let reply = generate(&GenerateRequest { stop_tokens, use_cache, ..greedy("Mira hid", 30) });
        assert_eq!((reply.stop_reason, reply.tokens), (StopReason::Stop, before));
        assert_eq!(reply.text, free.text[..before]);
    }
}

#[test]
fn seeds_decide_and_bans_hold() {
    let draw = |seed, banned: Option<Vec<u32>>| {
        let request = GenerateRequest { seed, banned_tokens: banned, ..greedy("Mira", 40) };
        generate(&GenerateRequest { temperature: Some(1.5), ..request }).text
    };
    assert_eq!(draw(1, None), draw(1, None));
    assert_ne!(draw(1, None), draw(2, None));
    let vowels = b"aeiou".map(u32::from).to_vec();
    assert!(draw(1, None).contains(['a', 'e', 'i', 'o', 'u']));
    assert!(!draw(1, Some(vowels)).contains(['a', 'e', 'i', 'o', 'u']));
    let all = GenerateRequest { banned_tokens: Some((0..256).collect()), ..greedy("Mira", 4) };
    assert_eq!(open().generate(&all, &cx()).unwrap_err().code, "generate::banned");
}

#[test]
fn an_answer_ends_with_the_context_and_continued_text_does_not() {
    let chat = |history: Vec<ChatMessage>| {
        generate(&GenerateRequest { chat: Some(true), history, ..greedy("Who?", 100) })
    };
    let reply = chat(Vec::new());
    assert_eq!((reply.prompt_tokens, reply.tokens), (7, 41));
    assert_eq!((reply.stop_reason, reply.dropped_messages), (StopReason::Length, 0));
    let said = |role| ChatMessage { role, content: "What was in the red barn?".to_owned() };
    let reply = chat(vec![said(ChatRole::User), said(ChatRole::Assistant)]);
    assert_eq!((reply.prompt_tokens, reply.dropped_messages), (7, 2));
    assert_eq!(generate(&greedy("Who?", 100)).tokens, 100);
    // A prompt longer than the context is seen by its end.
    let long = "Mira hid the red kite in the barn. ".repeat(3);
    assert_eq!(generate(&greedy(&long, 5)).prompt_tokens, 105);
}

#[test]
fn steps_tell_what_each_token_attended_to() {
    let request = GenerateRequest { trace_layer: Some(0), ..greedy("Mira", 50) };
    let reply = generate(&request);
    assert_eq!(reply.steps.len(), 50);
    let text: String = reply.steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(text, reply.text);
    for (i, step) in reply.steps.iter().enumerate() {
        assert_eq!(step.attention.len(), 4);
        // The window moves by 12 when 49 tokens are there.
        let seen = if i < 45 { 4 + i } else { 4 + i - 12 };
        for head in &step.attention {
            assert_eq!(head.len(), seen);
            assert!((head.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        assert!(step.logprob < 0.0);
    }
    let plain = generate(&GenerateRequest { use_cache: false, ..request });
    assert_eq!(plain.text, reply.text);
    for (a, b) in plain.steps.iter().zip(&reply.steps) {
        crate::assert_close(&a.attention.concat(), &b.attention.concat(), 1e-5);
    }
    let error = GenerateRequest { trace_layer: Some(2), ..greedy("Mira", 1) };
    let error = open().generate(&error, &cx()).unwrap_err();
    assert_eq!(error.message, "layer 2 is not in [0, 2)");
}

#[test]
fn a_request_to_stop_leaves_what_there_is() {
    let (handover, model) = gpt::handover::load(given()).unwrap();
    let tokenizer = &handover.tokenizer;
    let mut sequence = Sequence::new(&model, tokenizer.encode("Mira"), 20, true).unwrap();
    let said = std::cell::Cell::new(0);
    let drawing = Drawing::greedy(tokenizer, 20);
    let mut generator = Generator::new(0, "generate");
    let reason = drawing
        .run(&mut sequence, &mut generator, || said.get() == 3, |_, _| said.set(said.get() + 1))
        .unwrap();
    assert_eq!((reason, sequence.ids().len()), (StopReason::Cancelled, 7));
}

#[test]
fn requests_without_sense_are_refused() {
    let code = |request: GenerateRequest| open().generate(&request, &cx()).unwrap_err().code;
    assert_eq!(code(greedy("", 3)), "generate::empty");
    let chat = GenerateRequest { chat: Some(true), ..greedy("", 3) };
    assert_eq!(code(chat), "generate::empty");
    assert_eq!(code(greedy("x", 0)), "generate::range");
    let cold = GenerateRequest { temperature: Some(-0.5), ..greedy("x", 3) };
    assert_eq!(code(cold), "generate::range");
    let wide = GenerateRequest { top_p: Some(1.5), ..greedy("x", 3) };
    assert_eq!(code(wide), "generate::range");
    let unknown = GenerateRequest { banned_tokens: Some(vec![256]), ..greedy("x", 3) };
    assert_eq!(code(unknown), "generate::token");
    let long = GenerateRequest { chat: Some(true), ..greedy(&"x".repeat(60), 3) };
    assert_eq!(code(long), "generate::context");
}
