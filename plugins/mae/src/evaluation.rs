//! How well held-out spectra are reconstructed, beside what needs no model.
//!
//! Each spectrum is masked once at random, by the section's ratio, and with a few gaps of a block's
//! width, one at a time. The masks follow from the seed alone, so evaluations compare. Errors are of
//! masked values, in the unit of the spectra.

use std::collections::BTreeMap;

use sdk::{Generator, Metrics, PhaseContext, Result};
use serde::Serialize;

use crate::config::{Config, Predicts};
use crate::data::{Example, Sample, Spectra};
use crate::interpolation::interpolated;
use crate::masking::{Mask, MaskKind, MaskingConfig};
use crate::model::Autoencoder;

/// Gaps that a spectrum is looked at with.
const N_GAPS: usize = 4;

/// Samples that the model takes at once.
const BATCH: usize = 16;

/// Squared errors of masked values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Errors {
    n: usize,
    model: f64,
    mean: f64,
    line: f64,
}

/// Root-mean-square errors of the masked values of one material.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OfMaterial {
    pub(crate) material: String,
    pub(crate) random_rmse: f64,
    pub(crate) gap_rmse: f64,
    pub(crate) gap_line_rmse: f64,
}

/// What an evaluation finds.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    random: BTreeMap<String, Errors>,
    gap: BTreeMap<String, Errors>,
}

/// A held-out spectrum, masked, with what the model says of it.
pub(crate) struct Reconstruction {
    pub(crate) sample: Sample,
    pub(crate) mask: Mask,
    /// In the unit of the spectra.
    pub(crate) values: Vec<f64>,
}

impl Errors {
    fn add(&mut self, other: Self) {
        self.n += other.n;
        self.model += other.model;
        self.mean += other.mean;
        self.line += other.line;
    }

    fn rmse(self, of: impl Fn(&Self) -> f64) -> f64 {
        (of(&self) / self.n.max(1) as f64).sqrt()
    }
}

impl Findings {
    /// Errors of both kinds of masks, beside those of each band's mean and of straight lines.
    pub(crate) fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::new();
        for (name, by_material) in [("random", &self.random), ("gap", &self.gap)] {
            let mut all = Errors::default();
            by_material.values().for_each(|errors| all.add(*errors));
            let mut insert = |what: &str, value| metrics.insert(format!("{name}_{what}"), value);
            insert("rmse", all.rmse(|e| e.model));
            insert("mean_rmse", all.rmse(|e| e.mean));
            insert("line_rmse", all.rmse(|e| e.line));
        }
        metrics
    }

    /// The same by material, worst gaps first.
    pub(crate) fn by_material(&self) -> Vec<OfMaterial> {
        let row = |(material, gap): (&String, &Errors)| OfMaterial {
            material: material.clone(),
            random_rmse: self.random.get(material).map_or(0.0, |e| e.rmse(|e| e.model)),
            gap_rmse: gap.rmse(|e| e.model),
            gap_line_rmse: gap.rmse(|e| e.line),
        };
        let mut rows: Vec<OfMaterial> = self.gap.iter().map(row).collect();
        rows.sort_by(|a, b| b.gap_rmse.total_cmp(&a.gap_rmse));
        rows
    }
}

/// Looks at all of `held_out`.
pub(crate) fn evaluate(
    model: &Autoencoder,
    spectra: &Spectra,
    held_out: &[Sample],
    config: &Config,
    cx: &PhaseContext,
) -> Result<Findings> {
    let mut findings = Findings::default();
    let (mut random, mut gaps) =
        (cx.generator("evaluation masks"), cx.generator("evaluation gaps"));
    for samples in held_out.chunks(BATCH) {
        cx.check_cancelled()?;
        let masks: Vec<Mask> = samples
            .iter()
            .map(|sample| random_mask(sample, spectra, config, &mut random))
            .collect();
        tally(&mut findings.random, reconstruct(model, spectra, samples, masks, config)?, spectra);
        for _ in 0..N_GAPS {
            let gap = |sample| gap_mask(sample, spectra, config, &mut gaps);
            let masks: Vec<Mask> = samples.iter().map(gap).collect();
            tally(&mut findings.gap, reconstruct(model, spectra, samples, masks, config)?, spectra);
        }
    }
    Ok(findings)
}

fn random_mask(
    sample: &Sample,
    spectra: &Spectra,
    config: &Config,
    generator: &mut Generator,
) -> Mask {
    let masking = MaskingConfig { mask_kind: MaskKind::Random, ..config.masking.clone() };
    masking.draw(1, &sample.is_there(), Some(spectra.axis_nm()), generator)
}

/// One gap of a block's width with kept bands on both sides.
pub(crate) fn gap_mask(
    sample: &Sample,
    spectra: &Spectra,
    config: &Config,
    generator: &mut Generator,
) -> Mask {
    let (nm, width) = (spectra.axis_nm(), config.masking.block_nm);
    let mut spectral = sample.is_there();
    let first = spectral.iter().position(|there| *there).unwrap_or(0);
    let last = spectral.iter().rposition(|there| *there).unwrap_or(0);
    let free = (nm[last] - nm[first] - width).max(0.0);
    let start = nm[first] + free * generator.uniform();
    for band in first + 1..last {
        if (start..start + width).contains(&nm[band]) {
            spectral[band] = false;
        }
    }
    Mask { spatial: vec![true], spectral }
}

/// What the model says of these samples under these masks.
pub(crate) fn reconstruct(
    model: &Autoencoder,
    spectra: &Spectra,
    samples: &[Sample],
    masks: Vec<Mask>,
    config: &Config,
) -> Result<Vec<Reconstruction>> {
    let examples = samples.iter().zip(&masks);
    let examples = examples.map(|(sample, mask)| spectra.example(sample, mask, config));
    let examples = examples.collect::<Result<Vec<Example>>>()?;
    let predicted = model.predict(&examples)?;
    let is_difference = config.predicts() == Predicts::Difference;
    let all = samples.iter().zip(masks).zip(examples.iter().zip(predicted));
    let reconstruction =
        |((sample, mask), (example, predicted)): ((&Sample, Mask), (&Example, Vec<f32>))| {
            let (center, spread) = example.scale;
            let values = predicted.iter().zip(&example.line).map(|(value, line)| {
                let scaled = if is_difference { value + line } else { *value };
                center + spread * f64::from(scaled)
            });
            Reconstruction { values: values.collect(), sample: sample.clone(), mask }
        };
    Ok(all.map(reconstruction).collect())
}

fn tally(to: &mut BTreeMap<String, Errors>, found: Vec<Reconstruction>, spectra: &Spectra) {
    for Reconstruction { sample, mask, values } in found {
        let line = interpolated(spectra.axis_nm(), &sample.values, &mask.spectral);
        let mut errors = Errors::default();
        for (band, value) in sample.values.iter().enumerate() {
            if value.is_finite() && !mask.spectral[band] {
                errors.n += 1;
                errors.model += (values[band] - value).powi(2);
                errors.mean += (spectra.means()[band] - value).powi(2);
                errors.line += (line[band] - value).powi(2);
            }
        }
        to.entry(sample.material).or_default().add(errors);
    }
}
