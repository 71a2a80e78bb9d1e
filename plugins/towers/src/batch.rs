//! Token sets of several samples as one tensor: valid tokens in front, padding behind.

use candle_core::{Device, Result, Tensor};

/// Some samples' tokens.
///
/// Legend: B samples, T tokens of the longest, F features of a token.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// `(B, T, F)`, zeros behind each sample's last token.
    pub tokens: Tensor,
    /// Which place each token has, `(B, T)`, u32: a row of a [`crate::Places`].
    pub places: Tensor,
    /// How many tokens each sample has, at least 1.
    pub lengths: Vec<usize>,
}

/// One sample's tokens: which places they have, and their features row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSet {
    /// Place of each token.
    pub places: Vec<u32>,
    /// `(tokens, F)`.
    pub features: Vec<f32>,
}

impl TokenSet {
    /// Those of `features`, one row for each place, whose place `is_taken`.
    ///
    /// ```
    /// let set = towers::TokenSet::of(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 2, |place| place != 1);
    /// assert_eq!((set.places, set.features), (vec![0, 2], vec![0.1, 0.2, 0.5, 0.6]));
    /// ```
    pub fn of(features: &[f32], n_features: usize, is_taken: impl Fn(usize) -> bool) -> Self {
        let rows = features.chunks_exact(n_features).enumerate();
        let mut set = Self { places: Vec::new(), features: Vec::new() };
        for (place, row) in rows.filter(|(place, _)| is_taken(*place)) {
            set.places.push(place as u32);
            set.features.extend_from_slice(row);
        }
        set
    }
}

impl TokenBatch {
    /// Puts samples together. A sample without any token gets one of zeros at place 0: there is
    /// nothing to attend to otherwise.
    ///
    /// # Errors
    /// When the device has no memory left.
    pub fn new(sets: &[TokenSet], n_features: usize, device: &Device) -> Result<Self> {
        let lengths: Vec<usize> = sets.iter().map(|set| set.places.len().max(1)).collect();
        let longest = lengths.iter().copied().max().unwrap_or(1);
        let mut tokens = vec![0.0; sets.len() * longest * n_features];
        let mut places = vec![0; sets.len() * longest];
        for (sample, set) in sets.iter().enumerate() {
            let at = sample * longest;
            places[at..at + set.places.len()].copy_from_slice(&set.places);
            tokens[at * n_features..][..set.features.len()].copy_from_slice(&set.features);
        }
        Ok(Self {
            tokens: Tensor::from_vec(tokens, (sets.len(), longest, n_features), device)?,
            places: Tensor::from_vec(places, (sets.len(), longest), device)?,
            lengths,
        })
    }
}

/// The mean over each sample's own tokens.
///
/// # Shapes
/// `(B, T, E)` to `(B, E)`; `lengths` are B.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let h = Tensor::new(&[[[1f32], [3.0], [9.0]], [[2.0], [4.0], [6.0]]], &Device::Cpu)?;
/// let pooled = towers::masked_mean(&h, &[2, 3])?;
/// assert_eq!(pooled.to_vec2::<f32>()?, [[2.0], [4.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes disagree.
pub fn masked_mean(h: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let (b, t, _) = h.dims3()?;
    let share = |(sample, place): (usize, usize)| {
        let length = lengths.get(sample).copied().unwrap_or(t);
        if place < length { 1.0 / length as f32 } else { 0.0 }
    };
    let pairs = (0..b * t).map(|i| (i / t, i % t));
    let shares = Tensor::from_vec(pairs.map(share).collect(), (b, 1, t), h.device())?;
    shares.to_dtype(h.dtype())?.matmul(h)?.squeeze(1)
}
