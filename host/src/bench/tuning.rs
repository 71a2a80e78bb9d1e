//! The way to cut a step into micro-batches that is fastest: all that fit are measured shortly, then
//! the fastest a second time, since what was fast once may have been lucky.

use sdk::Batching;

use super::Cut;
use super::phase::{Bench, Subject};
use super::report::{Tried, Tuning};
use super::trial::{Depth, Measured};
use crate::progress::with_commas;
use crate::run::RunError;

/// How many of the fastest are measured again.
const FINALISTS: usize = 3;
/// The part of a measurement's time that one of these takes.
const PART: f64 = 1.0 / 3.0;
/// Timed steps of each at least.
const STEPS_MIN: u64 = 2;

impl Bench<'_> {
    /// The ways to cut steps of `effective_batch` samples into micro-batches of at most `largest`,
    /// measured. `None` where there is but the phase's own, or steps are not cut.
    pub(super) fn tune(
        &self,
        subject: &Subject,
        own: Cut,
        effective_batch: u64,
        largest: u64,
    ) -> Result<Option<Tuning>, RunError> {
        let cuts = match &subject.batching {
            Some(Batching { accumulation: Some(_), .. }) => Cut::all(effective_batch, largest),
            _ => Vec::new(),
        };
        if cuts.iter().all(|cut| *cut == own) {
            return Ok(None);
        }
        let samples = with_commas(i64::try_from(effective_batch).unwrap_or(i64::MAX));
        (self.say)(&format!("[{}] cutting steps of {samples} samples", subject.name));
        let depth = self.depth(self.options.seconds * PART, STEPS_MIN);
        let (mut measured, mut misfits) = (Vec::new(), Vec::new());
        for cut in cuts {
            match self.measure(subject, cut, depth)? {
                (_, Some(fits)) => measured.push((cut, fits)),
                (tried, None) => misfits.push(tried),
            }
        }
        sort(&mut measured);
        for (cut, first) in measured.iter_mut().take(FINALISTS) {
            if let (_, Some(again)) = self.measure(subject, *cut, depth)? {
                first.timed.seconds.extend(again.timed.seconds);
                first.timed.units += again.timed.units;
            }
        }
        sort(&mut measured);
        let fits = measured.iter().map(|(cut, measured)| Tried::fits(*cut, measured));
        Ok(Some(Tuning { effective_batch, tried: fits.chain(misfits).collect() }))
    }

    fn measure(
        &self,
        subject: &Subject,
        cut: Cut,
        depth: Depth,
    ) -> Result<(Tried, Option<Box<Measured>>), RunError> {
        let fit = self.fits(self.run(subject, Some(cut), depth)?);
        Ok((self.tried(subject, cut, &fit), fit.ok()))
    }
}

/// The fastest first.
fn sort(measured: &mut [(Cut, Box<Measured>)]) {
    measured.sort_by(|(_, a), (_, b)| b.units_per_second().total_cmp(&a.units_per_second()));
}
