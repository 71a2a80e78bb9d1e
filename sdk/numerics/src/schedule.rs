//! The learning rate as a pure function of the step.

use std::f64::consts::PI;

/// Linear warmup from zero, then a cosine from `base_lr` down to `min_lr`
/// (Loshchilov and Hutter 2017, without restarts).
///
/// For step `s`, counted from 0: `base_lr · s / warmup_steps` while `s < warmup_steps`, so the rate
/// of the first step is 0; then, with `p = (s − warmup) / (total − warmup)`,
/// `min_lr + (base_lr − min_lr) · ½ (1 + cos πp)`. From `total_steps` on it is `min_lr`.
///
/// ```
/// let schedule =
///     sdk_numerics::WarmupCosine { base_lr: 1e-3, min_lr: 1e-4, warmup_steps: 100, total_steps: 1000 };
/// assert_eq!(schedule.lr(0), 0.0);
/// assert!((schedule.lr(550) - 5.5e-4).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupCosine {
    /// Rate at the end of warmup; at least `min_lr`.
    pub base_lr: f64,
    /// Rate that the cosine ends at; the warmup may go below it.
    pub min_lr: f64,
    /// Steps of the linear warmup; 0 starts at `base_lr`.
    pub warmup_steps: u64,
    /// Steps of the whole schedule.
    pub total_steps: u64,
}

impl WarmupCosine {
    /// The rate of step `step`, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.base_lr * step as f64 / self.warmup_steps as f64;
        }
        if step >= self.total_steps {
            return self.min_lr;
        }
        let done = (step - self.warmup_steps) as f64;
        let progress = done / (self.total_steps - self.warmup_steps) as f64;
        let lr = self.min_lr + (self.base_lr - self.min_lr) * 0.5 * (1.0 + (PI * progress).cos());
        lr.max(self.min_lr).min(self.base_lr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lr(step: u64, total_steps: u64, base_lr: f64, warmup_steps: u64, min_lr: f64) -> f64 {
        WarmupCosine { base_lr, min_lr, warmup_steps, total_steps }.lr(step)
    }

    #[test]
    fn golden_values_of_the_reference() {
        for (got, want) in [
            (lr(50, 1000, 1e-3, 100, 1e-4), 5e-4),
            (lr(550, 1000, 1e-3, 100, 1e-4), 5.5e-4),
            (lr(999, 1000, 1e-3, 100, 1e-4), 1.000_027_416e-4),
            (lr(10_000, 20_000, 3e-4, 200, 3e-5), 1.671_419_051e-4),
            (lr(5, 6, 1e-3, 0, 1e-5), 7.631_742_513e-5),
        ] {
            // The reference prints ten digits.
            assert!((got - want).abs() < 1e-9 * want, "{got} {want}");
        }
    }

    #[test]
    fn the_rate_rises_to_its_base_and_falls_to_its_least() {
        let rate = |step| lr(step, 1000, 1e-3, 100, 1e-4);
        assert!(rate(0).abs() < 1e-9 && (rate(100) - 1e-3).abs() < 1e-9);
        for step in 0..100 {
            assert!(rate(step) <= rate(step + 1), "{step}");
            assert!((0.0..=1e-3).contains(&rate(step)), "{step}");
        }
        for step in 100..1000 {
            assert!((1e-4..=1e-3).contains(&rate(step)), "{step}");
            assert!(rate(step + 1) < rate(step), "{step}");
        }
    }

    #[test]
    fn edges() {
        assert_eq!(lr(0, 10, 1.0, 5, 0.1), 0.0);
        assert_eq!(lr(0, 10, 1.0, 0, 0.1), 1.0);
        assert_eq!(lr(5, 10, 1.0, 5, 0.1), 1.0);
        // A warmup longer than the run never finishes; the end never divides by zero.
        assert_eq!(lr(1, 2, 189.0, 189, 0.0), 1.0);
        assert_eq!(lr(10, 10, 1.0, 10, 0.1), 0.1);
        assert_eq!(lr(99, 10, 1.0, 5, 0.1), 0.1);
    }
}
