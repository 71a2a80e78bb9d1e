//! The order in which samples are trained on.

use sdk::PhaseContext;

/// All of `n` samples, pass for pass, each pass in an order of its own.
#[derive(Clone, Debug)]
pub(super) struct Passes {
    n: usize,
    /// The pass that is at hand, and its order.
    order: (u64, Vec<usize>),
}

impl Passes {
    pub(super) fn new(n: usize) -> Self {
        Self { n, order: (u64::MAX, Vec::new()) }
    }

    /// The sample at a place counted over all passes.
    pub(super) fn at(&mut self, place: u64, cx: &PhaseContext) -> usize {
        let n = self.n as u64;
        let (pass, idx) = (place / n, (place % n) as usize);
        if self.order.0 != pass {
            let mut order: Vec<usize> = (0..self.n).collect();
            cx.generator(&format!("order of pass {pass}")).shuffle(&mut order);
            self.order = (pass, order);
        }
        self.order.1[idx]
    }
}
