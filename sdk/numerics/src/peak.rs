//! What the machine's arithmetic reaches: the yardstick of a step's speed.

use sdk::DType;

use crate::parallel::Workers;

impl Workers {
    /// Floating-point operations per second of f32 on all of these threads at once, a multiplication
    /// and an addition being two: see [`sdk::peak`].
    ///
    /// ```
    /// assert!(sdk_numerics::Workers::new(1).peak_flops() > 1e8);
    /// ```
    pub fn peak_flops(&self) -> f64 {
        // f32 is measured everywhere.
        sdk::peak::flops(DType::F32, self.threads()).unwrap_or(f64::INFINITY)
    }
}
