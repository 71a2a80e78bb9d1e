//! Where the time of a step goes, as its trainer tells it.
//!
//! A trainer names a stage when it is done: what has passed since the step began, or since the last
//! stage was named, was that stage. So stages never overlap, and what no name was given to is seen
//! as such. It costs a look at the clock a stage, some 50 ns, and nothing is sent anywhere: the host
//! asks for the sums when somebody wants to know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The clock of a phase's steps. Clones share it.
///
/// ```
/// use sdk::Stages;
///
/// let stages = Stages::default();
/// stages.of_step(|| {
///     let batch: Vec<u64> = (0..1000).collect();
///     stages.done("data");
///     let sum: u64 = batch.iter().sum();
///     stages.done("forward");
///     sum
/// });
/// let times = stages.times();
/// assert_eq!(times.steps, 1);
/// assert_eq!(times.stages.iter().map(|stage| &*stage.name).collect::<Vec<_>>(), ["data", "forward"]);
/// assert!(times.stages.iter().map(|stage| stage.seconds).sum::<f64>() <= times.seconds);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stages(Arc<Mutex<Clock>>);

#[derive(Debug, Default)]
struct Clock {
    /// When the last stage of the step that is going on was done; none between steps.
    last: Option<Instant>,
    steps: u64,
    time: Duration,
    stages: Vec<(String, Duration)>,
}

/// Sums over the steps so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageTimes {
    /// Steps that were taken.
    pub steps: u64,
    /// Time inside of the trainer's steps, in seconds.
    pub seconds: f64,
    /// The stages in the order in which they were first done; their times add up to `seconds` at
    /// most.
    pub stages: Vec<StageTime>,
}

/// Time of one stage over all steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageTime {
    /// Its name, as the trainer says it.
    pub name: String,
    /// Its time in seconds.
    pub seconds: f64,
}

impl Stages {
    /// Says that the stage `name` is done. May be said many times in a step, as in a loop over
    /// micro-batches; the times of a name add up. Outside of a step it does nothing.
    ///
    /// To be called from the thread that the step was called on.
    pub fn done(&self, name: &str) {
        let mut clock = self.clock();
        let Some(last) = clock.last else { return };
        let now = Instant::now();
        clock.last = Some(now);
        let time = now - last;
        match clock.stages.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += time,
            None => clock.stages.push((name.to_owned(), time)),
        }
    }

    /// Runs one step. The host does so around each; tests of a trainer may.
    pub fn of_step<R>(&self, step: impl FnOnce() -> R) -> R {
        let begin = Instant::now();
        self.clock().last = Some(begin);
        let result = step();
        let mut clock = self.clock();
        clock.last = None;
        clock.steps += 1;
        clock.time += begin.elapsed();
        result
    }

    /// What the steps so far came to.
    pub fn times(&self) -> StageTimes {
        let clock = self.clock();
        let stages = clock
            .stages
            .iter()
            .map(|(name, time)| StageTime { name: name.clone(), seconds: time.as_secs_f64() });
        StageTimes {
            steps: clock.steps,
            seconds: clock.time.as_secs_f64(),
            stages: stages.collect(),
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StageTimes {
    /// What has come on top of `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |name: &str| {
            let known = earlier.stages.iter().find(|stage| stage.name == name);
            known.map_or(0.0, |stage| stage.seconds)
        };
        let stages = self.stages.iter().map(|stage| StageTime {
            name: stage.name.clone(),
            seconds: stage.seconds - before(&stage.name),
        });
        Self {
            steps: self.steps - earlier.steps.min(self.steps),
            seconds: self.seconds - earlier.seconds,
            stages: stages.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const NAP: Duration = Duration::from_millis(5);

    fn step(stages: &Stages) {
        stages.of_step(|| {
            for _ in 0..2 {
                sleep(NAP);
                stages.done("forward");
                sleep(NAP);
                stages.done("backward");
            }
            sleep(NAP);
        });
    }

    #[test]
    fn times_of_a_name_add_up_and_the_rest_has_none() {
        let stages = Stages::default();
        step(&stages);
        let times = stages.times();
        let [forward, backward] = &times.stages[..] else { panic!("{times:?}") };
        assert_eq!((&*forward.name, &*backward.name, times.steps), ("forward", "backward", 1));
        let nap = NAP.as_secs_f64();
        assert!(forward.seconds >= 2.0 * nap && backward.seconds >= 2.0 * nap, "{times:?}");
        assert!(times.seconds >= forward.seconds + backward.seconds + nap, "{times:?}");
    }

    #[test]
    fn between_steps_nothing_counts() {
        let stages = Stages::default();
        step(&stages);
        let before = stages.times();
        stages.done("forward");
        assert_eq!(stages.times(), before);
        step(&stages);
        let second = stages.times().since(&before);
        assert_eq!(second.steps, 1);
        assert!(second.seconds >= 5.0 * NAP.as_secs_f64());
        let nothing = before.since(&before);
        assert_eq!((nothing.seconds, nothing.stages[0].seconds), (0.0, 0.0));
    }
}
