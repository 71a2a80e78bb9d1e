//! Which source the next document or window comes from, and which of its documents.
//!
//! The mix and every source have a generator of their own, so that a source that grows or is added
//! does not shift what is drawn from the others.

use std::collections::BTreeMap;

use sdk::{Error, Generator, Result, StateVisitor, Stateful};

/// Draws sources in proportion to their weights.
#[derive(Clone, Debug)]
pub(super) struct Mixture {
    weights: Vec<f64>,
    rng: Generator,
}

impl Mixture {
    /// A mixture of sources with these weights, of any sum above 0.
    pub(super) fn new(weights: Vec<f64>, rng: Generator) -> Self {
        assert!(weights.iter().sum::<f64>() > 0.0, "a mixture needs a weight above 0");
        Self { weights, rng }
    }

    /// The index of the next source.
    pub(super) fn draw(&mut self) -> usize {
        let mut left = self.rng.uniform() * self.weights.iter().sum::<f64>();
        for (idx, weight) in self.weights.iter().enumerate() {
            if left < *weight {
                return idx;
            }
            left -= weight;
        }
        // Rounding can leave a crumb after the last weight.
        self.weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0)
    }
}

impl Stateful for Mixture {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.generator("mix", &mut self.rng)
    }
}

/// Names a source's data in the state: a checkpoint goes on with the data it was written with, or not
/// at all. Positions in other data would mean something else.
///
/// # Errors
/// When the checkpoint was written with other data.
pub(super) fn data_state(name: &str, data: &str, visitor: &mut StateVisitor<'_>) -> Result<()> {
    let mut known = data.to_owned();
    visitor.value(&format!("source/{name}/data"), &mut known)?;
    if known == data {
        return Ok(());
    }
    let message = format!("source `{name}` is not what it was when the checkpoint was written");
    Err(Error::new("data::changed", message).at("data").help(
        "bring back the files that the run was started with, or start a new run from this one's \
         model",
    ))
}

/// The weights of a mix's sources in the order of their names, 0 where `has_data` is false.
pub(super) fn weights_where(
    mix: &BTreeMap<String, f64>,
    has_data: impl Fn(usize) -> bool,
) -> Vec<f64> {
    mix.values().enumerate().map(|(idx, w)| if has_data(idx) { *w } else { 0.0 }).collect()
}

/// Walks through a source's examples in a new random order each epoch.
///
/// Its state is two numbers: the order follows from the seed and the epoch.
#[derive(Clone, Debug)]
pub(super) struct EpochCursor {
    seed: u64,
    stream: String,
    n_examples: usize,
    epoch: u64,
    /// How many examples of the epoch are drawn.
    drawn: usize,
    /// The order of an epoch, and which.
    order: Option<(u64, Vec<usize>)>,
}

impl EpochCursor {
    /// A cursor at the start of epoch 0.
    pub(super) fn new(seed: u64, stream: String, n_examples: usize) -> Self {
        Self { seed, stream, n_examples, epoch: 0, drawn: 0, order: None }
    }

    /// The index of the next example.
    ///
    /// # Panics
    /// When there are no examples: such a source has weight 0.
    pub(super) fn draw(&mut self) -> usize {
        assert!(self.n_examples > 0, "drawing from a source without examples");
        if self.drawn >= self.n_examples {
            self.epoch += 1;
            self.drawn = 0;
        }
        let idx = self.drawn;
        self.drawn += 1;
        self.order_now()[idx]
    }

    fn order_now(&mut self) -> &[usize] {
        let epoch = self.epoch;
        let known = self.order.take().filter(|(of, _)| *of == epoch);
        let order = known.unwrap_or_else(|| {
            let mut order: Vec<usize> = (0..self.n_examples).collect();
            Generator::new(self.seed, format!("{}/{epoch}", self.stream)).shuffle(&mut order);
            (epoch, order)
        });
        &self.order.insert(order).1
    }
}

impl Stateful for EpochCursor {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.value("epoch", &mut self.epoch)?;
        visitor.value("drawn", &mut self.drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_come_in_their_proportions() {
        let mut mixture = Mixture::new(vec![0.2, 0.0, 0.7, 0.1], Generator::new(1, "data/mix"));
        let mut counts = [0u32; 4];
        for _ in 0..10_000 {
            counts[mixture.draw()] += 1;
        }
        for (count, expected) in counts.iter().zip([2000, 0, 7000, 1000]) {
            assert!(count.abs_diff(expected) < 150, "{counts:?}");
        }
        assert_eq!(counts[1], 0);
    }

    #[test]
    fn an_epoch_has_every_example_once_and_the_next_another_order() {
        let mut cursor = EpochCursor::new(1, "data/a".to_owned(), 50);
        let mut epoch = || (0..50).map(|_| cursor.draw()).collect::<Vec<usize>>();
        let (first, second) = (epoch(), epoch());
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, (0..50).collect::<Vec<_>>());
        }
    }
}
