//! Looking at the same spectra again and again: what the bands see of each is computed once.
//!
//! Bands that move need a projection of their own for each look, which costs more than all else
//! together. Here they move by the first two terms of what a band sees as a function of its centre:
//! for shifts of some nanometres, and bands as wide, that is exact to a thousandth.

use sdk::{Generator, Result};

use super::Observer;
use crate::Projection;

/// Distance at which a band is looked at on both sides of its centre, in nanometres.
const STEP_NM: f64 = 2.0;

/// What a sensor sees of one spectrum, and how that changes as its bands move.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    seen: Vec<f64>,
    /// First and second derivative by the shift, in nanometres; 0 where they are not known.
    slope: Vec<f64>,
    bend: Vec<f64>,
}

impl Known {
    /// What the unmoved bands see, nothing else done to it.
    pub fn seen(&self) -> &[f64] {
        &self.seen
    }

    /// Each band's value times its factor, for factors that change little within a band.
    ///
    /// # Panics
    /// When there is not one factor for each band.
    #[must_use]
    pub fn scaled(&self, factors: &[f64]) -> Self {
        assert_eq!(factors.len(), self.seen.len(), "one factor for each band");
        let scale =
            |own: &[f64]| own.iter().zip(factors).map(|(own, factor)| own * factor).collect();
        Self { seen: scale(&self.seen), slope: scale(&self.slope), bend: scale(&self.bend) }
    }

    /// A mixture: this one but for `share` (0 to 1) of `other`.
    #[must_use]
    pub fn mixed(&self, other: &Self, share: f64) -> Self {
        let mix = |own: &[f64], other: &[f64]| {
            own.iter().zip(other).map(|(own, other)| own + share * (other - own)).collect()
        };
        Self {
            seen: mix(&self.seen, &other.seen),
            slope: mix(&self.slope, &other.slope),
            bend: mix(&self.bend, &other.bend),
        }
    }
}

impl Observer {
    /// What is to be known of spectra that are looked at again and again.
    ///
    /// # Errors
    /// When the bands moved to one side see nothing of the axis.
    pub fn know(&self, spectra: &[Vec<f64>]) -> Result<Vec<Known>> {
        let moved = |by: f64| {
            let sensor = self.sensor.shifted(&vec![by; self.sensor.n_bands()]);
            Projection::new(&sensor, &self.lab, &self.config)
        };
        let (below, above) = (moved(-STEP_NM)?, moved(STEP_NM)?);
        let known = |values: &Vec<f64>| {
            let seen = self.projection.apply(values);
            let sides = below.apply(values).into_iter().zip(above.apply(values));
            let (slope, bend) = sides.zip(&seen).map(derivatives).unzip();
            Known { seen, slope, bend }
        };
        Ok(spectra.iter().map(known).collect())
    }

    /// As [`Observer::observe`], with the same draws, of spectra that are [known](Observer::know).
    /// A band that moves over the end of the axis does not go missing here.
    ///
    /// # Errors
    /// As [`Observer::observe`].
    pub fn observe_known(
        &self,
        known: &Known,
        other: Option<&Known>,
        generator: &mut Generator,
    ) -> Result<Vec<f64>> {
        let share = self.share(other.is_some(), generator)?;
        let mixed = share.and_then(|share| Some(known.mixed(other?, share)));
        let known = mixed.as_ref().unwrap_or(known);
        let mut seen = known.seen.clone();
        let std_nm = self.perturbation.center_shift_std_nm;
        if std_nm > 0.0 {
            for ((seen, slope), bend) in seen.iter_mut().zip(&known.slope).zip(&known.bend) {
                let shift = std_nm * generator.normal();
                *seen += shift * (slope + 0.5 * shift * bend);
            }
        }
        self.finish(&mut seen, generator)?;
        Ok(seen)
    }
}

/// The derivatives at the middle of three values, from the outer two and the middle one.
fn derivatives(((below, above), middle): ((f64, f64), &f64)) -> (f64, f64) {
    let slope = (above - below) / (2.0 * STEP_NM);
    let bend = (above - 2.0 * middle + below) / (STEP_NM * STEP_NM);
    if slope.is_finite() && bend.is_finite() { (slope, bend) } else { (0.0, 0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AxisUnit, Grid, Perturbation, ProjectionConfig, Sensor};

    #[test]
    fn known_spectra_look_as_if_each_were_projected_anew() {
        // Wider than the sensor: no band moves over the end.
        let lab = Grid::even(360.0, 2520.0, 2161).axis(AxisUnit::Nanometers).unwrap();
        let nm = lab.to_nm();
        let wave = |length: f64| nm.iter().map(|nm| 0.5 + 0.3 * (nm / length).sin()).collect();
        let spectra: Vec<Vec<f64>> = vec![wave(60.0), wave(35.0)];
        let emit = Sensor::named("emit").unwrap();
        let config = ProjectionConfig::default();
        let observer = Observer::new(emit, &lab, config, Perturbation::field()).unwrap();
        let known = observer.know(&spectra).unwrap();
        let (mut a, mut b) = (Generator::new(1, "field"), Generator::new(1, "field"));
        let found = observer.observe_known(&known[0], Some(&known[1]), &mut a).unwrap();
        let exact = observer.observe(&spectra[0], Some(&spectra[1]), &mut b).unwrap();
        assert_eq!(a.position(), b.position());
        for (found, exact) in found.iter().zip(&exact) {
            let is_same = found.is_nan() && exact.is_nan();
            assert!(is_same || (found - exact).abs() < 1e-3, "{found} for {exact}");
        }
    }
}
