//! Which pixels and bands of a sample the encoder does not see.
//!
//! Ratios are of what is there: a missing value is never chosen, and at least one stays. A ratio of
//! 0 masks nothing.

use schemars::JsonSchema;
use sdk::{Error, Generator};
use serde::{Deserialize, Serialize};

/// How what is masked lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaskKind {
    /// Anywhere, each by itself.
    Random,
    /// In contiguous blocks, across which neighbours tell little.
    Block,
    /// For each sample one of the two, with even odds.
    Mixed,
}

/// What is masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MaskingConfig {
    /// The part of a sample's pixels that is masked. Null masks three of four where samples have
    /// several pixels, and nothing where a sample is one spectrum.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1, "x-unit" = "part of 1"))]
    pub spatial_ratio: Option<f64>,
    /// The part of a sample's bands that is masked.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1, "x-unit" = "part of 1"))]
    pub spectral_ratio: f64,
    /// How what is masked lies.
    pub mask_kind: MaskKind,
    /// Width of a block of bands. Without wavelengths, and for pixels, all that is masked is one block.
    #[schemars(extend("exclusiveMinimum" = 0, "x-unit" = "nm"))]
    pub block_nm: f64,
}

impl Default for MaskingConfig {
    fn default() -> Self {
        let (spatial_ratio, mask_kind) = (None, MaskKind::Random);
        Self { spatial_ratio, spectral_ratio: 0.5, mask_kind, block_nm: 200.0 }
    }
}

/// The part of the pixels that is masked where there are several and nothing else is said.
const SPATIAL_RATIO: f64 = 0.75;

impl MaskingConfig {
    /// Every fault, with its path inside of this section.
    pub(crate) fn check(&self, is_spectrum: bool) -> Vec<Error> {
        let ratios = [
            ("spatial_ratio", self.spatial_ratio.unwrap_or(0.0)),
            ("spectral_ratio", self.spectral_ratio),
        ];
        let mut faults: Vec<Error> = ratios
            .into_iter()
            .filter(|(_, ratio)| !(0.0..1.0).contains(ratio))
            .map(|(key, ratio)| {
                let message = format!("`{key}` must be at least 0 and below 1: {ratio}");
                let help = "at 1 nothing would be left to see; 0 masks nothing";
                Error::new("mae::ratio", message).at(key).help(help)
            })
            .collect();
        if is_spectrum && self.spatial_ratio.is_some_and(|ratio| ratio > 0.0) {
            let message = "a sample is one spectrum here, which has no pixels to mask";
            let help = "leave `spatial_ratio` out; `spectral_ratio` masks bands";
            faults.push(Error::new("mae::ratio", message).at("spatial_ratio").help(help));
        }
        if !(self.block_nm > 0.0 && self.block_nm.is_finite()) {
            let message = format!("`block_nm` must be above 0: {}", self.block_nm);
            faults.push(Error::new("mae::block", message).at("block_nm"));
        }
        faults
    }

    /// The part of `n_pixels` that is masked.
    pub(crate) fn spatial(&self, n_pixels: usize) -> f64 {
        self.spatial_ratio.unwrap_or(if n_pixels > 1 { SPATIAL_RATIO } else { 0.0 })
    }

    /// Draws the mask of one sample: pixels first, then bands. `is_there` says of each band whether
    /// it has a value; `bands_nm` where bands lie, if anywhere.
    pub(crate) fn draw(
        &self,
        n_pixels: usize,
        is_there: &[bool],
        bands_nm: Option<&[f64]>,
        generator: &mut Generator,
    ) -> Mask {
        let is_block = match self.mask_kind {
            MaskKind::Random => false,
            MaskKind::Block => true,
            MaskKind::Mixed => generator.below(2) == 1,
        };
        let width = bands_nm.map(|nm| (nm, self.block_nm));
        let pixels = Choice { is_block, ratio: self.spatial(n_pixels), width: None };
        let bands = Choice { is_block, ratio: self.spectral_ratio, width };
        Mask {
            spatial: pixels.keep(&vec![true; n_pixels], generator),
            spectral: bands.keep(is_there, generator),
        }
    }
}

/// What of a sample is kept: true is kept. A missing band counts as not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    pub(crate) spatial: Vec<bool>,
    pub(crate) spectral: Vec<bool>,
}

/// How to choose along one axis.
struct Choice<'a> {
    is_block: bool,
    ratio: f64,
    /// Positions and the width of a block; none for a single block.
    width: Option<(&'a [f64], f64)>,
}

impl Choice<'_> {
    fn keep(&self, is_there: &[bool], generator: &mut Generator) -> Vec<bool> {
        let there: Vec<usize> = (0..is_there.len()).filter(|i| is_there[*i]).collect();
        let wanted = (there.len() as f64 * self.ratio).round_ties_even() as usize;
        let n = wanted.min(there.len().saturating_sub(1));
        let mut keep = is_there.to_vec();
        match (n, self.is_block, self.width) {
            (0, ..) => {}
            (_, false, _) => anywhere(&there, n, &mut keep, generator),
            (_, true, None) => {
                let start = generator.below((there.len() - n + 1) as u64) as usize;
                there[start..start + n].iter().for_each(|i| keep[*i] = false);
            }
            (_, true, Some((nm, width))) => blocks(&there, n, (nm, width), &mut keep, generator),
        }
        keep
    }
}

/// `n` of `there`, each set of them as likely as any other.
fn anywhere(there: &[usize], n: usize, keep: &mut [bool], generator: &mut Generator) {
    let mut order = there.to_vec();
    generator.shuffle(&mut order);
    order[..n].iter().for_each(|i| keep[*i] = false);
}

/// Blocks of a width until `n` are masked; the last one ends where that is reached.
fn blocks(
    there: &[usize],
    n: usize,
    (nm, width): (&[f64], f64),
    keep: &mut [bool],
    generator: &mut Generator,
) {
    let mut left = n;
    while left > 0 {
        let inside = nm[there[generator.below(there.len() as u64) as usize]];
        let start = inside - width * generator.uniform();
        for i in there.iter().filter(|i| (start..=start + width).contains(&nm[**i])) {
            if left > 0 && keep[*i] {
                keep[*i] = false;
                left -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(config: &MaskingConfig, seed: u64) -> Mask {
        let nm: Vec<f64> = (0..100).map(|i| 400.0 + 20.0 * f64::from(i)).collect();
        let is_there: Vec<bool> = (0..100).map(|i| i >= 20).collect();
        config.draw(8, &is_there, Some(&nm), &mut Generator::new(seed, "masks"))
    }

    fn masked(keep: &[bool]) -> Vec<usize> {
        (0..keep.len()).filter(|i| !keep[*i]).collect()
    }

    #[test]
    fn a_ratio_is_of_what_is_there_and_zero_masks_nothing() {
        let config = MaskingConfig { spatial_ratio: Some(0.5), ..MaskingConfig::default() };
        let mask = draw(&config, 1);
        assert_eq!(masked(&mask.spatial).len(), 4);
        // 20 that are missing, and half of the 80 others.
        assert_eq!(masked(&mask.spectral).len(), 60);
        let none = MaskingConfig { spatial_ratio: Some(0.0), spectral_ratio: 0.0, ..config };
        assert_eq!(masked(&draw(&none, 1).spatial), [0; 0]);
        assert_eq!(masked(&draw(&none, 1).spectral), (0..20).collect::<Vec<_>>());
        let nearly = MaskingConfig { spectral_ratio: 0.999, ..none };
        assert_eq!(masked(&draw(&nearly, 1).spectral).len(), 99);
    }

    #[test]
    fn ratios_of_one_are_refused_and_pixels_of_a_spectrum_too() {
        let config =
            MaskingConfig { spatial_ratio: Some(1.0), spectral_ratio: 1.0, ..Default::default() };
        let keys =
            |faults: Vec<Error>| -> Vec<_> { faults.into_iter().filter_map(|f| f.path).collect() };
        assert_eq!(keys(config.check(false)), ["spatial_ratio", "spectral_ratio"]);
        let spectra = MaskingConfig { spatial_ratio: Some(0.5), ..MaskingConfig::default() };
        assert_eq!(keys(spectra.check(true)), ["spatial_ratio"]);
        assert_eq!(keys(MaskingConfig::default().check(true)), [""; 0]);
    }

    #[test]
    fn blocks_are_contiguous_and_as_wide_as_asked() {
        let config = MaskingConfig {
            mask_kind: MaskKind::Block,
            spectral_ratio: 0.1,
            ..MaskingConfig::default()
        };
        for seed in 0..50 {
            let found = masked(&draw(&config, seed).spectral);
            let bands = &found[20..];
            assert_eq!(bands.len(), 8, "seed {seed}");
            // 200 nm are ten or eleven bands of 20 nm: eight stand in one block, or two at an edge.
            let breaks = bands.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
            assert!(breaks <= 1, "seed {seed}: {bands:?}");
        }
        let random = MaskingConfig { mask_kind: MaskKind::Random, ..config };
        let breaks = |seed| {
            let found = masked(&draw(&random, seed).spectral);
            found[20..].windows(2).filter(|pair| pair[1] != pair[0] + 1).count()
        };
        assert!((0..50).map(breaks).sum::<usize>() > 250);
    }

    #[test]
    fn the_same_generator_draws_the_same_and_mixed_draws_both() {
        let config = MaskingConfig { mask_kind: MaskKind::Mixed, ..MaskingConfig::default() };
        assert_eq!(draw(&config, 3), draw(&config, 3));
        let breaks = |seed| {
            let found = masked(&draw(&config, seed).spectral);
            found[20..].windows(2).filter(|pair| pair[1] != pair[0] + 1).count()
        };
        let scattered = (0..200).filter(|seed| breaks(*seed) > 10).count();
        // 100 expected, a standard deviation of 7.
        assert!((70..130).contains(&scattered), "{scattered}");
    }
}
