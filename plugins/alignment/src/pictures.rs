//! Pictures of what an alignment finds.

use sdk::{Artifact, Result};
use spectral::Plot;
use spectral::retrieval::at;

use crate::evaluation::{Ranks, ranks_of};
use crate::learner::{Model, Sides};
use crate::pairs::HeldBack;

/// Most alike spectra that a picture goes up to.
const AMONG: usize = 20;

/// One picture for each setting: the part of the spectra found among the k most alike.
///
/// # Errors
/// When the arithmetic fails.
pub(crate) fn pictures(
    model: &Model,
    sides: &Sides,
    held_back: &[HeldBack],
) -> Result<Vec<Artifact>> {
    let picture = |setting: &HeldBack| {
        let svg = curves(&setting.name, &ranks_of(model, sides, setting)?);
        Ok(towers::picture(format!("retrieval-{}", setting.name), &svg, &setting.name))
    };
    held_back.iter().map(picture).collect()
}

fn curves(title: &str, ranks: &Ranks) -> String {
    let most = AMONG.min(ranks.by_towers.len()).max(1);
    let ks: Vec<f64> = (1..=most).map(|k| k as f64).collect();
    let found = |ranks: &[usize]| (1..=most).map(|k| at(k, ranks)).collect::<Vec<f64>>();
    Plot::new(title, "k", "part found among the k most alike")
        .line("towers", &ks, &found(&ranks.by_towers))
        .line("spectral angle", &ks, &found(&ranks.by_angle))
        .line("correlation", &ks, &found(&ranks.by_correlation))
        .svg()
}
