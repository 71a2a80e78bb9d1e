//! From what a request and a section ask for to how each token is drawn.

use sdk::{Error, GenerateRequest, Generator, Result, StopReason};
use sdk_numerics::error;
use tokenizer::Tokenizer;

use super::sequence::{Prediction, Sequence};
use crate::config::GenerationConfig;
use crate::sampling::Sampling;

/// How a text is drawn and where it ends.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// How each token is chosen.
    pub sampling: Sampling,
    /// Tokens at most.
    pub max_new_tokens: usize,
    /// Tokens that end the text and are no part of it.
    pub stop: Vec<u32>,
    /// Ids of the tokenizer are below it; a model may have rows for more.
    n_tokens: usize,
}

impl Drawing {
    /// What `request` says, and `defaults` where it doesn't.
    ///
    /// # Errors
    /// When a value is out of its range, or a token is none of the tokenizer's.
    pub fn new(
        request: &GenerateRequest,
        defaults: &GenerationConfig,
        tokenizer: &Tokenizer,
    ) -> Result<Self> {
        let merged = merge(request, defaults);
        if let Some(fault) = merged.check().into_iter().next() {
            // The request has no section for the path to be in.
            return Err(Error { path: None, ..fault });
        }
        let special = tokenizer.special();
        let mut banned = merged.banned_token_ids.unwrap_or_default();
        let stop = match (&request.stop_tokens, merged.stop_token_id) {
            (Some(stop), _) => stop.clone(),
            (None, Some(stop)) => vec![stop],
            (None, None) => vec![special.eot],
        };
        check_ids("banned_tokens", &banned, tokenizer)?;
        check_ids("stop_tokens", &stop, tokenizer)?;
        if merged.ban_role_tokens {
            banned.extend(special.roles());
        }
        Ok(Self {
            sampling: Sampling {
                temperature: merged.temperature,
                top_k: merged.top_k.filter(|k| *k > 0),
                top_p: merged.top_p,
                repetition_penalty: merged.repetition_penalty,
                banned,
            },
            max_new_tokens: merged.max_new_tokens,
            stop,
            n_tokens: tokenizer.vocab_size(),
        })
    }

    /// The likeliest token each time; no role tokens, and the end of a turn stops.
    pub fn greedy(tokenizer: &Tokenizer, max_new_tokens: usize) -> Self {
        let special = tokenizer.special();
        Self {
            sampling: Sampling::greedy(special.roles().to_vec()),
            max_new_tokens,
            stop: vec![special.eot],
            n_tokens: tokenizer.vocab_size(),
        }
    }

    /// Lets `sequence` grow until a stop token, enough tokens, or `is_cancelled`. `on_token` hears
    /// each token as it comes, with what the model said about it.
    ///
    /// # Errors
    /// When the arithmetic fails or every token is banned.
    pub fn run(
        &self,
        sequence: &mut Sequence<'_>,
        generator: &mut Generator,
        is_cancelled: impl Fn() -> bool,
        mut on_token: impl FnMut(u32, &Prediction),
    ) -> Result<StopReason> {
        for _ in 0..self.max_new_tokens {
            if is_cancelled() {
                return Ok(StopReason::Cancelled);
            }
            let next = sequence.predict().map_err(error)?;
            let possible = &next.logits[..self.n_tokens.min(next.logits.len())];
            let token = self.sampling.choose(possible, sequence.ids(), generator);
            let token = token.ok_or_else(|| no_choice(possible))?;
            if self.stop.contains(&token) {
                return Ok(StopReason::Stop);
            }
            on_token(token, &next);
            sequence.push(token);
        }
        Ok(StopReason::Length)
    }
}

/// Why no token can be chosen.
fn no_choice(logits: &[f32]) -> Error {
    if logits.iter().any(|logit| logit.is_nan()) {
        let message = "the model's output is not a number, its weights are damaged";
        return Error::new("generate::not_finite", message)
            .help("take a model or a checkpoint from before its loss went wrong");
    }
    Error::new("generate::banned", "no token is left to choose from").help("ban fewer tokens")
}

/// The settings of a section with those of a request in their place.
fn merge(request: &GenerateRequest, defaults: &GenerationConfig) -> GenerationConfig {
    let defaults = defaults.clone();
    GenerationConfig {
        max_new_tokens: request.max_new_tokens.unwrap_or(defaults.max_new_tokens),
        temperature: request.temperature.unwrap_or(defaults.temperature),
        top_k: request.top_k.or(defaults.top_k),
        top_p: request.top_p.or(defaults.top_p),
        repetition_penalty: request.repetition_penalty.or(defaults.repetition_penalty),
        banned_token_ids: request.banned_tokens.clone().or(defaults.banned_token_ids),
        ..defaults
    }
}

fn check_ids(what: &str, ids: &[u32], tokenizer: &Tokenizer) -> Result<()> {
    let n_tokens = tokenizer.vocab_size();
    match ids.iter().find(|id| **id as usize >= n_tokens) {
        None => Ok(()),
        Some(id) => {
            let message = format!("`{what}` names token {id}, but there are {n_tokens} tokens");
            Err(Error::new("generate::token", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(request: &GenerateRequest, defaults: &GenerationConfig) -> Result<Drawing> {
        Drawing::new(request, defaults, &Tokenizer::byte())
    }

    #[test]
    fn a_request_goes_before_the_section() {
        let defaults = GenerationConfig {
            top_p: Some(0.5),
            stop_token_id: Some(10),
            banned_token_ids: Some(vec![1]),
            ..GenerationConfig::default()
        };
        let own = drawing(&GenerateRequest::new("x"), &defaults).unwrap();
        assert_eq!((own.max_new_tokens, own.sampling.temperature), (256, 0.9));
        assert_eq!((own.sampling.top_k, own.sampling.top_p), (Some(50), Some(0.5)));
        assert_eq!((own.stop, own.sampling.banned), (vec![10], vec![1, 248, 249, 250]));
        let request = GenerateRequest {
            max_new_tokens: Some(3),
            temperature: Some(0.0),
            top_k: Some(0),
            banned_tokens: Some(vec![2]),
            stop_tokens: Some(vec![]),
            ..GenerateRequest::new("x")
        };
        let other = drawing(&request, &defaults).unwrap();
        assert_eq!((other.max_new_tokens, other.sampling.temperature), (3, 0.0));
        assert_eq!((other.sampling.top_k, other.sampling.top_p), (None, Some(0.5)));
        assert_eq!((other.stop, other.sampling.banned), (vec![], vec![2, 248, 249, 250]));
        // A stop token of 0 is one, and where none is named the end of a turn is.
        let zero = GenerationConfig { stop_token_id: Some(0), ..GenerationConfig::default() };
        assert_eq!(drawing(&GenerateRequest::new("x"), &zero).unwrap().stop, [0]);
        let none = drawing(&GenerateRequest::new("x"), &GenerationConfig::default()).unwrap();
        assert_eq!(none.stop, [251]);
    }

    #[test]
    fn a_model_whose_output_is_no_number_is_told_as_that() {
        assert_eq!(no_choice(&[f32::NAN, 1.0]).code, "generate::not_finite");
        assert_eq!(no_choice(&[0.0, 1.0]).code, "generate::banned");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let refuse = |change: fn(&mut GenerateRequest)| {
            let mut request = GenerateRequest::new("x");
            change(&mut request);
            let error = drawing(&request, &GenerationConfig::default()).unwrap_err();
            assert_eq!(error.path, None);
            error.message
        };
        let temperature = refuse(|r| r.temperature = Some(-1.0));
        assert_eq!(temperature, "`temperature` must be at least 0: -1");
        assert_eq!(refuse(|r| r.top_p = Some(0.0)), "`top_p` must be in (0, 1]: 0");
        assert_eq!(refuse(|r| r.top_p = Some(1.01)), "`top_p` must be in (0, 1]: 1.01");
        let penalty = refuse(|r| r.repetition_penalty = Some(0.0));
        assert_eq!(penalty, "`repetition_penalty` must be above 0: 0");
        let none = refuse(|r| r.max_new_tokens = Some(0));
        assert_eq!(none, "`max_new_tokens` must be at least 1: 0");
        let banned = refuse(|r| r.banned_tokens = Some(vec![7, 256]));
        assert_eq!(banned, "`banned_tokens` names token 256, but there are 256 tokens");
        let stop = refuse(|r| r.stop_tokens = Some(vec![999]));
        assert_eq!(stop, "`stop_tokens` names token 999, but there are 256 tokens");
    }
}
