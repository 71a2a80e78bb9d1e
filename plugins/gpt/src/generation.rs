//! Text from a GPT: greedy or drawn, one token at a time.
//!
//! Each token runs the whole context anew; what doesn't fit the context is cut off at the front.

use candle_core::{Device, Tensor};
use sdk::{Artifacts, Error, GenerateReply, GenerateRequest, Generator, PhaseContext, Result};
use sdk_numerics::error;

use crate::chat::{Message, Role, prompt};
use crate::handover::load;
use crate::learner::Learner;
use crate::model::{Gpt, Mode};
use crate::tokenizer::Tokenizer;

/// How tokens are chosen, and when to stop.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// Tokens at most.
    pub max_new_tokens: usize,
    /// 0 takes the likeliest token each time.
    pub temperature: f64,
    /// Ends the text and is no part of it.
    pub stop: u32,
    /// Never chosen.
    pub banned: Vec<u32>,
}

/// Continues `ids` and returns the new tokens, and whether it was the stop token that ended them.
///
/// `on_token` hears each token as it comes.
///
/// # Errors
/// When there is nothing to continue, or the arithmetic fails.
pub fn continue_ids(
    model: &Gpt,
    ids: &[u32],
    sampling: &Sampling,
    generator: &mut Generator,
    mut on_token: impl FnMut(u32) -> Result<()>,
) -> Result<(Vec<u32>, bool)> {
    if ids.is_empty() {
        return Err(Error::new("generate::empty", "the prompt is empty"));
    }
    let mut all = ids.to_vec();
    for _ in 0..sampling.max_new_tokens {
        let logits = last_logits(model, &all).map_err(error)?;
        let token = choose(logits, sampling, generator);
        if token == sampling.stop {
            return Ok((all.split_off(ids.len()), true));
        }
        all.push(token);
        on_token(token)?;
    }
    Ok((all.split_off(ids.len()), false))
}

fn last_logits(model: &Gpt, ids: &[u32]) -> candle_core::Result<Vec<f32>> {
    let start = ids.len().saturating_sub(model.config().context);
    let window = &ids[start..];
    let x = Tensor::from_slice(window, (1, window.len()), &Device::Cpu)?;
    let logits = model.forward(&x, &mut Mode::Eval)?; // (1, t, V)
    logits.narrow(1, window.len() - 1, 1)?.flatten_all()?.to_vec1()
}

fn choose(mut logits: Vec<f32>, sampling: &Sampling, generator: &mut Generator) -> u32 {
    for id in &sampling.banned {
        if let Some(logit) = logits.get_mut(*id as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    if sampling.temperature <= 0.0 {
        return best as u32;
    }
    let max = f64::from(logits[best]);
    let weights: Vec<f64> =
        logits.iter().map(|l| ((f64::from(*l) - max) / sampling.temperature).exp()).collect();
    let mut rest = generator.uniform() * weights.iter().sum::<f64>();
    for (id, weight) in weights.iter().enumerate() {
        rest -= weight;
        if rest < 0.0 {
            return id as u32;
        }
    }
    best as u32
}

/// Answers or continues a prompt with the model that was handed on: `Trainer::generate` of both
/// phases.
///
/// # Errors
/// When no model was handed on, or the request makes no sense.
pub fn generate(
    given: &Artifacts,
    request: &GenerateRequest,
    cx: &PhaseContext,
) -> Result<GenerateReply> {
    if request.temperature < 0.0 || !request.temperature.is_finite() {
        let message = format!("the temperature must not be below 0: {}", request.temperature);
        return Err(Error::new("generate::temperature", message));
    }
    let (handover, model) = load(given)?;
    let tokenizer = &handover.tokenizer;
    let is_chat = request.chat.unwrap_or(handover.is_chat);
    let ids = if is_chat {
        prompt(&[Message::new(Role::User, request.prompt.as_str())], tokenizer)
    } else {
        tokenizer.encode(&request.prompt)
    };
    let sampling = Sampling {
        max_new_tokens: request.max_new_tokens,
        temperature: request.temperature,
        ..greedy(tokenizer, 0)
    };
    let mut generator = Generator::new(request.seed, "generate");
    let (new, is_stopped) = continue_ids(&model, &ids, &sampling, &mut generator, |token| {
        cx.check_cancelled()?;
        cx.text(&tokenizer.decode(&[token]));
        Ok(())
    })?;
    Ok(GenerateReply {
        text: tokenizer.decode(&new),
        tokens: new.len(),
        stop_reason: if is_stopped { "stop" } else { "length" }.to_owned(),
    })
}

/// The likeliest token each time; no role tokens, and the end of a turn stops.
pub fn greedy(tokenizer: &Tokenizer, max_new_tokens: usize) -> Sampling {
    let special = tokenizer.special();
    let banned = special.roles().to_vec();
    Sampling { max_new_tokens, temperature: 0.0, stop: special.eot, banned }
}

/// Part of the questions that the model answers exactly, greedily.
///
/// # Errors
/// When the arithmetic fails, or the run was asked to stop.
pub fn exact_match(
    learner: &Learner,
    tokenizer: &Tokenizer,
    questions: &[(String, String)],
    cx: &PhaseContext,
) -> Result<f64> {
    let n = learner.threads();
    let parts: Vec<_> = questions.chunks(questions.len().div_ceil(n).max(1)).collect();
    let right = learner.on_threads(parts, |part| {
        let mut right = 0usize;
        for (question, answer) in part {
            cx.check_cancelled()?;
            let ids = prompt(&[Message::new(Role::User, question.as_str())], tokenizer);
            // As long as the answer and its end: a longer one is wrong anyway.
            let sampling = greedy(tokenizer, tokenizer.encode(answer).len() + 1);
            let mut generator = Generator::new(0, "greedy draws nothing");
            let (new, is_stopped) =
                continue_ids(&learner.model, &ids, &sampling, &mut generator, |_| Ok(()))?;
            right += usize::from(is_stopped && tokenizer.decode(&new) == *answer);
        }
        Ok(right)
    })?;
    Ok(right.iter().sum::<usize>() as f64 / questions.len().max(1) as f64)
}
