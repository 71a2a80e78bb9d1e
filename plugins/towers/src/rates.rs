//! The learning rate and AdamW's decay rates as sections have them.

use sdk::Error;
use sdk_numerics::WarmupCosine;

/// One of so many steps is warmup, unless a section says otherwise.
const WARMUP_SHARE: u64 = 20;

/// What a section says of learning rate and AdamW's moments.
///
/// ```
/// let rates = towers::Rates {
///     lr: 1e-3, min_lr: 0.0, warmup_steps: None, betas: [0.9, 0.999], total_steps: 2000,
/// };
/// assert!(rates.check("max_steps").is_empty());
/// assert_eq!(rates.schedule().lr(50), 5e-4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Learning rate at the end of the warmup.
    pub lr: f64,
    /// Learning rate that the cosine ends at.
    pub min_lr: f64,
    /// Steps of the linear warmup; none takes a twentieth of all.
    pub warmup_steps: Option<u64>,
    /// Decay rates of the two moments.
    pub betas: [f64; 2],
    /// Optimizer updates in all.
    pub total_steps: u64,
}

impl Rates {
    /// The learning rate of each step.
    pub fn schedule(&self) -> WarmupCosine {
        WarmupCosine {
            base_lr: self.lr,
            min_lr: self.min_lr,
            warmup_steps: self.warmup_steps.unwrap_or(self.total_steps / WARMUP_SHARE),
            total_steps: self.total_steps,
        }
    }

    /// What disagrees, each at the key of the section: `min_lr`, `warmup_steps`, `betas.N`. `steps` is
    /// what the section calls the number of steps.
    pub fn check(&self, steps: &str) -> Vec<Error> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, message: String| {
            faults.push(Error::new("config::range", message).at(key));
        };
        let (least, lr, total) = (self.min_lr, self.lr, self.total_steps);
        if least > lr {
            fault("min_lr", format!("`min_lr` must be at most `lr`: {least} > {lr}"));
        }
        if let Some(warmup) = self.warmup_steps.filter(|warmup| *warmup > total) {
            let message = format!("`warmup_steps` must be at most `{steps}`: {warmup} > {total}");
            fault("warmup_steps", message);
        }
        for (idx, beta) in self.betas.iter().enumerate().filter(|(_, b)| !(0.0..1.0).contains(*b)) {
            fault(&format!("betas.{idx}"), format!("`betas` must be in [0, 1): {beta}"));
        }
        faults
    }
}
