//! A growing sequence and the logits of what comes next.
//!
//! What the model sees of a sequence longer than its context T is its end. The window moves on by
//! T / 4 tokens at a time, so that a cache is filled anew only once in as many tokens; with and
//! without a cache the model sees the same, and the text is the same.

use candle_core::{Result, Tensor};

use crate::model::{Gpt, KvCache, Mode, Queries};

/// Tokens so far, and what is kept of them.
pub struct Sequence<'a> {
    model: &'a Gpt,
    ids: Vec<u32>,
    /// Empty when it has to be filled from the window.
    cache: Option<KvCache>,
    window_start: usize,
    trace_layer: Option<usize>,
}

/// What the model says about the next token.
pub struct Prediction {
    /// One for each token of the vocabulary.
    pub logits: Vec<f32>,
    /// Attention probabilities of the last token, `[head][position in the window]`; only where a
    /// layer is traced.
    pub attention: Vec<Vec<f32>>,
}

/// The first token that the model sees of `len`.
fn window_start(len: usize, context: usize) -> usize {
    let stride = (context / 4).max(1);
    len.saturating_sub(context).div_ceil(stride) * stride
}

impl<'a> Sequence<'a> {
    /// The sequence that begins with `ids`. `max_new_tokens` is how many it will grow by at most:
    /// a cache is made no larger than that needs.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(
        model: &'a Gpt,
        ids: Vec<u32>,
        max_new_tokens: usize,
        use_cache: bool,
    ) -> Result<Self> {
        let context = model.config().context;
        let capacity = context.min(ids.len().saturating_add(max_new_tokens)).max(1);
        let cache = use_cache.then(|| KvCache::new(model, 1, capacity)).transpose()?;
        let window_start = window_start(ids.len(), context);
        Ok(Self { model, ids, cache, window_start, trace_layer: None })
    }

    /// Reports the attention of a layer from now on.
    pub fn trace(&mut self, layer: Option<usize>) {
        self.trace_layer = layer;
        if let Some(cache) = &mut self.cache {
            cache.trace(layer);
        }
    }

    /// All tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Appends a token.
    pub fn push(&mut self, id: u32) {
        self.ids.push(id);
        let start = window_start(self.ids.len(), self.model.config().context);
        if start != self.window_start {
            self.window_start = start;
            self.cache.iter_mut().for_each(KvCache::clear);
        }
    }

    /// What comes next. To be asked once for each token.
    ///
    /// # Errors
    /// When there is no token, or one that the model doesn't have; when there is no such layer to
    /// trace.
    pub fn predict(&mut self) -> Result<Prediction> {
        let window = &self.ids[self.window_start..];
        let (logits, attention) = match &mut self.cache {
            None => self.without_cache(window)?,
            Some(cache) => {
                let logits = if cache.is_empty() {
                    self.model.prefill_last(&row(self.model, window)?, cache)?
                } else {
                    self.model.decode(&row(self.model, &window[cache.len()..])?, cache)?
                };
                (logits, cache.attention().cloned())
            }
        };
        let attention = attention.map(|row| row.squeeze(0)?.to_vec2()).transpose()?;
        Ok(Prediction {
            logits: logits.flatten_all()?.to_vec1()?,
            attention: attention.unwrap_or_default(),
        })
    }

    /// The last logits, and the traced attention: `(B, H, t)`.
    fn without_cache(&self, window: &[u32]) -> Result<(Tensor, Option<Tensor>)> {
        let (ids, mode) = (row(self.model, window)?, &mut Mode::Eval);
        let (logits, attention) = match self.trace_layer {
            None => (self.model.forward(&ids, mode)?, None),
            Some(layer) => {
                let last = Queries::Last;
                let (logits, trace) = self.model.forward_with_attention(&ids, layer, last, mode)?;
                (logits, Some(trace.row))
            }
        };
        Ok((logits.narrow(1, window.len() - 1, 1)?, attention))
    }
}

/// Ids as a batch of one, where the model is.
fn row(model: &Gpt, ids: &[u32]) -> Result<Tensor> {
    Tensor::from_slice(ids, (1, ids.len()), model.params().device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_moves_by_quarters_and_never_outgrows_the_context() {
        assert_eq!((window_start(0, 8), window_start(8, 8)), (0, 0));
        let starts: Vec<usize> = (9..=14).map(|len| window_start(len, 8)).collect();
        assert_eq!(starts, [2, 2, 4, 4, 6, 6]);
        for context in [1, 2, 3, 8, 100] {
            for len in 1..300 {
                let seen = len - window_start(len, context);
                assert!(seen >= 1 && seen <= context, "{len} {context}");
                assert!(len <= context || seen > context - (context / 4).max(1));
            }
        }
    }
}
