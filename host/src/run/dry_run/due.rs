//! How often each thing will happen in a phase, from its schedule: the counts of the phase loop
//! without its steps.

use sdk::Schedule;
use serde::Serialize;

/// How often things happen in a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Due {
    /// Optimizer updates, within `max_steps`.
    pub steps: u64,
    /// Optimizer updates of the schedule.
    pub scheduled_steps: u64,
    /// Steps between evaluations; 0 is never, save at the end.
    pub eval_every_steps: u64,
    /// Steps between checkpoints; 0 is never, save at the end.
    pub checkpoint_every_steps: u64,
    /// Evaluations on the way, without the last one.
    pub evaluations_on_the_way: u64,
    /// Checkpoints that are written by the schedule, the last one included.
    pub checkpoints: u64,
    /// Checkpoints that are written when every evaluation is the best so far.
    pub checkpoints_max: u64,
}

impl Due {
    /// What is due in a phase with this schedule that `max_steps` may end.
    pub(super) fn of(schedule: &Schedule, max_steps: Option<u64>) -> Self {
        let steps = max_steps.unwrap_or(u64::MAX).min(schedule.total_steps);
        // What is due at the last step is part of the end.
        let on_the_way = steps.saturating_sub(1);
        let times = |every: u64| on_the_way.checked_div(every).unwrap_or(0);
        let (evals, saves) = (schedule.eval_every_steps, schedule.checkpoint_every_steps);
        let best_only = match (&schedule.best, evals, saves) {
            (None, ..) => 0,
            (_, _, 0) | (_, 0, _) => times(evals),
            _ => times(evals) - times(least_common_multiple(evals, saves)),
        };
        Self {
            steps,
            scheduled_steps: schedule.total_steps,
            eval_every_steps: evals,
            checkpoint_every_steps: saves,
            evaluations_on_the_way: times(evals),
            checkpoints: times(saves) + 1,
            checkpoints_max: times(saves) + best_only + 1,
        }
    }

    /// Evaluations in all.
    pub fn evaluations(&self) -> u64 {
        self.evaluations_on_the_way + 1
    }

    /// Whether `max_steps` ends the phase before its schedule does.
    pub fn is_cut_short(&self) -> bool {
        self.steps < self.scheduled_steps
    }
}

/// Both at least 1; `u64::MAX`, which no step reaches, stands for what is larger.
fn least_common_multiple(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    (a / x).saturating_mul(b)
}

#[cfg(test)]
mod tests {
    use sdk::{Best, Goal};

    use super::*;

    fn due(total_steps: u64, evals: u64, saves: u64, max_steps: Option<u64>) -> [u64; 4] {
        let best = Some(Best { metric: "loss".to_owned(), goal: Goal::Min });
        let schedule = Schedule {
            eval_every_steps: evals,
            checkpoint_every_steps: saves,
            best,
            ..Schedule::new(total_steps)
        };
        let due = Due::of(&schedule, max_steps);
        [due.steps, due.evaluations(), due.checkpoints, due.checkpoints_max]
    }

    #[test]
    fn what_is_due_at_the_last_step_counts_once() {
        assert_eq!(due(10, 5, 5, None), [10, 2, 2, 2]);
        assert_eq!(due(11, 5, 5, None), [11, 3, 3, 3]);
        assert_eq!(due(10, 5, 5, Some(5)), [5, 1, 1, 1]);
        assert_eq!(due(10, 0, 0, Some(99)), [10, 1, 1, 1]);
    }

    #[test]
    fn the_best_may_be_written_between_the_others() {
        // Evaluated after 2, 4, 6, 8 and saved after 3, 6, 9: only 6 is both.
        assert_eq!(due(10, 2, 3, None), [10, 5, 4, 7]);
        assert_eq!(due(10, 2, 0, None), [10, 5, 1, 5]);
        assert_eq!(due(u64::MAX, u64::MAX - 1, u64::MAX - 2, None)[1..], [2, 2, 3]);
        assert_eq!(due(0, 1, 1, None), [0, 1, 1, 1]);
    }
}
