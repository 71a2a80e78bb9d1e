//! The masked autoencoder: an encoder of what is kept, and a decoder of everything.
//!
//! Legend: B samples, S seen tokens of the longest, T tokens, O values of a token; E and G widths of
//! encoder and decoder.
//!
//! ```text
//! h      = encoder(seen tokens)                       (B, S, E)
//! memory = h W                                        (B, S, G)
//! d      = memory at its places, else the mask token  (B, T, G)
//!        + line of the kept values · w                of spectra whose differences are predicted
//!        + basis of the kept values · V               of spectra, where it is asked for
//! y      = decoder(d) U                               (B, T, O)
//!        · leeway                                     where differences are predicted
//! ```

use candle_core::{DType, Device, Result, Tensor};
use sdk::Generator;
use sdk_numerics::ops::{self, Compute};
use sdk_numerics::{Init, ParamKind, Params, error};
use towers::{Encoder, InitRule, Linear, Places, TokenBatch, TokenSet};

use crate::basis::SpectralBasis;
use crate::config::{Config, Predicts};
use crate::data::{Example, Extents};
use crate::objective::{Reduction, reconstruction_loss, spectral_smoothness};

/// Name of the encoder's parameters.
pub(crate) const ENCODER: &str = "encoder";

/// Added to a sample's seed for the decoder's noise.
const DECODER_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Encoder, decoder and their parameters.
pub(crate) struct Autoencoder {
    params: Params,
    extents: Extents,
    encoder: Encoder,
    decoder: Encoder,
    memory: Linear,
    /// `(1, G)`
    mask_token: Tensor,
    /// `(G, 1)`
    line: Option<Tensor>,
    basis: Option<(SpectralBasis, Linear)>,
    head: Linear,
    encoder_places: Places,
    decoder_places: Places,
    smoothness_weight: f64,
}

/// Some examples as tensors.
struct Batch {
    seen: TokenBatch,
    /// Row of each token in the memory, whose last one is the mask token. `(B · T)`
    rows: Tensor,
    /// `(B, T, 1)`
    line: Option<Tensor>,
    /// `(B, T, 1)`
    leeway: Option<Tensor>,
    /// `(B, T)`, 1 where kept
    keep: Option<Tensor>,
}

impl Autoencoder {
    /// A model with fresh weights, whose training passes multiply in `compute`.
    pub(crate) fn new(
        config: &Config,
        extents: &Extents,
        init: &mut Generator,
        device: &Device,
        compute: Compute,
    ) -> sdk::Result<Self> {
        let mut params = Params::new(device, DType::F32);
        let Extents { n_tokens, n_features, n_outputs, .. } = *extents;
        let stack = config.decoder_stack();
        let (e, g) = (config.encoder.embed_dim, stack.embed_dim);
        let encoder =
            Encoder::declare(ENCODER, &config.encoder, n_features, n_tokens, &mut params, init)?;
        let memory = Linear::declare("memory", (e, g), InitRule::Framework, &mut params, init)?;
        let normal = Init::Normal { std: 0.02 };
        let mask_token =
            params.declare("mask_token", ParamKind::Embedding, &[1, g], normal, init)?;
        let one = Init::Uniform { bound: 1.0 };
        let is_difference = config.predicts() == Predicts::Difference;
        let line = is_difference
            .then(|| params.declare("line.weight", ParamKind::Weight, &[g, 1], one, init))
            .transpose()?;
        let ends = (extents.places[0], extents.places[n_tokens - 1]);
        let basis = config
            .decoder
            .n_basis
            .map(|n| -> sdk::Result<_> {
                let basis = SpectralBasis::declare("basis", n, ends, &mut params, init)?;
                Ok((
                    basis,
                    Linear::declare("basis.out", (n, g), InitRule::Framework, &mut params, init)?,
                ))
            })
            .transpose()?;
        let decoder = Encoder::declare("decoder", &stack, g, n_tokens, &mut params, init)?;
        // Small at first: a difference starts as next to none.
        let sizes = (g, n_outputs);
        let head = Linear::declare("head", sizes, InitRule::Normal, &mut params, init)?;
        let encoder_places = encoder.places(&extents.places).map_err(error)?;
        let decoder_places = decoder.places(&extents.places).map_err(error)?;
        Ok(Self {
            extents: extents.clone(),
            encoder: encoder.with_compute(compute),
            decoder: decoder.with_compute(compute),
            memory,
            mask_token,
            line,
            basis,
            head,
            encoder_places,
            decoder_places,
            smoothness_weight: config.objective.smoothness_weight,
            params,
        })
    }

    /// All parameters.
    pub(crate) fn params(&self) -> &Params {
        &self.params
    }

    /// All parameters, to save and to restore.
    pub(crate) fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// The examples' part of the step's loss: squared errors over `n_scored`, which is of the whole
    /// step, and roughness over its `n_samples`.
    pub(crate) fn loss(
        &self,
        examples: &[Example],
        seeds: &[u64],
        (n_scored, n_samples): (usize, usize),
    ) -> sdk::Result<Tensor> {
        let loss = || {
            let batch = self.batch(examples)?;
            let y = self.forward(&batch, Some(seeds))?; // (B, T, O)
            let of = |part: fn(&Example) -> &[f32]| {
                let values: Vec<f32> =
                    examples.iter().flat_map(|e| part(e).iter().copied()).collect();
                Tensor::from_vec(values, y.shape(), y.device())
            };
            let (target, weights) = (of(|e| &e.target)?, of(|e| &e.weights)?);
            let squared = reconstruction_loss(&y, &target, Some(&weights), Reduction::Sum)?;
            let loss = (squared / n_scored.max(1) as f64)?;
            if self.smoothness_weight == 0.0 {
                return Ok(loss);
            }
            let part = self.smoothness_weight * examples.len() as f64 / n_samples as f64;
            loss + (self.roughness(&y, &batch)? * part)?
        };
        loss().map_err(error)
    }

    /// Roughness of what is reconstructed, along the bands.
    fn roughness(&self, y: &Tensor, batch: &Batch) -> Result<Tensor> {
        let (b, t, o) = y.dims3()?;
        let rows = match &batch.line {
            Some(line) => (y + line)?.reshape((b, t))?,
            None if o == 1 => y.reshape((b, t))?,
            None => y.reshape((b * t, o))?,
        };
        spectral_smoothness(&rows, None)
    }

    /// What the decoder says of each example, `(T, O)`, without dropout: differences from the line,
    /// where those are predicted.
    pub(crate) fn predict(&self, examples: &[Example]) -> sdk::Result<Vec<Vec<f32>>> {
        let predict = || {
            let batch = self.batch(examples)?;
            let y = self.forward(&batch, None)?.detach();
            y.flatten_from(1)?.to_vec2::<f32>()
        };
        predict().map_err(error)
    }

    fn forward(&self, batch: &Batch, seeds: Option<&[u64]>) -> Result<Tensor> {
        let (b, s) = batch.seen.places.dims2()?;
        let (t, is_training) = (self.extents.n_tokens, seeds.is_some());
        let seeds = seeds.unwrap_or_default();
        let h = if is_training {
            self.encoder.forward(&batch.seen, &self.encoder_places, seeds)?
        } else {
            self.encoder.infer(&batch.seen, &self.encoder_places)?
        };
        let memory = self.memory.forward(&h)?; // (B, S, G)
        let g = memory.dim(2)?;
        let memory = Tensor::cat(&[&memory.reshape((b * s, g))?, &self.mask_token], 0)?;
        let mut d = memory.index_select(&batch.rows, 0)?.reshape((b, t, g))?;
        if let (Some(weight), Some(line)) = (&self.line, &batch.line) {
            d = (d + ops::linear(line, weight, None)?)?;
        }
        if let Some(summary) = self.summary(batch)? {
            d = d.broadcast_add(&summary.unsqueeze(1)?)?;
        }
        let places = (0..b * t).map(|i| (i % t) as u32).collect();
        let places = Tensor::from_vec(places, (b, t), d.device())?;
        let tokens = TokenBatch { tokens: d, places, lengths: vec![t; b] };
        let seeds: Vec<u64> = seeds.iter().map(|seed| seed.wrapping_add(DECODER_SEED)).collect();
        let d = if is_training {
            self.decoder.forward(&tokens, &self.decoder_places, &seeds)?
        } else {
            self.decoder.infer(&tokens, &self.decoder_places)?
        };
        let y = self.head.forward(&d)?; // (B, T, O)
        match &batch.leeway {
            Some(leeway) => y * leeway,
            None => Ok(y),
        }
    }

    /// What the basis says of each sample's kept values, `(B, G)`.
    fn summary(&self, batch: &Batch) -> Result<Option<Tensor>> {
        let (Some((basis, out)), Some(line), Some(keep)) = (&self.basis, &batch.line, &batch.keep)
        else {
            return Ok(None);
        };
        let nm: Vec<f32> = self.extents.places.iter().map(|nm| *nm as f32).collect();
        let nm = Tensor::new(nm, line.device())?;
        let coefficients = basis.project(&nm, &line.squeeze(2)?, keep)?; // (B, K)
        out.forward(&coefficients).map(Some)
    }

    fn batch(&self, examples: &[Example]) -> Result<Batch> {
        let device = self.params.device();
        let sets: Vec<TokenSet> = examples.iter().map(|example| example.seen.clone()).collect();
        let seen = TokenBatch::new(&sets, self.extents.n_features, device)?;
        let (b, t) = (examples.len(), self.extents.n_tokens);
        let s = seen.places.dim(1)?;
        let mut rows = vec![(b * s) as u32; b * t];
        for (sample, set) in sets.iter().enumerate() {
            for (token, place) in set.places.iter().enumerate() {
                rows[sample * t + *place as usize] = (sample * s + token) as u32;
            }
        }
        let has = |part: fn(&Example) -> &[f32]| examples.iter().all(|e| !part(e).is_empty());
        let of = |part: fn(&Example) -> &[f32]| {
            let values: Vec<f32> = examples.iter().flat_map(|e| part(e).iter().copied()).collect();
            Tensor::from_vec(values, (b, t), device)
        };
        let line = has(|e| &e.line).then(|| of(|e| &e.line)?.unsqueeze(2)).transpose()?;
        let leeway = has(|e| &e.leeway).then(|| of(|e| &e.leeway)?.unsqueeze(2)).transpose()?;
        let keep = has(|e| &e.keep).then(|| of(|e| &e.keep)).transpose()?;
        let rows = Tensor::from_vec(rows, b * t, device)?;
        Ok(Batch { seen, rows, line, leeway, keep })
    }
}

#[cfg(test)]
mod tests;
