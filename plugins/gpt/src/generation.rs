//! Text from a GPT: answers and continuations, one token at a time.
//!
//! An answer ends where the context does. A text that is continued may grow beyond: then the model
//! sees its end, see [`Sequence`].

mod drawing;
mod prompt;
mod sequence;

use corpus::chat::{ChatTemplate, Message, Role};
use sdk::{
    Artifacts, Error, GenerateReply, GenerateRequest, GeneratedToken, Generator, PhaseContext,
    Result, StopReason, TextGenerator,
};
use sdk_numerics::error;
use tokenizer::Tokenizer;

use crate::config::GenerationConfig;
use crate::handover::{Handover, load};
use crate::learner::Learner;
use crate::model::Gpt;
use crate::sampling::log_prob;
pub use drawing::Drawing;
pub use sequence::{Prediction, Sequence};

/// A trained GPT that answers or continues prompts.
pub struct GptGenerator {
    handover: Handover,
    template: ChatTemplate,
    defaults: GenerationConfig,
    model: Gpt,
}

impl GptGenerator {
    /// The model that was handed on, ready to generate; `defaults` say what a request leaves open.
    ///
    /// # Errors
    /// When no model was handed on, or its chat template is broken.
    pub fn open(given: &Artifacts, defaults: &GenerationConfig) -> Result<Self> {
        let (handover, model) = load(given)?;
        Self::new(handover, model, defaults)
    }

    /// A generator of a model that is there already.
    ///
    /// # Errors
    /// When the chat template is broken.
    pub fn new(handover: Handover, model: Gpt, defaults: &GenerationConfig) -> Result<Self> {
        let template = ChatTemplate::new(handover.chat_template.as_deref(), &handover.tokenizer)?;
        Ok(Self { handover, template, defaults: defaults.clone(), model })
    }

    fn check_layer(&self, request: &GenerateRequest) -> Result<()> {
        let n_layers = self.model.config().n_layers;
        match request.trace_layer {
            Some(layer) if layer >= n_layers => {
                let message = format!("layer {layer} is not in [0, {n_layers})");
                Err(Error::new("generate::layer", message))
            }
            _ => Ok(()),
        }
    }
}

impl TextGenerator for GptGenerator {
    fn generate(&mut self, request: &GenerateRequest, cx: &PhaseContext) -> Result<GenerateReply> {
        self.check_layer(request)?;
        let tokenizer = &self.handover.tokenizer;
        let mut drawing = Drawing::new(request, &self.defaults, tokenizer)?;
        let prompt = if request.chat.unwrap_or(self.handover.is_chat) {
            let context = self.model.config().context;
            prompt::chat(request, &self.template, context, drawing.max_new_tokens)?
        } else {
            prompt::raw(request, tokenizer)?
        };
        drawing.max_new_tokens = drawing.max_new_tokens.min(prompt.room);
        let prompt_tokens = prompt.ids.len();
        let mut sequence =
            Sequence::new(&self.model, prompt.ids, drawing.max_new_tokens, request.use_cache)
                .map_err(error)?;
        sequence.trace(request.trace_layer);

        let mut reply = GenerateReply {
            text: String::new(),
            tokens: 0,
            prompt_tokens,
            dropped_messages: prompt.n_dropped,
            stop_reason: StopReason::Length,
            steps: Vec::new(),
        };
        let mut decoder = tokenizer.decoder();
        let mut generator = Generator::new(request.seed, "generate");
        let is_cancelled = || cx.is_cancelled();
        reply.stop_reason =
            drawing.run(&mut sequence, &mut generator, is_cancelled, |id, next| {
                say(decoder.push(id), &mut reply.text, cx);
                reply.tokens += 1;
                if request.trace_layer.is_some() {
                    reply.steps.push(step(id, next, tokenizer));
                }
            })?;
        say(decoder.finish(), &mut reply.text, cx);
        Ok(reply)
    }
}

/// Sends a piece of the text on its way.
fn say(piece: Option<String>, text: &mut String, cx: &PhaseContext) {
    if let Some(piece) = piece {
        cx.text(&piece);
        text.push_str(&piece);
    }
}

fn step(id: u32, next: &Prediction, tokenizer: &Tokenizer) -> GeneratedToken {
    GeneratedToken {
        id,
        text: tokenizer.decode(&[id]),
        logprob: log_prob(&next.logits, id),
        attention: next.attention.clone(),
    }
}

/// Part of the questions that the model answers exactly, greedily.
///
/// # Errors
/// When the arithmetic fails, or the run was asked to stop.
pub fn exact_match(
    learner: &Learner,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    questions: &[(String, String)],
    cx: &PhaseContext,
) -> Result<f64> {
    let n = learner.threads();
    let parts: Vec<_> = questions.chunks(questions.len().div_ceil(n).max(1)).collect();
    let right = learner.on_threads(parts, |part| {
        let mut right = 0usize;
        for (question, answer) in part {
            cx.check_cancelled()?;
            let ids = template.prompt(&[Message::new(Role::User, question.as_str())])?;
            right += usize::from(answers(&learner.model, tokenizer, ids, answer)?);
        }
        Ok(right)
    })?;
    Ok(right.iter().sum::<usize>() as f64 / questions.len().max(1) as f64)
}

/// Whether the likeliest answer is `answer`, to its end.
fn answers(model: &Gpt, tokenizer: &Tokenizer, ids: Vec<u32>, answer: &str) -> Result<bool> {
    // As long as the answer and its end: a longer one is wrong anyway.
    let drawing = Drawing::greedy(tokenizer, tokenizer.encode(answer).len() + 1);
    let mut sequence = Sequence::new(model, ids, drawing.max_new_tokens, true).map_err(error)?;
    let mut generator = Generator::new(0, "greedy draws nothing");
    let mut said = Vec::new();
    let reason = drawing.run(&mut sequence, &mut generator, || false, |id, _| said.push(id))?;
    Ok(reason == StopReason::Stop && tokenizer.decode(&said) == answer)
}
