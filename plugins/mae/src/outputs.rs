//! What a phase leaves behind: the encoder for later phases, the first mask, how well held-out
//! materials are reconstructed, and pictures of some reconstructions.

use sdk::{Artifact, Artifacts, ExportRequest, PhaseContext, Result};
use serde_json::json;
use spectral::{AxisUnit, Plot, Sensor, ValueNorm, mask_svg};
use towers::SpectralEncoder;

use crate::config::Config;
use crate::data::{Data, DataConfig, Spectra};
use crate::evaluation::{Findings, Reconstruction, gap_mask, reconstruct};
use crate::model::{Autoencoder, ENCODER};

/// Held-out spectra of which there is a picture.
const N_PLOTS: usize = 4;
/// Bands of a row in the picture of a mask.
const BANDS_A_ROW: usize = 96;

/// The encoder as it can be known before anything is read. None where tokens are no bands.
pub(crate) fn promised(config: &Config) -> Option<Artifact> {
    let (sensor, axis_nm) = match &config.data {
        DataConfig::Noise(_) | DataConfig::Cube(_) => return None,
        DataConfig::Synthetic(lab) => (None, lab.lab_grid_nm.positions()),
        DataConfig::Library(library) => match &library.sensor {
            Some(name) => {
                let sensor = Sensor::open(name).ok()?;
                (Some(sensor.name().to_owned()), sensor.centers_nm())
            }
            None => {
                let axis = library.grid_nm.axis(AxisUnit::Nanometers).ok()?;
                (None, axis.to_nm().to_vec())
            }
        },
    };
    let (encoder, tokenizer) = (config.encoder.clone(), config.tokenizer.clone());
    let encoder = SpectralEncoder { encoder, tokenizer, value_stats: None, sensor, axis_nm };
    Some(encoder.promise())
}

/// Everything that the phase hands on.
pub(crate) fn artifacts(
    config: &Config,
    data: &mut Data,
    model: &Autoencoder,
    findings: &Findings,
    cx: &PhaseContext,
) -> Result<Vec<Artifact>> {
    let [mask, mask_picture] = first_mask(config, data, cx)?;
    let mut artifacts = vec![mask, mask_picture];
    let Some(spectra) = data.spectra() else { return Ok(artifacts) };
    let is_global = config.tokenizer.value_norm == ValueNorm::GlobalZscore;
    let encoder = SpectralEncoder {
        encoder: config.encoder.clone(),
        tokenizer: config.tokenizer.clone(),
        value_stats: is_global.then(|| spectra.stats()),
        sensor: spectra.sensor().map(|sensor| sensor.name().to_owned()),
        axis_nm: spectra.axis_nm().to_vec(),
    };
    artifacts.insert(0, encoder.artifact(model.params(), ENCODER)?);
    let by_material =
        json!({ "unit": "rmse of masked values", "materials": findings.by_material() });
    artifacts.insert(2, Artifact::new("materials", "reconstruction", by_material));
    artifacts.extend(plots(config, spectra, data, model, cx)?);
    Ok(artifacts)
}

/// The mask of the first sample of the first step, true where it is kept, and its picture.
fn first_mask(config: &Config, data: &mut Data, cx: &PhaseContext) -> Result<[Artifact; 2]> {
    let sample = data.batch(0, 1, cx)?.swap_remove(0);
    let mask = data.mask(&sample, config, &mut cx.generator("masks 0"));
    let masking = &config.masking;
    let payload = json!({
        "seed": cx.seed(), "rank": 0, "effective_seed": cx.seed(), "step": 0,
        "total": mask.spectral.len(), "mask": mask.spectral, "spatial_mask": mask.spatial,
        "spatial_mask_ratio": masking.spatial(mask.spatial.len()),
        "spectral_mask_ratio": masking.spectral_ratio, "mask_kind": masking.mask_kind,
    });
    // Pixels of a patch lie in a square.
    let n_pixels = mask.spatial.len();
    let side = n_pixels.isqrt();
    let columns = if side * side == n_pixels { side } else { n_pixels };
    let mut shown: Vec<(&str, &[bool], usize)> = vec![("bands", &mask.spectral, BANDS_A_ROW)];
    if n_pixels > 1 {
        shown.push(("pixels", &mask.spatial, columns));
    }
    let picture = towers::picture("first-mask", &mask_svg(&shown), "the first mask");
    Ok([Artifact::new("mask", "mask", payload), picture])
}

/// Held-out spectra with a gap each, and what the model puts there.
fn plots(
    config: &Config,
    spectra: &Spectra,
    data: &Data,
    model: &Autoencoder,
    cx: &PhaseContext,
) -> Result<Vec<Artifact>> {
    let samples = data.held_out(N_PLOTS, cx)?;
    let mut gaps = cx.generator("plotted gaps");
    let masks = samples.iter().map(|sample| gap_mask(sample, spectra, config, &mut gaps)).collect();
    let found = reconstruct(model, spectra, &samples, masks, config)?;
    let plot = |(i, found): (usize, &Reconstruction)| {
        let name = format!("reconstruction-{}", i + 1);
        towers::picture(name, &drawn(found, spectra), &found.sample.material)
    };
    Ok(found.iter().enumerate().map(plot).collect())
}

/// The measured spectrum, the gap, and what the model puts there.
fn drawn(found: &Reconstruction, spectra: &Spectra) -> String {
    let (nm, keep) = (spectra.axis_nm(), &found.mask.spectral);
    let measured = &found.sample.values;
    let line = crate::interpolated(nm, measured, keep);
    // The neighbours belong to the line too, so that it meets the measured one.
    let is_near = |i: usize| {
        let near = i.saturating_sub(1)..(i + 2).min(keep.len());
        near.into_iter().any(|j| !keep[j])
    };
    let inside = |values: &[f64]| -> Vec<f64> {
        let value = |i: usize| match (is_near(i), keep[i]) {
            (true, false) => values[i],
            (true, true) => measured[i],
            (false, _) => f64::NAN,
        };
        (0..keep.len()).map(value).collect()
    };
    Plot::new(&found.sample.material, "wavelength in nm", "value")
        .line("measured", nm, measured)
        .line("reconstructed", nm, &inside(&found.values))
        .line("straight line", nm, &inside(&line))
        .shade_masked(nm, keep)
        .svg()
}

/// Writes the pictures as files, and the first mask and the materials as JSON.
pub(crate) fn export(given: &Artifacts, request: &ExportRequest) -> Result<()> {
    towers::write_files(given, request, &["mask", "reconstruction"])
}
