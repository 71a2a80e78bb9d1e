//! Steps timed one by one: what forecasts of a run's time and measurements of its speed rest on.

use std::time::{Duration, Instant};

use sdk::{StageTimes, StepReport};
use serde::{Deserialize, Serialize};

use super::phase_loop::failed;
use super::{ComposedPhase, RunError};

/// Which steps are taken, and which of them are timed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// Steps of the phase's schedule.
    pub scheduled: u64,
    /// Whether the last of them is repeated when there are too few.
    pub repeats: bool,
    /// Steps before the timed ones: the first ones ask the system for memory.
    pub warm_up: u64,
    /// Timed steps at least, as far as the phase has them.
    pub steps_min: u64,
    /// Timed steps at most.
    pub steps_max: u64,
    /// Time after which no further step is timed.
    pub enough: Duration,
}

/// What the timed steps came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimedSteps {
    /// Seconds of each, from its beginning to that of the next one.
    pub seconds: Vec<f64>,
    /// Tokens or samples of all of them.
    pub units: u64,
    /// Where the time inside of the plugin went, when its SDK tells.
    pub stages: Option<StageTimes>,
}

impl Timing {
    /// Takes the steps of a prepared phase. `each` hears of every one how many are done, and may end
    /// it all; what it does counts as the host's part of the step.
    ///
    /// # Errors
    /// What the phase fails with, and what `each` says.
    pub fn take(
        &self,
        phase: &mut ComposedPhase,
        mut each: impl FnMut(&ComposedPhase, &StepReport, u64) -> Result<(), RunError>,
    ) -> Result<TimedSteps, RunError> {
        let mut step = |phase: &mut ComposedPhase, step: u64| {
            let index = step.min(self.scheduled.saturating_sub(1));
            let place = format!("at step {index}");
            let report = phase.client.step(index).map_err(|e| failed(phase, &place, e))?;
            each(phase, &report, step + 1).map(|()| report.units)
        };
        let warm_up = self.warm_up_steps();
        for index in 0..warm_up {
            step(phase, index)?;
        }
        let before = phase.client.stages();
        let mut timed = TimedSteps::default();
        let begin = Instant::now();
        let mut last = begin;
        while !self.is_enough(timed.steps(), begin.elapsed()) {
            timed.units += step(phase, warm_up + timed.steps())?;
            let now = Instant::now();
            timed.seconds.push((now - last).as_secs_f64());
            last = now;
        }
        timed.stages = phase.client.stages().zip(before).map(|(now, before)| now.since(&before));
        Ok(timed)
    }

    /// Steps before the timed ones; a phase of two steps has one of each.
    pub fn warm_up_steps(&self) -> u64 {
        if self.is_endless() {
            return self.warm_up;
        }
        self.warm_up.min(self.scheduled.saturating_sub(1))
    }

    /// Whether there are as many steps as one likes.
    fn is_endless(&self) -> bool {
        self.repeats && self.scheduled > 0
    }

    fn is_enough(&self, timed: u64, elapsed: Duration) -> bool {
        let there =
            if self.is_endless() { u64::MAX } else { self.scheduled - self.warm_up_steps() };
        timed >= there.min(self.steps_max) || (timed >= self.steps_min && elapsed >= self.enough)
    }
}

impl TimedSteps {
    /// How many there are.
    pub fn steps(&self) -> u64 {
        self.seconds.len() as u64
    }

    /// Seconds of all of them.
    pub fn sum(&self) -> f64 {
        self.seconds.iter().sum()
    }

    /// Tokens or samples of a step, on average.
    pub fn units_per_step(&self) -> f64 {
        self.units as f64 / self.steps().max(1) as f64
    }

    /// Seconds of the step that so large a share of them is faster than: 0.5 is the median.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1) as f64;
        let (below, part) = ((last * share).floor(), (last * share).fract());
        let of = |i: f64| sorted.get(i as usize).copied().unwrap_or_default();
        of(below) + (of((below + 1.0).min(last)) - of(below)) * part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_phase_is_timed_as_far_as_it_goes_or_repeated() {
        let timing = Timing { warm_up: 2, steps_min: 3, steps_max: 5, ..Timing::default() };
        let steps = |scheduled, repeats, enough| {
            let timing = Timing { scheduled, repeats, enough, ..timing };
            let timed = (0..).find(|n| timing.is_enough(*n, Duration::from_secs(1)));
            (timing.warm_up_steps(), timed.unwrap())
        };
        let (none, long) = (Duration::ZERO, Duration::MAX);
        assert_eq!(steps(2, false, none), (1, 1));
        assert_eq!(steps(100, false, none), (2, 3));
        assert_eq!(steps(100, false, long), (2, 5));
        assert_eq!(steps(2, true, none), (2, 3));
        assert_eq!((steps(0, false, none), steps(0, true, none)), ((0, 0), (0, 0)));
    }

    #[test]
    fn quantiles_lie_between_the_steps() {
        let timed = TimedSteps { seconds: vec![4.0, 1.0, 3.0, 2.0], units: 40, stages: None };
        let all = [0.0, 0.25, 0.5, 1.0].map(|share| timed.quantile(share));
        assert_eq!(all, [1.0, 1.75, 2.5, 4.0]);
        assert_eq!((timed.units_per_step(), timed.sum()), (10.0, 10.0));
        assert_eq!(TimedSteps::default().quantile(0.5), 0.0);
    }
}
