//! The largest micro-batch that fits the memory, each tried as a step by itself.

use super::Cut;
use super::phase::{Bench, Subject};
use super::process::Outcome;
use super::report::{Misfit, Search, Tried};
use super::search::{Known, Verdict, largest};
use super::trial::{Depth, Measured};
use crate::run::RunError;

/// Steps of a trial: the first one asks for memory, the second may ask for more.
const STEPS: Depth = Depth::Steps { warm_up: 1, min: 1, max: 1, seconds: 0.0 };
/// A step may take so many times what one of the configuration takes.
const SLOWER_MAX: f64 = 4.0;
/// A guess lies at most so many times beyond what is known to fit.
const GUESS_MAX: u64 = 64;
/// How many times larger the micro-batch is whose forecast shows what a sample adds.
const LARGER: u64 = 8;

impl Bench<'_> {
    /// The largest micro-batch of a phase; `measured` is what it takes as it is configured, where
    /// that fits.
    pub(super) fn search(
        &self,
        subject: &Subject,
        own: Cut,
        measured: Option<&Measured>,
    ) -> Result<Search, RunError> {
        (self.say)(&format!("[{}] looking for the largest micro-batch", subject.name));
        let known = self.known(subject, own, measured)?;
        let step_seconds = measured.map_or(0.0, |measured| measured.timed.quantile(0.5));
        let step_seconds_max = self.options.seconds.max(step_seconds * SLOWER_MAX);
        let mut seconds_per_sample = step_seconds / own.effective_batch().max(1) as f64;
        let mut trials: Vec<Tried> = Vec::new();
        let found = largest(known, |micro_batch| {
            let seconds = seconds_per_sample * micro_batch as f64;
            if seconds > step_seconds_max {
                let message = format!("not tried, since a step would take about {seconds:.1} s");
                return Ok(Verdict::Stop(Misfit { reason: "time", message }));
            }
            let cut = Cut { micro_batch, accumulation: 1 };
            let tried = self.fits(self.run(subject, Some(cut), STEPS)?);
            trials.push(self.tried(subject, cut, &tried));
            Ok::<_, RunError>(match tried {
                Ok(measured) => {
                    seconds_per_sample = measured.timed.quantile(0.5) / micro_batch as f64;
                    Verdict::Fits
                }
                Err(misfit) if misfit.reason == "time" => Verdict::Stop(misfit),
                Err(misfit) => Verdict::Misfit(misfit),
            })
        })?;
        let tried = trials.iter().find(|tried| Some(tried.cut.micro_batch) == found.largest);
        let held = tried.map_or(measured.and_then(|own| own.memory_peak_bytes), |tried| {
            tried.memory_peak_bytes
        });
        let (beyond, beyond_misfit) = found.beyond.unzip();
        Ok(Search {
            largest: found.largest,
            memory_peak_bytes: held.filter(|_| found.largest.is_some()),
            beyond,
            beyond_misfit,
            trials,
        })
    }

    /// What is known before the first trial.
    fn known(
        &self,
        subject: &Subject,
        own: Cut,
        measured: Option<&Measured>,
    ) -> Result<Known, RunError> {
        let Some(measured) = measured else {
            return Ok(Known { misfit: Some(own.micro_batch), ..Known::default() });
        };
        let larger = own.micro_batch.saturating_mul(LARGER);
        let mut guess = None;
        if let Some(forecast) = measured.forecast.memory_bytes {
            let cut = Cut { micro_batch: larger, accumulation: 1 };
            if let Outcome::Done(other) = self.run(subject, Some(cut), Depth::Forecast)? {
                let more = other.forecast.memory_bytes.and_then(|f| f.checked_sub(forecast));
                let samples = larger - own.micro_batch;
                guess = more.and_then(|more| self.guess(own.micro_batch, measured, more, samples));
            }
        }
        Ok(Known { fits: own.micro_batch, misfit: None, guess })
    }

    /// Where the limit lies when `more` bytes are forecast of `samples` more, on top of what was
    /// measured.
    fn guess(&self, own: u64, measured: &Measured, more: u64, samples: u64) -> Option<u64> {
        let room = self.memory_limit_bytes?.checked_sub(measured.memory_peak_bytes?)?;
        let fit = room as f64 * samples as f64 / more as f64;
        (fit < (own * GUESS_MAX) as f64).then(|| own + fit as u64)
    }
}
