//! How well what a sensor sees is found among the laboratory's spectra: by the towers, and without
//! any training.

use candle_core::DType;
use sdk::{Metrics, PhaseContext, Result};
use spectral::angle::{centered_correlation, cosine, mean_spectral_angle};
use spectral::retrieval::{at, chance, ranks};

use crate::learner::{Model, Sides};
use crate::pairs::{HeldBack, Pair};

/// Ranks that count as found, besides the first.
const AMONG: usize = 5;

/// Where each spectrum's own partner stands among all, 0 for the most alike, by each way to compare.
pub(crate) struct Ranks {
    /// By the cosine of the towers' embeddings.
    pub(crate) by_towers: Vec<usize>,
    /// By the spectral angle.
    pub(crate) by_angle: Vec<usize>,
    /// By the correlation of the spectra.
    pub(crate) by_correlation: Vec<usize>,
}

/// Measures held-back spectra in one setting, as `NAME/…`.
///
/// - `retrieval_at_1`, `retrieval_at_5`: the part of what the sensor sees whose own laboratory
///   spectrum is the most alike, or among the five most alike, of all held-back ones;
/// - `retrieval_at_1_angle`, `retrieval_at_1_correlation`: the same by the spectral angle and by the
///   correlation of the spectra themselves; `retrieval_at_1_chance`: by guessing;
/// - `angle_matched`, `angle_delta`: the mean angle between a pair's embeddings, in radians, and how
///   much larger it is with the next pair's;
/// - `infonce`: the contrastive loss, in nats.
///
/// # Errors
/// When the arithmetic fails, or the run was asked to stop.
pub(crate) fn measure(
    model: &Model,
    sides: &Sides,
    held_back: &HeldBack,
    cx: &PhaseContext,
) -> Result<Metrics> {
    let mut means = Metrics::new();
    for view in &held_back.views {
        cx.check_cancelled()?;
        for (name, value) in measure_view(model, sides, view)? {
            *means.entry(format!("{}/{name}", held_back.name)).or_default() +=
                value / held_back.views.len() as f64;
        }
    }
    Ok(means)
}

fn measure_view(model: &Model, sides: &Sides, pairs: &[Pair]) -> Result<Vec<(&'static str, f64)>> {
    let n = pairs.len();
    let embedded = Embedded::of(model, sides, pairs)?;
    let ranks = embedded.ranks(pairs);
    let (lab, sensor) = (&embedded.lab, &embedded.sensor);
    let angle = |by: usize| {
        mean_spectral_angle((0..n).map(|i| (sensor[i].as_slice(), lab[(i + by) % n].as_slice())))
    };
    let matched = angle(0);
    Ok(vec![
        ("retrieval_at_1", at(1, &ranks.by_towers)),
        ("retrieval_at_5", at(AMONG, &ranks.by_towers)),
        ("retrieval_at_1_angle", at(1, &ranks.by_angle)),
        ("retrieval_at_1_correlation", at(1, &ranks.by_correlation)),
        ("retrieval_at_1_chance", chance(1, n)),
        ("angle_matched", matched),
        ("angle_delta", angle(1) - matched),
        ("infonce", embedded.infonce),
    ])
}

/// Where partners stand in the first view of a setting.
///
/// # Errors
/// When the arithmetic fails.
pub(crate) fn ranks_of(model: &Model, sides: &Sides, held_back: &HeldBack) -> Result<Ranks> {
    let pairs = held_back.views.first().map_or(&[][..], Vec::as_slice);
    Ok(Embedded::of(model, sides, pairs)?.ranks(pairs))
}

/// Embeddings of both sides, and their contrastive loss.
struct Embedded {
    lab: Vec<Vec<f64>>,
    sensor: Vec<Vec<f64>>,
    infonce: f64,
}

impl Embedded {
    fn of(model: &Model, sides: &Sides, pairs: &[Pair]) -> Result<Self> {
        let both = model.embeddings(&sides.inputs(pairs)?)?;
        let rows = |side: usize| {
            let z = both[side].to_dtype(DType::F64).and_then(|z| z.to_vec2::<f64>());
            z.map_err(sdk_numerics::error)
        };
        Ok(Self { lab: rows(0)?, sensor: rows(1)?, infonce: model.contrast(&both)? })
    }

    fn ranks(&self, pairs: &[Pair]) -> Ranks {
        let spectra = |query: usize, own: usize| (&pairs[query].sensor, &pairs[own].on_bands);
        let by_spectra = |likeness: fn(&[f64], &[f64]) -> f64| {
            ranks(pairs.len(), |query, own| {
                let (seen, known) = spectra(query, own);
                likeness(seen, known)
            })
        };
        Ranks {
            by_towers: ranks(pairs.len(), |query, own| cosine(&self.sensor[query], &self.lab[own])),
            by_angle: by_spectra(cosine),
            by_correlation: by_spectra(centered_correlation),
        }
    }
}
