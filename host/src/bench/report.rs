//! What is reported of a phase, as data with units in its names.

use sdk::Batching;
use serde::Serialize;

use super::trial::Measured;
use super::{Cut, Peak};
use crate::run::TimedSteps;

/// A phase that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Benched {
    /// Its name in the pipeline.
    pub name: String,
    /// The phase as its plugin registered it.
    pub phase: String,
    /// The plugin.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// How the configuration cuts a step; none where the plugin does not tell.
    pub cut: Option<Cut>,
    /// The keys of the section that say it.
    pub batching: Option<Batching>,
    /// What was measured of it as it is configured; none where that does not fit.
    pub measured: Option<Speed>,
    /// Why not.
    pub misfit: Option<Misfit>,
    /// The largest micro-batch; none where it was not searched for.
    pub search: Option<Search>,
    /// The fastest way to cut a step; none where there is but one, or none was tried.
    pub tuning: Option<Tuning>,
}

/// Speed and memory of a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Speed {
    /// What a step consumes: `tokens` or `samples`.
    pub unit: String,
    /// Steps that were timed.
    pub timed_steps: u64,
    /// Median time of a step, in seconds.
    pub step_seconds: f64,
    /// Of the fastest.
    pub step_seconds_min: f64,
    /// A quarter of them is faster.
    pub step_seconds_p25: f64,
    /// A quarter of them is slower.
    pub step_seconds_p75: f64,
    /// Of the slowest.
    pub step_seconds_max: f64,
    /// Tokens or samples of a step.
    pub units_per_step: f64,
    /// Tokens or samples a second, by the median.
    pub units_per_second: f64,
    /// Operations of a token or sample, by the trainer's formula.
    pub flops_per_unit: Option<u64>,
    /// Operations a second.
    pub flops_per_second: Option<f64>,
    /// The part of the machine's peak that this is.
    pub peak_share: Option<f64>,
    /// The most memory that the process held, all of it included.
    pub memory_peak_bytes: Option<u64>,
    /// What the phase itself was forecast to hold.
    pub memory_forecast_bytes: Option<u64>,
    /// Time to prepare.
    pub prepare_seconds: f64,
    /// Where the time of a step goes; empty where the plugin's SDK does not tell.
    pub stages: Vec<Stage>,
}

/// A part of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// As the trainer calls it; `other` is what it gives no name to, and `host` what is not its own.
    pub name: String,
    /// Mean time of it in a step.
    pub seconds: f64,
    /// Its part of a step.
    pub share: f64,
}

/// Why a micro-batch does not fit, or was not tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Misfit {
    /// `memory`, `time`, `died` or `refused`.
    pub reason: &'static str,
    /// In words.
    pub message: String,
}

/// The search for the largest micro-batch.
#[derive(Clone, Debug, Serialize)]
pub struct Search {
    /// The largest that fits; none where even one sample is too much.
    pub largest: Option<u64>,
    /// The most memory of the process with it.
    pub memory_peak_bytes: Option<u64>,
    /// The smallest that does not fit or was not tried.
    pub beyond: Option<u64>,
    /// Why not.
    pub beyond_misfit: Option<Misfit>,
    /// All that was tried, in order.
    pub trials: Vec<Tried>,
}

/// The search for the fastest way to cut a step.
#[derive(Clone, Debug, Serialize)]
pub struct Tuning {
    /// Samples of a step.
    pub effective_batch: u64,
    /// All ways that fit, the fastest first.
    pub tried: Vec<Tried>,
}

/// One way to cut a step, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// The way.
    #[serde(flatten)]
    pub cut: Cut,
    /// Steps that were timed; 0 where it does not fit.
    pub timed_steps: u64,
    /// Tokens or samples a second, by the median.
    pub units_per_second: Option<f64>,
    /// The most memory that the process held.
    pub memory_peak_bytes: Option<u64>,
    /// Why it does not fit.
    pub misfit: Option<Misfit>,
}

impl Speed {
    pub(super) fn of(measured: &Measured, peak: Option<Peak>) -> Self {
        let Measured { timed, forecast, .. } = measured;
        let units_per_second = measured.units_per_second();
        let flops_per_second = forecast.flops_per_unit.map(|n| n as f64 * units_per_second);
        let share = |(reached, peak): (f64, Peak)| reached / peak.flops_per_second;
        Self {
            unit: measured.unit.clone(),
            timed_steps: timed.steps(),
            step_seconds: timed.quantile(0.5),
            step_seconds_min: timed.quantile(0.0),
            step_seconds_p25: timed.quantile(0.25),
            step_seconds_p75: timed.quantile(0.75),
            step_seconds_max: timed.quantile(1.0),
            units_per_step: timed.units_per_step(),
            units_per_second,
            flops_per_unit: forecast.flops_per_unit,
            flops_per_second,
            peak_share: flops_per_second.zip(peak).map(share),
            memory_peak_bytes: measured.memory_peak_bytes,
            memory_forecast_bytes: forecast.memory_bytes,
            prepare_seconds: measured.prepare_seconds,
            stages: stages(timed),
        }
    }
}

/// What the trainer names, what it does not, and what lies outside of it: together a step.
fn stages(timed: &TimedSteps) -> Vec<Stage> {
    let Some(times) = &timed.stages else { return Vec::new() };
    let (n, whole) = (timed.steps().max(1) as f64, timed.sum());
    let stage = |name: &str, seconds: f64| Stage {
        name: name.to_owned(),
        seconds: seconds.max(0.0) / n,
        share: seconds.max(0.0) / whole.max(1e-12),
    };
    let named: f64 = times.stages.iter().map(|stage| stage.seconds).sum();
    let told = times.stages.iter().map(|told| stage(&told.name, told.seconds));
    let rest = [stage("other", times.seconds - named), stage("host", whole - times.seconds)];
    told.chain(rest).collect()
}

impl Tried {
    pub(super) fn fits(cut: Cut, measured: &Measured) -> Self {
        Self {
            cut,
            timed_steps: measured.timed.steps(),
            units_per_second: Some(measured.units_per_second()),
            memory_peak_bytes: measured.memory_peak_bytes,
            misfit: None,
        }
    }

    pub(super) fn misfit(cut: Cut, misfit: Misfit) -> Self {
        let misfit = Some(misfit);
        Self { cut, timed_steps: 0, units_per_second: None, memory_peak_bytes: None, misfit }
    }
}

#[cfg(test)]
mod tests {
    use sdk::{DType, Forecast, StageTime, StageTimes};

    use super::*;

    fn measured() -> Measured {
        let stage = |name: &str, seconds| StageTime { name: name.to_owned(), seconds };
        let stages = vec![stage("data", 0.25), stage("forward", 2.0)];
        Measured {
            unit: "tokens".to_owned(),
            forecast: Forecast { flops_per_unit: Some(50), ..Forecast::default() },
            timed: TimedSteps {
                seconds: vec![1.0, 1.0, 2.0, 1.0],
                units: 400,
                stages: Some(StageTimes { steps: 4, seconds: 4.5, stages }),
            },
            ..Measured::default()
        }
    }

    #[test]
    fn the_stages_add_up_to_the_step() {
        let stages = stages(&measured().timed);
        let seconds: Vec<(&str, f64)> = stages.iter().map(|s| (&*s.name, s.seconds)).collect();
        let want = [("data", 0.0625), ("forward", 0.5), ("other", 0.5625), ("host", 0.125)];
        assert_eq!(seconds, want);
        assert_eq!(stages.iter().map(|stage| stage.share).sum::<f64>(), 1.0);
    }

    #[test]
    fn a_slow_step_among_others_does_not_slow_the_median() {
        let peak = Peak { dtype: DType::F32, flops_per_second: 10_000.0 };
        let speed = Speed::of(&measured(), Some(peak));
        assert_eq!((speed.step_seconds, speed.step_seconds_max), (1.0, 2.0));
        assert_eq!((speed.units_per_step, speed.units_per_second), (100.0, 100.0));
        assert_eq!((speed.flops_per_second, speed.peak_share), (Some(5000.0), Some(0.5)));
        assert_eq!(Speed::of(&measured(), None).peak_share, None);
    }
}
